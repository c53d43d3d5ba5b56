//! One batch on its way out: letters first, then the table. Runs beside the loop, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;

use super::PipelineError;
use super::mail::{Mail, Mailed};
use crate::config::Config;
use crate::decode::Counts;
use crate::kafka::{Group, GroupOffset, LETTERS, Letter, Outbox};
use crate::lake::{Lake, LakeError};
use crate::table::{Batch, Known, Outcome, PositionChange};

/// What a commit needs: the table as last known, and the outbox.
pub struct Writer {
    lake: Arc<Lake>,
    known: Option<Known>,
    mail: Mail,
    /// By partition, the offset below which letters are written already.
    lettered: BTreeMap<i32, i64>,
    /// What the group's offsets carry, so that those of another table or of other rules mean nothing here.
    offset_metadata: String,
}

/// A batch that is over, and the writer for the next one.
pub struct Settlement {
    pub settled: Settled,
    pub writer: Writer,
}

/// How it ended.
pub enum Settled {
    Committed {
        version: u64,
        /// Files of that version.
        files: usize,
        positions: Vec<PositionChange>,
        counts: Counts,
    },
    /// Somebody else has committed our positions or owns our partitions.
    Overtaken { why: String },
}

impl Writer {
    /// A writer that starts from a known version.
    pub fn new(lake: Arc<Lake>, config: &Config, known: Known) -> Self {
        let offset_metadata = offset_metadata(lake.table_id(), config);
        let outbox = Outbox::new(&config.kafka, LETTERS);
        Writer {
            mail: Mail::new(outbox, offset_metadata.clone(), config.commit.give_up_after),
            lake,
            known: Some(known),
            lettered: BTreeMap::new(),
            offset_metadata,
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
            let offsets = next_offsets(&batch.positions);
            match self.mail.write(letters, offsets.clone(), generation).await? {
                Mailed::Committed => self.lettered.extend(offsets),
                Mailed::Overtaken { why } => {
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
        let files = committed.known.image.files.len();
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
                    files,
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
