//! The seam between the topic and the table: blocks of records in, effects out, and a batch to commit when asked.
//!
//! An [`Aggregator`] holds, for each assigned partition, its position and the *pending contributions*: what was
//! consumed since the last commit. The rest of the state is the table itself. So a restart needs no pending, a
//! revoked partition takes its contributions with it, and whatever is dropped here is simply read again.
//!
//! Of counters it also holds the *registers* that increases are counted from (`registers`). They are a function of the
//! partition's records up to the table's position: whoever takes the partition over restores them from a file of registers and
//! the records behind it, which it reads in silence (`replay`).
//!
//! Absent from this room: Kafka, Delta, clocks, threads. Every decision is a function of the records before it in
//! their own partition.

mod fingerprint;
mod open_series;
mod partition;
mod pending;
mod reading_indices;
mod register_file;
mod registers;
mod replay;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use crate::decode::{self, Decoder, Reason, Rejection, Schemas, ValueKind};
use crate::reading::{Position, RecordBlock, SeriesKey};
use crate::table::{Batch, Counts, PositionChange};
use crate::window::{self, ClosingWindows, LatePolicy, Row, merge_sorted};

pub(crate) use fingerprint::fingerprint;

pub use reading_indices::ReadingIndices;
pub use register_file::{RegisterFileError, RestoredRegisters};

use partition::Partition;
use replay::Replay;

/// The settings of an aggregation; the same for all partitions.
#[derive(Debug, Clone)]
pub struct AggregationSpec {
    /// Turns records into readings.
    pub decoder: Decoder,
    /// Assigns readings to windows, and closes these by the partition's watermark.
    pub windows: ClosingWindows,
    /// The fate of readings whose window has closed.
    pub late: LatePolicy,
    /// What values are, and so what is added up.
    pub value_kind: ValueKind,
    /// Of gauges, series with open windows, over all partitions; of counters, series in a partition.
    pub max_series: usize,
    /// The checksum of the settings that decide a record's fate, which a file of registers has.
    pub rules: u32,
}

impl AggregationSpec {
    /// The rules of the settings in `[reading]` and `[window]`.
    pub fn new(reading: &decode::Settings, window: &window::Settings) -> Self {
        AggregationSpec {
            decoder: Decoder::new(reading),
            windows: ClosingWindows::new(window, reading.stamp),
            late: window.late,
            value_kind: reading.value_kind,
            max_series: window.max_series,
            rules: fingerprint(reading, window),
        }
    }
}

/// A record that goes to a side output: `index` is its place in its block.
#[derive(Debug, Clone, PartialEq)]
pub struct SideOutput {
    /// The place of the record in its block.
    pub index: usize,
    /// Why it leaves, and with it the topic it goes to.
    pub fate: Fate,
}

/// The reason why a record goes to a side output.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// To the late topic, once, however many of its readings are late.
    Late {
        /// The watermark that the last of them came behind, in milliseconds since 1970.
        watermark_ms: i64,
        /// Which ones, if the record holds several.
        readings: ReadingIndices,
    },
    /// To the dead letters, as a whole.
    Dead(Rejection),
}

/// What there is to say of the registers of counters.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RegisterNotices {
    /// Series that were forgotten, because others needed their place.
    pub(crate) forgotten: u64,
    /// Series that came in more than one partition, each of which counts them by itself.
    pub(crate) in_two_partitions: u64,
    /// One of them, and two of its partitions.
    pub(crate) example: Option<(SeriesKey<Arc<str>>, i32, i32)>,
}

/// The aggregate path of one process: the state of its assigned partitions.
#[derive(Debug)]
pub struct Aggregator {
    spec: AggregationSpec,
    partitions: BTreeMap<i32, Partition>,
    ingested: u64,
}

impl Aggregator {
    /// An aggregator without partitions.
    pub fn new(spec: AggregationSpec) -> Self {
        Aggregator {
            spec,
            partitions: BTreeMap::new(),
            ingested: 0,
        }
    }

    /// The schemas that must be known before a block is ingested, where its records need any.
    pub(crate) fn schemas(&self) -> Option<&Arc<Schemas>> {
        self.spec.decoder.schemas()
    }

    /// Takes a partition over at the position the table's log gives, with nothing pending. Records are ingested from
    /// `start_offset` on, which is that position unless a gap was accepted.
    pub fn assign(&mut self, partition: i32, epoch: u64, committed: Position, start_offset: i64) {
        let position = Position {
            next_offset: start_offset,
            ..committed
        };
        let state = Partition::new(epoch, committed, position, self.spec.value_kind);
        self.partitions.insert(partition, state);
    }

    /// Reads a file of registers of a partition of the topic with this id (empty, if the brokers do not say).
    ///
    /// # Errors
    /// [`RegisterFileError`] if it is not what this program would have written under these settings.
    pub fn read_registers(
        &self,
        topic_id: &str,
        partition: i32,
        bytes: impl Read,
    ) -> Result<RestoredRegisters, RegisterFileError> {
        register_file::decode(&self.spec, topic_id, partition, bytes)
    }

    /// Gives a partition that was just assigned the registers that there were at a position, and answers where to read on from.
    /// Records from there up to the table's position are read in silence.
    pub fn resume(&mut self, partition: i32, restored: RestoredRegisters) -> Option<i64> {
        let state = self.partitions.get_mut(&partition)?;
        let (from, below) = (restored.position.next_offset, state.position.next_offset);
        state.registers = Some(restored.registers);
        state.replay = (from < below).then_some(Replay {
            position: restored.position,
            below,
        });
        Some(from.min(below))
    }

    /// The contents of a file of registers, if the partition is assigned and has the registers of its position.
    pub fn register_file(&self, topic_id: &str, partition: i32) -> Option<Vec<u8>> {
        let state = self.partitions.get(&partition)?;
        let registers = state.registers.as_ref().filter(|_| state.replay.is_none())?;
        let bytes = register_file::encode(&self.spec, topic_id, partition, state.position, registers);
        Some(bytes)
    }

    /// What there is to say of registers since the last call.
    pub(crate) fn take_register_notices(&mut self) -> RegisterNotices {
        let mut notices = RegisterNotices::default();
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        for partition in partitions {
            let Some(registers) = self.registers_mut(partition) else {
                continue;
            };
            notices.forgotten += registers.take_forgotten();
            for series in registers.take_newcomers() {
                let is_there = |(other, state): (&i32, &Partition)| {
                    let registers = state.registers.as_ref().filter(|_| *other != partition);
                    registers.is_some_and(|registers| registers.knows(series.as_str()))
                };
                let other = self.partitions.iter().find(|&each| is_there(each));
                if let Some((&other, _)) = other {
                    notices.in_two_partitions += 1;
                    notices.example = Some((series, partition, other));
                }
            }
        }
        notices
    }

    fn registers_mut(&mut self, partition: i32) -> Option<&mut registers::Registers> {
        self.partitions.get_mut(&partition)?.registers.as_mut()
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
    pub(crate) fn committed_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        self.partitions
            .iter()
            .map(|(&partition, state)| (partition, state.committed.next_offset))
    }

    /// Rows that wait to be written.
    pub(crate) fn pending_rows(&self) -> usize {
        self.partitions.values().map(|state| state.pending.len()).sum()
    }

    /// Bytes of the keys of these rows.
    pub(crate) fn pending_key_bytes(&self) -> usize {
        self.partitions
            .values()
            .map(|state| state.pending.key_bytes())
            .sum()
    }

    /// Records ingested since the start, dropped ones included.
    pub fn ingested(&self) -> u64 {
        self.ingested
    }

    /// Notes that a partition holds no more records below `end_offset`. What lies between its last record and that
    /// end (markers of transactions, compacted records) is accounted for, too.
    pub fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(state) = self.partitions.get_mut(&partition)
            && state.epoch == epoch
        {
            state.position.next_offset = state.position.next_offset.max(end_offset);
            state.end_replay(end_offset);
        }
    }

    /// Whether a position moved since it was last committed.
    pub(crate) fn has_progress(&self) -> bool {
        self.partitions
            .values()
            .any(|state| state.position != state.committed)
    }

    /// The partition's epoch, if it is assigned.
    pub fn epoch(&self, partition: i32) -> Option<u64> {
        self.partitions.get(&partition).map(|state| state.epoch)
    }

    /// Ingests a block and returns the records that go to side outputs. A block of an earlier assignment, and
    /// a record below the position, changes nothing.
    pub fn step(&mut self, block: &RecordBlock) -> Vec<SideOutput> {
        let room = self.room_for_series(block.partition);
        let Some(state) = self.partitions.get_mut(&block.partition) else {
            return Vec::new();
        };
        if state.epoch != block.epoch {
            return Vec::new();
        }
        let mut side_outputs = Vec::new();
        for (index, record) in block.iter().enumerate() {
            if record.offset < state.position.next_offset {
                state.replay(&self.spec, record);
                continue;
            }
            let fate = state.ingest(&self.spec, record, room);
            state.position.next_offset = record.offset + 1;
            self.ingested += 1;
            side_outputs.extend(fate.map(|fate| SideOutput { index, fate }));
        }
        if let Some(last) = block.len().checked_sub(1) {
            state.end_replay(block.record(last).offset + 1);
        }
        debug_assert!(state.counts.are_conserved(), "I1: {:?}", state.counts);
        side_outputs
    }

    /// Takes note of records that lie at these offsets and cannot be unpacked: they are passed and counted as dead. Returns
    /// those that were not passed before.
    pub fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>) -> Range<i64> {
        let Some(state) = self.partitions.get_mut(&partition) else {
            return 0..0;
        };
        if state.epoch != epoch {
            return 0..0;
        }
        state.end_replay(offsets.end);
        let passed = state.position.pass(offsets);
        let count = (passed.end - passed.start) as u64;
        if count > 0 {
            state.counts.consumed += count;
            state.counts.dead_letters(Reason::Undecodable, count);
        }
        self.ingested += count;
        passed
    }

    /// How many series a partition may have, given those of the others.
    fn room_for_series(&mut self, partition: i32) -> usize {
        let of_others = |partitions: &BTreeMap<i32, Partition>| -> usize {
            let others = partitions.iter().filter(|(other, _)| **other != partition);
            others.map(|(_, state)| state.open_series.len()).sum()
        };
        let mut others = of_others(&self.partitions);
        if others >= self.spec.max_series {
            for state in self.partitions.values_mut() {
                state.forget_closed_series(&self.spec);
            }
            others = of_others(&self.partitions);
        }
        self.spec.max_series.saturating_sub(others)
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
            .map_or(i64::MIN, |largest| self.spec.windows.watermark_ms(largest));
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
            topic: None,
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

#[cfg(test)]
mod tests;
