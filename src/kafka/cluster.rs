//! A connection to ask a cluster about its topics.

use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::client::plain_code;
use super::{Error, Fault, FaultKind, LoggingContext, Right};
use super::{client_config, diagnosis, plain_error, refused_settings};
use crate::clock::instant;
use crate::config::KafkaConfig;

/// How long a cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait for an answer, doubled up to the longest; between waits the error callback is served.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const CALLBACKS: Duration = Duration::from_millis(10);

/// A cluster that answered. All questions block, for ten seconds at most.
pub struct Cluster {
    // A consumer, because asking through one never makes a missing topic.
    client: BaseConsumer<LoggingContext>,
    brokers: String,
}

impl Cluster {
    /// Connects to the cluster of the settings.
    ///
    /// # Errors
    /// [`Error::Settings`] for properties librdkafka refuses; [`Error::Connection`], at once where the broker says no, and after
    /// ten seconds without an answer.
    pub fn connect(kafka: &KafkaConfig) -> Result<Self, Error> {
        let cluster = Self::open(kafka)?;
        // Any topic does: what counts is that the cluster answers.
        match cluster.metadata(&kafka.topic) {
            Ok(_) => Ok(cluster),
            Err(error) => Err(diagnosis::refine(kafka, error)),
        }
    }

    /// A cluster that has not been asked anything yet.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn open(kafka: &KafkaConfig) -> Result<Self, Error> {
        let mut config = client_config(kafka)?;
        config.set("allow.auto.create.topics", "false");
        // That a broker hangs up is told at this level, and nowhere else.
        config.set_log_level(RDKafkaLogLevel::Info);
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let client: BaseConsumer<LoggingContext> = config
            .create_with_context(LoggingContext::quiet(kafka))
            .map_err(|error| refused_settings(&error))?;
        Ok(Self { client, brokers })
    }

    /// The addresses the cluster was reached through.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The number of partitions of a topic, or nothing if there is no such topic.
    pub fn partition_count(&self, topic: &str) -> Result<Option<i32>, Error> {
        let metadata = self.metadata(topic)?;
        Ok(described(&metadata, topic)?.map(|topic| topic.partitions().len() as i32))
    }

    /// Whether every partition of the topic has a leader to read from and write to.
    pub fn is_ready(&self, topic: &str) -> Result<bool, Error> {
        let metadata = self.metadata(topic)?;
        Ok(described(&metadata, topic)?.is_some_and(|topic| {
            !topic.partitions().is_empty()
                && topic.partitions().iter().all(|partition| partition.leader() >= 0)
        }))
    }

    /// The first offset a partition still holds, and the offset its next record will get.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        self.client
            .fetch_watermarks(topic, partition, PATIENCE)
            .map_err(|error| {
                self.serve_callbacks();
                self.failure("the offsets of a partition", &error)
            })
    }

    fn metadata(&self, topic: &str) -> Result<Metadata, Error> {
        // A token is made in here, and without one nothing is sent.
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
            if is_final || remaining.is_zero() || !is_retriable(&error) {
                return Err(self.failure("the description of a topic", &error));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Lets librdkafka tell what it has to tell: log lines and faults wait in a queue until somebody polls it.
    fn serve_callbacks(&self) {
        // With no time at all, poll returns after the first log line and leaves the faults behind it.
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

/// The topic in the answer; nothing if the broker does not know it.
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
