//! What can end a run.

use thiserror::Error;

use crate::detect::RuleError;
use crate::kafka::{Error as KafkaRoomError, OutboxError};
use crate::lake::LakeError;

/// Why a run ended before it was told to.
#[derive(Debug, Error)]
pub enum PipelineError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Kafka(#[from] KafkaRoomError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The topic no longer holds the record to go on with.
    #[error(
        "topic {topic}, partition {partition}: the {holder}'s position is {position}, but {found}; {missing}. \
         Set kafka.accept_gap = true (--accept-gap) to go on without them"
    )]
    Gap {
        topic: String,
        partition: i32,
        /// Who has the position: the table or the group.
        holder: &'static str,
        position: i64,
        found: String,
        missing: String,
    },
    /// A rule that cannot be read.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The consumer ended without saying why.
    #[error("the consumer ended without giving a reason; the log may have one")]
    ConsumerEnded,
    /// A bug of this program.
    #[error("internal error: {0}")]
    Internal(String),
}
