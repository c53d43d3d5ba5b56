//! Whether a series is on its way to a limit, and when it gets there.
//!
//! A straight line through readings takes every saw-tooth and every night's batch job for the way up. So the slope is that of
//! the *floors*, the lowest reading of every three hours, each compared only with floors of the same hours of other days:
//! the median of all such slopes (seasonal Theil-Sen). What a clean-up, a garbage collection or a daily season takes back
//! is no slope then. A trend must be significant (Kendall's test), larger than the noise, and have gone on every single
//! day, so that a step is none. It is looked at as far back as it is looked ahead.
//!
//! Everything is medians of exact differences: nothing is fitted, and no order of additions matters.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Forecast;
use crate::detectors::{DAY_MS, StateError, StateReader, StateWriter};

/// The stretch of time that a floor is of; aligned to 1970-01-01T00:00:00Z.
const PANE_MS: i64 = 10_800_000;
const PANES_PER_DAY: i64 = DAY_MS / PANE_MS;
/// Fewer days cannot tell a trend from a step.
const FEWEST_DAYS: i64 = 3;
/// Of Kendall's test: one of 2,000 series of plain noise passes it.
const SIGNIFICANT: f64 = 3.29;
/// Of the range that is told: 95 %.
const RANGE: f64 = 1.96;
/// From the median of absolute deviations to a standard deviation.
const DEVIATIONS: f64 = 1.4826;
/// How many deviations the whole rise must be.
const LEAST_RISE: f64 = 3.0;
/// The share of the mean day's rise that every day must have.
const STEADY: f64 = 0.25;
/// For so many panes in a row there is no trend before an episode is over.
const CALM_PANES: u8 = PANES_PER_DAY as u8;

/// The floors of one series, and the limit that they may be on their way to. Inside, a way down is a way up with all signs
/// turned.
#[derive(Debug)]
pub(super) struct Trend {
    sign: f64,
    limit: f64,
    within_ms: i64,
    panes_looked_at: i64,
    /// In order; the last one is still being filled.
    panes: VecDeque<Pane>,
    /// The newest trend that there was, while the floors have not fallen away from it.
    line: Option<Line>,
    panes_without_trend: u8,
    /// Two floors in a row below the line are a clean-up; a single one may be a glitch.
    has_fallen: bool,
    forecast: Option<Forecast>,
}

/// The readings of three hours.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pane {
    /// Counted from 1970.
    number: i64,
    floor: f64,
    peak: f64,
}

/// A trend: the floor at the middle of the newest pane then, and how much it rises from pane to pane.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    floor: f64,
    slope: f64,
    /// Over everything that was looked at.
    rise: f64,
}

/// The slopes between floors of the same hours, sorted, and what Kendall's test says of them.
struct Slopes {
    sorted: Vec<f64>,
    /// Rising pairs less falling ones.
    concordance: f64,
    deviation: f64,
}

impl Trend {
    /// A watch for `limit` within `within_ms`; upwards, or downwards.
    pub(super) fn new(limit: f64, within_ms: i64, is_falling: bool) -> Self {
        let sign = if is_falling { -1.0 } else { 1.0 };
        let days = (within_ms.saturating_add(DAY_MS - 1) / DAY_MS).max(FEWEST_DAYS);
        Trend {
            sign,
            limit: sign * limit,
            within_ms,
            panes_looked_at: days * PANES_PER_DAY,
            panes: VecDeque::new(),
            line: None,
            panes_without_trend: 0,
            has_fallen: false,
            forecast: None,
        }
    }

    /// What the newest judgment rests on; none where the trend is no longer seen.
    pub(super) fn forecast(&self) -> Option<Forecast> {
        self.forecast
    }

    /// Ingests a reading, not older than those before. Returns whether the condition holds, given that it did, or did not.
    pub(super) fn observe(&mut self, event_time_ms: i64, value: f64, holds: bool) -> bool {
        let (number, value) = (event_time_ms.div_euclid(PANE_MS), self.sign * value);
        if let Some(pane) = self.panes.back_mut().filter(|pane| pane.number == number) {
            pane.floor = pane.floor.min(value);
            pane.peak = pane.peak.max(value);
            return holds;
        }
        let holds = self.judge(event_time_ms, holds);
        self.panes.push_back(Pane {
            number,
            floor: value,
            peak: value,
        });
        holds
    }

    /// Judges the panes, all of which are full.
    fn judge(&mut self, now_ms: i64, holds: bool) -> bool {
        self.forecast = None;
        let Some(newest) = self.panes.back().copied() else {
            return false;
        };
        let oldest = newest.number - self.panes_looked_at;
        while self.panes.front().is_some_and(|pane| pane.number <= oldest) {
            self.panes.pop_front();
        }
        if self.has_started_anew(newest) {
            return false;
        }
        let trend = self.trend(newest.number);
        let is_at_limit = newest.peak >= self.limit;
        match trend {
            None => {
                self.panes_without_trend = self.panes_without_trend.saturating_add(1);
                let is_recent = self.panes_without_trend < CALM_PANES;
                self.line = self.line.filter(|_| is_recent);
                holds && (is_at_limit || is_recent)
            }
            Some((line, slopes)) => {
                self.panes_without_trend = 0;
                self.line = Some(line);
                let forecast = self.forecast_of(&slopes, line, now_ms);
                self.forecast = Some(forecast);
                // A forecast wavers: what has been told stands until it is off by twice.
                let horizon_ms = if holds { 2 * self.within_ms } else { self.within_ms };
                forecast.likely_ms <= horizon_ms || holds && is_at_limit
            }
        }
    }

    /// Forgets what was before a clean-up or a restart: floors that have given back half of the rise.
    fn has_started_anew(&mut self, newest: Pane) -> bool {
        let falls = self
            .line
            .is_some_and(|line| newest.floor < line.floor - line.rise / 2.0);
        let has_fallen = std::mem::replace(&mut self.has_fallen, falls);
        if !(falls && has_fallen) {
            return false;
        }
        self.panes.drain(..self.panes.len().saturating_sub(2));
        self.line = None;
        self.has_fallen = false;
        self.panes_without_trend = 0;
        true
    }

    /// The trend of the panes, if there is one.
    fn trend(&self, newest: i64) -> Option<(Line, Slopes)> {
        let is_whole_span = self
            .panes
            .front()
            .is_some_and(|pane| pane.number == newest + 1 - self.panes_looked_at);
        if !is_whole_span || !self.rises_every_day(newest) {
            return None;
        }
        let slopes = self.slopes();
        if slopes.concordance <= SIGNIFICANT * slopes.deviation {
            return None;
        }
        let slope = median_of_sorted(&slopes.sorted)?;
        let rise = slope * self.panes_looked_at as f64;
        let floor = self.floor_at(newest, slope)?;
        let is_large = rise > LEAST_RISE * self.noise(newest, slope)?;
        let line = Line { floor, slope, rise };
        (is_large && rise.is_finite() && floor.is_finite()).then_some((line, slopes))
    }

    /// Whether the floors of each day lie above those of the day before by a fair share of the mean rise of a day: most of them,
    /// so that a step, which half of the floors of two days show, is none. Half of a day's floors must be there.
    fn rises_every_day(&self, newest: i64) -> bool {
        let days = self.panes_looked_at / PANES_PER_DAY;
        let mut steps = Vec::new();
        for day in 0..days - 1 {
            let last = newest - day * PANES_PER_DAY;
            let mut differences: Vec<f64> = self
                .panes
                .iter()
                .filter(|pane| (last - PANES_PER_DAY + 1..=last).contains(&pane.number))
                .filter_map(|pane| Some(pane.floor - self.floor_of(pane.number - PANES_PER_DAY)?))
                .collect();
            if differences.len() as i64 * 2 < PANES_PER_DAY {
                return false;
            }
            differences.sort_unstable_by(f64::total_cmp);
            steps.extend(differences.get((differences.len() - 1) / 2));
        }
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        mean > 0.0 && steps.iter().all(|step| *step > STEADY * mean)
    }

    fn floor_of(&self, number: i64) -> Option<f64> {
        let at = self
            .panes
            .binary_search_by_key(&number, |pane| pane.number)
            .ok()?;
        self.panes.get(at).map(|pane| pane.floor)
    }

    /// All slopes between floors of the same hours of different days.
    fn slopes(&self) -> Slopes {
        let mut sorted = Vec::new();
        let (mut concordance, mut variance) = (0.0, 0.0);
        for phase in 0..PANES_PER_DAY {
            let floors: Vec<&Pane> = self
                .panes
                .iter()
                .filter(|pane| pane.number.rem_euclid(PANES_PER_DAY) == phase)
                .collect();
            for (at, later) in floors.iter().enumerate() {
                for earlier in &floors[..at] {
                    let difference = later.floor - earlier.floor;
                    concordance += f64::from(i8::from(difference > 0.0) - i8::from(difference < 0.0));
                    sorted.push(difference / (later.number - earlier.number) as f64);
                }
            }
            variance += kendall_variance(floors.iter().map(|pane| pane.floor).collect());
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Slopes {
            sorted,
            concordance,
            deviation: variance.sqrt(),
        }
    }

    /// The floor at a pane by a line of this slope.
    fn floor_at(&self, pane: i64, slope: f64) -> Option<f64> {
        let mut floors: Vec<f64> = self
            .panes
            .iter()
            .map(|one| one.floor - slope * (one.number - pane) as f64)
            .collect();
        median(&mut floors)
    }

    /// How far floors stray from a line of this slope, beside what is usual at their hours.
    fn noise(&self, newest: i64, slope: f64) -> Option<f64> {
        let mut strays = Vec::new();
        for phase in 0..PANES_PER_DAY {
            let level = |pane: &Pane| pane.floor - slope * (pane.number - newest) as f64;
            let mut levels: Vec<f64> = self
                .panes
                .iter()
                .filter(|pane| pane.number.rem_euclid(PANES_PER_DAY) == phase)
                .map(level)
                .collect();
            if let Some(usual) = median(&mut levels) {
                strays.extend(levels.iter().map(|level| (level - usual).abs()));
            }
        }
        Some(DEVIATIONS * median(&mut strays)?)
    }

    /// When the limit is reached, with the range that the slopes leave.
    fn forecast_of(&self, slopes: &Slopes, line: Line, now_ms: i64) -> Forecast {
        let (lowest, highest) = slopes.range();
        let likely_ms = self.reaches_ms(line.slope, now_ms).unwrap_or(i64::MAX);
        let early_ms = self.reaches_ms(highest, now_ms).unwrap_or(likely_ms);
        let span_ms = self.panes_looked_at * PANE_MS;
        let late_ms = self.reaches_ms(lowest, now_ms).map(|ms| ms.max(likely_ms));
        Forecast {
            per_day: self.sign * line.slope * PANES_PER_DAY as f64,
            early_ms: early_ms.min(likely_ms),
            likely_ms,
            // Nobody knows what lies further ahead than was looked back.
            late_ms: late_ms.filter(|ms| *ms <= span_ms),
            span_ms,
        }
    }

    /// How long it takes until the peaks over a line of this slope come to the limit. `None` if they never do.
    fn reaches_ms(&self, slope: f64, now_ms: i64) -> Option<i64> {
        let newest = self.panes.back()?.number;
        let floor = self.floor_at(newest, slope)?;
        let middle_ms = newest * PANE_MS + PANE_MS / 2;
        let passed = (now_ms - middle_ms) as f64 / PANE_MS as f64;
        let missing = self.limit - floor - slope * passed - self.height(newest, floor, slope)?;
        if missing <= 0.0 {
            return Some(0);
        }
        let panes = missing / slope;
        (slope > 0.0 && panes < 1e9).then_some((panes * PANE_MS as f64) as i64)
    }

    /// How far above the line the highest reading of a day usually is: of most days, so that one that was odd does not count.
    fn height(&self, newest: i64, floor: f64, slope: f64) -> Option<f64> {
        let days = self.panes_looked_at / PANES_PER_DAY;
        let mut heights: Vec<f64> = (0..days)
            .filter_map(|day| {
                let last = newest - day * PANES_PER_DAY;
                let of_day = |pane: &&Pane| (last - PANES_PER_DAY + 1..=last).contains(&pane.number);
                let height = |pane: &Pane| pane.peak - floor - slope * (pane.number - newest) as f64;
                self.panes.iter().filter(of_day).map(height).reduce(f64::max)
            })
            .collect();
        median(&mut heights)
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u16(self.panes.len() as u16);
        for pane in &self.panes {
            state.i64(pane.number);
            state.f64(pane.floor);
            state.f64(pane.peak);
        }
        state.u8(u8::from(self.line.is_some()));
        if let Some(line) = self.line {
            state.f64(line.floor);
            state.f64(line.slope);
            state.f64(line.rise);
        }
        state.u8(self.panes_without_trend);
        state.u8(u8::from(self.has_fallen));
    }

    /// Restores what [`save`](Self::save) wrote. The forecast is not kept: it goes out with the verdict that it is for.
    pub(super) fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.panes.clear();
        for _ in 0..state.u16()? {
            self.panes.push_back(Pane {
                number: pane_number(state)?,
                floor: state.finite("floor")?,
                peak: state.finite("floor")?,
            });
        }
        let mut pairs = self.panes.iter().zip(self.panes.iter().skip(1));
        if !pairs.all(|(pane, later)| pane.number < later.number) {
            return Err(StateError::Impossible("order of panes"));
        }
        self.line = match state.u8()? {
            0 => None,
            _ => Some(Line {
                floor: state.finite("floor")?,
                slope: state.finite("floor")?,
                rise: state.finite("floor")?,
            }),
        };
        self.panes_without_trend = state.u8()?;
        self.has_fallen = state.u8()? != 0;
        Ok(())
    }
}

impl Slopes {
    /// The lowest and the highest slope that the true one may well be: Sen's interval, by the ranks of the slopes.
    fn range(&self) -> (f64, f64) {
        let count = self.sorted.len() as f64;
        let half = RANGE * self.deviation;
        let lowest = ((count - half) / 2.0).max(0.0) as usize;
        let highest = ((count + half) / 2.0).ceil() as usize;
        let at = |rank: usize| self.sorted.get(rank.min(self.sorted.len().saturating_sub(1)));
        let (lowest, highest) = (at(lowest), at(highest));
        (
            lowest.copied().unwrap_or_default(),
            highest.copied().unwrap_or_default(),
        )
    }
}

/// The variance of Kendall's concordance among so many values without a trend, of which some may be equal.
fn kendall_variance(mut values: Vec<f64>) -> f64 {
    let of = |count: usize| {
        let count = count as f64;
        count * (count - 1.0) * (2.0 * count + 5.0) / 18.0
    };
    values.sort_unstable_by(f64::total_cmp);
    let ties: f64 = values
        .chunk_by(|one, next| one == next)
        .map(|tie| of(tie.len()))
        .sum();
    of(values.len()) - ties
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(values)
}

fn median_of_sorted(values: &[f64]) -> Option<f64> {
    let upper = values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(*upper);
    }
    values
        .get(values.len() / 2 - 1)
        .map(|lower| lower.midpoint(*upper))
}

fn pane_number(state: &mut StateReader<'_>) -> Result<i64, StateError> {
    Some(state.i64()?)
        .filter(|number| number.abs() < i64::MAX / PANE_MS / 4)
        .ok_or(StateError::Impossible("time of a pane"))
}
