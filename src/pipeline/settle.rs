//! One batch on its way out: letters first, then the table. Runs beside the loop, one at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use rdkafka::consumer::ConsumerGroupMetadata;
use tracing::{info, warn};

use super::PipelineError;
use crate::clock;
use crate::config::Config;
use crate::decode::Counts;
use crate::kafka::{Group, GroupOffset, Letter, Outbox, OutboxError};
use crate::lake::{Lake, LakeError};
use crate::table::{Batch, Known, Outcome, PositionChange};

/// What a commit needs: the table as last known, and the outbox.
pub struct Writer {
    lake: Arc<Lake>,
    known: Option<Known>,
    /// Locked by one blocking task at a time.
    outbox: Arc<Mutex<Outbox>>,
    /// By partition, the offset below which letters are written already.
    lettered: BTreeMap<i32, i64>,
    /// What the group's offsets carry, so that those of another table or of other rules mean nothing here.
    offset_metadata: String,
    give_up_after: Duration,
}

/// A batch that is over, and the writer for the next one.
pub struct Settlement {
    pub settled: Settled,
    pub writer: Writer,
}

/// Letters with all that their transaction carries.
struct Parcel {
    letters: Vec<Letter>,
    offsets: Vec<(i32, i64)>,
    metadata: String,
    group: ConsumerGroupMetadata,
}

/// How it ended.
pub enum Settled {
    Committed {
        version: u64,
        positions: Vec<PositionChange>,
        counts: Counts,
    },
    /// Somebody else has committed our positions or owns our partitions.
    Overtaken { why: String },
}

impl Writer {
    /// A writer that starts from a known version.
    pub fn new(lake: Arc<Lake>, config: &Config, known: Known) -> Self {
        Writer {
            offset_metadata: offset_metadata(lake.table_id(), config),
            lake,
            known: Some(known),
            outbox: Arc::new(Mutex::new(Outbox::new(&config.kafka))),
            lettered: BTreeMap::new(),
            give_up_after: config.commit.give_up_after,
        }
    }

    /// Brings the known version up to date and lends it.
    pub async fn refreshed(&mut self) -> Result<&Known, LakeError> {
        let known = match self.known.take() {
            Some(known) => self.lake.refresh(known).await?,
            None => self.lake.reload().await?,
        };
        Ok(self.known.insert(known))
    }

    /// Takes note of what the group has committed for partitions that were assigned.
    pub fn note_group_offsets(&mut self, offsets: &[GroupOffset]) {
        for group in offsets {
            self.lettered.remove(&group.partition);
            if group.metadata == self.offset_metadata
                && let Some(offset) = group.offset
            {
                self.lettered.insert(group.partition, offset);
            }
        }
    }

    /// Writes a batch's letters, then commits it.
    pub async fn settle(
        mut self,
        batch: Batch,
        mut letters: Vec<Letter>,
        mut group: Group,
    ) -> Result<Settlement, PipelineError> {
        let generation = group.take_generation();
        letters.retain(|letter| {
            self.lettered
                .get(&letter.partition)
                .is_none_or(|&below| letter.offset >= below)
        });
        if !letters.is_empty() {
            match self.write_letters(letters, &batch.positions, generation).await? {
                None => {}
                Some(why) => {
                    return Ok(Settlement {
                        settled: Settled::Overtaken { why },
                        writer: self,
                    });
                }
            }
        }
        let (positions, counts) = (batch.positions.clone(), batch.counts.clone());
        let known = match self.known.take() {
            Some(known) => known,
            None => self.lake.reload().await?,
        };
        let rows = batch.rows.len();
        let committed = self.lake.commit(batch, known).await?;
        self.known = Some(committed.known);
        let settled = match committed.outcome {
            Outcome::Committed { version } => {
                info!(
                    version,
                    rows,
                    consumed = counts.consumed,
                    aggregated = counts.aggregated,
                    late = counts.late(),
                    dead_lettered = counts.dead(),
                    "committed"
                );
                self.publish(group, &positions).await?;
                Settled::Committed {
                    version,
                    positions,
                    counts,
                }
            }
            Outcome::PositionsMoved {
                partition,
                expected,
                found,
            } => Settled::Overtaken {
                why: format!(
                    "another process moved partition {partition} from {} to {}",
                    expected.next_offset, found.next_offset
                ),
            },
            Outcome::Superseded => Settled::Overtaken {
                why: "the commit was superseded".to_owned(),
            },
            Outcome::Incompatible(mismatch) => {
                let table = self.lake.log_store().root_url().to_string();
                return Err(LakeError::Incompatible { table, mismatch }.into());
            }
        };
        Ok(Settlement {
            settled,
            writer: self,
        })
    }

    /// Publishes what has just been committed, before anything later can be.
    async fn publish(&self, group: Group, positions: &[PositionChange]) -> Result<(), PipelineError> {
        let offsets = next_offsets(positions);
        let metadata = self.offset_metadata.clone();
        tokio::task::spawn_blocking(move || group.publish(&offsets, &metadata))
            .await
            .map_err(|error| PipelineError::Internal(error.to_string()))
    }

    /// Writes letters with the offsets up to the end of their batch. The answer is
    /// why the batch must be dropped, if it must.
    async fn write_letters(
        &mut self,
        letters: Vec<Letter>,
        positions: &[PositionChange],
        group: Option<ConsumerGroupMetadata>,
    ) -> Result<Option<String>, PipelineError> {
        let Some(group) = group else {
            return Ok(Some("the group is not joined".to_owned()));
        };
        let offsets = next_offsets(positions);
        let parcel = Arc::new(Parcel {
            letters,
            offsets,
            metadata: self.offset_metadata.clone(),
            group,
        });
        let started = clock::instant();
        let pauses = ExponentialBuilder::default()
            .with_max_delay(Duration::from_secs(10))
            .without_max_times();
        for pause in pauses.build() {
            match self.try_letters(Arc::clone(&parcel)).await? {
                Ok(()) => {
                    self.lettered.extend(parcel.offsets.iter().copied());
                    return Ok(None);
                }
                Err(error @ (OutboxError::Fenced { .. } | OutboxError::Unknown { .. })) => {
                    return Ok(Some(error.to_string()));
                }
                Err(error @ OutboxError::Undeliverable { .. }) => return Err(error.into()),
                Err(error) if clock::instant().duration_since(started) >= self.give_up_after => {
                    return Err(error.into());
                }
                Err(error) => warn!(%error, "trying again"),
            }
            tokio::time::sleep(pause).await;
        }
        Ok(None)
    }

    async fn try_letters(&self, parcel: Arc<Parcel>) -> Result<Result<(), OutboxError>, PipelineError> {
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

fn next_offsets(positions: &[PositionChange]) -> Vec<(i32, i64)> {
    positions
        .iter()
        .map(|change| (change.partition, change.to.next_offset))
        .collect()
}

/// The table, and a checksum of the settings that decide a record's fate. Under others a record may depart that
/// stayed before, so what was written under the old ones says nothing about it.
fn offset_metadata(table_id: &str, config: &Config) -> String {
    let rules = format!("{:?} {:?}", config.reading, config.window);
    format!("streamgauge:{table_id}:{:08x}", crc32fast::hash(rules.as_bytes()))
}
