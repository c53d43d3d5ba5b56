//! Producers without transactions: what becomes of their messages, and one that writes a single message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::transactional_producer::owned_headers;
use super::{Error, LoggingContext, Right, Settings, client_config, plain_error, refused_settings};
use crate::clock::instant;
use crate::output_record::OutputRecord;

/// How long a single message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time beyond it that librdkafka needs to report.
const REPORTING: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(20);

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

/// Writes a record, and waits until all replicas that are in sync have it. Blocks, for up to half a minute.
///
/// # Errors
/// [`Error::Settings`], and [`Error::Unacknowledged`], after which it may have been written nevertheless.
pub(crate) fn write_acknowledged(kafka: &Settings, record: &OutputRecord) -> Result<(), Error> {
    let mut config = client_config(kafka)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string());
    let producer: BaseProducer<DeliveryContext> = config
        .create_with_context(DeliveryContext::new(kafka))
        .map_err(|error| refused_settings(&error))?;
    let unacknowledged = |cause| Error::Unacknowledged {
        topic: record.topic.clone(),
        cause,
    };
    let mut message: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(&record.topic).headers(owned_headers(&record.headers));
    message.key = record.key.as_deref();
    message.payload = record.value.as_deref();
    let queued = producer.send(message);
    queued.map_err(|(error, _)| unacknowledged(plain_error(&error)))?;
    let deadline = instant() + MESSAGE_TIMEOUT + REPORTING;
    while producer.in_flight_count() > 0 && instant() < deadline {
        producer.poll(POLL_WAIT);
    }
    let deliveries = producer.context().deliveries();
    match (deliveries.delivered, deliveries.first_error) {
        (1, _) => Ok(()),
        (_, Some(cause)) => Err(unacknowledged(cause)),
        (_, None) => Err(unacknowledged("the broker did not answer".to_owned())),
    }
}

/// Counts deliveries, and finds the cause of a message that "timed out".
pub(crate) struct DeliveryContext {
    logging: LoggingContext,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl DeliveryContext {
    pub(crate) fn new(kafka: &Settings) -> Self {
        Self {
            logging: LoggingContext::new(kafka),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_error: Mutex::default(),
        }
    }

    /// The outcomes so far.
    pub(crate) fn deliveries(&self) -> Deliveries {
        Deliveries {
            delivered: self.delivered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            first_error: self
                .first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// The reason for a failed delivery: the underlying fault, if it is known.
    fn reason(&self, topic: &str, error: &KafkaError) -> String {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
            return Error::NotAllowed(Right::WriteTopic(topic.to_owned())).to_string();
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
