//! Sends messages to the broker and counts their outcomes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::Error;
use super::message::message;
use crate::clock::instant;
use crate::kafka::Subscription;
use crate::kafka::{LoggingContext, Right, client_config, plain_error, refused_settings};
use crate::recording::{RecordedReading, Recording};

const MESSAGE_TIMEOUT_MS: u64 = 30_000;
/// Time beyond the message timeout that librdkafka needs to report the last messages.
const REPORTING: Duration = Duration::from_secs(5);

/// A producer of readings. Each reading arrives once and in order, or counts as failed after 30 seconds.
///
/// The Kafka timestamp of a record is the wall clock, not the reading's time: retention uses the Kafka
/// timestamp, and would delete a recording of last year within minutes.
pub struct Sender {
    producer: BaseProducer<DeliveryContext>,
    topic: String,
    message_timeout: Duration,
}

/// The outcomes of the messages queued so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Given up by the producer.
    pub failed: u64,
    /// The reason for the first failure.
    pub first_error: Option<String>,
}

impl Sender {
    /// A sender to `kafka.topic`. It connects in the background.
    ///
    /// It partitions keys like Java's producers, unless `kafka.properties` sets `partitioner`.
    ///
    /// # Errors
    /// [`crate::kafka::Error::Settings`] if librdkafka refuses the properties.
    pub fn new(kafka: &Subscription) -> Result<Self, Error> {
        let mut config = client_config(&kafka.cluster)?;
        let defaults = [
            ("linger.ms", "20".to_owned()),
            ("message.timeout.ms", MESSAGE_TIMEOUT_MS.to_string()),
            ("partitioner", "murmur2_random".to_owned()),
        ];
        for (name, value) in defaults {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        // Without idempotence a retry can reorder or duplicate messages, and a second run would send another
        // recording.
        config.set("enable.idempotence", "true");
        let message_timeout_ms = config
            .get("message.timeout.ms")
            .and_then(|text| text.parse().ok());
        let message_timeout = Duration::from_millis(message_timeout_ms.unwrap_or(MESSAGE_TIMEOUT_MS));
        let producer = config
            .create_with_context(DeliveryContext::new(kafka))
            .map_err(|error| refused_settings(&error))?;
        Ok(Self {
            producer,
            topic: kafka.source.topic.clone(),
            message_timeout,
        })
    }

    /// Where readings are sent to.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Queues a reading of a recording. False if the queue is full: poll, then offer it again.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the message can never be sent.
    pub fn offer(&self, recording: &Recording, reading: &RecordedReading) -> Result<bool, Error> {
        let payload = message(recording, reading);
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&self.topic).payload(&payload);
        record.key = recording.key(reading);
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err((error, _)) => Err(Error::Rejected {
                line: u64::from(reading.line),
                cause: plain_error(&error),
            }),
        }
    }

    /// Serves delivery reports for this long.
    pub fn poll(&self, wait: Duration) {
        self.producer.poll(wait);
    }

    /// The outcomes so far.
    pub fn deliveries(&self) -> Deliveries {
        let context = self.producer.context();
        Deliveries {
            delivered: context.delivered.load(Ordering::Relaxed),
            failed: context.failed.load(Ordering::Relaxed),
            first_error: context
                .first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Messages without an outcome.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// The time by which every queued message must have an outcome.
    pub fn deadline(&self) -> Instant {
        instant() + self.message_timeout + REPORTING
    }
}

/// Counts deliveries, and finds the cause of a message that "timed out".
struct DeliveryContext {
    logging: LoggingContext,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl DeliveryContext {
    fn new(kafka: &Subscription) -> Self {
        Self {
            logging: LoggingContext::new(&kafka.cluster),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_error: Mutex::default(),
        }
    }

    /// The reason for a failed delivery: the underlying fault, if it is known.
    fn reason(&self, topic: &str, error: &KafkaError) -> String {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
            return crate::kafka::Error::NotAllowed(Right::WriteTopic(topic.to_owned())).to_string();
        }
        match self.logging.faults().sentence() {
            Some(sentence) => format!("{}: {sentence}", plain_error(error)),
            None => plain_error(error),
        }
    }
}

impl ClientContext for DeliveryContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.logging.faults().clear();
            }
            Err((error, message)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| self.reason(message.topic(), error));
            }
        }
    }
}
