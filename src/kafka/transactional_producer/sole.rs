//! The one producer of its name: whoever connects last is it, and what others of the name have not committed by then
//! they never will.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};
use tracing::debug;

use super::context::TransactionContext;
use super::{ProducerError, REQUEST_WAIT, commit, connect, fill};
use crate::kafka::Settings;
use crate::output_record::OutputRecord;

/// A connected transactional producer under a stable transactional id.
///
/// It never connects again by itself: that would shut out a newer one of its name, with a state that is older than the
/// newer one's. After an error its owner drops it, connects anew, and reads what was committed.
pub(crate) struct SoleProducer {
    producer: ThreadedProducer<TransactionContext>,
}

/// Small enough for any topic's `max.message.bytes` that takes a record of a kilobyte or two.
const BATCH_BYTES: usize = 100_000;

impl SoleProducer {
    /// Connects, and shuts out whoever had the id. What is left of its transaction is completed or aborted when this
    /// returns. Blocks for up to half a minute.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub(crate) fn connect(kafka: &Settings, transactional_id: &str) -> Result<Self, ProducerError> {
        let producer = connect(kafka, transactional_id, Some(BATCH_BYTES))?;
        Ok(SoleProducer { producer })
    }

    /// Writes records in one transaction: all of them, or none. Blocks.
    ///
    /// # Errors
    /// [`ProducerError`]. Nothing was written, except after [`ProducerError::Unknown`], when it may have been. After
    /// [`ProducerError::Fenced`] a newer one of the name has read what was committed, be this in it or not.
    pub(crate) fn write(&self, records: &[OutputRecord]) -> Result<(), ProducerError> {
        self.attempt(records)
            .map_err(|error| self.shut_out().unwrap_or(error))
    }

    fn attempt(&self, records: &[OutputRecord]) -> Result<(), ProducerError> {
        if let Err(error) = fill(&self.producer, records.iter()) {
            let failure = self.producer.context().failure(&error);
            if let Err(error) = self.producer.abort_transaction(REQUEST_WAIT) {
                debug!(%error, "the broker will abort the transaction, or the next of its name");
            }
            return Err(failure);
        }
        commit(&self.producer)
    }

    /// The error of a producer whose name a newer one has. Whichever request finds that out, it ends the producer.
    fn shut_out(&self) -> Option<ProducerError> {
        let (code, _) = self.producer.client().fatal_error()?;
        matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced).then(|| {
            ProducerError::Fenced {
                source: KafkaError::Global(code),
                is_producer: true,
            }
        })
    }
}
