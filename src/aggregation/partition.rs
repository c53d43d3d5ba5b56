//! What becomes of the records of one partition.
//!
//! A partition is a sequence of readings: each is judged against those before it, whether they came in records of their
//! own or in one with it. A record, though, is dead as a whole or not at all (ADR 19). So one that holds several
//! readings is gone through twice: once to find out whether all of it is good and has room, once to apply it.

use super::open_series::OpenSeries;
use super::pending::{NotAdmitted, Pending};
use super::reading_indices::ReadingIndices;
use super::registers::{Register, Registers, Rules};
use super::replay::Replay;
use super::{AggregationSpec, Fate};
use crate::decode::{Examined, Reason, Rejection, ValueKind};
use crate::reading::{Position, Reading, Record};
use crate::table::Counts;
use crate::window::LatePolicy;

/// The state of an assigned partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// Tells this assignment from an earlier one of the same partition.
    pub epoch: u64,
    /// As the table's log has it.
    pub committed: Position,
    /// Including the pending contributions.
    pub position: Position,
    pub pending: Pending,
    pub open_series: OpenSeries,
    pub counts: Counts,
    /// Of counters.
    pub registers: Option<Registers>,
    /// While records are read again that the table has already, for their registers.
    pub replay: Option<Replay>,
}

/// Yields the readings of a record, each time it is called.
type Readings<'r> = dyn Fn(&mut dyn FnMut(Reading<'_>)) + 'r;

/// What decides about a reading before it is applied.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    start_ms: i64,
    is_late: bool,
    /// Of the readings before it.
    largest_before: Option<i64>,
}

impl Partition {
    /// A partition with nothing pending, of values of this kind.
    pub(super) fn new(epoch: u64, committed: Position, position: Position, kind: ValueKind) -> Self {
        Partition {
            epoch,
            committed,
            position,
            pending: Pending::default(),
            open_series: OpenSeries::default(),
            counts: Counts::default(),
            registers: (kind == ValueKind::Counter).then(Registers::default),
            replay: None,
        }
    }

    /// Decides what becomes of one record (I1: it is accepted, a dead letter or skipped) and of its readings (each of an
    /// accepted record is aggregated or late). Its series may be so many that there are `room` in the partition.
    #[inline]
    pub(super) fn ingest(&mut self, spec: &AggregationSpec, record: Record<'_>, room: usize) -> Option<Fate> {
        let newest_ms = self.position.largest_event_time_ms;
        let applied = match spec.decoder.examine(record, newest_ms) {
            Ok(Examined::One(reading)) => self.apply_only(spec, &reading, room),
            Ok(Examined::Several(_)) => self.apply_several(spec, room, &|each| {
                let decoded = spec
                    .decoder
                    .decode(record, newest_ms, &mut |reading| each(reading));
                debug_assert!(decoded.is_ok(), "the record was examined: {decoded:?}");
            }),
            Ok(Examined::Skipped) => {
                self.counts.skip();
                return None;
            }
            Err(rejection) => Err(rejection),
        };
        self.conclude(applied)
    }

    /// Counts the record.
    #[inline]
    fn conclude(&mut self, applied: Result<Option<Fate>, Rejection>) -> Option<Fate> {
        self.counts.consumed += 1;
        match applied {
            Ok(late) => {
                self.counts.accepted += 1;
                late
            }
            Err(rejection) => {
                self.counts.dead_letter(rejection.reason);
                Some(Fate::Dead(rejection))
            }
        }
    }

    /// Applies the only reading of a record.
    #[inline]
    fn apply_only(
        &mut self,
        spec: &AggregationSpec,
        reading: &Reading<'_>,
        room: usize,
    ) -> Result<Option<Fate>, Rejection> {
        let largest_before = self.position.largest_event_time_ms;
        let judged = judge(spec, reading, largest_before);
        self.position.largest_event_time_ms = largest_before.max(Some(reading.event_time_ms));
        let watermark_ms = watermark_ms(spec, self.position.largest_event_time_ms);
        let open_series = &mut self.open_series;
        let admit =
            |hash| judged.is_late || has_room(spec, open_series, hash, judged.start_ms, watermark_ms, room);
        if !judged.leaves(spec.late) {
            let added = add(
                &mut self.pending,
                &mut self.registers,
                spec,
                reading,
                judged,
                admit,
            );
            added.map_err(|NotAdmitted| too_many_series(spec))?;
        }
        let is_diverted = self.count(spec, judged);
        Ok(is_diverted.then(|| Fate::Late {
            watermark_ms: watermark_before(spec, largest_before),
            readings: ReadingIndices::default(),
        }))
    }

    /// Applies the readings of a record, or none of them.
    #[inline(never)]
    fn apply_several(
        &mut self,
        spec: &AggregationSpec,
        room: usize,
        readings: &Readings<'_>,
    ) -> Result<Option<Fate>, Rejection> {
        if !self.admit_all(spec, room, readings) {
            return Err(too_many_series(spec));
        }
        let mut late_ones = ReadingIndices::default();
        let mut came_behind_ms = i64::MIN;
        let mut index = 0;
        readings(&mut |reading| {
            let largest_before = self.position.largest_event_time_ms;
            let judged = judge(spec, &reading, largest_before);
            self.position.largest_event_time_ms = largest_before.max(Some(reading.event_time_ms));
            if !judged.leaves(spec.late) {
                let added = add(
                    &mut self.pending,
                    &mut self.registers,
                    spec,
                    &reading,
                    judged,
                    |_| true,
                );
                debug_assert!(added.is_ok(), "all of them were admitted");
            }
            if self.count(spec, judged) {
                late_ones.push(index);
                came_behind_ms = watermark_before(spec, largest_before);
            }
            index += 1;
        });
        Ok((!late_ones.is_empty()).then_some(Fate::Late {
            watermark_ms: came_behind_ms,
            readings: late_ones,
        }))
    }

    /// Whether there is room for the series of all these readings. If there is not, event time has moved on all the same:
    /// lateness must not depend on how many series other partitions of the process have (I5).
    fn admit_all(&mut self, spec: &AggregationSpec, room: usize, readings: &Readings<'_>) -> bool {
        let mut largest_ms = self.position.largest_event_time_ms;
        let mut are_admitted = true;
        readings(&mut |reading| {
            let judged = judge(spec, &reading, largest_ms);
            largest_ms = largest_ms.max(Some(reading.event_time_ms));
            if judged.is_late || !are_admitted {
                return;
            }
            let series = reading.series.as_str();
            are_admitted = self.pending.has_row(judged.start_ms, series) || {
                let watermark_ms = watermark_ms(spec, largest_ms);
                let hash = Pending::hash(series);
                has_room(
                    spec,
                    &mut self.open_series,
                    hash,
                    judged.start_ms,
                    watermark_ms,
                    room,
                )
            };
        });
        if !are_admitted {
            self.position.largest_event_time_ms = largest_ms;
        }
        are_admitted
    }

    /// Counts a reading. The answer is whether it goes to the late topic.
    #[inline]
    fn count(&mut self, spec: &AggregationSpec, judged: Judged) -> bool {
        self.counts.readings += 1;
        let counter = match (judged.is_late, spec.late) {
            (false, _) => &mut self.counts.aggregated,
            (true, LatePolicy::Upsert) => &mut self.counts.late_upserted,
            (true, LatePolicy::Drop) => &mut self.counts.late_dropped,
            (true, LatePolicy::Divert) => &mut self.counts.late_diverted,
        };
        *counter += 1;
        judged.is_late && spec.late == LatePolicy::Divert
    }

    /// Forgets the series whose windows have closed.
    pub(super) fn forget_closed_series(&mut self, spec: &AggregationSpec) {
        if let Some(watermark_ms) = watermark_ms(spec, self.position.largest_event_time_ms) {
            self.open_series.forget_closed(spec.windows, watermark_ms);
        }
    }
}

#[inline]
pub(super) fn judge(spec: &AggregationSpec, reading: &Reading<'_>, largest_before: Option<i64>) -> Judged {
    let start_ms = spec.windows.start_for(reading.event_time_ms);
    Judged {
        start_ms,
        is_late: spec.windows.is_closed(start_ms, largest_before),
        largest_before,
    }
}

impl Judged {
    /// Whether the reading is kept out of the table.
    #[inline]
    pub(super) fn leaves(self, late: LatePolicy) -> bool {
        self.is_late && matches!(late, LatePolicy::Divert | LatePolicy::Drop)
    }
}

/// Adds a reading to the row of its window, if `admit` lets it have one. A counter's register counts there; how much it adds,
/// and takes from the window after it, its neighbors decide.
#[inline]
fn add(
    pending: &mut Pending,
    registers: &mut Option<Registers>,
    spec: &AggregationSpec,
    reading: &Reading<'_>,
    judged: Judged,
    admit: impl FnOnce(u64) -> bool,
) -> Result<(), NotAdmitted> {
    let series = reading.series.as_str();
    let totals = pending.totals(judged.start_ms, series, admit)?;
    let Some(registers) = registers else {
        totals.add(reading.value);
        return Ok(());
    };
    totals.count += 1;
    insert(registers, spec, reading, judged, &mut |start_ms, term| {
        if let Ok(totals) = pending.totals(start_ms, series, |_| true) {
            totals.sum.add(term);
        }
    });
    Ok(())
}

/// Takes a register among those of its series.
pub(super) fn insert(
    registers: &mut Registers,
    spec: &AggregationSpec,
    reading: &Reading<'_>,
    judged: Judged,
    add: &mut impl FnMut(i64, f64),
) {
    let register = Register {
        time_ms: reading.event_time_ms,
        value: reading.value.sum,
    };
    let rules = Rules {
        windows: spec.windows,
        max_series: spec.max_series,
        largest_event_time_ms: judged.largest_before,
    };
    registers.insert(reading.series.as_str(), register, rules, add);
}

/// Whether a series may have a window that is open. One that has closed needs no room: its row is written and forgotten.
#[inline]
fn has_room(
    spec: &AggregationSpec,
    open_series: &mut OpenSeries,
    hash: u64,
    start_ms: i64,
    watermark_ms: Option<i64>,
    room: usize,
) -> bool {
    if spec.value_kind == ValueKind::Counter {
        // The registers bound how many series there are, by what is in this partition alone: what is turned away here depends
        // on the others that the process has, and would be missing from the registers in one process and not in another.
        return true;
    }
    if let Some(watermark_ms) = watermark_ms
        && open_series.len() >= room
    {
        open_series.forget_closed(spec.windows, watermark_ms);
    }
    open_series.admit(hash, start_ms, room)
}

/// Up to when windows have closed, if there was a reading.
fn watermark_ms(spec: &AggregationSpec, largest_event_time_ms: Option<i64>) -> Option<i64> {
    Some(spec.windows.watermark_ms(largest_event_time_ms?))
}

/// The watermark that a late reading came behind.
fn watermark_before(spec: &AggregationSpec, largest_before: Option<i64>) -> i64 {
    watermark_ms(spec, largest_before).unwrap_or(i64::MIN)
}

fn too_many_series(spec: &AggregationSpec) -> Rejection {
    let detail = format!(
        "the series is new, and the process holds window.max_series = {} with open windows already",
        spec.max_series
    );
    Rejection::new(Reason::TooManySeries, detail)
}

#[cfg(test)]
mod tests;
