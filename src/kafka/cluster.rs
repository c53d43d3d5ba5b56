//! A connection for questions about topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::client::plain_code;
use super::{Error, Fault, FaultKind, LoggingContext, Right};
use super::{client_config, diagnosis, plain_error, refused_settings, topic_id::topic_id};
use crate::clock::instant;
use crate::kafka::{Settings, Subscription};

/// How long a cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait for an answer. It doubles up to [`LONGEST_WAIT`]; callbacks are served in between.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const CALLBACKS: Duration = Duration::from_millis(10);
/// Between questions that a broker cannot answer at the moment.
const PAUSE: Duration = Duration::from_millis(250);

/// A cluster that answered. Every call blocks for up to ten seconds, or for the patience that it was given.
pub struct Cluster {
    // A consumer, because its requests never create a missing topic.
    client: BaseConsumer<LoggingContext>,
    brokers: String,
    patience: Duration,
}

/// Where a partition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionEnds {
    /// The last stable offset: what consumers of committed records read up to.
    pub(crate) stable: i64,
    /// The next record gets this offset.
    pub(crate) high_watermark: i64,
}

impl PartitionEnds {
    /// Offsets in open transactions and behind them; 0 where none is open.
    pub(crate) fn unstable(self) -> i64 {
        self.high_watermark.saturating_sub(self.stable).max(0)
    }
}

/// Where the partitions of the topic of the settings end. Blocks.
///
/// # Errors
/// Those of [`Cluster::connect`].
pub(crate) fn partition_ends(kafka: &Subscription) -> Result<BTreeMap<i32, PartitionEnds>, Error> {
    // A question for offsets is answered by the client's isolation level. The high watermarks first: what is committed
    // between the two questions must not seem to be behind an open transaction.
    let high = Cluster::connect_uncommitted(kafka)?;
    let topic = &kafka.source.topic;
    let partitions = high.partition_count(topic)?.unwrap_or(0);
    let range = |cluster: &Cluster, partition| cluster.watermarks(topic, partition);
    let high: Vec<(i64, i64)> = (0..partitions)
        .map(|partition| range(&high, partition))
        .collect::<Result<_, _>>()?;
    let stable = Cluster::connect(kafka)?;
    let ends = (0..partitions).zip(high).map(|(partition, (_, high))| {
        let (_, stable) = range(&stable, partition)?;
        let high_watermark = high.max(stable);
        Ok((
            partition,
            PartitionEnds {
                stable,
                high_watermark,
            },
        ))
    });
    ends.collect()
}

impl Cluster {
    /// Connects to the cluster of the settings.
    ///
    /// # Errors
    /// [`Error::Settings`] for properties librdkafka refuses; [`Error::Connection`] at once where a broker
    /// refuses the client, and after ten seconds without an answer.
    pub fn connect(kafka: &Subscription) -> Result<Self, Error> {
        Self::connect_as(kafka, "read_committed")
    }

    /// The same for a client whose questions for ends are answered with those of open transactions.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub(super) fn connect_uncommitted(kafka: &Subscription) -> Result<Self, Error> {
        Self::connect_as(kafka, "read_uncommitted")
    }

    fn connect_as(kafka: &Subscription, isolation: &str) -> Result<Self, Error> {
        let cluster = Self::open_as(&kafka.cluster, isolation)?;
        // Any topic will do: the answer shows that the cluster is up.
        match cluster.metadata(&kafka.source.topic) {
            Ok(_) => Ok(cluster),
            Err(error) => Err(diagnosis::refine(&kafka.cluster, error)),
        }
    }

    /// A client that has not sent a request yet.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn open(kafka: &Settings) -> Result<Self, Error> {
        Self::open_as(kafka, "read_committed")
    }

    fn open_as(kafka: &Settings, isolation: &str) -> Result<Self, Error> {
        let mut config = client_config(kafka)?;
        config
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", isolation);
        // librdkafka reports closed connections only at this log level.
        config.set_log_level(RDKafkaLogLevel::Info);
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let client: BaseConsumer<LoggingContext> = config
            .create_with_context(LoggingContext::quiet(kafka))
            .map_err(|error| refused_settings(&error))?;
        Ok(Self {
            client,
            brokers,
            patience: PATIENCE,
        })
    }

    /// The same, which asks a broker that cannot answer at the moment (it is electing a leader, or starting) for so long.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The bootstrap addresses.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The number of partitions of a topic; `None` if it does not exist.
    pub(crate) fn partition_count(&self, topic: &str) -> Result<Option<i32>, Error> {
        let metadata = self.metadata(topic)?;
        Ok(described(&metadata, topic)?.map(|topic| topic.partitions().len() as i32))
    }

    /// True if every partition of the topic has a leader to read from and write to.
    pub(crate) fn is_ready(&self, topic: &str) -> Result<bool, Error> {
        let metadata = self.metadata(topic)?;
        Ok(described(&metadata, topic)?.is_some_and(|topic| {
            !topic.partitions().is_empty()
                && topic.partitions().iter().all(|partition| partition.leader() >= 0)
        }))
    }

    /// The first offset a partition still holds, and the last stable one: that of its next record, unless a transaction is
    /// open.
    pub(crate) fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        let deadline = instant() + self.patience;
        loop {
            let error = match self.client.fetch_watermarks(topic, partition, PATIENCE) {
                Ok(range) => return Ok(range),
                Err(error) => error,
            };
            self.serve_callbacks();
            if !is_passing(&error) || instant() >= deadline {
                return Err(self.failure("the offsets of a partition", &error));
            }
            tracing::debug!(%error, topic, partition, "asking for the offsets of a partition again");
            std::thread::sleep(PAUSE);
        }
    }

    /// The id that distinguishes a topic from a later one of the same name, if the cluster has such ids.
    pub fn topic_id(&self, topic: &str) -> Option<Arc<str>> {
        topic_id(self.client.client(), topic)
    }

    fn metadata(&self, topic: &str) -> Result<Metadata, Error> {
        // Serving callbacks makes the token, without which the client sends nothing.
        self.serve_callbacks();
        let deadline = instant() + PATIENCE;
        let mut wait = FIRST_WAIT;
        loop {
            let remaining = deadline.saturating_duration_since(instant());
            let error = match self.client.fetch_metadata(Some(topic), wait.min(remaining)) {
                Ok(metadata) => {
                    self.client.context().faults().clear();
                    return Ok(metadata);
                }
                Err(error) => error,
            };
            self.serve_callbacks();
            let fault = self.client.context().faults().latest();
            let is_final = fault.is_some_and(|fault| !fault.kind.may_pass());
            let may_pass = is_retriable(&error) || is_passing(&error);
            if is_final || remaining.is_zero() || !may_pass {
                return Err(self.failure("the description of a topic", &error));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Runs librdkafka's callbacks: log lines and faults wait in a queue until the client is polled.
    fn serve_callbacks(&self) {
        // With a timeout of zero, poll would return after the first log line and leave the faults behind it
        // queued.
        while self.client.poll(CALLBACKS).is_some() {}
    }

    fn failure(&self, what: &'static str, error: &KafkaError) -> Error {
        match self.client.context().faults().latest() {
            Some(fault) => fault.into_error(&self.brokers),
            None if is_retriable(error) => {
                let kind = FaultKind::Transport;
                let cause = format!("no answer within {} s", PATIENCE.as_secs());
                Fault { kind, cause }.into_error(&self.brokers)
            }
            None => Error::Request {
                brokers: self.brokers.clone(),
                what,
                cause: plain_error(error),
            },
        }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut)
    )
}

/// Whether a broker answers that it cannot answer at the moment: partitions are changing their leaders, or it starts.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::BrokerNotAvailable
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
                | Code::KafkaStorageError
                | Code::PreferredLeaderNotAvailable
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::RequestTimedOut
                | Code::NetworkException
        )
    )
}

/// The topic in the answer; `None` if the broker does not know it.
fn described<'a>(metadata: &'a Metadata, topic: &str) -> Result<Option<&'a MetadataTopic>, Error> {
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None | Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(Some(found)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Err(Error::NotAllowed(Right::DescribeTopic(topic.to_owned())))
        }
        Some(code) => Err(Error::TopicUnusable {
            topic: topic.to_owned(),
            cause: plain_code(code),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::bindings::rd_kafka_resp_err_t as ResponseCode;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaApiKey;

    use super::*;
    use crate::config::{Overrides, load};

    #[test]
    fn a_broker_that_cannot_answer_at_the_moment_is_asked_again() {
        const PASSING: ResponseCode = ResponseCode::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
        const LASTING: ResponseCode = ResponseCode::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("usage", 1, 1).unwrap();
        let mut kafka = load(&Overrides::default(), None, [])
            .unwrap()
            .config
            .subscription();
        kafka.cluster.brokers = broker.bootstrap_servers();
        let cluster = Cluster::connect(&kafka).unwrap();
        broker.request_errors(RDKafkaApiKey::ListOffsets, &[PASSING; 6]);
        assert_eq!(cluster.watermarks("usage", 0).unwrap(), (0, 0));
        broker.request_errors(RDKafkaApiKey::ListOffsets, &[LASTING; 2]);
        let refused = cluster.watermarks("usage", 0).unwrap_err();
        assert!(refused.to_string().contains("authorization"), "{refused}");
        broker.clear_request_errors(RDKafkaApiKey::ListOffsets);
        broker.request_errors(RDKafkaApiKey::ListOffsets, &[PASSING; 6]);
        let hasty = cluster.with_patience(Duration::ZERO);
        let given_up = hasty.watermarks("usage", 0).unwrap_err();
        assert!(given_up.to_string().contains("did not answer"), "{given_up}");
    }
}
