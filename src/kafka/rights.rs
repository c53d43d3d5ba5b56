//! Checks the client's permissions without using them.
//!
//! A broker checks permissions before it validates a request. Each permission is therefore tested with an
//! invalid request: an answer that calls the request invalid proves the permission. (The producer id is the
//! exception: the check obtains one and does not use it.)

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

use super::Settings;
use super::transactional_producer::code_of;
use super::{Error, FaultKind, LoggingContext, Right, client_config, plain_error, refused_settings};
use crate::clock::instant;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// No topic has this many partitions.
const NO_PARTITION: i32 = i32::MAX;
/// A number of acknowledgements that no broker accepts.
const NO_ACKNOWLEDGEMENTS: &str = "2";
/// Longer than any broker lets a transaction stay open: 24 days.
const NO_TRANSACTION_MS: &str = "2147483647";

/// Checks permissions on a cluster that answers. Every call blocks for up to ten seconds.
pub(crate) struct Rights<'k> {
    kafka: &'k Settings,
}

impl<'k> Rights<'k> {
    /// Permissions of the configured principal.
    pub(crate) fn new(kafka: &'k Settings) -> Self {
        Self { kafka }
    }

    /// Checks that a group may read a topic, by committing an offset of a partition that does not exist.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub(crate) fn may_read(&self, topic: &str, group: &str) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false");
        let client: Arc<BaseConsumer<AnswerContext>> = Arc::new(
            config
                .create_with_context(AnswerContext::new(self.kafka))
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
            // The partition is unknown, or only a member of the group may commit: either answer proves the
            // permission.
            Some(code) if !is_silence(code) => Ok(()),
            _ => Err(self.silence("the offsets of a group")),
        }
    }

    /// Checks that a client may write to an existing topic, by a record with two required acknowledgements.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub(crate) fn may_write(&self, topic: &str) -> Result<(), Error> {
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

    /// Checks that a client may write idempotently at all, by requesting a producer id, as every producer
    /// does.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub(crate) fn may_write_idempotently(&self) -> Result<(), Error> {
        let mut config = client_config(self.kafka)?;
        // librdkafka reports the new id only at this log level.
        config.set("enable.idempotence", "true").set("debug", "eos");
        config.set_log_level(RDKafkaLogLevel::Debug);
        let client = self.producer(&config)?;
        match wait_for_answer(client.context()) {
            Some(RDKafkaErrorCode::NoError) => Ok(()),
            Some(_) => Err(Error::NotAllowed(Right::WriteIdempotently)),
            None => Err(self.silence("the id of a producer")),
        }
    }

    /// Checks that a client may use a transactional id, by requesting it with a timeout that no broker
    /// allows. A process that uses the id is not disturbed.
    ///
    /// # Errors
    /// [`Error::NotAllowed`]; [`Error::Request`] without an answer.
    pub(crate) fn may_transact(&self, transactional_id: &str) -> Result<(), Error> {
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

    fn producer(&self, config: &rdkafka::ClientConfig) -> Result<ThreadedProducer<AnswerContext>, Error> {
        config
            .create_with_context(AnswerContext::new(self.kafka))
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

/// True if the code is librdkafka's own, so that the broker has not answered.
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

/// Commits an offset of a partition that does not exist, and returns the broker's answer, if any.
fn commit_nowhere(client: &Arc<BaseConsumer<AnswerContext>>, topic: &str) -> Option<RDKafkaErrorCode> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, NO_PARTITION, Offset::Offset(0))
        .ok()?;
    let (answer, answered) = mpsc::sync_channel(1);
    let committing = Arc::clone(client);
    // For a group it may not describe, librdkafka waits long and reports the reason only through `poll`.
    std::thread::spawn(move || {
        let committed = committing.commit(&list, CommitMode::Sync);
        // The receiver is gone if `poll` reported the reason first.
        let _ = answer.send(committed.err().and_then(|error| error.rdkafka_error_code()));
    });
    let deadline = instant() + PATIENCE;
    while instant() < deadline {
        if let Ok(code) = answered.try_recv() {
            return Some(code.unwrap_or(RDKafkaErrorCode::NoError));
        }
        let polled = client.poll(LOOK).and_then(Result::err);
        if let Some(code @ RDKafkaErrorCode::GroupAuthorizationFailed) =
            polled.and_then(|error| error.rdkafka_error_code())
        {
            return Some(code);
        }
    }
    None
}

/// The broker's answer to a producer, if any.
fn wait_for_answer(context: &AnswerContext) -> Option<RDKafkaErrorCode> {
    let deadline = instant() + PATIENCE;
    while instant() < deadline {
        if let Some(code) = *context.answer.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(code);
        }
        std::thread::sleep(LOOK);
    }
    None
}

/// Keeps the broker's answer to a producer.
struct AnswerContext {
    logging: LoggingContext,
    answer: Mutex<Option<RDKafkaErrorCode>>,
}

impl AnswerContext {
    fn new(kafka: &Settings) -> Self {
        Self {
            logging: LoggingContext::quiet(kafka),
            answer: Mutex::default(),
        }
    }

    fn note(&self, code: RDKafkaErrorCode) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }
}

impl ClientContext for AnswerContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "GETPID" && message.contains("Acquired PID") {
            self.note(RDKafkaErrorCode::NoError);
        }
        // At debug level, because librdkafka logs the deliberately invalid requests as errors.
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

impl ConsumerContext for AnswerContext {}

impl ProducerContext for AnswerContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let code = match result {
            Ok(_) => Some(RDKafkaErrorCode::NoError),
            Err((error, _)) => error.rdkafka_error_code(),
        };
        self.note(code.unwrap_or(RDKafkaErrorCode::Unknown));
    }
}
