//! The registers of counters: kept as state files with commits, restored when a partition is taken over.
//!
//! A file is taken when a batch is sealed and written once that is committed. So it speaks for no record that the table does
//! not have, and the table may have records that no file speaks for: these are read again in silence.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::warn;

use super::super::PipelineError;
use super::super::sink::LOG_INTERVAL;
use super::super::state_files::{StateKeeper, TakenState, take};
use super::TableSink;
use crate::aggregation::{Aggregator, RegisterNotices, RestoredRegisters};
use crate::clock;
use crate::reading::Position;
use crate::table::TopicClaim;
use crate::telemetry::LogLimiter;

/// Where the registers of a table of counters are kept, and what was said of them.
pub(super) struct RegisterKeeper {
    states: StateKeeper,
    /// By assigned partition, the offset of the newest file.
    kept: BTreeMap<i32, i64>,
    log_limiter: LogLimiter<&'static str>,
}

impl RegisterKeeper {
    /// Nothing is kept yet.
    pub(super) fn new(states: StateKeeper) -> Self {
        RegisterKeeper {
            states,
            kept: BTreeMap::new(),
            log_limiter: LogLimiter::new(LOG_INTERVAL),
        }
    }

    /// Forgets what was kept of a partition that another process may have now.
    pub(super) fn forget(&mut self, partition: i32) {
        self.kept.remove(&partition);
    }

    fn log(&mut self, notices: RegisterNotices) {
        let now = clock::instant();
        if let Some((series, one, other)) = notices.example
            && let Some(suppressed) = self.log_limiter.admit("in_two_partitions", now)
        {
            warn!(
                series = ?series.key,
                measure = series.measure.as_deref(),
                count = notices.in_two_partitions,
                suppressed,
                "a counter has records in partition {one} and in partition {other}, each of which counts it by itself: its \
                 increases are wrong; produce its records with the series as the message key"
            );
        }
        if notices.forgotten > 0
            && let Some(suppressed) = self.log_limiter.admit("forgotten", now)
        {
            warn!(
                count = notices.forgotten,
                suppressed,
                "a partition has more counters than window.max_series: those that were silent for longest are forgotten, and \
                 begin anew with their next register"
            );
        }
    }
}

/// The registers of the partitions that have moved since they were kept.
fn take_moved(kept: &BTreeMap<i32, i64>, aggregator: &Aggregator, topic_id: &str) -> Vec<TakenState> {
    let positions = aggregator.positions();
    let moved = positions
        .map(|(partition, position)| (partition, position.next_offset))
        .filter(|(partition, offset)| kept.get(partition) != Some(offset));
    take(moved, |partition| aggregator.register_file(topic_id, partition))
}

/// The id of the topic that is consumed; empty, if the brokers do not say.
fn topic_id(claim: &Option<TopicClaim>) -> &str {
    claim.as_ref().map_or("", |claim| &claim.id)
}

impl TableSink {
    /// The registers as they are when a batch is sealed, if it is time to keep them.
    pub(super) fn due_registers(&mut self) -> Vec<TakenState> {
        let Some(keeper) = &mut self.registers else {
            return Vec::new();
        };
        let topic_id = topic_id(&self.claim);
        let (states, kept) = (&mut keeper.states, &keeper.kept);
        states.due(|| take_moved(kept, &self.aggregator, topic_id))
    }

    /// Begins to keep registers whose batch is committed.
    pub(super) fn begin_to_keep(&mut self, states: Vec<TakenState>) {
        if let Some(keeper) = &mut self.registers {
            keeper
                .kept
                .extend(states.iter().map(|state| (state.partition, state.offset)));
            keeper.states.begin(states);
        }
    }

    /// Keeps the registers at the end of a run, if everything is committed.
    pub(super) async fn keep_registers(&mut self, time_left: Duration) {
        let Some(keeper) = &mut self.registers else {
            return;
        };
        if self.aggregator.has_progress() {
            return;
        }
        let states = take_moved(&keeper.kept, &self.aggregator, topic_id(&self.claim));
        let kept = tokio::time::timeout(time_left, keeper.states.keep_now(states)).await;
        if kept.is_err() {
            warn!(
                "the registers of counters were not kept in time; the next start replays more of the topic"
            );
        }
    }

    /// Reports what a block has shown of counters.
    pub(super) fn log_register_notices(&mut self) {
        if let Some(keeper) = &mut self.registers {
            keeper.log(self.aggregator.take_register_notices());
        }
    }

    /// Gives a partition that was just assigned its registers at the table's position, and answers where to read on from: the
    /// records up to the position are read again for their registers. The topic begins at `low`.
    pub(super) async fn resume_registers(
        &mut self,
        partition: i32,
        position: Position,
        low: i64,
    ) -> Result<i64, PipelineError> {
        let restored = self.restored_registers(partition, position, low).await?;
        let read_from = self.aggregator.resume(partition, restored);
        Ok(read_from.unwrap_or(position.next_offset))
    }

    /// The registers of a partition from which those at the table's position can be had: of the newest file behind which the
    /// topic still has every record, or of where the topic begins.
    async fn restored_registers(
        &self,
        partition: i32,
        position: Position,
        low: i64,
    ) -> Result<RestoredRegisters, PipelineError> {
        let Some(keeper) = &self.registers else {
            return Ok(RestoredRegisters::none_at(position.next_offset));
        };
        let store = keeper.states.store();
        // Without the records behind it a file is not what the table has: their increases would count again.
        let is_usable =
            |offset: &i64| *offset == position.next_offset || (low..position.next_offset).contains(offset);
        let offsets = store.offsets(partition).await?;
        let is_first_start = offsets.is_empty() && low == 0;
        for offset in offsets.into_iter().filter(is_usable) {
            let Some(contents) = store.read(partition, offset).await? else {
                warn!(partition, offset, "a file of registers cannot be read");
                continue;
            };
            match self
                .aggregator
                .read_registers(topic_id(&self.claim), partition, contents)
            {
                Ok(restored) if restored.position.next_offset == offset => return Ok(restored),
                Ok(restored) => {
                    let found = restored.position.next_offset;
                    warn!(
                        partition,
                        offset, found, "a file of registers is named by another offset"
                    );
                }
                Err(error) => warn!(partition, offset, %error, "a file of registers cannot be used"),
            }
        }
        if !is_first_start {
            warn!(
                partition,
                from = low,
                to = position.next_offset,
                "there is no file of registers to go on from: they are read again from where the topic begins; a counter whose \
                 last register lies before that begins anew with its next one, and the increase between them is in no row"
            );
        }
        Ok(RestoredRegisters::none_at(low.min(position.next_offset)))
    }
}
