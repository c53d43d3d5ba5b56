//! An assigned partition of the topic: records in, and how far it is.

use super::journal::{Journal, PlacedAnswer};
use super::judgment::{Observer, RecordRef};
use super::partition::{Outcome, Partition, Step};
use super::{Counts, DetectionSpec};
use crate::decode::{Examined, Reason, Rejection};
use crate::detectors::MessageIds;
use crate::reading::{Position, Reading, Record};

/// An answer that has got its place, and in how many series it makes a difference.
#[derive(Debug, Clone)]
pub(crate) struct AppliedAnswer {
    pub(crate) placed: PlacedAnswer,
    pub(crate) series: usize,
}

/// A partition of the topic while it is assigned to this process.
#[derive(Debug)]
pub(super) struct Assignment {
    partition: i32,
    /// Distinguishes this assignment from an earlier one of the same partition.
    pub epoch: u64,
    pub next_offset: i64,
    /// Records below this offset were judged before.
    pub silent_below: i64,
    /// The state at the beginning has the answers with a place below this offset.
    state_offset: i64,
    pub journal: Journal,
    pub detectors: Partition,
}

impl Assignment {
    /// A partition that is read from `next_offset` on, with a state of the records and answers below `state_offset`.
    pub(super) fn new(
        partition: i32,
        epoch: u64,
        next_offset: i64,
        silent_below: i64,
        state_offset: i64,
        detectors: Partition,
    ) -> Self {
        Assignment {
            partition,
            epoch,
            next_offset,
            silent_below,
            state_offset,
            journal: Journal::default(),
            detectors,
        }
    }

    /// Takes note of the answers that have a place in the partition.
    pub(super) fn load_journal(&mut self, entries: Vec<PlacedAnswer>) {
        self.journal = Journal::new(entries, self.state_offset);
    }

    /// Waits with the answers whose series the replay has brought back.
    #[cold]
    pub(super) fn match_answers(&mut self) {
        let detectors = &self.detectors;
        self.journal.match_again(|answer| detectors.can_teach(answer));
    }

    /// Applies the answers whose place is before the record at this offset.
    #[cold]
    pub(super) fn apply_answers(&mut self, offset: i64, applied: &mut Vec<AppliedAnswer>) {
        let is_replayed = offset < self.silent_below;
        while let Some((placed, is_new)) = self.journal.next(self.partition, offset, is_replayed) {
            let series = self.detectors.teach(&placed.answer);
            if is_new {
                applied.push(AppliedAnswer { placed, series });
            }
        }
    }

    /// How far the partition has been read.
    pub(super) fn position(&self) -> Position {
        Position {
            next_offset: self.next_offset,
            largest_event_time_ms: self.detectors.largest_event_time_ms,
        }
    }

    /// Whether it has been read up to where it was judged before a restart.
    pub(super) fn has_caught_up(&self) -> bool {
        self.next_offset >= self.silent_below
    }

    /// Ingests one record. Returns the reason if it, or a reading of it, was not judged, unless it is replayed: that was
    /// reported before.
    #[inline]
    pub(super) fn ingest(
        &mut self,
        spec: &DetectionSpec,
        record: Record<'_>,
        counts: &mut Counts,
        observer: &mut impl Observer,
    ) -> Option<Rejection> {
        self.next_offset = record.offset + 1;
        let is_replayed = record.offset < self.silent_below;
        counts.consumed += 1;
        counts.replayed += u64::from(is_replayed);
        let newest_ms = self.detectors.largest_event_time_ms;
        let examined = match spec.decoder.examine(record, newest_ms) {
            Ok(Examined::Skipped) => {
                counts.skipped += 1;
                return None;
            }
            Ok(examined) => examined,
            Err(rejection) => return reject(rejection, is_replayed, counts),
        };
        counts.accepted += 1;
        let mut step = Step {
            spec: &spec.judgment,
            record: RecordRef {
                partition: self.partition,
                offset: record.offset,
                is_replayed,
            },
            ids: MessageIds::of_record(record.offset),
            observer,
        };
        let noted_ms = record.timestamp_ms.unwrap_or(i64::MAX);
        let mut rejection = None;
        let mut judge = |reading: &Reading<'_>| {
            let ingested = self.detectors.ingest(reading, noted_ms, &mut step);
            counts.forgotten += ingested.forgotten;
            counts.passed_over += if is_replayed { 0 } else { ingested.passed_over };
            match ingested.outcome {
                Outcome::Judged { is_out_of_order } => {
                    counts.judged += 1;
                    counts.out_of_order += u64::from(is_out_of_order);
                }
                Outcome::Late => counts.late += 1,
                Outcome::TooManySeries => {
                    rejection = reject(too_many_series(spec), is_replayed, counts);
                }
            }
        };
        match examined {
            Examined::One(reading) => judge(&reading),
            Examined::Skipped => {}
            Examined::Several(_) => {
                let decoded = spec
                    .decoder
                    .decode(record, newest_ms, &mut |reading| judge(&reading));
                debug_assert!(decoded.is_ok(), "the record was examined: {decoded:?}");
            }
        }
        rejection
    }
}

/// Counts a rejection, and returns it unless it was reported before.
#[cold]
fn reject(rejection: Rejection, is_replayed: bool, counts: &mut Counts) -> Option<Rejection> {
    *counts.rejected.entry(rejection.reason).or_default() += 1;
    (!is_replayed).then_some(rejection)
}

fn too_many_series(spec: &DetectionSpec) -> Rejection {
    Rejection {
        reason: Reason::TooManySeries,
        detail: format!(
            "the partition already has {} series, its share of detect.max_series; readings of other keys are not judged",
            spec.judgment.series_limit
        ),
    }
}
