//! Messages beside the table: written in a Kafka transaction with the group's offsets, tried until it is clear how
//! that ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tracing::{debug, warn};

use super::PipelineError;
use crate::clock;
use crate::kafka::{Generation, ProducerError, TransactionalProducer};
use crate::output_record::OutputRecord;

/// A transactional producer, and how long to try.
pub(super) struct TransactionWriter {
    /// Locked by one blocking task at a time.
    producer: Arc<Mutex<TransactionalProducer>>,
    offset_metadata: String,
    give_up_after: Duration,
}

/// How it ended.
pub(super) enum TransactionOutcome {
    Committed,
    /// Somebody else owns our partitions, or nobody knows yet whether it was committed.
    Overtaken {
        why: String,
    },
}

/// Side outputs with all that their transaction carries.
struct Transaction {
    outputs: Vec<OutputRecord>,
    offsets: Vec<(i32, i64)>,
    metadata: String,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a transaction that the group has moved on from tries to catch up with the group: longer than a rebalance of
/// processes that are there, and shorter than a stop.
const RENEWAL_LIMIT: Duration = Duration::from_secs(5);
const RENEWAL_PAUSE: Duration = Duration::from_millis(100);

impl TransactionWriter {
    /// Transactions of a producer, whose offsets carry this metadata.
    pub(super) fn new(
        producer: TransactionalProducer,
        offset_metadata: String,
        give_up_after: Duration,
    ) -> Self {
        TransactionWriter {
            producer: Arc::new(Mutex::new(producer)),
            offset_metadata,
            give_up_after,
        }
    }

    /// What the offsets carry from now on.
    pub(super) fn set_offset_metadata(&mut self, metadata: String) {
        self.offset_metadata = metadata;
    }

    /// Connects, so that the first message need not wait for it; what fails here fails again when there is one.
    pub(super) async fn connect(&self) {
        let producer = Arc::clone(&self.producer);
        let connect = move || {
            producer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .connect_ahead()
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(connect).await {
            warn!(%error, "the transactional producer is not ready yet");
        }
    }

    /// The id that the topic of the subscription has now, if it can be had.
    ///
    /// # Errors
    /// [`PipelineError::Internal`].
    pub(super) async fn topic_id(&self) -> Result<Option<Arc<str>>, PipelineError> {
        let producer = Arc::clone(&self.producer);
        let ask = move || producer.lock().unwrap_or_else(PoisonError::into_inner).topic_id();
        Ok(tokio::task::spawn_blocking(ask).await?)
    }

    /// Writes side outputs and offsets. Under [`TransactionOutcome::Overtaken`] what they came from must be dropped and read
    /// again.
    ///
    /// A transaction that is refused because another process has joined the group is written again with the new
    /// generation, as long as the partitions are still ours ([`Generation::renewed`]).
    ///
    /// # Errors
    /// [`ProducerError::Undeliverable`], and the last error once it is time to give up.
    pub(super) async fn write(
        &self,
        outputs: Vec<OutputRecord>,
        offsets: Vec<(i32, i64)>,
        generation: Option<Generation>,
    ) -> Result<TransactionOutcome, PipelineError> {
        let Some(generation) = generation else {
            let why = "this process is not a member of the group now".to_owned();
            return Ok(TransactionOutcome::Overtaken { why });
        };
        let transaction = Arc::new(Transaction {
            outputs,
            offsets,
            metadata: self.offset_metadata.clone(),
        });
        let mut generation = Arc::new(generation);
        let since = |instant: Instant| clock::instant().duration_since(instant);
        let started = clock::instant();
        let mut refused_at = None;
        let mut pauses = ExponentialBuilder::default()
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .build();
        loop {
            let error = match self.attempt(&transaction, &generation).await? {
                Ok(()) => return Ok(TransactionOutcome::Committed),
                Err(error) => error,
            };
            let is_catching_up = error.is_of_another_generation()
                && since(*refused_at.get_or_insert_with(clock::instant)) < RENEWAL_LIMIT;
            if is_catching_up && let Some(renewed) = renewed(&generation).await? {
                debug!(%error, "the partitions are still ours: trying again with the group's new generation");
                generation = Arc::new(renewed);
                tokio::time::sleep(RENEWAL_PAUSE).await;
                continue;
            }
            match error {
                ProducerError::Fenced { .. } | ProducerError::Unknown { .. } => {
                    let why = error.to_string();
                    return Ok(TransactionOutcome::Overtaken { why });
                }
                ProducerError::Undeliverable { .. }
                | ProducerError::TooLarge { .. }
                | ProducerError::IdInUse { .. }
                | ProducerError::Refused(_) => return Err(error.into()),
                ProducerError::Unavailable { .. } if since(started) >= self.give_up_after => {
                    return Err(error.into());
                }
                ProducerError::Unavailable { .. } => warn!(%error, "trying again"),
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    async fn attempt(
        &self,
        transaction: &Arc<Transaction>,
        generation: &Arc<Generation>,
    ) -> Result<Result<(), ProducerError>, PipelineError> {
        let producer = Arc::clone(&self.producer);
        let (transaction, generation) = (Arc::clone(transaction), Arc::clone(generation));
        let write = move || {
            let Transaction {
                outputs,
                offsets,
                metadata,
            } = &*transaction;
            producer.lock().unwrap_or_else(PoisonError::into_inner).write(
                outputs,
                offsets,
                metadata,
                generation.metadata(),
            )
        };
        Ok(tokio::task::spawn_blocking(write).await?)
    }
}

/// The generation of now, if the partitions are still ours.
async fn renewed(generation: &Arc<Generation>) -> Result<Option<Generation>, PipelineError> {
    let generation = Arc::clone(generation);
    Ok(tokio::task::spawn_blocking(move || generation.renewed()).await?)
}
