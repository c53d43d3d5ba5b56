//! The seam between the topic and the table: blocks of records in, effects out, and a batch to commit when asked.
//!
//! An [`Aggregator`] holds, for each assigned partition, its position and the *pending contributions*: what was
//! consumed since the last commit. The rest of the state is the table itself. So a restart needs no pending, a
//! revoked partition takes its contributions with it, and whatever is dropped here is simply read again.
//!
//! Absent from this room: Kafka, Delta, clocks, threads. Every decision is a function of the records before it in
//! their own partition.

mod pending;

use std::collections::BTreeMap;

use crate::config::{LatePolicy, WindowConfig};
use crate::decode::{Counts, Decoder, Rejection};
use crate::reading::{Position, RecordBlock};
use crate::table::{Batch, PositionChange};
use crate::window::{Row, Windows, merge_sorted};

use pending::Pending;

/// What an aggregation is configured to do; the same for all partitions.
#[derive(Debug, Clone)]
pub struct Rules {
    pub decoder: Decoder,
    pub windows: Windows,
    pub allowed_delay_ms: i64,
    pub late: LatePolicy,
}

impl Rules {
    /// The rules of the settings in `[reading]` and `[window]`.
    pub fn new(decoder: Decoder, settings: &WindowConfig) -> Self {
        Rules {
            decoder,
            windows: Windows::new(settings),
            allowed_delay_ms: settings.watermark.as_millis() as i64,
            late: settings.late,
        }
    }
}

/// A record that leaves beside the table: `index` is its place in the block it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Departure {
    pub index: usize,
    pub fate: Fate,
}

/// Where a departing record goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// To the late topic. The watermark it came behind, in milliseconds since 1970.
    Late { watermark_ms: i64 },
    /// To the dead letters.
    Dead(Rejection),
}

/// The aggregate path of one process: the state of its assigned partitions.
#[derive(Debug)]
pub struct Aggregator {
    rules: Rules,
    partitions: BTreeMap<i32, Partition>,
    taken_in: u64,
}

#[derive(Debug)]
struct Partition {
    /// Tells this assignment from an earlier one of the same partition.
    epoch: u64,
    /// As the table's log has it.
    committed: Position,
    /// Including the pending contributions.
    position: Position,
    pending: Pending,
    counts: Counts,
}

impl Aggregator {
    /// An aggregator without partitions.
    pub fn new(rules: Rules) -> Self {
        Aggregator {
            rules,
            partitions: BTreeMap::new(),
            taken_in: 0,
        }
    }

    /// Takes a partition over at the position the table's log gives, with nothing pending. Records are taken in from
    /// `start_offset` on, which is that position unless a gap was accepted.
    pub fn assign(&mut self, partition: i32, epoch: u64, committed: Position, start_offset: i64) {
        let state = Partition {
            epoch,
            committed,
            position: Position {
                next_offset: start_offset,
                ..committed
            },
            pending: Pending::default(),
            counts: Counts::default(),
        };
        self.partitions.insert(partition, state);
    }

    /// Gives a partition up together with its pending contributions.
    pub fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The assigned partitions and how far each has been processed, pending included.
    pub fn positions(&self) -> impl Iterator<Item = (i32, Position)> {
        self.partitions
            .iter()
            .map(|(&partition, state)| (partition, state.position))
    }

    /// The assigned partitions and the next offset of what the table holds of each.
    pub fn committed_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        self.partitions
            .iter()
            .map(|(&partition, state)| (partition, state.committed.next_offset))
    }

    /// Rows that wait to be written.
    pub fn pending_rows(&self) -> usize {
        self.partitions.values().map(|state| state.pending.len()).sum()
    }

    /// Records taken in since the start, dropped ones included.
    pub fn taken_in(&self) -> u64 {
        self.taken_in
    }

    /// Notes that a partition holds no more records below `end_offset`. What lies between its last record and that
    /// end (markers of transactions, compacted records) is accounted for, too.
    pub fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(state) = self.partitions.get_mut(&partition)
            && state.epoch == epoch
        {
            state.position.next_offset = state.position.next_offset.max(end_offset);
        }
    }

    /// Whether a position moved since it was last committed.
    pub fn has_progress(&self) -> bool {
        self.partitions
            .values()
            .any(|state| state.position != state.committed)
    }

    /// The partition's epoch, if it is assigned.
    pub fn epoch(&self, partition: i32) -> Option<u64> {
        self.partitions.get(&partition).map(|state| state.epoch)
    }

    /// Takes in a block and returns the records that leave beside the table. A block of an earlier assignment, and
    /// a record below the position, changes nothing.
    pub fn step(&mut self, block: &RecordBlock) -> Vec<Departure> {
        let Some(state) = self.partitions.get_mut(&block.partition) else {
            return Vec::new();
        };
        if state.epoch != block.epoch {
            return Vec::new();
        }
        let mut departures = Vec::new();
        for (index, record) in block.iter().enumerate() {
            if record.offset < state.position.next_offset {
                continue;
            }
            let fate = state.take_in(&self.rules, record);
            state.position.next_offset = record.offset + 1;
            self.taken_in += 1;
            departures.extend(fate.map(|fate| Departure { index, fate }));
        }
        debug_assert!(state.counts.are_conserved(), "I1: {:?}", state.counts);
        departures
    }

    /// Seals what is pending into a batch to commit, or `None` if no position moved. Until
    /// [`committed`](Self::committed) the sealed positions are not counted as committed.
    pub fn seal(&mut self) -> Option<Batch> {
        let moved = || {
            self.partitions
                .iter()
                .filter(|(_, state)| state.position != state.committed)
        };
        let positions: Vec<PositionChange> = moved()
            .map(|(&partition, state)| PositionChange {
                partition,
                epoch: state.epoch,
                from: state.committed,
                to: state.position,
            })
            .collect();
        // The newest watermark: a partition behind it costs a rewrite of shared files, one that waited for all would
        // cost a file for each of its windows. Only the layout of files depends on this.
        let closed_before_ms = moved()
            .filter_map(|(_, state)| state.position.largest_event_time_ms)
            .max()
            .map_or(i64::MIN, |largest| {
                largest.saturating_sub(self.rules.allowed_delay_ms)
            });
        if positions.is_empty() {
            return None;
        }
        let mut rows: Vec<Row> = Vec::with_capacity(self.pending_rows());
        let mut counts = Counts::default();
        for state in self.partitions.values_mut() {
            rows.extend(std::mem::take(&mut state.pending).into_rows());
            counts.add(&std::mem::take(&mut state.counts));
        }
        Some(Batch {
            rows: merge_sorted(rows),
            positions,
            closed_before_ms,
            counts,
        })
    }

    /// Notes that a sealed batch is in the table.
    pub fn committed(&mut self, positions: &[PositionChange]) {
        for change in positions {
            if let Some(state) = self.partitions.get_mut(&change.partition)
                && state.epoch == change.epoch
            {
                state.committed = change.to;
            }
        }
    }
}

impl Partition {
    /// Decides what becomes of one record (I1: exactly one of aggregated, late, dead-lettered).
    #[inline]
    fn take_in(&mut self, rules: &Rules, record: crate::reading::Record<'_>) -> Option<Fate> {
        self.counts.consumed += 1;
        let reading = match rules.decoder.decode(record) {
            Ok(reading) => reading,
            Err(rejection) => {
                self.counts.dead_letter(rejection.reason);
                return Some(Fate::Dead(rejection));
            }
        };
        let largest = self.position.largest_event_time_ms;
        let start_ms = rules.windows.start_of(reading.event_time_ms);
        let late = rules.windows.is_late(start_ms, largest, rules.allowed_delay_ms);
        self.position.largest_event_time_ms = largest.max(Some(reading.event_time_ms));
        match (late, rules.late) {
            (false, _) => self.counts.aggregated += 1,
            (true, LatePolicy::Upsert) => self.counts.late_upserted += 1,
            (true, LatePolicy::Drop) => {
                self.counts.late_dropped += 1;
                return None;
            }
            (true, LatePolicy::Divert) => {
                self.counts.late_diverted += 1;
                let watermark_ms = largest.unwrap_or(i64::MIN).saturating_sub(rules.allowed_delay_ms);
                return Some(Fate::Late { watermark_ms });
            }
        }
        self.pending.add(start_ms, &reading.key, reading.value);
        None
    }
}
