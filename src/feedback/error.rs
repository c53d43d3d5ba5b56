//! What can go wrong with the topic of feedback.

use super::MalformedMessage;
use crate::kafka;

/// Why feedback cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum FeedbackError {
    /// The cluster, its settings, or this process's access to it.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// What nobody who reads the topic would take.
    #[error("cannot say this: {0}")]
    Malformed(#[from] MalformedMessage),
    /// A line of a file of answers that cannot be read.
    #[error(
        "line {line}: {cause}; expected the lines that `streamgauge labels export --format messages` writes"
    )]
    Line {
        line: usize,
        #[source]
        cause: MalformedMessage,
    },
    /// There are no anomalies to look an episode up in.
    #[error(
        "topic {topic} does not exist at {brokers}; check detect.anomaly_topic (--set) and the cluster (-b)"
    )]
    NoAnomalies { topic: String, brokers: String },
    /// An id that is not among the anomalies.
    #[error(
        "there is no episode {episode} among the newest {looked_at} anomalies in topic {topic}; copy its id from the alert \
         or the anomaly (ce_episode)"
    )]
    NoEpisode {
        episode: String,
        topic: String,
        looked_at: usize,
    },
    /// The series of two labels would be one file.
    #[error(
        "the labels of two series would be those of the same file {file}: {first} and {second}; withdraw those of one, or \
         rename it in the file of labels"
    )]
    SameFile {
        file: String,
        first: String,
        second: String,
    },
    /// The process is shutting down.
    #[error("stopped while waiting for Kafka")]
    Stopping(#[from] tokio::task::JoinError),
}
