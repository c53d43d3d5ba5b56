//! Sends messages to the broker and counts their outcomes.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Error;
use super::message::message;
use crate::clock::instant;
use crate::kafka::{Deliveries, Subscription};
use crate::kafka::{DeliveryContext, client_config, plain_error, refused_settings};
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
            .create_with_context(DeliveryContext::new(&kafka.cluster))
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
        self.producer.context().deliveries()
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
