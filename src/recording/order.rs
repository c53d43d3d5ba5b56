//! From pending readings in the file's order to a recording in order of time.

use std::collections::{HashMap, HashSet};

use super::cells::wall;
use super::evidence::{INSTANT, Pending, key_of};
use super::options::{ReadOptions, Repeated, Stamp};
use super::report::{ReadReport, SkipReason};
use super::{Error, HAS_OFFSET, RecordedReading, Recording, WENT_BACK};
use crate::notation::time::{EVENT_TIMES_MS, TimeError, Written};
use crate::notation::zone::{AmbiguousTime, comes_twice, instant_ms};

pub(super) fn finish(mut pending: Pending, options: &ReadOptions) -> Result<Recording, Error> {
    pending.settle_dates()?;
    pending.settle_decimal_marks()?;
    if options.time_zone.is_none() && options.default_zone == chrono_tz::Tz::UTC {
        skip_times_of_no_zone(&mut pending);
    }
    let step_ms = most_common_step(&pending);
    let interval_ms = match options.stamp {
        Stamp::Start => 0,
        Stamp::End => interval_ms(options, step_ms, &mut pending.report)?,
    };
    // Numbered hours are counted, not read from a clock: the one that ends at 2 begins at 1, which may come twice.
    let is_counted = pending.numbers_hours;
    let starts_on_clock = |reading: &RecordedReading| is_counted && reading.tag & INSTANT == 0;
    for reading in pending
        .readings
        .iter_mut()
        .filter(|reading| starts_on_clock(reading))
    {
        reading.time_ms -= interval_ms;
    }
    resolve(&mut pending, options, step_ms);
    let starts_later = |reading: &RecordedReading| !is_counted || reading.tag & HAS_OFFSET != 0;
    for reading in pending
        .readings
        .iter_mut()
        .filter(|reading| starts_later(reading))
    {
        reading.time_ms -= interval_ms;
    }
    let Pending {
        mut readings,
        keys,
        mut report,
        zone,
        writes_offsets,
        ..
    } = pending;
    keep_in_range(&mut readings, options.range.instants(zone), &mut report);
    report.out_of_order = count_out_of_order(&readings);
    readings.sort_unstable_by_key(|reading| (reading.time_ms, reading.line));
    check_repetitions(&mut readings, options.repeated, &mut report);
    report.skipped.sort_by_key(|skipped| skipped.line);
    Ok(Recording {
        readings,
        report,
        keys,
        zone,
        writes_offsets,
    })
}

/// What a reading covers before its time.
fn interval_ms(options: &ReadOptions, step_ms: Option<i64>, report: &mut ReadReport) -> Result<i64, Error> {
    if let Some(interval) = options.interval {
        return Ok(interval.as_millis() as i64);
    }
    let interval_ms = step_ms.ok_or(Error::NoInterval)?.abs();
    let interval = std::time::Duration::from_millis(interval_ms.unsigned_abs());
    report.assumed.push(format!(
        "readings cover {} before their times (--interval)",
        humantime::format_duration(interval)
    ));
    Ok(interval_ms)
}

/// Where other times have an offset, those that have none are of another zone, which nobody has named.
fn skip_times_of_no_zone(pending: &mut Pending) {
    let has_offset =
        |reading: &RecordedReading| reading.tag & INSTANT != 0 && EVENT_TIMES_MS.contains(&reading.time_ms);
    if !pending.readings.iter().any(has_offset) {
        return;
    }
    let report = &mut pending.report;
    pending.readings.retain(|reading| {
        let has_offset = reading.tag & INSTANT != 0;
        if !has_offset {
            let reason = SkipReason::NoOffset(wall(reading.time_ms).to_string());
            report.skip(u64::from(reading.line), reason);
        }
        has_offset
    });
}

/// The most common step from a reading to the next one of its series, backwards in a file that begins with the newest.
fn most_common_step(pending: &Pending) -> Option<i64> {
    /// A file of events has more different ones, and no common one.
    const MOST_STEPS: usize = 10_000;
    let mut previous: HashMap<u32, i64> = HashMap::new();
    let mut steps: HashMap<i64, u64> = HashMap::new();
    for reading in &pending.readings {
        let before = previous.insert(key_of(reading.tag), reading.time_ms);
        let step = before.map_or(0, |before| reading.time_ms - before);
        if step != 0 && (steps.len() < MOST_STEPS || steps.contains_key(&step)) {
            *steps.entry(step).or_default() += 1;
        }
    }
    let shortest_of_most = |(step, count): &(&i64, &u64)| (**count, -step.abs(), **step);
    steps.iter().max_by_key(shortest_of_most).map(|(step, _)| *step)
}

/// Makes instants of wall times. An hour that comes twice is told apart by the file's order.
fn resolve(pending: &mut Pending, options: &ReadOptions, step_ms: Option<i64>) {
    let zone = pending.zone;
    let step_ms = step_ms.unwrap_or(0);
    let mut previous: HashMap<u32, i64> = HashMap::new();
    let mut clocks: HashMap<u32, Clock> = HashMap::new();
    let may_repeat_hours =
        options.repeated == Repeated::Drop && options.time_zone.is_none() && zone == chrono_tz::Tz::UTC;
    let shows_times_again = zone != chrono_tz::Tz::UTC && shows_times_again(pending);
    let mut twice: Option<(chrono::NaiveDate, u64)> = None;
    for reading in &mut pending.readings {
        let key = key_of(reading.tag);
        let has_offset = reading.tag & INSTANT != 0;
        if !has_offset && zone != chrono_tz::Tz::UTC {
            let time = wall(reading.time_ms);
            let before_ms = previous.get(&key).copied();
            let near_ms = before_ms.map(|before| before + step_ms);
            let earlier_ms = instant_ms(Written::Wall(time), zone, AmbiguousTime::Earlier, None).ok();
            let ambiguous = match near_ms {
                None if step_ms < 0 => AmbiguousTime::Later,
                // The clock shows what it showed before, as it never does in another hour.
                Some(_) if step_ms >= 0 && !shows_times_again && earlier_ms == before_ms => {
                    AmbiguousTime::Later
                }
                _ => AmbiguousTime::InOrder,
            };
            if comes_twice(time, zone) {
                twice.get_or_insert((time.date(), 0)).1 += 1;
            }
            // Only a season can be refused, and none is left.
            if let Ok(time_ms) = instant_ms(Written::Wall(time), zone, ambiguous, near_ms) {
                reading.time_ms = time_ms;
            }
        }
        previous.insert(key, reading.time_ms);
        let flag = if has_offset { HAS_OFFSET } else { 0 };
        let went_back = may_repeat_hours
            && !has_offset
            && clocks.entry(key).or_default().went_back(reading.time_ms, step_ms);
        reading.tag = key | flag | if went_back { WENT_BACK } else { 0 };
    }
    if let Some((date, count)) = twice {
        pending.report.assumed.push(format!(
            "{count} times that come twice in {zone}, such as on {date}, are told apart by their order"
        ));
    }
}

/// Whether series have rows of one time behind each other where clocks were not set back.
fn shows_times_again(pending: &Pending) -> bool {
    let mut previous: HashMap<u32, i64> = HashMap::new();
    pending.readings.iter().any(|reading| {
        let before_ms = previous.insert(key_of(reading.tag), reading.time_ms);
        before_ms == Some(reading.time_ms) && !comes_twice(wall(reading.time_ms), pending.zone)
    })
}

/// The clock of a series whose zone is not known.
#[derive(Default)]
struct Clock {
    newest_ms: Option<i64>,
    is_back: bool,
}

impl Clock {
    /// Whether it shows an hour again, as clocks do in autumn: it went on by a step, and back by an hour. Until it has
    /// caught up, its readings are not those of the first time.
    fn went_back(&mut self, shown_ms: i64, step_ms: i64) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        let newest_ms = *self.newest_ms.get_or_insert(shown_ms);
        let goes_back = step_ms > 0 && step_ms < HOUR_MS && shown_ms == newest_ms + step_ms - HOUR_MS;
        self.is_back = goes_back || (self.is_back && shown_ms <= newest_ms);
        self.newest_ms = Some(newest_ms.max(shown_ms));
        self.is_back
    }
}

/// Leaves out what the table cannot hold, and what was not asked for.
fn keep_in_range(readings: &mut Vec<RecordedReading>, range: std::ops::Range<i64>, report: &mut ReadReport) {
    readings.retain(|reading| {
        if !EVENT_TIMES_MS.contains(&reading.time_ms) {
            let time = wall(reading.time_ms).to_string();
            let reason = SkipReason::BadTime(time, TimeError::BeyondRange(None));
            report.skip(u64::from(reading.line), reason);
            return false;
        }
        let is_wanted = range.contains(&reading.time_ms);
        report.outside += u64::from(!is_wanted);
        is_wanted
    });
}

fn count_out_of_order(readings: &[RecordedReading]) -> u64 {
    let pairs = readings.windows(2);
    pairs.filter(|pair| pair[1].time_ms < pair[0].time_ms).count() as u64
}

/// Counts readings equal to an earlier one, and those that share only time and key with one.
fn check_repetitions(readings: &mut Vec<RecordedReading>, repeated: Repeated, report: &mut ReadReport) {
    let mut time_ms = i64::MIN;
    let mut contents: HashSet<(u32, u64)> = HashSet::new();
    let mut keys: HashSet<u32> = HashSet::new();
    report.drops_repeated = repeated == Repeated::Drop;
    readings.retain(|reading| {
        if reading.time_ms != time_ms {
            time_ms = reading.time_ms;
            contents.clear();
            keys.clear();
        }
        let key = reading.tag & !HAS_OFFSET;
        // One whose clock went back is not the earlier one again.
        // Plus zero makes -0.0 a 0.0.
        if !contents.insert((key, (reading.value + 0.0).to_bits())) {
            report.repeated += 1;
            return repeated == Repeated::Keep;
        }
        if !keys.insert(key_of(key)) {
            report.same_time += 1;
            let line = u64::from(reading.line);
            report.first_same_time = Some(report.first_same_time.map_or(line, |first| first.min(line)));
        }
        true
    });
}
