//! The view of slow changes: a leak grows day by day, and no hour of it is unusual.

use super::super::{DAY_MS, StateError, StateReader, StateWriter};
use super::saved::non_negative;

const WEEK: usize = 7;
/// Days that must change the same way.
const RISING: usize = 5;
/// Means of days that are kept, and how many must be known.
const DAYS: usize = 21;
const LEAST_DAYS: usize = RISING + WEEK;
/// How far the last days must be from the same days of the week before, in mean changes from week to week.
const LEAST_SIZE: f64 = 5.0;
/// How much more the newest day must differ than the oldest: a leak grows, a new level does not.
const GROWTH: f64 = 1.6;
/// What a single day may have of what the newest day differs more than the oldest: a step is no leak, wherever it lies.
const MOST_IN_A_DAY: f64 = 0.6;
/// How many of the last days must differ from the day before in the same direction.
const SAME_DIRECTION: usize = 4;
/// Changes from a week to the next that say how much weeks differ.
const LEAST_CHANGES: u32 = 7;
/// Days of nothing after a report.
const QUIET_DAYS: i64 = 14;
/// The memory of the mean change, in days, and what one day may add to it, in mean changes.
const CHANGE_DAYS: f64 = 28.0;
const LARGEST_CHANGE: f64 = 4.0;
/// A gap of more days leaves nothing to compare with.
const MOST_GAP_DAYS: i64 = 2;

/// The means of the last days, compared with those of the same days of the week before.
#[derive(Debug, Clone)]
pub(super) struct Trend {
    day: i64,
    /// Of the day at hand, from the first value of the series.
    origin: f64,
    sum: f64,
    count: u32,
    /// The newest first.
    means: Vec<f64>,
    /// The mean change from a day to the same day of the week after, and how many it is of.
    change: f64,
    changes: u32,
    quiet_until_day: i64,
}

/// A change that goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    /// How much further than usual, in the least that is reported.
    pub size: f64,
    pub per_day: f64,
    pub days: u32,
}

impl Trend {
    pub(super) fn new(origin: f64) -> Self {
        Trend {
            day: i64::MIN,
            origin,
            sum: 0.0,
            count: 0,
            means: Vec::new(),
            change: 0.0,
            changes: 0,
            quiet_until_day: i64::MIN,
        }
    }

    /// Adds a value; the first one of a day judges the days that are over.
    pub(super) fn note(&mut self, value: f64, now_ms: i64) -> Option<Slope> {
        let day = now_ms.div_euclid(DAY_MS);
        let mut slope = None;
        let days = day.saturating_sub(self.day);
        // A reading out of order belongs to the day at hand as well as any.
        if !(-MOST_GAP_DAYS..=0).contains(&days) {
            slope = self.end_day(day, days);
        }
        self.sum += value - self.origin;
        self.count = self.count.saturating_add(1);
        slope
    }

    fn end_day(&mut self, day: i64, days: i64) -> Option<Slope> {
        let mean = self.sum / f64::from(self.count.max(1));
        (self.day, self.sum, self.count) = (day, 0.0, 0);
        if !(1..=MOST_GAP_DAYS).contains(&days) {
            self.means.clear();
            self.quiet_until_day = self.quiet_until_day.min(day);
            return None;
        }
        // A day without readings was like the one before it.
        for _ in 0..days {
            if self.means.len() == DAYS {
                self.means.pop();
            }
            if self.means.capacity() == 0 {
                self.means.reserve_exact(DAYS);
            }
            self.means.insert(0, mean);
        }
        let slope = self.slope();
        self.learn_change();
        let slope = slope.filter(|_| day >= self.quiet_until_day)?;
        self.quiet_until_day = day + QUIET_DAYS;
        Some(slope)
    }

    fn slope(&self) -> Option<Slope> {
        if self.means.len() < LEAST_DAYS || self.changes < LEAST_CHANGES {
            return None;
        }
        let sign = (self.means[0] - self.means[WEEK]).signum();
        // How much higher each of the last days is than a week before, the newest first.
        let rise: [f64; RISING] =
            std::array::from_fn(|day| sign * (self.means[day] - self.means[day + WEEK]));
        let is_rise = rise.iter().all(|&each| each > 0.0);
        let is_growing = rise[0] > rise[2] && rise[2] > rise[4] && rise[0] > GROWTH * rise[4];
        let total = rise[0] - rise[RISING - 1];
        let is_spread = rise
            .windows(2)
            .all(|days| days[0] - days[1] <= MOST_IN_A_DAY * total);
        let same = (0..RISING).filter(|&day| sign * (self.means[day] - self.means[day + 1]) > 0.0);
        let scale = self.change.max(f64::MIN_POSITIVE);
        let size = (rise[0] + rise[1] + rise[2]) / 3.0 / scale / LEAST_SIZE;
        let is_trend = is_rise && is_growing && is_spread && same.count() >= SAME_DIRECTION && size >= 1.0;
        is_trend.then(|| Slope {
            size: size.min(f64::from(u32::MAX)),
            per_day: sign * total / (RISING - 1) as f64,
            days: RISING as u32,
        })
    }

    fn learn_change(&mut self) {
        let Some(before) = self.means.get(WEEK) else {
            return;
        };
        let change = (self.means[0] - before).abs();
        let change = if self.changes == 0 {
            change
        } else {
            change.min(LARGEST_CHANGE * self.change.max(f64::MIN_POSITIVE))
        };
        self.changes = self.changes.saturating_add(1);
        self.change += (1.0 / f64::from(self.changes)).max(1.0 / CHANGE_DAYS) * (change - self.change);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.i64(self.day);
        state.f64(self.origin);
        state.f64(self.sum);
        state.u32(self.count);
        state.u8(self.means.len() as u8);
        self.means.iter().for_each(|&mean| state.f64(mean));
        state.f64(self.change);
        state.u32(self.changes);
        state.i64(self.quiet_until_day);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut trend = Trend {
            day: state.i64()?,
            origin: state.finite("trend")?,
            sum: state.finite("trend")?,
            count: state.u32()?,
            ..Trend::new(0.0)
        };
        let days = usize::from(state.u8()?);
        if days > DAYS {
            return Err(StateError::Impossible("count of days"));
        }
        if days > 0 {
            trend.means.reserve_exact(DAYS);
        }
        for _ in 0..days {
            trend.means.push(state.finite("trend")?);
        }
        trend.change = non_negative(state, "trend")?;
        trend.changes = state.u32()?;
        trend.quiet_until_day = state.i64()?;
        Ok(trend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The days on which a trend is reported, of days of one reading each.
    fn reported(value: impl Fn(i64) -> f64) -> Vec<i64> {
        let mut trend = Trend::new(0.0);
        let is_reported = |day: &i64| trend.note(value(*day), *day * DAY_MS).is_some();
        (0..120).filter(is_reported).collect()
    }

    /// Something between -1 and 1 for each day.
    fn noise(day: i64) -> f64 {
        (day * 7919 % 101) as f64 / 50.0 - 1.0
    }

    #[test]
    fn a_leak_is_reported_within_days_and_a_new_level_is_not() {
        let week = |day: i64| 100.0 + if day % 7 >= 5 { -30.0 } else { 0.0 } + noise(day);
        assert_eq!(reported(week), Vec::<i64>::new());
        let leak = reported(|day| week(day) + 2.0 * (day - 60).max(0) as f64);
        assert!((63..70).contains(&leak[0]), "{leak:?}");
        let level = reported(|day| week(day) + if day >= 60 { 40.0 } else { 0.0 });
        assert_eq!(level, Vec::<i64>::new());
    }

    #[test]
    fn a_step_is_no_leak_however_the_days_differ() {
        let mut found = 0;
        for phase in 0..101 {
            let flat = |day: i64| 100.0 + noise(day + phase);
            let step = reported(|day| flat(day) + if day >= 60 { 25.0 } else { 0.0 });
            assert_eq!(step, Vec::<i64>::new(), "phase {phase}");
            let leak = reported(|day| flat(day) + 2.0 * (day - 60).max(0) as f64);
            found += usize::from(leak.first().is_some_and(|day| (62..72).contains(day)));
        }
        assert!(found >= 95, "{found} of 101 leaks");
    }
}
