//! The state of a partition that is taken over, and the snapshots that make this quick.

use tracing::{info, warn};

use super::super::PipelineError;
use super::super::assignment::{ranges, start_offset};
use super::Detection;
use super::publish::TakenSnapshot;
use crate::clock;
use crate::kafka::{GroupOffset, Start};
use crate::lake::SnapshotStore;
use crate::watch::Snapshot;

/// Who has the position that this side starts at.
const GROUP: &str = "group";

/// Taking snapshots, while which nothing is judged, may take one part in so many of the time.
const SHARE_OF_TIME: u32 = 20;

impl Detection {
    /// Takes partitions over at the group's offsets and says where to start reading in each.
    pub(super) async fn assign(&mut self, partitions: Vec<GroupOffset>) -> Result<Vec<Start>, PipelineError> {
        let assigned = partitions.iter().map(|group| group.partition).collect();
        let ranges = ranges(&self.kafka, Some(assigned)).await?;
        let mut starts = Vec::with_capacity(partitions.len());
        for GroupOffset {
            partition, offset, ..
        } in partitions
        {
            let range = ranges.get(&partition).copied().unwrap_or_default();
            let judged_below = start_offset(&self.kafka, GROUP, partition, offset, range)?;
            if offset.is_some_and(|offset| offset != judged_below) {
                // The topic was made anew, or what is missing was accepted: no state fits what comes.
                self.snapshots.clear(partition).await?;
            }
            self.next_epoch += 1;
            let start = self.take_over(partition, judged_below, range.0).await?;
            self.committed.insert(partition, judged_below);
            self.backlog.forget(partition);
            info!(
                partition,
                offset = judged_below,
                replayed = judged_below - start,
                end = range.1,
                "took a partition over"
            );
            starts.push(Start {
                partition,
                offset: start,
                epoch: self.next_epoch,
            });
        }
        Ok(starts)
    }

    /// Restores the newest state at or below `judged_below`; the answer is where to go on reading from.
    async fn take_over(&mut self, partition: i32, judged_below: i64, low: i64) -> Result<i64, PipelineError> {
        let (epoch, offsets) = (self.next_epoch, self.snapshots.offsets(partition).await?);
        for offset in offsets.into_iter().filter(|offset| *offset <= judged_below) {
            let Some(contents) = self.snapshots.read(partition, offset).await? else {
                warn!(
                    partition,
                    offset, "a snapshot cannot be read; the state is rebuilt without it"
                );
                continue;
            };
            let opened = Snapshot::open(&contents, self.watcher.watch(), partition);
            let start = offset.max(low);
            let resumed =
                opened.and_then(|snapshot| self.watcher.resume(&snapshot, epoch, start, judged_below));
            match resumed {
                Ok(()) => {
                    if start > offset {
                        let missing = start - offset;
                        warn!(
                            partition,
                            missing, "records after the snapshot are gone; the state lacks them"
                        );
                    }
                    return Ok(start);
                }
                Err(error) => {
                    warn!(partition, offset, %error, "a snapshot is of no use; the state is rebuilt without it");
                }
            }
        }
        self.watcher.assign(partition, epoch, low, judged_below);
        Ok(low)
    }

    /// The state of the partitions that a transaction is about, if it is time to keep it.
    pub(super) fn due_snapshots(&mut self, offsets: &[(i32, i64)]) -> Vec<TakenSnapshot> {
        let is_keeping = self
            .keeping
            .as_ref()
            .is_some_and(|keeping| !keeping.is_finished());
        let now = clock::instant();
        if now < self.keep_next || is_keeping {
            return Vec::new();
        }
        let snapshots = self.take_snapshots(offsets);
        // What is large is kept less often.
        let taken = clock::instant().duration_since(now);
        self.keep_next = now + self.config.detect.snapshot_interval.max(taken * SHARE_OF_TIME);
        snapshots
    }

    fn take_snapshots(&self, offsets: &[(i32, i64)]) -> Vec<TakenSnapshot> {
        let take = |&(partition, offset): &(i32, i64)| {
            let contents = self.watcher.snapshot(partition)?;
            Some(TakenSnapshot {
                partition,
                offset,
                contents,
            })
        };
        offsets.iter().filter_map(take).collect()
    }

    /// Keeps the state of these partitions, whose positions are all committed, and waits for it.
    pub(super) async fn keep_all(&mut self, partitions: &[i32]) {
        if let Some(keeping) = self.keeping.take() {
            // A task that panicked has said so; what it would have kept is kept now.
            let _ = keeping.await;
        }
        let positions = self.watcher.positions();
        let committed: Vec<(i32, i64)> = positions
            .map(|(partition, position)| (partition, position.next_offset))
            .filter(|(partition, next)| {
                partitions.contains(partition) && self.committed.get(partition) == Some(next)
            })
            .collect();
        keep(self.snapshots.clone(), self.take_snapshots(&committed)).await;
    }

    /// Whether an available-now run is over: the group has the ends of all partitions, whoever committed them.
    pub(super) async fn is_complete(&mut self) -> Result<bool, PipelineError> {
        let Some(targets) = &self.targets else {
            return Ok(false);
        };
        if self.in_flight.is_some() || !self.waiting.is_empty() || !self.offsets().is_empty() {
            return Ok(false);
        }
        // Those of ours are known; the others' are asked for.
        let of_others = |partition: &i32| !self.committed.contains_key(partition);
        let others: Vec<i32> = targets.partitions().filter(of_others).collect();
        let mut committed = self.committed.clone();
        if !others.is_empty() {
            let group = self.source.group();
            let asked = tokio::task::spawn_blocking(move || group.committed(&others)).await;
            let offsets = asked.map_err(|error| PipelineError::Internal(error.to_string()))??;
            committed.extend(
                offsets
                    .into_iter()
                    .filter_map(|group| Some((group.partition, group.offset?))),
            );
        }
        Ok(targets.are_reached(|partition| committed.get(&partition).copied().unwrap_or(0)))
    }
}

/// Keeps snapshots. One that cannot be kept makes the next start replay more, and makes no
/// other difference.
pub(super) async fn keep(store: SnapshotStore, snapshots: Vec<TakenSnapshot>) {
    for TakenSnapshot {
        partition,
        offset,
        contents,
    } in snapshots
    {
        if let Err(error) = store.keep(partition, offset, contents).await {
            warn!(partition, offset, %error, "a snapshot was not kept; the next start replays more of the topic");
        }
    }
}
