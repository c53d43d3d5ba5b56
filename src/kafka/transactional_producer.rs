//! Writes output records (late readings, dead letters, anomalies) exactly once under `read_committed`
//! (invariant I7).
//!
//! Kafka and the sink's own storage cannot commit together, so output records go first, in a Kafka
//! transaction that also commits the group's offsets up to the end of the batch. After a crash the batch is
//! read again from the sink's position; output records of readings below the group's offset are already
//! written and are not written again. The transaction carries the group's generation (KIP-447), so the broker
//! refuses a process that lost its partitions.

mod connect;
mod context;
mod sole;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tracing::{debug, warn};
use uuid::Uuid;

use super::Error;
use super::source::offset_list;
use super::topic_id::topic_id;
use super::topic_settings::topic_settings;
use crate::clock::instant;
use crate::kafka::Subscription;
use crate::output_record::{LARGEST_MESSAGE_BYTES, OutputRecord};
use crate::reading::Headers;
use connect::connect;
use context::TransactionContext;
pub(crate) use sole::SoleProducer;

/// The reason for a failed write. Except after [`ProducerError::Unknown`], the transaction is aborted and
/// nothing was written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum ProducerError {
    /// The group has moved on: another process has the partitions, or will get them.
    #[error("the group has moved on ({source})")]
    Fenced { source: KafkaError, is_producer: bool },
    /// A broker refuses an output record, and would refuse it again.
    #[error(
        "topic {topic} refuses records that must be written to it ({source}); nothing is lost: correct the topic and start again"
    )]
    Undeliverable { topic: String, source: KafkaError },
    /// An output record, or a batch of them, is too large for the broker or for the producer itself.
    #[error("topic {topic} refuses messages of this size ({source})")]
    TooLarge { topic: String, source: KafkaError },
    /// The outcome of the commit is unknown; the group's offsets reveal it.
    #[error("the outcome of a transaction is unknown ({cause})")]
    Unknown { cause: String },
    /// Another process uses the transactional id of the settings.
    #[error(
        "the broker has fenced off transactional id {id} ({source}): another process uses it, or this one stalled for \
         too long; give each process its own kafka.transactional_id, and start again"
    )]
    IdInUse { id: String, source: KafkaError },
    /// The settings, the connection or a missing permission.
    #[error(transparent)]
    Refused(#[from] Error),
    /// A temporary failure; a retry may succeed.
    #[error("cannot write to the output topics now ({cause})")]
    Unavailable { cause: String },
}

impl ProducerError {
    /// Whether the transaction was refused for the generation that it carries: nothing else was wrong with it.
    pub fn is_of_another_generation(&self) -> bool {
        matches!(
            self,
            ProducerError::Fenced {
                is_producer: false,
                ..
            }
        )
    }
}

/// A transactional producer, connected before its first record: most streams have none.
///
/// A thread of its own serves its callbacks, so that its token is renewed even while it is idle.
pub struct TransactionalProducer {
    kafka: Subscription,
    transactional_id: String,
    producer: Option<ThreadedProducer<TransactionContext>>,
    /// The largest message in bytes, by topic that has refused one for its size.
    rooms: BTreeMap<String, usize>,
}

/// The purposes of a process's transactional producers, part of their transactional ids.
pub(crate) const TABLE_SINK: &str = "table";
pub(crate) const ANOMALIES: &str = "anomalies";
pub(crate) const ALERTS: &str = "alerts";

/// The transactional id of a process for a purpose: from the settings, or a unique one.
pub(crate) fn transactional_id(kafka: &Subscription, purpose: &str) -> String {
    match kafka.source.transactional_id.as_str() {
        "" => format!("{}-{purpose}-{}", kafka.source.group, Uuid::new_v4()),
        stable => format!("{stable}-{purpose}"),
    }
}

/// The sizes to cut a message to, in turn, when a topic refuses it: 64 kB of the value and as much of the
/// headers; little of both; hardly more than our own headers.
const ROOMS: [usize; 3] = [140_000, 16_384, 2_048];

const REQUEST_WAIT: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How long to wait for one delivery report before counting those that are left.
const ANSWER_WAIT: Duration = Duration::from_millis(1);

impl TransactionalProducer {
    /// A producer without a connection; `purpose` distinguishes it from the others of this process.
    ///
    /// The group's generation fences zombies, so the transactional id only has to be unique, not the same
    /// after a restart. If it is the same (`kafka.transactional_id`), the next start aborts a transaction
    /// that a crash left open at once, instead of the broker after its timeout.
    pub fn new(kafka: &Subscription, purpose: &str) -> Self {
        TransactionalProducer {
            kafka: kafka.clone(),
            transactional_id: transactional_id(kafka, purpose),
            producer: None,
            rooms: BTreeMap::new(),
        }
    }

    /// Connects before the first record. Blocks.
    ///
    /// # Errors
    /// [`ProducerError`]; the first write tries again.
    pub(crate) fn connect_ahead(&mut self) -> Result<(), ProducerError> {
        if self.producer.is_none() {
            self.producer = Some(self.connect()?);
        }
        Ok(())
    }

    /// The id that the topic of the subscription has now, if there is a connection to ask by. A consumer's own would have the
    /// question wait behind the fetch that waits for records, for half a second (`fetch.wait.max.ms`). Blocks for a moment.
    pub(crate) fn topic_id(&self) -> Option<Arc<str>> {
        let producer = self.producer.as_ref()?;
        topic_id(producer.client(), &self.kafka.source.topic)
    }

    /// Writes output records and, in the same transaction, the group's offsets of their source. Blocks.
    ///
    /// A record that its topic refuses as too large is cut, and all records are written again, because no
    /// record may stop the stream.
    ///
    /// # Errors
    /// [`ProducerError`]; after [`ProducerError::Unavailable`] the same call may be repeated.
    pub fn write(
        &mut self,
        outputs: &[OutputRecord],
        positions: &[(i32, i64)],
        metadata: &str,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), ProducerError> {
        let offsets = offset_list(&self.kafka.source.topic, positions, metadata);
        loop {
            let fitted: Vec<Cow<'_, OutputRecord>> = outputs
                .iter()
                .map(|output| output.fitted(self.room(&output.topic)))
                .collect();
            match self.attempt(&fitted, &offsets, group) {
                Ok(()) => {
                    warn_of_cut(outputs, &fitted);
                    return Ok(());
                }
                Err(ProducerError::TooLarge { topic, source }) if self.narrow(&topic) => {
                    let room = self.room(&topic);
                    debug!(topic, %source, room, "cutting records to what the topic accepts");
                }
                Err(ProducerError::TooLarge { topic, source }) => {
                    return Err(ProducerError::Undeliverable { topic, source });
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn attempt(
        &mut self,
        outputs: &[Cow<'_, OutputRecord>],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), ProducerError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect()?,
        };
        if let Err(error) = prepare(&producer, outputs, offsets, group) {
            let failure = self.named(producer.context().failure(&error));
            // A producer that cannot even abort is replaced; the coordinator aborts its open transaction.
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

    /// The largest message in bytes to send to a topic.
    fn room(&self, topic: &str) -> usize {
        self.rooms.get(topic).copied().unwrap_or(LARGEST_MESSAGE_BYTES)
    }

    /// Lowers the assumed limit of a topic: first to its own setting, if that may be read, then step by step.
    /// False if nothing is left to cut: then even our own headers are too large, whatever the record.
    fn narrow(&mut self, topic: &str) -> bool {
        let room = self.room(topic);
        let configured = if self.rooms.contains_key(topic) {
            None
        } else {
            self.limit_of(topic).filter(|limit| *limit < room)
        };
        let step = ROOMS.into_iter().find(|step| *step < room);
        let Some(narrower) = configured.or(step) else {
            return false;
        };
        self.rooms.insert(topic.to_owned(), narrower);
        // A broker refuses whole batches: a new producer limits them to the same size.
        self.producer = None;
        true
    }

    /// The topic's own `max.message.bytes`, if the broker reveals it.
    fn limit_of(&self, topic: &str) -> Option<usize> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let topics = [topic.to_owned()];
        let settings = runtime
            .block_on(topic_settings(&self.kafka.cluster, &topics))
            .ok()?;
        settings.into_iter().next()??.max_message_bytes
    }

    fn connect(&self) -> Result<ThreadedProducer<TransactionContext>, ProducerError> {
        connect(
            &self.kafka.cluster,
            &self.transactional_id,
            self.rooms.values().min().copied(),
        )
    }

    /// Turns fencing into an error of the settings if they name the transactional id: two processes share it
    /// then.
    fn named(&self, failure: ProducerError) -> ProducerError {
        match failure {
            ProducerError::Fenced {
                source,
                is_producer: true,
            } if !self.kafka.source.transactional_id.is_empty() => {
                let id = self.transactional_id.clone();
                ProducerError::IdInUse { id, source }
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

/// Everything before the commit. Until the commit is requested, the transaction can be aborted.
fn prepare(
    producer: &ThreadedProducer<TransactionContext>,
    outputs: &[Cow<'_, OutputRecord>],
    offsets: &TopicPartitionList,
    group: &ConsumerGroupMetadata,
) -> Result<(), KafkaError> {
    fill(producer, outputs.iter().map(|output| &**output))?;
    producer.send_offsets_to_transaction(offsets, group, REQUEST_WAIT)
}

/// Begins a transaction, and waits until its records are with the brokers.
fn fill<'a>(
    producer: &ThreadedProducer<TransactionContext>,
    outputs: impl Iterator<Item = &'a OutputRecord>,
) -> Result<(), KafkaError> {
    producer.context().forget_refusal();
    producer.begin_transaction()?;
    for output in outputs {
        send(producer, output)?;
        producer.poll(Duration::ZERO);
    }
    flush(producer)
}

/// Waits for all delivery reports. [`Producer::flush`] would check only once in a hundred milliseconds.
fn flush(producer: &ThreadedProducer<TransactionContext>) -> Result<(), KafkaError> {
    let deadline = instant() + REQUEST_WAIT;
    while producer.in_flight_count() > 0 {
        if instant() >= deadline {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
        producer.poll(ANSWER_WAIT);
    }
    Ok(())
}

/// Requests the commit until there is an outcome.
///
/// A timeout is retriable: librdkafka resumes the same commit, so a repeated request cannot commit twice.
/// Without an outcome the broker may have committed, which only the group's offsets reveal. The caller must
/// read them before it writes these records again.
fn commit(producer: &ThreadedProducer<TransactionContext>) -> Result<(), ProducerError> {
    for _ in 0..COMMIT_ATTEMPTS {
        match producer.commit_transaction(REQUEST_WAIT) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                debug!(%error, "requesting the commit of a transaction again");
            }
            Err(error) => {
                // Only an abortable error proves that the transaction was not committed. After any other
                // error it may have been.
                let is_refused =
                    matches!(&error, KafkaError::Transaction(error) if error.txn_requires_abort());
                let failure = producer.context().failure(&error);
                return Err(if is_refused {
                    failure
                } else {
                    ProducerError::Unknown {
                        cause: error.to_string(),
                    }
                });
            }
        }
    }
    Err(ProducerError::Unknown {
        cause: "the broker did not answer".to_owned(),
    })
}

const COMMIT_ATTEMPTS: u32 = 4;

fn send(producer: &ThreadedProducer<TransactionContext>, output: &OutputRecord) -> Result<(), KafkaError> {
    loop {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&output.topic).headers(owned_headers(&output.headers));
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if producer.in_flight_count() > 0 =>
            {
                producer.poll(POLL_WAIT);
            }
            // An empty queue without room for this record never gets any.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
                producer.context().note_refusal(&output.topic, &error);
                return Err(error);
            }
            Err((error, _)) => {
                producer.context().note_refusal(&output.topic, &error);
                return Err(error);
            }
        }
    }
}

/// Logs the first record that was cut, and how many more were. Their headers locate the whole records.
fn warn_of_cut(outputs: &[OutputRecord], fitted: &[Cow<'_, OutputRecord>]) {
    let is_cut =
        |(output, fitted): &(&OutputRecord, &Cow<'_, OutputRecord>)| !std::ptr::eq(*output, &***fitted);
    let mut cut = outputs.iter().zip(fitted).filter(is_cut);
    let Some((first, _)) = cut.next() else {
        return;
    };
    warn!(
        topic = first.topic,
        partition = first.partition,
        offset = first.offset,
        bytes = first.message_bytes(),
        more = cut.count(),
        "an output record was larger than its topic accepts, and was cut"
    );
}

pub(super) fn owned_headers(headers: &Headers) -> OwnedHeaders {
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
