//! What can end a run.

use std::sync::Arc;

use thiserror::Error;

use crate::alerts::{SendError, StateError};
use crate::detectors::RuleError;
use crate::feedback::FeedbackError;
use crate::kafka::{Error as KafkaRoomError, ProducerError};
use crate::lake::LakeError;
use crate::pipeline::anomalies::JournalError;

/// Why a run ended by itself.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum PipelineError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Kafka(#[from] KafkaRoomError),
    #[error(transparent)]
    TransactionalProducer(#[from] ProducerError),
    /// The topic no longer holds the record to go on with.
    #[error(
        "topic {topic}, partition {partition}: the {holder}'s position is {position}, but {found}; {missing}. \
         Set kafka.accept_gap = true (--accept-gap) to go on without them"
    )]
    Gap {
        topic: String,
        partition: i32,
        /// Who has the position: the table or the group.
        holder: &'static str,
        position: i64,
        found: String,
        missing: String,
    },
    /// The topic is another one of the same name.
    #[error(
        "topic {topic} was recreated: the {holder}'s positions are of the one with the id {known}, and it is {found} now; \
         what the old one held beyond them is gone. Set kafka.accept_gap = true (--accept-gap) to go on at the \
         beginning of the new one"
    )]
    TopicReplaced {
        topic: String,
        /// Who has the positions: the table or the group.
        holder: &'static str,
        known: Arc<str>,
        found: Arc<str>,
    },
    /// Somebody else consumes the topic in the same group.
    #[error(
        "the consumer group {group} is in use by {other}, and each of the two would get a part of the topic: {advice}. (If \
         that other process has just died, the group is free after session.timeout.ms)"
    )]
    GroupInUse {
        group: String,
        other: String,
        advice: &'static str,
    },
    /// The group has offsets of another owner, which a sink without positions of its own would take for its own.
    #[error(
        "the consumer group {group} has offsets of {other}: this process would start from them, and what lies before would \
         never be read; {advice}, or delete them (kafka-consumer-groups.sh --delete --group {group}) to read the topic from \
         its beginning"
    )]
    GroupOfAnother {
        group: String,
        other: String,
        advice: &'static str,
    },
    /// An available-now run was stopped before the group gave it anything.
    #[error(
        "stopped before the consumer group {group} gave this process a partition: nothing was read; see who else is in the \
         group (kafka-consumer-groups.sh --describe --members --group {group})"
    )]
    NothingAssigned { group: String },
    /// Something did not answer when the run was asked to stop.
    #[error(
        "stopped after waiting {seconds} s for a broker or store that does not answer: what was pending is not committed; \
         nothing is lost, the next start reads it again"
    )]
    StoppedEarly { seconds: u64 },
    /// A rule that cannot be read.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The settings of a receiver.
    #[error(transparent)]
    Receiver(#[from] SendError),
    /// What people say cannot be read.
    #[error(transparent)]
    Feedback(#[from] FeedbackError),
    /// What was told before is not known, and must not be guessed.
    #[error(
        "cannot read the state of the alerts in topic {topic}, key {key}: {source}; it may be of a newer version of this \
         program. If it is damaged, delete the topic: then what is open is told again"
    )]
    AlertState {
        topic: String,
        key: String,
        source: StateError,
    },
    /// Where answers were applied is not known, and must not be guessed.
    #[error(
        "cannot read the journal of answers in topic {topic}, key {key}: {source}; it may be of a newer version of this \
         program. If it is damaged, write the key without a value: then that answer does not count"
    )]
    Journal {
        topic: String,
        key: String,
        source: JournalError,
    },
    /// The consumer ended without saying why.
    #[error("the consumer ended without giving a reason; the log may have one")]
    ConsumerEnded,
    /// A bug of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

/// A task ends without a result only if it panicked: no task that is waited for is aborted.
impl From<tokio::task::JoinError> for PipelineError {
    fn from(error: tokio::task::JoinError) -> Self {
        PipelineError::Internal(error.to_string())
    }
}
