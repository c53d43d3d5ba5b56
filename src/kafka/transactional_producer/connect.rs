//! How a transactional producer is set up.

use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};

use super::context::TransactionContext;
use super::{ProducerError, REQUEST_WAIT, code_of};
use crate::kafka::{Error, LoggingContext, Right, Settings, client_config, plain_error, refused_settings};
use crate::output_record::LARGEST_MESSAGE_BYTES;

/// A producer that is ready for its first transaction, and whose batches have at most so many bytes if that is given.
/// Blocks.
pub(super) fn connect(
    kafka: &Settings,
    transactional_id: &str,
    batch_bytes: Option<usize>,
) -> Result<ThreadedProducer<TransactionContext>, ProducerError> {
    let mut config = client_config(kafka)?;
    // The broker aborts an abandoned transaction after the timeout. Until then the transaction hides
    // later messages from `read_committed` readers and blocks the next owner of its partitions, so the
    // timeout is short.
    config
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", "15000")
        // The records of a transaction are all queued before the flush, so lingering only delays them.
        .set("linger.ms", "0")
        .set("message.timeout.ms", "15000")
        .set("message.max.bytes", LARGEST_MESSAGE_BYTES.to_string())
        .set("enable.idempotence", "true");
    if let Some(bytes) = batch_bytes {
        config.set("batch.size", bytes.to_string());
    }
    let context = TransactionContext {
        logging: LoggingContext::new(kafka),
        refusal: Arc::default(),
    };
    let producer: ThreadedProducer<TransactionContext> = config
        .create_with_context(context)
        .map_err(|error| refused_settings(&error))?;
    match producer.init_transactions(REQUEST_WAIT) {
        Ok(()) => Ok(producer),
        Err(error) => Err(not_ready(&producer, transactional_id, &error)),
    }
}

/// The reason for failed initialization: a missing permission, or a fault of the cluster.
fn not_ready(
    producer: &ThreadedProducer<TransactionContext>,
    transactional_id: &str,
    error: &KafkaError,
) -> ProducerError {
    if code_of(error) == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) {
        let right = Right::UseTransactionalId(transactional_id.to_owned());
        return Error::NotAllowed(right).into();
    }
    let known = producer.context().logging.faults().sentence();
    ProducerError::Unavailable {
        cause: known.unwrap_or_else(|| plain_error(error)),
    }
}
