//! What a cluster lets us do, found out without doing it.
//!
//! A broker looks at the rights of whoever asks before it looks at the sense of what is asked. So each right is tried by a
//! request that no broker can fulfil: where the answer is that the request makes no sense, we have the right. (The id of a
//! producer is the exception: that is had, and not used.)

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::outbox::code_of;
use super::{Error, FaultKind, LoggingContext, Right, client_config, plain_error, refused_settings};
use crate::clock::instant;
use crate::config::KafkaConfig;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// No topic has so many partitions.
const NO_PARTITION: i32 = i32::MAX;
/// A number of acknowledgements that no broker waits for.
const NO_ACKNOWLEDGEMENTS: &str = "2";
/// Longer than any broker lets a transaction be open: 24 days.
const NO_TRANSACTION_MS: &str = "2147483647";

/// Asks a cluster that answers. All questions block, for ten seconds at most.
pub struct Rights<'k> {
    kafka: &'k KafkaConfig,
}

impl<'k> Rights<'k> {
    /// The rights of whom the settings name.
    pub fn new(kafka: &'k KafkaConfig) -> Self {
        Self { kafka }
    }

    /// Whether a topic may be read as a group: an offset of a partition that does not exist is committed.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub fn may_read(&self, topic: &str, group: &str) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false");
        let client: Arc<BaseConsumer<Asking>> = Arc::new(
            config
                .create_with_context(Asking::new(self.kafka))
                .map_err(|error| refused_settings(&error))?,
        );
        let answer = commit_nowhere(&client, topic);
        match answer {
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                Err(Error::NotAllowed(Right::UseGroup(group.to_owned())))
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(Error::NotAllowed(Right::ReadTopic(topic.to_owned())))
            }
            // That there is no such partition, or that a member of the group would have to say so.
            Some(code) if !is_silence(code) => Ok(()),
            _ => Err(self.silence("the offsets of a group")),
        }
    }

    /// Whether a topic that exists may be written to: a record is sent that asks for two acknowledgements.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub fn may_write(&self, topic: &str) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        config
            .set("acks", NO_ACKNOWLEDGEMENTS)
            .set("enable.idempotence", "false")
            .set("retries", "0")
            .set("linger.ms", "0")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string());
        let client = self.producer(&config)?;
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).payload(b"");
        client
            .send(record)
            .map_err(|(error, _)| self.no_answer("a record", &error))?;
        match wait_for_answer(client.context()) {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(Error::NotAllowed(Right::WriteTopic(topic.to_owned())))
            }
            Some(RDKafkaErrorCode::InvalidRequiredAcks) => Ok(()),
            Some(code) => Err(self.no_answer("a record", &KafkaError::MessageProduction(code))),
            None => Err(self.silence("a record")),
        }
    }

    /// Whether one may write idempotently at all: a producer asks for an id, as each does, and writes nothing.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub fn may_write_idempotently(&self) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        // That it has got one is told at this level, and nowhere else.
        config.set("enable.idempotence", "true").set("debug", "eos");
        config.set_log_level(RDKafkaLogLevel::Debug);
        let client = self.producer(&config)?;
        match wait_for_answer(client.context()) {
            Some(RDKafkaErrorCode::NoError) => Ok(()),
            Some(_) => Err(Error::NotAllowed(Right::WriteIdempotently)),
            None => Err(self.silence("the id of a producer")),
        }
    }

    /// Whether a transactional id may be used: one is asked for with a timeout that no broker allows. Whoever uses it
    /// goes on using it.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub fn may_transact(&self, transactional_id: &str) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", NO_TRANSACTION_MS)
            .set("message.timeout.ms", PATIENCE.as_millis().to_string());
        let client = self.producer(&config)?;
        let Err(error) = client.init_transactions(PATIENCE) else {
            return Ok(());
        };
        match code_of(&error) {
            Some(RDKafkaErrorCode::InvalidTransactionTimeout) => Ok(()),
            Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => Err(Error::NotAllowed(
                Right::UseTransactionalId(transactional_id.to_owned()),
            )),
            _ => Err(self.no_answer("a transactional id", &error)),
        }
    }

    fn producer(&self, config: &rdkafka::ClientConfig) -> Result<ThreadedProducer<Asking>, Error> {
        config
            .create_with_context(Asking::new(self.kafka))
            .map_err(|error| refused_settings(&error))
    }

    fn silence(&self, what: &'static str) -> Error {
        self.no_answer(what, &KafkaError::Global(RDKafkaErrorCode::OperationTimedOut))
    }

    fn no_answer(&self, what: &'static str, error: &KafkaError) -> Error {
        Error::Request {
            brokers: self.kafka.brokers.clone(),
            what,
            cause: plain_error(error),
        }
    }
}

/// Whether librdkafka, and not the broker, has said so.
fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut
            | Code::BrokerTransportFailure
            | Code::WaitingForCoordinator
            | Code::AllBrokersDown
    )
}

/// Commits an offset of a partition that does not exist; what the broker answers, if it does.
fn commit_nowhere(client: &Arc<BaseConsumer<Asking>>, topic: &str) -> Option<RDKafkaErrorCode> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, NO_PARTITION, Offset::Offset(0))
        .ok()?;
    let (answer, answered) = mpsc::sync_channel(1);
    let committing = Arc::clone(client);
    // librdkafka waits for long for a group that may not even be looked at, and tells why only to who polls.
    std::thread::spawn(move || {
        let committed = committing.commit(&list, CommitMode::Sync);
        // Whoever asked may know enough already.
        let _ = answer.send(committed.err().and_then(|error| error.rdkafka_error_code()));
    });
    let deadline = instant() + PATIENCE;
    while instant() < deadline {
        if let Ok(code) = answered.try_recv() {
            return Some(code.unwrap_or(RDKafkaErrorCode::NoError));
        }
        let told = client.poll(LOOK).and_then(Result::err);
        if let Some(code @ RDKafkaErrorCode::GroupAuthorizationFailed) =
            told.and_then(|error| error.rdkafka_error_code())
        {
            return Some(code);
        }
    }
    None
}

/// What the broker answered to a producer, if it did.
fn wait_for_answer(context: &Asking) -> Option<RDKafkaErrorCode> {
    let deadline = instant() + PATIENCE;
    while instant() < deadline {
        if let Some(code) = *context.answer.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(code);
        }
        std::thread::sleep(LOOK);
    }
    None
}

/// Keeps the answer that the broker gave to a producer.
struct Asking {
    logging: LoggingContext,
    answer: Mutex<Option<RDKafkaErrorCode>>,
}

impl Asking {
    fn new(kafka: &KafkaConfig) -> Self {
        Self {
            logging: LoggingContext::quiet(kafka),
            answer: Mutex::default(),
        }
    }

    fn note(&self, code: RDKafkaErrorCode) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }
}

impl ClientContext for Asking {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "GETPID" && message.contains("Acquired PID") {
            self.note(RDKafkaErrorCode::NoError);
        }
        // Not above this level: it is told that the request makes no sense, which it does not.
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
        let fault = self.logging.faults().latest();
        if fault.is_some_and(|fault| fault.kind == FaultKind::IdempotentWrite) {
            self.note(RDKafkaErrorCode::ClusterAuthorizationFailed);
        }
    }
}

impl ConsumerContext for Asking {}

impl ProducerContext for Asking {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let code = match result {
            Ok(_) => Some(RDKafkaErrorCode::NoError),
            Err((error, _)) => error.rdkafka_error_code(),
        };
        self.note(code.unwrap_or(RDKafkaErrorCode::Unknown));
    }
}
