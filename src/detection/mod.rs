//! The seam between the topic and the anomalies: blocks of records in, anomalies out, and a state file when asked.
//!
//! A `DetectionOperator` holds, for each assigned partition, its position and the detectors of its series. Everything is a
//! function of the partition's own records (invariant I6): the process that holds a partition, the division into blocks,
//! restarts and the time of day change nothing. So any process can rebuild a partition's state from a state file and the
//! records after it. The detectors learn from records below `silent_below`, but their anomalies were published before.
//!
//! `Partition` is the part without offsets: readings in, judgments out. A backtest runs the same over a recording. An
//! `Observer` sees every judgment, of which the stream keeps the anomalies and a backtest everything.
//!
//! What people say changes the detectors, too. Each answer gets a place between two records, which `journal` keeps; a replay
//! applies it there.
//!
//! Absent from this room: Kafka, files, clocks, threads.

mod assignment;
mod journal;
mod judgment;
mod judgment_spec;
mod partition;
mod roster;
mod settings;
mod state_file;
mod teaching;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use crate::decode::{self, Decoder, Reason, Rejection, Schemas};
use crate::detectors::{self, Anomaly, Answer, Notice, RuleError};
use crate::reading::{Position, RecordBlock, SeriesKey};
use crate::window::{self, ClosingWindows};

pub(crate) use assignment::AppliedAnswer;
pub(crate) use journal::PlacedAnswer;
pub(crate) use judgment::{Judgment, Observer, RecordRef};
pub(crate) use judgment_spec::JudgmentSpec;
pub(crate) use partition::{Partition, Step};
pub use settings::Settings;
pub(crate) use state_file::{StateFile, StateFileError};

use assignment::Assignment;
use judgment::AnomalyCollector;

/// The topic and the settings of a detection; the same for all partitions.
#[derive(Debug, Clone)]
pub(crate) struct DetectionSpec {
    topic: String,
    decoder: Decoder,
    judgment: JudgmentSpec,
    /// The watermark is reported also where the readings themselves are judged.
    windows: ClosingWindows,
    fingerprint: u32,
}

impl DetectionSpec {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub(crate) fn new(
        topic: &str,
        reading: &decode::Settings,
        window: &window::Settings,
        detect: &Settings,
        detectors: &detectors::Settings,
    ) -> Result<Self, RuleError> {
        Ok(DetectionSpec {
            topic: topic.to_owned(),
            decoder: Decoder::new(reading),
            judgment: JudgmentSpec::new(reading, window, detect, detectors)?,
            windows: ClosingWindows::new(window, reading.stamp),
            fingerprint: settings::fingerprint(reading, window, detect, detectors),
        })
    }

    /// Gives each partition of the topic an equal share of `detect.max_series`. So the series that are judged do not depend
    /// on the partitions that a process holds.
    #[must_use]
    pub(crate) fn shared_by(mut self, partitions: usize) -> Self {
        self.judgment.series_limit = (self.judgment.series_limit / partitions.max(1)).max(1);
        self
    }

    /// A checksum of every setting that a judgment depends on. State and positions with another checksum are of no use.
    pub(crate) fn fingerprint(&self) -> u32 {
        self.fingerprint
    }
}

/// Counts of records by their outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub consumed: u64,
    /// Of the consumed records, those with valid readings; each holds one or more.
    pub accepted: u64,
    /// Of the consumed records, those that the settings pass over: they hold no reading, and that is no error.
    pub skipped: u64,
    /// Readings that were judged, or added to a window that will be.
    pub judged: u64,
    /// Readings whose window had closed.
    pub late: u64,
    /// Of the judged readings, those older than the newest of their series.
    pub out_of_order: u64,
    /// Records without valid readings, by reason; and, as [`Reason::TooManySeries`], readings of a series beyond the limit.
    pub rejected: BTreeMap<Reason, u64>,
    /// Series that were forgotten, because event time left them behind.
    pub forgotten: u64,
    /// Of the consumed records, those that had been judged before a restart.
    pub replayed: u64,
    /// Verdicts that were, or will be, published; none of the replayed records.
    pub anomalies: u64,
    /// Anomalies that `detect.direction` and `detect.least_change` pass over; none of the replayed records.
    pub passed_over: u64,
}

/// The result of a block.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// To be published, in the order they were found.
    pub anomalies: Vec<Anomaly>,
    /// Records that were not judged: offset and reason.
    pub rejected: Vec<(i64, Rejection)>,
    /// Answers that have got their place, to be published with the anomalies.
    pub(crate) applied: Vec<AppliedAnswer>,
}

/// The detection of one process: the state of its assigned partitions.
#[derive(Debug)]
pub(crate) struct DetectionOperator {
    spec: DetectionSpec,
    partitions: BTreeMap<i32, Assignment>,
    counts: Counts,
}

impl DetectionOperator {
    /// An operator without partitions.
    pub(crate) fn new(spec: DetectionSpec) -> Self {
        DetectionOperator {
            spec,
            partitions: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// The schemas that must be known before a block is ingested, where its records need any.
    pub(crate) fn schemas(&self) -> Option<&Arc<Schemas>> {
        self.spec.decoder.schemas()
    }

    /// The topic and the settings.
    pub(crate) fn spec(&self) -> &DetectionSpec {
        &self.spec
    }

    /// Takes over a partition without any state. Records are ingested from `start_offset` on; those below `silent_below`
    /// were judged before.
    pub(crate) fn assign(&mut self, partition: i32, epoch: u64, start_offset: i64, silent_below: i64) {
        let detectors = Partition::new(&self.spec.judgment, None);
        let state = Assignment::new(partition, epoch, start_offset, silent_below, i64::MIN, detectors);
        self.partitions.insert(partition, state);
    }

    /// Takes over a partition with the state of a file. Records are ingested from `start_offset` on, which is the file's
    /// position unless the topic no longer holds that record.
    ///
    /// # Errors
    /// [`StateFileError`] if this program would not have written the contents; the partition is not taken over then.
    pub(crate) fn resume(
        &mut self,
        state_file: StateFile<impl Read>,
        epoch: u64,
        start_offset: i64,
        silent_below: i64,
    ) -> Result<(), StateFileError> {
        let (partition, state_offset) = (state_file.partition, state_file.position.next_offset);
        let detectors = state_file.restore(&self.spec.judgment)?;
        let state = Assignment::new(
            partition,
            epoch,
            start_offset,
            silent_below,
            state_offset,
            detectors,
        );
        self.partitions.insert(partition, state);
        Ok(())
    }

    /// Takes note of the answers that have a place in a partition, right after it was taken over.
    pub(crate) fn load_journal(&mut self, partition: i32, entries: Vec<PlacedAnswer>) {
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.load_journal(entries);
        }
    }

    /// Waits for the next record that was not judged before with what people say now of a partition and is not in force
    /// there. An answer about a stretch of a series that the partition does not have is passed over.
    pub(crate) fn hear<'a>(&mut self, partition: i32, said: impl Iterator<Item = (&'a String, &'a Answer)>) {
        if let Some(Assignment {
            journal, detectors, ..
        }) = self.partitions.get_mut(&partition)
        {
            journal.hear(said, |answer| detectors.can_teach(answer));
        }
    }

    /// Gives up a partition together with its detectors.
    pub(crate) fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The assigned partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.partitions.keys().copied()
    }

    /// The assigned partitions that have caught up with what was judged before a restart, and the position of each.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (i32, Position)> {
        self.partitions
            .iter()
            .filter(|(_, state)| state.has_caught_up())
            .map(|(&partition, state)| (partition, state.position()))
    }

    /// The next offset to ingest, if the partition is assigned.
    pub(crate) fn next_offset(&self, partition: i32) -> Option<i64> {
        Some(self.partitions.get(&partition)?.next_offset)
    }

    /// The watermark of a partition, in milliseconds since 1970, if it has one.
    pub(crate) fn watermark_ms(&self, partition: i32) -> Option<i64> {
        let detectors = &self.partitions.get(&partition)?.detectors;
        Some(self.spec.windows.watermark_ms(detectors.largest_event_time_ms?))
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Number of series that have detectors.
    pub(crate) fn series_count(&self) -> usize {
        self.detectors().map(Partition::series_count).sum()
    }

    /// Number of series that the assigned partitions may have.
    pub(crate) fn series_limit(&self) -> usize {
        self.partitions
            .len()
            .saturating_mul(self.spec.judgment.series_limit)
    }

    /// Values outside a detector's limits, which counted as the nearest value inside, since the partitions were taken
    /// over. Visits all series.
    pub(crate) fn clipped(&self) -> u64 {
        self.detectors().map(Partition::clipped).sum()
    }

    /// What should be known of the series that are not judged yet, or hardly are what they are taken for. Visits all series.
    pub(crate) fn notices(&self) -> impl Iterator<Item = (&SeriesKey<Arc<str>>, Notice)> {
        self.detectors().flat_map(Partition::notices)
    }

    fn detectors(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.values().map(|state| &state.detectors)
    }

    /// Notes that a partition holds no more records below `end_offset`.
    pub(crate) fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(state) = self.partitions.get_mut(&partition)
            && state.epoch == epoch
        {
            state.next_offset = state.next_offset.max(end_offset);
        }
    }

    /// Skips the records at these offsets, which cannot be unpacked, and counts them as rejected. Returns the offsets that
    /// were not skipped before.
    pub(crate) fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>) -> Range<i64> {
        let Some(state) = self.partitions.get_mut(&partition) else {
            return 0..0;
        };
        if state.epoch != epoch {
            return 0..0;
        }
        let mut position = state.position();
        let passed = position.pass(offsets);
        if passed.is_empty() {
            return passed;
        }
        state.next_offset = position.next_offset;
        let count = (passed.end - passed.start) as u64;
        let replayed = state.silent_below.clamp(passed.start, passed.end) - passed.start;
        self.counts.consumed += count;
        self.counts.replayed += replayed as u64;
        *self.counts.rejected.entry(Reason::Undecodable).or_default() += count;
        passed
    }

    /// Ingests a block. A block of an earlier assignment, and a record below the position, changes nothing.
    pub(crate) fn step(&mut self, block: &RecordBlock) -> Findings {
        self.step_observed(block, &mut ())
    }

    /// The same with an observer that sees every judgment, those of replayed records included.
    pub(crate) fn step_observed(&mut self, block: &RecordBlock, observer: &mut impl Observer) -> Findings {
        let Some(state) = self.partitions.get_mut(&block.partition) else {
            return Findings::default();
        };
        if state.epoch != block.epoch {
            return Findings::default();
        }
        let mut collector = AnomalyCollector {
            anomalies: Vec::new(),
            next: observer,
        };
        let mut rejected = Vec::new();
        let mut applied = Vec::new();
        let mut replays = !state.has_caught_up();
        for record in block.iter() {
            if record.offset < state.next_offset {
                continue;
            }
            if replays && record.offset >= state.silent_below {
                replays = false;
                state.match_answers();
            }
            if !state.journal.is_idle() {
                state.apply_answers(record.offset, &mut applied);
            }
            let rejection = state.ingest(&self.spec, record, &mut self.counts, &mut collector);
            rejected.extend(rejection.map(|rejection| (record.offset, rejection)));
        }
        self.counts.anomalies += collector.anomalies.len() as u64;
        Findings {
            anomalies: collector.anomalies,
            rejected,
            applied,
        }
    }

    /// The contents of a state file, if the partition is assigned and has caught up with what was judged before.
    pub(crate) fn state_file(&self, partition: i32) -> Option<Vec<u8>> {
        let state = self.partitions.get(&partition)?;
        state
            .has_caught_up()
            .then(|| state_file::encode(&self.spec, partition, state))
    }
}
