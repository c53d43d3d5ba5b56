//! What can end collecting.

use super::cloudwatch::CloudWatchError;
use super::metric::Metric;
use super::state::SameKey;
use super::watermark::WatermarkError;
use crate::kafka::{self, ProducerError};

/// Why collecting ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error(transparent)]
    CloudWatch(#[from] CloudWatchError),
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Producer(ProducerError),
    /// Another collector of the same metrics has started.
    #[error(
        "another collector of these metrics has started, under the same transactional id {id}, and goes on in place of \
         this one: nothing is lost or doubled; run one for each topic, region and namespace"
    )]
    Superseded { id: String },
    /// The topic of watermarks holds something else.
    #[error(
        "cannot go on from topic {topic}: {source}; run the version that wrote it, or delete that key to start the metric \
         anew"
    )]
    Watermark { topic: String, source: WatermarkError },
    /// The settings name metrics that would be one series.
    #[error(
        "the readings of two metrics would have the same key {key}: {} and {}; collect one of them, into a topic of its \
         own",
        described(first),
        described(second)
    )]
    SameKey {
        key: String,
        first: Box<Metric>,
        second: Box<Metric>,
    },
    /// More metrics than a process may collect.
    #[error(
        "more than {most} metrics were found; narrow collect.cloudwatch.metrics and collect.cloudwatch.dimensions"
    )]
    TooManyMetrics { most: usize },
    /// The process is shutting down.
    #[error("stopped while writing to Kafka; the next start goes on from what was committed")]
    Stopping(#[from] tokio::task::JoinError),
}

impl CollectError {
    /// An error of the producer under this transactional id.
    pub(super) fn of_producer(error: ProducerError, id: &str) -> Self {
        match error {
            ProducerError::Fenced { .. } | ProducerError::IdInUse { .. } => {
                CollectError::Superseded { id: id.to_owned() }
            }
            other => CollectError::Producer(other),
        }
    }

    /// Whether connecting to Kafka anew, and reading what was committed, may help.
    pub(super) fn is_session_lost(&self) -> bool {
        match self {
            CollectError::Kafka(error) => error.is_transient(),
            CollectError::Producer(error) => match error {
                ProducerError::Unavailable { .. } | ProducerError::Unknown { .. } => true,
                ProducerError::Refused(error) => error.is_transient(),
                _ => false,
            },
            _ => false,
        }
    }
}

impl From<SameKey> for CollectError {
    fn from(same: SameKey) -> Self {
        let [first, second] = (*same.metrics).map(Box::new);
        CollectError::SameKey {
            key: same.key,
            first,
            second,
        }
    }
}

fn described(metric: &Metric) -> String {
    let dimensions: Vec<String> = metric
        .dimensions
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{} ({})", metric.name, dimensions.join(", "))
}
