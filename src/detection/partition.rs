//! The detectors of one partition: readings in, judgments out, for the stream as for a recording.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::judgment::{Judgment, Observer, RecordRef};
use super::judgment_spec::JudgmentSpec;
use super::roster::{Roster, SeriesState};
use super::windows::{JudgedWindows, OpenWindows};
use crate::detectors::{Calendar, MessageIds, Notice, Observation, StateError, StateReader, Verdict};
use crate::reading::{Reading, SeriesKey};

/// The series of a partition, their detectors, and what is due when.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The largest event time of a reading so far.
    pub largest_event_time_ms: Option<i64>,
    pub(super) roster: Roster,
    pub(super) open_windows: OpenWindows,
    /// For each series with a deadline: the event time at which its detectors must be called without a reading.
    deadlines: BTreeSet<(i64, u32)>,
    /// For each series an event time up to which it is surely remembered. It is moved on only once it has come, so
    /// that a reading need not move it.
    remembered: BTreeSet<(i64, u32)>,
    /// Values outside a detector's limits, of series that were forgotten.
    clipped_before: u64,
    /// Anomalies of the record at hand that the settings pass over.
    passed_over: u64,
    calendar: Calendar,
    /// The verdicts of the judgment at hand; kept for its memory.
    verdicts: Vec<Verdict>,
}

/// The context of one record: how its readings are judged, and who sees the judgments.
pub(crate) struct Step<'a, O> {
    pub spec: &'a JudgmentSpec,
    pub record: RecordRef,
    /// Of the record's messages.
    pub ids: MessageIds,
    pub observer: &'a mut O,
}

/// What became of a reading, and what it brought about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ingested {
    pub outcome: Outcome,
    /// Series that were forgotten.
    pub forgotten: u64,
    /// Anomalies that the settings pass over, of windows that it closed, too.
    pub passed_over: u64,
}

/// The outcome of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was judged, or added to a window that will be.
    Judged {
        /// Whether a newer reading of its series was judged before. Within a window the order does not matter.
        is_out_of_order: bool,
    },
    /// Its window had closed.
    Late,
    /// Its series is new, and there are as many as there may be.
    TooManySeries,
}

impl Partition {
    /// A partition without series whose event time has come to `largest_event_time_ms`.
    pub(crate) fn new(spec: &JudgmentSpec, largest_event_time_ms: Option<i64>) -> Self {
        Partition {
            largest_event_time_ms,
            roster: Roster::default(),
            open_windows: OpenWindows::default(),
            deadlines: BTreeSet::new(),
            remembered: BTreeSet::new(),
            clipped_before: 0,
            passed_over: 0,
            calendar: spec.calendar.clone(),
            verdicts: Vec::new(),
        }
    }

    /// Number of series.
    pub(crate) fn series_count(&self) -> usize {
        self.roster.len()
    }

    /// The series in the order of their numbers.
    pub(crate) fn series(&self) -> impl Iterator<Item = &SeriesState> {
        self.roster.iter()
    }

    /// What should be known of the series that are not judged yet, or hardly are what they are taken for.
    pub(crate) fn notices(&self) -> impl Iterator<Item = (&SeriesKey<Arc<str>>, Notice)> {
        let notices = self
            .roster
            .iter()
            .map(|series| (&series.key, series.detectors.notice()));
        notices.filter(|(_, notice)| *notice != Notice::default())
    }

    /// Values outside a detector's limits.
    pub(crate) fn clipped(&self) -> u64 {
        let now: u64 = self.roster.iter().map(|series| series.detectors.clipped()).sum();
        self.clipped_before + now
    }

    /// Adds a series as a state file has it.
    pub(super) fn restore(&mut self, spec: &JudgmentSpec, series: SeriesState) {
        let (deadline_ms, remembered_ms) =
            (series.detectors.deadline_ms(), spec.remembered_until_ms(&series));
        let number = self.roster.append(series);
        self.deadlines
            .extend(deadline_ms.map(|deadline_ms| (deadline_ms, number)));
        self.remembered.insert((remembered_ms, number));
    }

    /// Adds an open window, or a closed pane of one, as a state file has it.
    pub(super) fn restore_window(
        &mut self,
        spec: &JudgmentSpec,
        is_closed: bool,
        record: &mut StateReader<'_>,
    ) -> Result<(), StateError> {
        let (roster, largest) = (&self.roster, self.largest_event_time_ms);
        let can_be = |start_ms: i64, number: u32, is_closed: bool| {
            let fits = spec.windows.is_some_and(|JudgedWindows { panes, .. }| {
                largest.is_some_and(|largest| start_ms <= largest)
                    && panes.is_closed(start_ms, largest) == is_closed
                    && panes.start_of(start_ms) == start_ms
            });
            fits && roster.get(number).is_some()
        };
        if is_closed {
            let can_be_closed = |start_ms, number| can_be(start_ms, number, true);
            self.open_windows.restore_closed(record, can_be_closed)
        } else {
            let can_be_open = |start_ms, number| can_be(start_ms, number, false);
            self.open_windows.restore(record, can_be_open)
        }
    }

    /// Ingests one reading. `noted_ms` is the time of the record by Kafka's clock; deadlines after it do not pass yet.
    /// Returns the outcome, and what it brought about.
    #[inline]
    pub(crate) fn ingest<O: Observer>(
        &mut self,
        reading: &Reading<'_>,
        noted_ms: i64,
        step: &mut Step<'_, O>,
    ) -> Ingested {
        // A device whose clock is ahead must not make all others look silent.
        self.pass_deadlines(reading.event_time_ms.min(noted_ms), step);
        let largest_before = self.largest_event_time_ms;
        self.largest_event_time_ms = largest_before.max(Some(reading.event_time_ms));
        let outcome = match self.find_or_add(step.spec, reading.series.as_str()) {
            Some(number) => self.judge(number, reading, largest_before, step),
            None => Outcome::TooManySeries,
        };
        self.close_windows(step);
        let forgotten = self.forget(step);
        Ingested {
            outcome,
            forgotten,
            passed_over: std::mem::take(&mut self.passed_over),
        }
    }

    /// Calls the detectors whose deadline has come.
    fn pass_deadlines<O: Observer>(&mut self, event_time_ms: i64, step: &mut Step<'_, O>) {
        while let Some(&(deadline_ms, number)) = self.deadlines.first()
            && deadline_ms <= event_time_ms
        {
            self.deadlines.pop_first();
            let Some(series) = self.roster.get_mut(number) else {
                continue;
            };
            series
                .detectors
                .elapse(deadline_ms, &mut step.ids, &mut self.verdicts);
            // A deadline that does not move on would be passed without end.
            let later = series
                .detectors
                .deadline_ms()
                .filter(|later| *later > deadline_ms);
            self.deadlines.extend(later.map(|later| (later, number)));
            let key = series.key.clone();
            self.report_elapsed(number, &key, deadline_ms, step);
        }
    }

    /// Judges a reading of a known series, or adds it to its window.
    #[inline]
    fn judge<O: Observer>(
        &mut self,
        number: u32,
        reading: &Reading<'_>,
        largest_before: Option<i64>,
        step: &mut Step<'_, O>,
    ) -> Outcome {
        let is_out_of_order = self.hear(number, reading.event_time_ms);
        let Some(windows) = step.spec.windows else {
            self.observe(number, reading.event_time_ms, reading.value.mean, step);
            return Outcome::Judged { is_out_of_order };
        };
        let start_ms = windows.panes.start_for(reading.event_time_ms);
        if !windows.panes.is_closed(start_ms, largest_before) {
            self.open_windows.add(start_ms, number, reading.value);
        } else if !windows.are_all_closed(start_ms, largest_before) {
            self.open_windows.add_late(start_ms, number, reading.value);
        } else {
            return Outcome::Late;
        }
        Outcome::Judged {
            is_out_of_order: false,
        }
    }

    /// Notes a reading of a series. Returns whether it is older than the newest.
    #[inline]
    fn hear(&mut self, number: u32, event_time_ms: i64) -> bool {
        let Some(series) = self.roster.get_mut(number) else {
            return false;
        };
        let is_out_of_order = event_time_ms < series.newest_ms;
        series.newest_ms = series.newest_ms.max(event_time_ms);
        series.heard_at_ms = self.largest_event_time_ms.unwrap_or(event_time_ms);
        is_out_of_order
    }

    /// Judges the averages of the windows that the partition's event time has closed.
    fn close_windows<O: Observer>(&mut self, step: &mut Step<'_, O>) {
        let Some(windows) = step.spec.windows else {
            return;
        };
        let largest = self.largest_event_time_ms;
        let is_closed = |start_ms| windows.panes.is_closed(start_ms, largest);
        while let Some((start_ms, number, totals)) = self.open_windows.pop_first_if(&windows, is_closed) {
            self.observe(number, windows.panes.end_of(start_ms), totals.average(), step);
        }
    }

    /// Lets a series' detectors judge a value.
    #[inline]
    fn observe<O: Observer>(&mut self, number: u32, event_time_ms: i64, value: f64, step: &mut Step<'_, O>) {
        let local_time_ms = self.calendar.local_time_ms(event_time_ms);
        let observation = Observation {
            event_time_ms,
            local_time_ms: self.calendar.profile_time_ms(local_time_ms),
            value,
        };
        let Some(series) = self.roster.get_mut(number) else {
            return;
        };
        let deadline_before = series.detectors.deadline_ms();
        let (ids, verdicts) = (&mut step.ids, &mut self.verdicts);
        let observed = if step.spec.windows.is_some() {
            series.detectors.observe_window(observation, ids, verdicts)
        } else {
            series.detectors.observe(observation, ids, verdicts)
        };
        let deadline = series.detectors.deadline_ms();
        if deadline != deadline_before {
            self.deadlines.extend(deadline.map(|deadline| (deadline, number)));
            if let Some(before) = deadline_before {
                self.deadlines.remove(&(before, number));
            }
        }
        self.passed_over += observed.passed_over;
        if observed.judged.is_none() && self.verdicts.is_empty() {
            return;
        }
        step.observer.judged(&Judgment {
            record: step.record,
            series: number,
            key: &series.key,
            event_time_ms,
            local_time_ms,
            value: observed.judged,
            verdicts: &self.verdicts,
        });
        self.verdicts.clear();
    }

    /// Reports what a series' detectors found at a deadline, if anything.
    fn report_elapsed<O: Observer>(
        &mut self,
        number: u32,
        key: &SeriesKey<Arc<str>>,
        deadline_ms: i64,
        step: &mut Step<'_, O>,
    ) {
        if self.verdicts.is_empty() {
            return;
        }
        step.observer.judged(&Judgment {
            record: step.record,
            series: number,
            key,
            event_time_ms: deadline_ms,
            local_time_ms: self.calendar.local_time_ms(deadline_ms),
            value: None,
            verdicts: &self.verdicts,
        });
        self.verdicts.clear();
    }

    /// Forgets the series that event time has left behind by more than their memory, after it has passed their last
    /// deadline. Returns how many they are.
    fn forget<O: Observer>(&mut self, step: &mut Step<'_, O>) -> u64 {
        let Some(largest_ms) = self.largest_event_time_ms.filter(|_| step.spec.forgets) else {
            return 0;
        };
        let mut left_behind = Vec::new();
        while let Some(&(until_ms, number)) = self.remembered.first()
            && until_ms <= largest_ms
        {
            self.remembered.pop_first();
            let Some(series) = self.roster.get(number) else {
                continue;
            };
            let until_ms = step.spec.remembered_until_ms(series);
            if until_ms > largest_ms {
                self.remembered.insert((until_ms, number));
            } else {
                left_behind.push((series.detectors.deadline_ms(), number));
            }
        }
        // A restored partition finds them in another order, because it starts with exact times in `remembered`.
        left_behind.sort_unstable();
        for &(deadline_ms, number) in &left_behind {
            let Some(mut series) = self.roster.remove(number) else {
                continue;
            };
            self.clipped_before += series.detectors.clipped();
            self.open_windows.forget(number);
            if let Some(deadline_ms) = deadline_ms {
                self.deadlines.remove(&(deadline_ms, number));
                series
                    .detectors
                    .elapse(deadline_ms, &mut step.ids, &mut self.verdicts);
                self.report_elapsed(number, &series.key, deadline_ms, step);
            }
            // What is open would stay so for ever.
            series
                .detectors
                .forget(largest_ms, &mut step.ids, &mut self.verdicts);
            self.report_elapsed(number, &series.key, largest_ms, step);
        }
        left_behind.len() as u64
    }

    /// The series of a key; `None` if it is new and there are as many as there may be.
    #[inline]
    fn find_or_add(&mut self, spec: &JudgmentSpec, key: SeriesKey<&str>) -> Option<u32> {
        if let Some(number) = self.roster.find(key) {
            return Some(number);
        }
        if self.roster.len() >= spec.series_limit {
            return None;
        }
        let series = SeriesState {
            key: key.to_shared(),
            detectors: spec.detectors(key.key),
            newest_ms: i64::MIN,
            heard_at_ms: self.largest_event_time_ms.unwrap_or(i64::MIN),
        };
        let remembered_ms = spec.remembered_until_ms(&series);
        let number = self.roster.add(series);
        self.remembered.insert((remembered_ms, number));
        Some(number)
    }
}
