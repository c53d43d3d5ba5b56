//! Hands messages to the broker and keeps count of what became of them.

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
use super::recording::RecordedReading;
use crate::clock::instant;
use crate::config::KafkaConfig;
use crate::kafka::{LoggingContext, Right, client_config, plain_error, refused_settings};

const MESSAGE_TIMEOUT_MS: u64 = 30_000;
/// What librdkafka needs beyond the timeout of the messages to report on the last of them.
const REPORTING: Duration = Duration::from_secs(5);

/// A producer of readings. Each arrives once and in order, or is counted as failed after 30 seconds.
///
/// Records carry the wall clock as their Kafka timestamp, not the reading's time: the broker's retention goes by the record's
/// timestamp, and would delete a recording of last year within minutes.
pub struct Sender {
    producer: BaseProducer<DeliveryContext>,
    topic: String,
    message_timeout: Duration,
}

/// What became of the messages accepted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Why the first failed.
    pub first_error: Option<String>,
}

impl Sender {
    /// A sender to `kafka.topic`. It connects by itself, in the background.
    ///
    /// Keys are spread over partitions as Java's producers do it, unless `partitioner` is set in `kafka.properties`.
    ///
    /// # Errors
    /// [`crate::kafka::Error::Settings`] if librdkafka refuses the properties.
    pub fn new(kafka: &KafkaConfig) -> Result<Self, Error> {
        let mut config = client_config(kafka)?;
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
        // Without it a retry can swap or double messages, and a second run would be another recording.
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
            topic: kafka.topic.clone(),
            message_timeout,
        })
    }

    /// Puts a reading in the queue to the broker. False if the queue is full: poll, then offer again.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the message can never be sent.
    pub fn offer(&self, reading: &RecordedReading) -> Result<bool, Error> {
        let payload = message(reading);
        let mut record = BaseRecord::to(&self.topic).payload(&payload);
        record.key = reading.key.as_ref();
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err((error, _)) => Err(Error::Rejected {
                line: reading.line,
                cause: plain_error(&error),
            }),
        }
    }

    /// Waits this long while deliveries are taken note of.
    pub fn poll(&self, wait: Duration) {
        self.producer.poll(wait);
    }

    /// What became of the messages so far.
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

    /// Messages whose fate is open.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// When every message accepted until now must have been delivered or given up.
    pub fn deadline(&self) -> Instant {
        instant() + self.message_timeout + REPORTING
    }
}

/// Counts deliveries, and knows the trouble behind a message that "timed out".
struct DeliveryContext {
    logging: LoggingContext,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl DeliveryContext {
    fn new(kafka: &KafkaConfig) -> Self {
        Self {
            logging: LoggingContext::new(kafka),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_error: Mutex::default(),
        }
    }

    /// Why a message was not delivered: what is behind it, if that is known.
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
