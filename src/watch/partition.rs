//! One partition: its position, its series, and what is due when.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::windows::OpenWindows;
use super::{Findings, Tally, Watch};
use crate::detect::{Anomaly, Observation, Series, Verdict};
use crate::reading::{Position, Reading, Record};

/// The state of a partition.
#[derive(Debug)]
pub struct Partition {
    pub epoch: u64,
    pub position: Position,
    /// Records below this offset were judged before.
    pub silent_below: i64,
    /// In the order of their first reading.
    pub(super) series: Vec<WatchedSeries>,
    series_by_key: HashTable<u32>,
    /// Event times at which a series wants to be told the time, with its number.
    deadlines: BTreeSet<(i64, u32)>,
    pub(super) open_windows: OpenWindows,
    verdicts: Vec<Verdict>,
}

/// A series and its detectors.
#[derive(Debug)]
pub(super) struct WatchedSeries {
    pub key: Arc<str>,
    pub detectors: Series,
    /// The largest event time of a reading.
    pub newest_ms: i64,
}

/// A fixed seed: nothing may depend on the order of a table, and this way a run is repeatable anyway.
const HASHER: FixedState = FixedState::with_seed(0x5eed);

/// The record that gave rise to anomalies.
#[derive(Clone, Copy)]
struct Occasion {
    partition: i32,
    offset: i64,
}

impl Partition {
    /// A partition of which nothing is known yet.
    pub fn new(epoch: u64, position: Position, silent_below: i64) -> Self {
        Partition {
            epoch,
            position,
            silent_below,
            series: Vec::new(),
            series_by_key: HashTable::new(),
            deadlines: BTreeSet::new(),
            open_windows: OpenWindows::default(),
            verdicts: Vec::new(),
        }
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Values beyond what a detector can take.
    pub fn clipped(&self) -> u64 {
        self.series.iter().map(|series| series.detectors.clipped()).sum()
    }

    /// Adds a series that a snapshot holds.
    pub(super) fn add(&mut self, series: WatchedSeries) -> u32 {
        let number = self.series.len() as u32;
        if let Some(deadline_ms) = series.detectors.deadline_ms() {
            self.deadlines.insert((deadline_ms, number));
        }
        let hash = HASHER.hash_one(&*series.key);
        self.series.push(series);
        let all = &self.series;
        self.series_by_key
            .insert_unique(hash, number, |&other| HASHER.hash_one(&*all[other as usize].key));
        number
    }

    /// Takes in one record.
    #[inline]
    pub fn take_in(
        &mut self,
        watch: &mut Watch,
        partition: i32,
        record: Record<'_>,
        tally: &mut Tally,
        findings: &mut Findings,
    ) {
        self.position.next_offset = record.offset + 1;
        let is_silent = record.offset < self.silent_below;
        tally.consumed += 1;
        tally.replayed += u64::from(is_silent);
        let reading = match watch.decoder.decode(record) {
            Ok(reading) => reading,
            Err(rejection) => {
                *tally.rejected.entry(rejection.reason).or_default() += 1;
                if !is_silent {
                    findings.rejected.push((record.offset, rejection));
                }
                return;
            }
        };
        let occasion = Occasion {
            partition,
            offset: record.offset,
        };
        let found = findings.anomalies.len();
        self.advance(watch, reading.event_time_ms, occasion, findings);
        self.judge(watch, &reading, occasion, tally, findings);
        if is_silent {
            findings.anomalies.truncate(found);
        }
        for (index, anomaly) in findings.anomalies[found..].iter_mut().enumerate() {
            anomaly.index = index as u32;
        }
        tally.anomalies += (findings.anomalies.len() - found) as u64;
    }

    /// Tells the series whose time has come that event time has moved on.
    fn advance(
        &mut self,
        watch: &mut Watch,
        event_time_ms: i64,
        occasion: Occasion,
        findings: &mut Findings,
    ) {
        while let Some(&(deadline_ms, number)) = self.deadlines.first()
            && deadline_ms <= event_time_ms
        {
            self.deadlines.pop_first();
            let series = &mut self.series[number as usize];
            series.detectors.elapse(deadline_ms, &mut self.verdicts);
            let later = series
                .detectors
                .deadline_ms()
                .filter(|later| *later > deadline_ms);
            self.deadlines.extend(later.map(|later| (later, number)));
            let local_time_ms = watch.calendar.local_time_ms(deadline_ms);
            self.report(number, (deadline_ms, local_time_ms), None, occasion, findings);
        }
    }

    fn judge(
        &mut self,
        watch: &mut Watch,
        reading: &Reading<'_>,
        occasion: Occasion,
        tally: &mut Tally,
        findings: &mut Findings,
    ) {
        let number = self.find_or_add(watch, &reading.key);
        let series = &mut self.series[number as usize];
        let is_out_of_order = reading.event_time_ms < series.newest_ms;
        series.newest_ms = series.newest_ms.max(reading.event_time_ms);
        let largest_before = self.position.largest_event_time_ms;
        self.position.largest_event_time_ms = largest_before.max(Some(reading.event_time_ms));
        let Some(windows) = watch.windows else {
            tally.judged += 1;
            tally.out_of_order += u64::from(is_out_of_order);
            self.observe(
                watch,
                number,
                reading.event_time_ms,
                reading.value,
                occasion,
                findings,
            );
            return;
        };
        let start_ms = windows.start_of(reading.event_time_ms);
        if windows.is_late(start_ms, largest_before, watch.allowed_delay_ms) {
            tally.late += 1;
        } else {
            tally.judged += 1;
            self.open_windows.add(start_ms, number, reading.value);
        }
        let largest = self.position.largest_event_time_ms;
        let allowed_delay_ms = watch.allowed_delay_ms;
        let is_closed = |start_ms| windows.is_late(start_ms, largest, allowed_delay_ms);
        while let Some((start_ms, number, totals)) = self.open_windows.pop_first_if(is_closed) {
            let end_ms = windows.end_of(start_ms);
            self.observe(watch, number, end_ms, totals.average(), occasion, findings);
        }
    }

    /// Lets a series' detectors judge a value.
    #[inline]
    fn observe(
        &mut self,
        watch: &mut Watch,
        number: u32,
        event_time_ms: i64,
        value: f64,
        occasion: Occasion,
        findings: &mut Findings,
    ) {
        let observation = Observation {
            event_time_ms,
            local_time_ms: watch.calendar.local_time_ms(event_time_ms),
            value,
        };
        let series = &mut self.series[number as usize];
        let deadline_before = series.detectors.deadline_ms();
        series.detectors.observe(observation, &mut self.verdicts);
        let deadline = series.detectors.deadline_ms();
        if deadline != deadline_before {
            self.deadlines.extend(deadline.map(|deadline| (deadline, number)));
            if let Some(before) = deadline_before {
                self.deadlines.remove(&(before, number));
            }
        }
        let times_ms = (event_time_ms, observation.local_time_ms);
        self.report(number, times_ms, Some(value), occasion, findings);
    }

    /// Makes anomalies of those of the verdicts that are some.
    #[inline]
    fn report(
        &mut self,
        number: u32,
        (event_time_ms, local_time_ms): (i64, i64),
        value: Option<f64>,
        occasion: Occasion,
        findings: &mut Findings,
    ) {
        for verdict in self.verdicts.drain(..) {
            if verdict.is_anomaly {
                findings.anomalies.push(Anomaly {
                    partition: occasion.partition,
                    offset: occasion.offset,
                    index: 0,
                    key: Arc::clone(&self.series[number as usize].key),
                    event_time_ms,
                    local_time_ms,
                    value,
                    verdict,
                });
            }
        }
    }

    #[inline]
    fn find_or_add(&mut self, watch: &Watch, key: &str) -> u32 {
        let hash = HASHER.hash_one(key);
        let same = |&number: &u32| &*self.series[number as usize].key == key;
        match self.series_by_key.find(hash, same) {
            Some(&number) => number,
            None => self.add(WatchedSeries {
                key: key.into(),
                detectors: Series::new(&watch.models, key),
                newest_ms: i64::MIN,
            }),
        }
    }
}
