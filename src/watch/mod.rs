//! The seam between the topic and the anomalies: blocks of records in, anomalies out, and a snapshot when asked.
//!
//! A [`Watcher`] holds, for each assigned partition, its position and the detectors of its series. Everything is a
//! function of the partition's own records (invariant I6): which partition a process holds, how records came in
//! blocks, restarts and the time of day change nothing. So a partition's state can be taken up anywhere from a
//! snapshot and the records after it: those below `silent_below` were judged before, and teach without a word.
//!
//! Absent from this room: Kafka, files, clocks, threads.

mod partition;
mod snapshot;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, DetectInput, DetectorName};
use crate::decode::{Decoder, Reason, Rejection};
use crate::detect::{Anomaly, Calendar, Model, RuleError, models};
use crate::reading::{Position, RecordBlock};
use crate::window::Windows;

pub use snapshot::{Snapshot, SnapshotError};

use partition::Partition;

/// What is judged, how, and by what; the same for all partitions.
#[derive(Debug, Clone)]
pub struct Watch {
    topic: String,
    decoder: Decoder,
    models: Vec<Arc<dyn Model>>,
    calendar: Calendar,
    /// Windows whose averages are judged once the watermark has passed them, if it is those.
    windows: Option<Windows>,
    allowed_delay_ms: i64,
    fingerprint: u32,
}

impl Watch {
    /// What the settings say.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub fn new(config: &Config) -> Result<Self, RuleError> {
        let window = &config.window;
        Ok(Watch {
            topic: config.kafka.topic.clone(),
            decoder: Decoder::new(&config.reading),
            models: models(config)?,
            calendar: Calendar::new(config.detect_time_zone()),
            windows: (config.detect.input == DetectInput::Windows).then(|| Windows::new(window)),
            allowed_delay_ms: window.watermark.as_millis() as i64,
            fingerprint: fingerprint(config),
        })
    }

    /// A checksum of every setting that a judgement depends on: state and positions under others mean nothing here.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }
}

fn fingerprint(config: &Config) -> u32 {
    let detect = &config.detect;
    let mut text = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        config.reading,
        detect.detector,
        detect.input,
        detect.threshold,
        detect.rules,
        config.detect_time_zone(),
    );
    text += &match detect.detector {
        DetectorName::IsolationForest => format!("{:?}", config.isolation_forest),
        DetectorName::HalfSpaceTrees => format!("{:?}", config.half_space_trees),
        DetectorName::AdaptiveBand | DetectorName::None => String::new(),
    };
    if detect.input == DetectInput::Windows {
        let window = &config.window;
        text += &format!("{:?} {:?} {:?}", window.length, window.offset, window.watermark);
    }
    crc32fast::hash(text.as_bytes())
}

/// Records by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub consumed: u64,
    /// Readings that were judged, or went into a window that will be.
    pub judged: u64,
    /// Readings whose window had closed.
    pub late: u64,
    /// Of the judged readings, those older than the newest of their series.
    pub out_of_order: u64,
    /// Records that hold no reading, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Of the consumed ones, those that had been judged before a restart.
    pub replayed: u64,
    pub anomalies: u64,
}

/// What a block brought.
#[derive(Debug, Default)]
pub struct Findings {
    /// To be published, in the order they were found.
    pub anomalies: Vec<Anomaly>,
    /// Records that hold no reading: offset and reason.
    pub rejected: Vec<(i64, Rejection)>,
}

/// The detecting side of one process: the state of its assigned partitions.
#[derive(Debug)]
pub struct Watcher {
    watch: Watch,
    partitions: BTreeMap<i32, Partition>,
    tally: Tally,
}

impl Watcher {
    /// A watcher without partitions.
    pub fn new(watch: Watch) -> Self {
        Watcher {
            watch,
            partitions: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// What is watched.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Takes a partition over with nothing known of it. Records are taken in from `start_offset` on; those below
    /// `silent_below` were judged before.
    pub fn assign(&mut self, partition: i32, epoch: u64, start_offset: i64, silent_below: i64) {
        let position = Position {
            next_offset: start_offset,
            largest_event_time_ms: None,
        };
        let state = Partition::new(epoch, position, silent_below);
        self.partitions.insert(partition, state);
    }

    /// Takes a partition over as a snapshot has it. Records are taken in from `start_offset` on, which is the
    /// snapshot's position unless the topic no longer holds that.
    ///
    /// # Errors
    /// [`SnapshotError`] if the snapshot's contents are not what this program writes; nothing is taken over then.
    pub fn resume(
        &mut self,
        snapshot: &Snapshot<'_>,
        epoch: u64,
        start_offset: i64,
        silent_below: i64,
    ) -> Result<(), SnapshotError> {
        let mut state = snapshot.restore(&self.watch, epoch, silent_below)?;
        state.position.next_offset = start_offset;
        self.partitions.insert(snapshot.partition, state);
        Ok(())
    }

    /// Gives a partition up together with its detectors.
    pub fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The assigned partitions.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.partitions.keys().copied()
    }

    /// The assigned partitions that have been read up to where they were judged before, and how far each is.
    pub fn positions(&self) -> impl Iterator<Item = (i32, Position)> {
        self.partitions
            .iter()
            .filter(|(_, state)| state.position.next_offset >= state.silent_below)
            .map(|(&partition, state)| (partition, state.position))
    }

    /// The watermark of a partition, in milliseconds since 1970, if it has one.
    pub fn watermark_ms(&self, partition: i32) -> Option<i64> {
        let largest = self.partitions.get(&partition)?.position.largest_event_time_ms?;
        Some(largest - self.watch.allowed_delay_ms)
    }

    /// Records by what became of them, since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Number of series that have detectors.
    pub fn series_count(&self) -> usize {
        self.partitions.values().map(Partition::series_count).sum()
    }

    /// Values that lay beyond what a detector can take and counted as the nearest it can, since their series were
    /// taken over. Goes through all series.
    pub fn clipped(&self) -> u64 {
        self.partitions.values().map(Partition::clipped).sum()
    }

    /// Notes that a partition holds no more records below `end_offset`.
    pub fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(state) = self.partitions.get_mut(&partition)
            && state.epoch == epoch
        {
            state.position.next_offset = state.position.next_offset.max(end_offset);
        }
    }

    /// Takes in a block. A block of an earlier assignment, and a record below the position, changes nothing.
    pub fn step(&mut self, block: &RecordBlock) -> Findings {
        let mut findings = Findings::default();
        if let Some(state) = self.partitions.get_mut(&block.partition)
            && state.epoch == block.epoch
        {
            for record in block.iter() {
                if record.offset >= state.position.next_offset {
                    state.take_in(
                        &mut self.watch,
                        block.partition,
                        record,
                        &mut self.tally,
                        &mut findings,
                    );
                }
            }
        }
        findings
    }

    /// The partition's state as bytes, if it is assigned and has been read up to where it was judged before.
    pub fn snapshot(&self, partition: i32) -> Option<Vec<u8>> {
        let state = self.partitions.get(&partition)?;
        (state.position.next_offset >= state.silent_below)
            .then(|| snapshot::encode(&self.watch, partition, state))
    }
}
