//! The sink `table`: windowed totals and side outputs into a Delta table, each reading once.
//!
//! The order of effects that exactly-once rests on, in one place:
//!
//! 1. A block goes through [`Aggregator::step`]; what is not aggregated becomes side outputs (`side_outputs`).
//! 2. Sealing gives a batch: rows, positions, side outputs. What comes later belongs to the next one.
//! 3. The side outputs are written in a Kafka transaction together with the group's offsets (`commit`).
//! 4. Rows and positions are committed to the table in one log entry ([`Lake::commit`]).
//! 5. The positions are published as the group's offsets.
//! 6. Now and then the registers of counters, as they were when the batch was sealed, go to the object store (`registers`).
//!
//! A crash between any two of them is repaired by starting from the table's positions: side outputs below the group's
//! offset are not written again, everything else is. If another process turns out to have committed our positions,
//! or the group has moved on, everything pending is dropped and taken up again from the table.

mod assignment;
mod commit;
mod registers;
mod side_outputs;
mod start;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::offsets::GroupUse;
use super::sink::{Assigned, BeforeRebalance, Sink, SinkPosition};
use super::targets::Targets;
use super::{CommitSettings, PipelineError};
use crate::aggregation::Aggregator;
use crate::decode::Schemas;
use crate::kafka::{Source, Start, Subscription, TABLE_SINK};
use crate::lake::{Lake, Maintenance, MaintenanceSettings};
use crate::reading::{Position, RecordBlock};
use crate::table::{CachedSnapshot, Counts, TopicClaim};
use crate::telemetry::events;

pub(crate) use start::{NO_TABLE, Site};

use commit::{Receipt, SealedBatch, TableCommitter};
use registers::RegisterKeeper;
use side_outputs::SideOutputs;

/// The process that has this partition maintains the table, so that one process does.
const MAINTAINING_PARTITION: i32 = 0;

/// What the table's sink has done so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableProgress {
    /// Records whose fate is committed.
    pub(crate) counts: Counts,
    /// Rows that wait to be written.
    pub(crate) pending_rows: usize,
    /// The last version committed.
    pub(crate) version: Option<u64>,
    /// Files of that version.
    pub(crate) files: Option<usize>,
}

/// The aggregation of one process.
pub(crate) struct TableSink {
    kafka: Subscription,
    commit: CommitSettings,
    maintenance: MaintenanceSettings,
    allowed_delay_ms: i64,
    lake: Arc<Lake>,
    aggregator: Aggregator,
    /// Of a table of counters.
    registers: Option<RegisterKeeper>,
    side_outputs: SideOutputs,
    /// The topic that is consumed since the last assignment.
    claim: Option<TopicClaim>,
    /// Of a group that the settings name.
    group_use: Option<Arc<GroupUse>>,
    /// Lets the commit on its way know that the run is about to end.
    leaving: watch::Sender<bool>,
    maintaining: Option<JoinHandle<()>>,
    /// As of the last commit.
    progress: TableProgress,
}

impl Sink for TableSink {
    const NAME: &'static str = TABLE_SINK;
    const BEFORE_REBALANCE: BeforeRebalance = BeforeRebalance::WaitForCommit;
    type Committer = TableCommitter;
    type Progress = TableProgress;

    fn schemas(&self) -> Option<Arc<Schemas>> {
        self.aggregator.schemas().map(Arc::clone)
    }

    fn ingest(&mut self, block: &RecordBlock) {
        let outputs = self.aggregator.step(block);
        self.side_outputs.add(block, outputs);
        self.log_register_notices();
    }

    fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>, cause: &str) {
        let passed = self.aggregator.pass_undecodable(partition, epoch, offsets);
        self.side_outputs.add_undecodable(partition, passed, cause);
    }

    fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        self.aggregator.note_end(partition, epoch, end_offset);
    }

    fn is_full(&self) -> bool {
        let pending_bytes = self.side_outputs.byte_count() + self.aggregator.pending_key_bytes();
        self.aggregator.pending_rows() >= self.commit.max_pending_rows
            || pending_bytes >= self.commit.max_pending_bytes
    }

    fn is_due(&self, since_last: Duration, targets: Option<&Targets>) -> bool {
        let is_idle = self.aggregator.pending_rows() == 0;
        let interval = if is_idle {
            self.commit.idle_interval
        } else {
            self.commit.interval
        };
        // What the run waits for need not wait for the interval.
        since_last >= interval || targets.is_some_and(|targets| self.has_reached(targets))
    }

    fn seal(&mut self) -> Option<SealedBatch> {
        let mut batch = self.aggregator.seal()?;
        batch.topic = self.claim.clone();
        Some(SealedBatch {
            batch,
            side_outputs: self.side_outputs.take(),
            registers: self.due_registers(),
        })
    }

    fn committed(&mut self, receipt: Receipt) {
        self.aggregator.committed(&receipt.positions);
        self.progress.counts.add(&receipt.counts);
        self.progress.version = Some(receipt.version);
        self.progress.files = Some(receipt.files);
        self.begin_to_keep(receipt.registers);
    }

    fn drop_uncommitted(&mut self, why: &str) {
        warn!(
            event = events::COMMIT_OVERTAKEN,
            "{why}; dropping what is pending and going on from the table's positions"
        );
        let partitions: Vec<i32> = self
            .aggregator
            .positions()
            .map(|(partition, _)| partition)
            .collect();
        for partition in partitions {
            self.give_up(partition);
        }
        self.side_outputs.clear();
    }

    async fn assign(
        &mut self,
        committer: &mut TableCommitter,
        assigned: Vec<Assigned>,
        source: &Source,
    ) -> Result<Vec<Start>, PipelineError> {
        self.take_over(committer, assigned, source).await
    }

    async fn revoke(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            self.give_up(partition);
            self.side_outputs.drop_partition(partition);
        }
        if partitions.contains(&MAINTAINING_PARTITION) {
            self.stop_maintenance();
        }
    }

    /// The table has the ends of all partitions, whoever committed them.
    async fn is_complete(
        &mut self,
        committer: &mut TableCommitter,
        targets: &Targets,
        _source: &Source,
    ) -> Result<bool, PipelineError> {
        if self.aggregator.has_progress() {
            return Ok(false);
        }
        let snapshot = &committer.refreshed().await?.snapshot;
        Ok(targets.are_reached(|partition| snapshot.position(partition).next_offset))
    }

    fn positions(&self) -> Vec<SinkPosition> {
        let committed = self.aggregator.committed_offsets();
        let positions = committed.zip(self.aggregator.positions());
        let positions = positions.map(|((partition, committed), (_, position))| SinkPosition {
            partition,
            committed,
            ingested: position.next_offset,
            watermark_ms: self.watermark_ms(position),
        });
        positions.collect()
    }

    fn ingested(&self) -> u64 {
        self.aggregator.ingested()
    }

    fn report(&self, progress: &mut TableProgress) {
        *progress = TableProgress {
            pending_rows: self.aggregator.pending_rows(),
            ..self.progress.clone()
        };
    }

    fn on_stop(&mut self) {
        self.leaving.send_replace(true);
    }

    async fn keep(&mut self, time_left: Duration) {
        self.keep_registers(time_left).await;
    }

    fn on_end(&mut self) {
        self.stop_maintenance();
    }
}

impl TableSink {
    /// Gives a partition up with what is pending of it.
    fn give_up(&mut self, partition: i32) {
        self.aggregator.revoke(partition);
        if let Some(registers) = &mut self.registers {
            registers.forget(partition);
        }
    }

    /// Whether everything that the run waits for in the partitions of this process was ingested.
    fn has_reached(&self, targets: &Targets) -> bool {
        let positions = self.aggregator.positions();
        let next_offsets: BTreeMap<i32, i64> = positions
            .map(|(partition, position)| (partition, position.next_offset))
            .collect();
        targets.are_reached_by(&next_offsets)
    }

    fn watermark_ms(&self, position: Position) -> Option<i64> {
        let largest = position.largest_event_time_ms?;
        Some(largest.saturating_sub(self.allowed_delay_ms))
    }

    /// Starts to keep the table healthy, if the settings want that and nothing here does so yet.
    fn start_maintenance(&mut self, cached: &CachedSnapshot) {
        if !self.maintenance.enabled || self.maintaining.is_some() {
            return;
        }
        let maintenance = Maintenance::new(
            Arc::clone(&self.lake),
            self.maintenance.clone(),
            self.allowed_delay_ms,
            cached.without_rows(),
        );
        self.maintaining = Some(tokio::spawn(maintenance.run()));
    }

    fn stop_maintenance(&mut self) {
        if let Some(maintaining) = self.maintaining.take() {
            maintaining.abort();
        }
    }
}
