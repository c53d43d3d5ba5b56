//! Messages beside the table: written in a Kafka transaction with the group's offsets, tried until it is clear how
//! that ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use rdkafka::consumer::ConsumerGroupMetadata;
use tracing::warn;

use super::PipelineError;
use crate::clock;
use crate::kafka::{Letter, Outbox, OutboxError};

/// An outbox, and how long to try.
pub struct Mail {
    /// Locked by one blocking task at a time.
    outbox: Arc<Mutex<Outbox>>,
    offset_metadata: String,
    give_up_after: Duration,
}

/// How it ended.
pub enum Mailed {
    Committed,
    /// Somebody else owns our partitions, or nobody knows yet whether it was committed.
    Overtaken {
        why: String,
    },
}

/// Letters with all that their transaction carries.
struct Parcel {
    letters: Vec<Letter>,
    offsets: Vec<(i32, i64)>,
    metadata: String,
    group: ConsumerGroupMetadata,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Mail {
    /// Mail of an outbox whose offsets carry this metadata.
    pub fn new(outbox: Outbox, offset_metadata: String, give_up_after: Duration) -> Self {
        Mail {
            outbox: Arc::new(Mutex::new(outbox)),
            offset_metadata,
            give_up_after,
        }
    }

    /// Connects, so that the first message need not wait for it; what fails here will be told when there is one.
    pub async fn connect(&self) {
        let outbox = Arc::clone(&self.outbox);
        let connect = move || {
            outbox
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .connect_ahead()
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(connect).await {
            warn!(%error, "the transactional producer is not ready yet");
        }
    }

    /// Writes letters and offsets. Under [`Mailed::Overtaken`] what they came from must be dropped and read again.
    ///
    /// # Errors
    /// [`OutboxError::Undeliverable`], and the last error once it is time to give up.
    pub async fn write(
        &self,
        letters: Vec<Letter>,
        offsets: Vec<(i32, i64)>,
        group: Option<ConsumerGroupMetadata>,
    ) -> Result<Mailed, PipelineError> {
        let Some(group) = group else {
            let why = "the group is not joined".to_owned();
            return Ok(Mailed::Overtaken { why });
        };
        let parcel = Arc::new(Parcel {
            letters,
            offsets,
            metadata: self.offset_metadata.clone(),
            group,
        });
        let started = clock::instant();
        let mut pauses = ExponentialBuilder::default()
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .build();
        loop {
            match self.attempt(Arc::clone(&parcel)).await? {
                Ok(()) => return Ok(Mailed::Committed),
                Err(error @ (OutboxError::Fenced { .. } | OutboxError::Unknown { .. })) => {
                    let why = error.to_string();
                    return Ok(Mailed::Overtaken { why });
                }
                Err(
                    error @ (OutboxError::Undeliverable { .. }
                    | OutboxError::IdInUse { .. }
                    | OutboxError::Refused(_)),
                ) => {
                    return Err(error.into());
                }
                Err(error) if clock::instant().duration_since(started) >= self.give_up_after => {
                    return Err(error.into());
                }
                Err(error) => warn!(%error, "trying again"),
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    async fn attempt(&self, parcel: Arc<Parcel>) -> Result<Result<(), OutboxError>, PipelineError> {
        let outbox = Arc::clone(&self.outbox);
        let write = move || {
            let Parcel {
                letters,
                offsets,
                metadata,
                group,
            } = &*parcel;
            outbox
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(letters, offsets, metadata, group)
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| PipelineError::Internal(error.to_string()))
    }
}
