//! How far values usually are from what was expected.

use super::super::{StateError, StateReader, StateWriter};
use super::pace::Rates;
use super::saved::{non_negative, save_all};

/// The scale is at least this part of the values' own spread: series that rest most of the time would shrink it to
/// nothing. More would hide spikes at the quiet hours of a load with a large daily swing.
const LEAST_SPREAD: f64 = 0.02;
/// What rounding errors may be, as a part of a value.
pub(super) const ROUNDING: f64 = 1e-12;
/// How many readings of an hour of the day the overall scale weighs, and how many the hour's own at most.
const OVERALL_WEIGHT: f64 = 30.0;
const MOST_HOUR_WEIGHT: f64 = 200.0;
const MOST_VISITS: u32 = 1_000_000;

/// Mean distances from the expectation, by hour of the day and overall.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    by_hour: [f64; 24],
    visits: [u32; 24],
    overall: f64,
    center: f64,
    center_distance: f64,
    spread: f64,
}

/// The scale of one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub size: f64,
    least: f64,
    hour: usize,
}

impl Scale {
    pub(super) fn new(first: f64) -> Self {
        Scale {
            by_hour: [0.0; 24],
            visits: [0; 24],
            overall: 0.0,
            center: first,
            center_distance: 0.0,
            spread: 0.0,
        }
    }

    pub(super) fn overall(&self) -> f64 {
        self.overall
    }

    pub(super) fn unit(&self, hour: usize, value: f64) -> Unit {
        // The last two keep rounding errors, and a series that is always 0, from a scale of nothing.
        let least = LEAST_SPREAD * self.spread + ROUNDING * value.abs() + f64::MIN_POSITIVE;
        let visits = f64::from(self.visits[hour]).min(MOST_HOUR_WEIGHT);
        let size = (visits * self.by_hour[hour] + OVERALL_WEIGHT * self.overall) / (visits + OVERALL_WEIGHT);
        Unit {
            size: size.max(least),
            least,
            hour,
        }
    }

    pub(super) fn learn_distance(
        &mut self,
        distance: f64,
        unit: &Unit,
        count: f64,
        open: bool,
        pace: &Rates,
    ) {
        let distance = if open {
            distance
        } else {
            distance.min(3.0 * unit.size)
        };
        self.overall += (1.0 / count).max(pace.scale_rate) * (distance - self.overall);
        let visits = &mut self.visits[unit.hour];
        let mean = &mut self.by_hour[unit.hour];
        *mean += (1.0 / (f64::from(*visits) + 1.0)).max(pace.hourly_scale_rate) * (distance - *mean);
        *visits = (*visits + 1).min(MOST_VISITS);
    }

    pub(super) fn learn_value(&mut self, value: f64, unit: &Unit, count: f64, open: bool, pace: &Rates) {
        let rate = (1.0 / count).max(pace.scale_rate);
        let difference = value - self.center;
        let limit = if open {
            f64::INFINITY
        } else {
            4.0 * self.center_distance
        };
        self.center += rate * difference.clamp(-limit, limit);
        // The least of the scale lets a series that has rested, whose distances are all 0, begin to widen.
        self.center_distance += rate * (difference.abs().min(limit.max(unit.least)) - self.center_distance);
        // Without a limit a single absurd value would raise the least scale for weeks.
        let most = if !open && self.spread > 0.0 {
            1000.0 * self.spread
        } else {
            f64::INFINITY
        };
        self.spread += rate * (difference.abs().min(most) - self.spread);
    }
}

impl Scale {
    pub(super) fn save(&self, state: &mut StateWriter) {
        save_all(&self.by_hour, state);
        self.visits.iter().for_each(|&visits| state.u32(visits));
        save_all(
            &[self.overall, self.center, self.center_distance, self.spread],
            state,
        );
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut scale = Scale::new(0.0);
        for mean in &mut scale.by_hour {
            *mean = non_negative(state, "mean distance")?;
        }
        for visits in &mut scale.visits {
            *visits = state.u32()?;
            if *visits > MOST_VISITS {
                return Err(StateError::Impossible("count of distances"));
            }
        }
        scale.overall = non_negative(state, "mean distance")?;
        scale.center = state.finite("center")?;
        scale.center_distance = non_negative(state, "mean distance")?;
        scale.spread = non_negative(state, "spread")?;
        Ok(scale)
    }
}
