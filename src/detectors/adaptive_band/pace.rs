//! How fast readings come, and what that means for memories.

use std::sync::LazyLock;

use super::super::interval::{Interval, Rhythm};
use super::super::{StateError, StateReader, StateWriter};
use super::decision::{LIMIT, POINT_LIMIT};
use super::season::width_for;

const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 60.0 * MINUTE_MS;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// The interval that is assumed until it is known.
const ASSUMED_INTERVAL_MS: i64 = 300_000;
const USUAL_STEPS_PER_WEEK: f64 = 2016.0;
/// Readings before the first verdict: those of two weeks, but no fewer than the least and no more than the most. Of a
/// reading a day, two weeks would be too few to know anything, and 150 as long as half a year.
const WARM_UP_MS: f64 = 14.0 * DAY_MS;
const WARM_UP_READINGS: (f64, f64) = (28.0, 150.0);

/// The interval of a series and what follows from it. Memories are times, but not of fewer readings than average the
/// noise; a rate is one over a memory in readings.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    interval: Interval,
    rates: Rates,
}

/// What follows from a rhythm.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    /// Of readings.
    pub interval_ms: i64,
    /// Length of a step and of a slot of the day: at least five minutes and at least the gap.
    pub width_ms: i64,
    /// How fast offsets follow the recent past: the last value, something between, and four hours.
    pub speeds: [f64; 3],
    /// Two days: how the ways to expect have done.
    pub error_rate: f64,
    /// Half a day: the level that the profile is scaled to.
    pub level_rate: f64,
    /// A week: how far values are from what was expected.
    pub scale_rate: f64,
    /// The readings of one hour of the day in 17 days.
    pub hourly_scale_rate: f64,
    /// Steps in the window of the hour view.
    pub window: usize,
    /// Readings before the first verdict, beside a little more than a day.
    pub warm_up: u64,
    /// What the evidence of one view counts: the fewer steps in a week, the less is needed for as few alarms a week.
    pub weight: f64,
    /// The probability of a step outside of the band, on either side.
    pub band_probability: f64,
    /// What a run of readings needs more, the more readings there are in a step.
    pub stuck_penalty: f64,
    /// Length of a step over that of a usual one.
    pub slowness: f64,
}

impl Rates {
    fn of(rhythm: Rhythm) -> Self {
        let interval_ms = rhythm.interval_ms;
        let width_ms = width_for(rhythm.gap_ms);
        let rate = |memory_ms: f64, least: f64| 1.0 / (memory_ms / interval_ms as f64).max(least);
        let slow = rate(250.0 * MINUTE_MS, 50.0);
        let steps_per_week = 7.0 * DAY_MS / width_ms as f64;
        let weight = LIMIT / (LIMIT - libm::log10(USUAL_STEPS_PER_WEEK) + libm::log10(steps_per_week));
        Rates {
            interval_ms,
            width_ms,
            speeds: [0.5, (0.5 * slow).sqrt(), slow],
            error_rate: rate(50.0 * HOUR_MS, 150.0),
            level_rate: rate(12.0 * HOUR_MS, 24.0),
            scale_rate: rate(7.0 * DAY_MS, 500.0),
            hourly_scale_rate: rate(17.0 * HOUR_MS, 60.0),
            window: ((HOUR_MS / width_ms as f64) as usize).max(6),
            warm_up: (WARM_UP_MS / rhythm.gap_ms as f64).clamp(WARM_UP_READINGS.0, WARM_UP_READINGS.1) as u64,
            weight,
            band_probability: libm::pow(10.0, -POINT_LIMIT / weight) / 2.0,
            stuck_penalty: libm::log10((width_ms as f64 / interval_ms as f64).max(1.0)),
            slowness: width_ms as f64 / ASSUMED_INTERVAL_MS as f64,
        }
    }

    /// Those of the interval that is assumed until it is known.
    fn assumed() -> Self {
        static ASSUMED: LazyLock<Rates> = LazyLock::new(|| {
            Rates::of(Rhythm {
                gap_ms: ASSUMED_INTERVAL_MS,
                interval_ms: ASSUMED_INTERVAL_MS,
            })
        });
        ASSUMED.clone()
    }

    /// How many readings a step has.
    pub(super) fn readings_per_step(&self) -> f64 {
        self.width_ms as f64 / self.interval_ms as f64
    }

    /// How long the window of the hour view is.
    pub(super) fn window_ms(&self) -> i64 {
        self.window as i64 * self.width_ms
    }
}

impl std::ops::Deref for Pace {
    type Target = Rates;

    fn deref(&self) -> &Rates {
        &self.rates
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace {
            interval: Interval::default(),
            rates: Rates::assumed(),
        }
    }

    /// Notes the time since the newest reading; whether the interval has become known by that, or another one.
    pub(super) fn note(&mut self, gap_ms: i64) -> bool {
        let Some(rhythm) = self.interval.note(gap_ms) else {
            return false;
        };
        self.rates = Rates::of(rhythm);
        true
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.interval.save(state);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let interval = Interval::restore(state)?;
        Ok(Pace {
            rates: interval.rhythm().map_or_else(Rates::assumed, Rates::of),
            interval,
        })
    }
}
