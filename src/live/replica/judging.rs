//! Blocks of records in, points out: what the detecting side does, but for what it publishes.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use tracing::warn;

use super::super::ring::Point;
use super::super::view::View;
use super::super::wire::DeadLetter;
use crate::decode::{Reason, Rejection, Schemas};
use crate::detection::{DetectionOperator, Judgment, Observer, PlacedAnswer, StateFile};
use crate::detectors::{Cause, RULES};
use crate::kafka::TailBatch;
use crate::reading::{RecordBlock, SeriesKey};

/// The operator of a replica, and what it has found that is not shown yet.
pub(super) struct Judging {
    operator: DetectionOperator,
    topic: String,
    places: BTreeMap<i32, Place>,
    /// Answers that had a place when the replica was opened, by partition.
    answers: BTreeMap<i32, Vec<PlacedAnswer>>,
    found: Found,
    /// Partitions, those of the anomalies included, whose end has not been reached yet.
    awaited_ends: usize,
    /// Kafka's timestamp of the newest reading's record that was taken last.
    newest_timestamp_ms: Option<i64>,
}

/// A partition.
pub(super) struct Place {
    /// The end of the partition when the replica was opened.
    pub end: i64,
    /// The next record to read.
    pub next: i64,
    /// The detecting side's own state further on. What is judged before it is judged by what was seen since the begin, which
    /// may be less than the detecting side had seen.
    pub later_state: Option<LaterState>,
}

/// A state file that is taken over once the partition has been read up to it.
pub(super) struct LaterState {
    pub offset: i64,
    pub contents: Box<dyn Read>,
}

#[derive(Default)]
struct Found {
    points: Vec<(SeriesKey<Arc<str>>, Point)>,
    threshold: Option<f64>,
    anomalies: Vec<Vec<u8>>,
    rejected: Vec<(Reason, DeadLetter)>,
}

impl Judging {
    pub(super) fn new(
        operator: DetectionOperator,
        topic: &str,
        places: BTreeMap<i32, Place>,
        answers: BTreeMap<i32, Vec<PlacedAnswer>>,
        awaited_ends: usize,
    ) -> Self {
        let mut judging = Judging {
            operator,
            topic: topic.to_owned(),
            answers,
            found: Found::default(),
            awaited_ends,
            newest_timestamp_ms: None,
            places,
        };
        let partitions: Vec<i32> = judging.answers.keys().copied().collect();
        for partition in partitions {
            judging.load_journal(partition);
        }
        judging
    }

    /// Applies answers where the detecting side has.
    fn load_journal(&mut self, partition: i32) {
        if let Some(placed) = self.answers.get(&partition) {
            self.operator.load_journal(partition, placed.clone());
        }
    }

    /// The schemas that must be known before blocks are taken.
    pub(super) fn schemas(&self) -> Option<&Arc<Schemas>> {
        self.operator.schemas()
    }

    /// Takes what came. Returns how many records are of the topic of readings.
    pub(super) fn take(&mut self, heard: &TailBatch) -> u64 {
        let mut records = 0;
        self.awaited_ends = self.awaited_ends.saturating_sub(heard.ends);
        self.newest_timestamp_ms = None;
        for ((topic, partition), block) in &heard.blocks {
            if *topic != self.topic {
                let values = block.iter().filter_map(|record| record.value);
                self.found.anomalies.extend(values.map(<[u8]>::to_vec));
                continue;
            }
            records += block.len() as u64;
            let newest = block.iter().filter_map(|record| record.timestamp_ms).max();
            self.newest_timestamp_ms = self.newest_timestamp_ms.max(newest);
            let last = block.iter().last().map(|record| record.offset);
            let place = self.places.get_mut(partition);
            let is_reached = |state: &mut LaterState| last.is_some_and(|last| last >= state.offset);
            let state = place.and_then(|place| place.later_state.take_if(is_reached));
            match state {
                None => self.judge(block),
                Some(state) => {
                    let before = records_before(block, state.offset);
                    self.judge(&before);
                    self.take_over(*partition, state);
                    // What was judged already lies below the operator's position.
                    self.judge(block);
                }
            }
            if let (Some(place), Some(last)) = (self.places.get_mut(partition), last) {
                place.next = last + 1;
            }
        }
        records
    }

    fn judge(&mut self, block: &RecordBlock) {
        let mut recorder = Recorder(&mut self.found);
        let findings = self.operator.step_observed(block, &mut recorder);
        if !findings.rejected.is_empty() {
            self.keep_rejected(block, findings.rejected);
        }
    }

    fn take_over(&mut self, partition: i32, state: LaterState) {
        let opened = StateFile::open(state.contents, self.operator.spec(), partition);
        let resumed = opened.and_then(|file| self.operator.resume(file, 0, state.offset, 0));
        if let Err(error) = resumed {
            warn!(partition, offset = state.offset, %error, "the live page cannot use a state file");
        }
        self.load_journal(partition);
    }

    /// Keeps what is shown of the records that are no readings; both are in the order of offsets.
    #[cold]
    fn keep_rejected(&mut self, block: &RecordBlock, rejected: Vec<(i64, Rejection)>) {
        let mut records = block.iter().peekable();
        for (offset, rejection) in rejected {
            while records.next_if(|record| record.offset < offset).is_some() {}
            // It stays in place: a record may be rejected more than once.
            if let Some(record) = records.peek().filter(|record| record.offset == offset) {
                let reason = rejection.reason;
                let letter = DeadLetter::of(block.partition, *record, rejection);
                self.found.rejected.push((reason, letter));
            }
        }
    }

    /// Puts what was found into the view.
    pub(super) fn show(&mut self, view: &mut View) {
        view.threshold = self.found.threshold;
        if !self.found.points.is_empty() {
            view.note_points(self.found.points.drain(..));
        }
        for value in self.found.anomalies.drain(..) {
            view.note_anomaly(&value);
        }
        for (reason, letter) in self.found.rejected.drain(..) {
            view.dead_letters.note(reason, letter);
        }
    }

    /// Whether everything that was there at first has been read. Markers of transactions take places at ends, too, so that a
    /// partition may end before what was its end.
    pub(super) fn has_reached_ends(&self) -> bool {
        self.awaited_ends == 0 || self.places.values().all(|place| place.next >= place.end)
    }

    /// Kafka's timestamp of the newest of the records that were taken last.
    pub(super) fn newest_timestamp_ms(&self) -> Option<i64> {
        self.newest_timestamp_ms
    }
}

/// The records of a block below an offset.
fn records_before(block: &RecordBlock, offset: i64) -> RecordBlock {
    let mut before = RecordBlock::new(block.partition, block.epoch);
    for (index, record) in block
        .iter()
        .enumerate()
        .take_while(|(_, record)| record.offset < offset)
    {
        before.push(record, block.headers(index).cloned());
    }
    before
}

/// Keeps a point of each judgment.
struct Recorder<'a>(&'a mut Found);

impl Observer for Recorder<'_> {
    #[inline]
    fn judged(&mut self, judgment: &Judgment<'_>) {
        let Some(value) = judgment.value else {
            return;
        };
        let mut point = Point::unjudged(judgment.event_time_ms, value);
        // A detector has one verdict at most on a value; rules, which have no bands, and ends may come beside it.
        let verdict = judgment
            .verdicts
            .iter()
            .find(|verdict| verdict.detector != RULES && !verdict.cause.is_end());
        if let Some(verdict) = verdict {
            self.0.threshold = Some(verdict.threshold);
            // What is not judged yet is not held to the band that is being learned.
            if verdict.cause != Cause::Learning {
                point.lower = verdict.lower.unwrap_or(f64::NAN);
                point.upper = verdict.upper.unwrap_or(f64::NAN);
                point.expected = verdict.expected.unwrap_or(f64::NAN);
                point.score = verdict.score as f32;
            }
        }
        let mut verdicts = judgment.verdicts.iter();
        point.is_anomaly = verdicts.any(|verdict| verdict.is_anomaly && !verdict.cause.is_end());
        self.0.points.push((judgment.key.clone(), point));
    }
}
