//! What leaves beside the table: late readings and dead letters, each once under `read_committed` (invariant I7).
//!
//! Kafka and Delta cannot commit together, so letters go first, in a Kafka transaction that also commits the
//! group's offsets up to the end of the batch. After a crash the batch is read again from the table's position; a
//! record below the group's offset has had its letter written and is not written again. The transaction carries the
//! group's generation (KIP-447), so that a process that lost its partitions is refused by the broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, TopicPartitionList};
use tracing::{debug, warn};
use uuid::Uuid;

use super::source::offset_list;
use super::{Error, LoggingContext, Right, client_config, plain_error, refused_settings};
use crate::clock::instant;
use crate::config::KafkaConfig;
use crate::reading::Headers;

/// A message to write beside the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub topic: String,
    /// Where the record came from.
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

/// Why letters could not be written. Unless it is [`OutboxError::Unknown`] nothing was: the transaction is aborted.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The group has moved on: another process has the partitions, or will have them.
    #[error("the group has moved on ({cause})")]
    Fenced { cause: String, is_producer: bool },
    /// A broker does not take a letter; it will not take it later either.
    #[error(
        "{topic} does not take what must be written to it ({cause}); nothing is lost, correct the topic and start again"
    )]
    Undeliverable { topic: String, cause: String },
    /// The transaction may or may not have been committed: the group's offsets will tell.
    #[error("whether a transaction was committed is not known ({cause})")]
    Unknown { cause: String },
    /// The transactional id that the settings name is somebody else's, too.
    #[error(
        "the broker has shut this process out of transactional id {id} ({cause}): another process uses it, or this one \
         stood still for too long; give each process its own kafka.transactional_id, and start again"
    )]
    IdInUse { id: String, cause: String },
    /// The broker does not let us.
    #[error(transparent)]
    Refused(#[from] Error),
    /// It may work later.
    #[error("messages beside the table cannot be written now ({cause})")]
    Unavailable { cause: String },
}

/// A transactional producer, made when there is the first letter to write: most streams have none.
///
/// It has a thread that serves its callbacks, so that its token is renewed also while there is nothing to write.
pub struct Outbox {
    kafka: KafkaConfig,
    transactional_id: String,
    producer: Option<ThreadedProducer<OutboxContext>>,
}

/// What the two outboxes of a process are for; part of their transactional ids.
pub const LETTERS: &str = "letters";
pub const ANOMALIES: &str = "anomalies";

/// The transactional id of a process for a purpose: that of the settings, or one that nobody else has.
pub fn transactional_id(kafka: &KafkaConfig, purpose: &str) -> String {
    match kafka.transactional_id.as_str() {
        "" => format!("{}-{purpose}-{}", kafka.group, Uuid::new_v4()),
        stable => format!("{stable}-{purpose}"),
    }
}

const REQUEST_WAIT: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How long to wait for one answer before looking whether it was the last.
const ANSWER_WAIT: Duration = Duration::from_millis(1);

impl Outbox {
    /// An outbox that has not talked to the cluster yet; `purpose` tells it from another one of this process.
    ///
    /// Zombies are told by their group generation, so the transactional id needs to be nobody else's, not the same
    /// after a restart. If it is (`kafka.transactional_id`), then a transaction that a crash left open is aborted at
    /// once by the next start, and not by the broker after its timeout.
    pub fn new(kafka: &KafkaConfig, purpose: &str) -> Self {
        Outbox {
            kafka: kafka.clone(),
            transactional_id: transactional_id(kafka, purpose),
            producer: None,
        }
    }

    /// Connects ahead of the first message. Blocks.
    ///
    /// # Errors
    /// [`OutboxError`]; the first write will try again.
    pub fn connect_ahead(&mut self) -> Result<(), OutboxError> {
        if self.producer.is_none() {
            self.producer = Some(self.connect()?);
        }
        Ok(())
    }

    /// Writes letters and, in the same transaction, the group's offsets of their source. Blocks.
    ///
    /// # Errors
    /// [`OutboxError`]; after [`OutboxError::Unavailable`] the same call may be made again.
    pub fn write(
        &mut self,
        letters: &[Letter],
        positions: &[(i32, i64)],
        metadata: &str,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), OutboxError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect()?,
        };
        let offsets = offset_list(&self.kafka.topic, positions, metadata);
        if let Err(error) = prepare(&producer, letters, &offsets, group) {
            let failure = self.named(producer.context().failure(&error));
            // A producer that cannot even abort is replaced; the coordinator aborts what it left behind.
            match producer.abort_transaction(REQUEST_WAIT) {
                Ok(()) => self.producer = Some(producer),
                Err(error) => debug!(%error, "replacing the transactional producer"),
            }
            return Err(failure);
        }
        commit(&producer).map_err(|failure| self.named(failure))?;
        self.producer = Some(producer);
        Ok(())
    }

    fn connect(&self) -> Result<ThreadedProducer<OutboxContext>, OutboxError> {
        let mut config = client_config(&self.kafka)?;
        // An abandoned transaction is aborted by the broker after the timeout. Until then it hides later messages from
        // `read_committed` readers, and keeps the next owner of its partitions waiting: so it is short.
        config
            .set("transactional.id", &self.transactional_id)
            .set("transaction.timeout.ms", "15000")
            // A transaction is sent at once; what waits for it is batched anyway.
            .set("linger.ms", "0")
            .set("message.timeout.ms", "15000")
            .set("message.max.bytes", "33554432")
            .set("enable.idempotence", "true");
        let context = OutboxContext {
            logging: LoggingContext::new(&self.kafka),
            refusal: Arc::default(),
        };
        let producer: ThreadedProducer<OutboxContext> = config
            .create_with_context(context)
            .map_err(|error| refused_settings(&error))?;
        match producer.init_transactions(REQUEST_WAIT) {
            Ok(()) => Ok(producer),
            Err(error) => Err(self.not_ready(&producer, &error)),
        }
    }

    /// Why there can be no transactions: a right that is missing, or what is wrong with the cluster for now.
    fn not_ready(&self, producer: &ThreadedProducer<OutboxContext>, error: &KafkaError) -> OutboxError {
        if code_of(error) == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) {
            let right = Right::UseTransactionalId(self.transactional_id.clone());
            return Error::NotAllowed(right).into();
        }
        let known = producer.context().logging.faults().sentence();
        OutboxError::Unavailable {
            cause: known.unwrap_or_else(|| plain_error(error)),
        }
    }

    /// With an id that the settings name, being shut out of it is a mistake in the settings.
    fn named(&self, failure: OutboxError) -> OutboxError {
        match failure {
            OutboxError::Fenced {
                cause,
                is_producer: true,
            } if !self.kafka.transactional_id.is_empty() => {
                let id = self.transactional_id.clone();
                OutboxError::IdInUse { id, cause }
            }
            other => other,
        }
    }
}

pub(super) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(transaction) => Some(transaction.code()),
        other => other.rdkafka_error_code(),
    }
}

/// Everything up to the commit. As long as that is not asked for, the transaction can be aborted.
fn prepare(
    producer: &ThreadedProducer<OutboxContext>,
    letters: &[Letter],
    offsets: &TopicPartitionList,
    group: &ConsumerGroupMetadata,
) -> Result<(), KafkaError> {
    producer.context().forget_refusal();
    producer.begin_transaction()?;
    for letter in letters {
        send(producer, letter)?;
        producer.poll(Duration::ZERO);
    }
    flush(producer)?;
    producer.send_offsets_to_transaction(offsets, group, REQUEST_WAIT)
}

/// Waits for the answers to all that was sent. Not by [`Producer::flush`], which looks once in a hundred milliseconds.
fn flush(producer: &ThreadedProducer<OutboxContext>) -> Result<(), KafkaError> {
    let deadline = instant() + REQUEST_WAIT;
    while producer.in_flight_count() > 0 {
        if instant() >= deadline {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
        producer.poll(ANSWER_WAIT);
    }
    Ok(())
}

/// Asks for the commit until there is an answer. Where there is none, nobody may write the letters again before the
/// group's offsets have told the outcome.
fn commit(producer: &ThreadedProducer<OutboxContext>) -> Result<(), OutboxError> {
    for _ in 0..COMMIT_ATTEMPTS {
        match producer.commit_transaction(REQUEST_WAIT) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                debug!(%error, "asking for the commit of a transaction again");
            }
            Err(error) => {
                let is_refused =
                    matches!(&error, KafkaError::Transaction(error) if error.txn_requires_abort());
                let failure = producer.context().failure(&error);
                return Err(if is_refused {
                    failure
                } else {
                    OutboxError::Unknown {
                        cause: error.to_string(),
                    }
                });
            }
        }
    }
    Err(OutboxError::Unknown {
        cause: "the broker did not answer".to_owned(),
    })
}

const COMMIT_ATTEMPTS: u32 = 4;

fn send(producer: &ThreadedProducer<OutboxContext>, letter: &Letter) -> Result<(), KafkaError> {
    loop {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&letter.topic).headers(owned_headers(&letter.headers));
        record.key = letter.key.as_deref();
        record.payload = letter.value.as_deref();
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(POLL_WAIT);
            }
            Err((error, _)) => {
                producer.context().note_refusal(&letter.topic, &error);
                return Err(error);
            }
        }
    }
}

fn owned_headers(headers: &Headers) -> OwnedHeaders {
    headers.iter().fold(
        OwnedHeaders::new_with_capacity(headers.len()),
        |owned, (name, value)| {
            owned.insert(Header {
                key: name,
                value: value.as_deref(),
            })
        },
    )
}

/// Remembers the first letter that a broker refused.
struct OutboxContext {
    logging: LoggingContext,
    refusal: Arc<Mutex<Option<(String, KafkaError)>>>,
}

impl OutboxContext {
    fn note_refusal(&self, topic: &str, error: &KafkaError) {
        // What is purged was not refused itself, but written in the same transaction.
        if matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
        ) {
            return;
        }
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.get_or_insert_with(|| (topic.to_owned(), error.clone()));
    }

    fn forget_refusal(&self) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says what an error of a transaction means.
    fn failure(&self, error: &KafkaError) -> OutboxError {
        use RDKafkaErrorCode as Code;
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((topic, cause)) = refusal
            && matches!(
                cause.rdkafka_error_code(),
                Some(
                    Code::MessageSizeTooLarge
                        | Code::InvalidMessageSize
                        | Code::UnknownTopic
                        | Code::UnknownTopicOrPartition
                        | Code::TopicAuthorizationFailed
                        | Code::InvalidRecord
                        | Code::PolicyViolation
                )
            )
        {
            return match cause.rdkafka_error_code() {
                Some(Code::TopicAuthorizationFailed) => Error::NotAllowed(Right::WriteTopic(topic)).into(),
                _ => OutboxError::Undeliverable {
                    topic,
                    cause: cause.to_string(),
                },
            };
        }
        let cause = error.to_string();
        match code_of(error) {
            Some(
                Code::UnknownMemberId
                | Code::IllegalGeneration
                | Code::FencedInstanceId
                | Code::RebalanceInProgress,
            ) => OutboxError::Fenced {
                cause,
                is_producer: false,
            },
            Some(Code::ProducerFenced | Code::Fenced) => OutboxError::Fenced {
                cause,
                is_producer: true,
            },
            _ => OutboxError::Unavailable { cause },
        }
    }
}

impl ClientContext for OutboxContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Which topic may not be written to in a transaction is told here only.
        if facility == "ADDPARTS"
            && message.contains("Topic authorization failed")
            && let Some(topic) = message.split('"').nth(1)
        {
            let error = KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed);
            self.note_refusal(topic, &error);
        }
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
    }
}

impl ProducerContext for OutboxContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            warn!(topic = message.topic(), %error, "a letter was not taken");
            self.note_refusal(message.topic(), error);
        }
    }
}
