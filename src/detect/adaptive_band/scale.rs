//! How far values usually are from what was expected.

use super::super::{StateError, StateReader, StateWriter};
use super::pace::Pace;
use super::saved::{finite, save_all, size};

/// The scale is at least this part of the values' own spread: series that rest most of the time would shrink it to
/// nothing. More would hide spikes at the quiet hours of a load with a large daily swing.
const LEAST_SPREAD: f64 = 0.02;
/// How many readings of an hour of the day the overall scale weighs, and how many the hour's own at most.
const OVERALL_WEIGHT: f64 = 30.0;
const MOST_HOUR_WEIGHT: f64 = 200.0;
const MOST_VISITS: u32 = 1_000_000;

/// Mean distances from the expectation, by hour of the day and overall.
#[derive(Debug, Clone)]
pub struct Scale {
    by_hour: [f64; 24],
    visits: [u32; 24],
    overall: f64,
    centre: f64,
    centre_distance: f64,
    spread: f64,
}

/// The scale of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    pub size: f64,
    least: f64,
    hour: usize,
}

impl Scale {
    pub fn new(first: f64) -> Self {
        Scale {
            by_hour: [0.0; 24],
            visits: [0; 24],
            overall: 0.0,
            centre: first,
            centre_distance: 0.0,
            spread: 0.0,
        }
    }

    pub fn overall(&self) -> f64 {
        self.overall
    }

    pub fn unit(&self, hour: usize, value: f64) -> Unit {
        let least = LEAST_SPREAD * self.spread + 1e-9 * value.abs() + 1e-12;
        let visits = f64::from(self.visits[hour]).min(MOST_HOUR_WEIGHT);
        let size = (visits * self.by_hour[hour] + OVERALL_WEIGHT * self.overall) / (visits + OVERALL_WEIGHT);
        Unit {
            size: size.max(least),
            least,
            hour,
        }
    }

    pub fn learn_distance(&mut self, distance: f64, unit: &Unit, count: f64, open: bool, pace: &Pace) {
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

    pub fn learn_value(&mut self, value: f64, unit: &Unit, count: f64, open: bool, pace: &Pace) {
        let rate = (1.0 / count).max(pace.scale_rate);
        let difference = value - self.centre;
        let limit = if open {
            f64::INFINITY
        } else {
            4.0 * self.centre_distance
        };
        self.centre += rate * difference.clamp(-limit, limit);
        self.centre_distance += rate * (difference.abs().min(limit.max(unit.least)) - self.centre_distance);
        let most = if !open && self.spread > 0.0 {
            1000.0 * self.spread
        } else {
            f64::INFINITY
        };
        self.spread += rate * (difference.abs().min(most) - self.spread);
    }
}

impl Scale {
    pub fn save(&self, state: &mut StateWriter) {
        save_all(&self.by_hour, state);
        self.visits.iter().for_each(|&visits| state.u32(visits));
        save_all(
            &[self.overall, self.centre, self.centre_distance, self.spread],
            state,
        );
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut scale = Scale::new(0.0);
        for mean in &mut scale.by_hour {
            *mean = size(state, "mean distance")?;
        }
        for visits in &mut scale.visits {
            *visits = state.u32()?;
            if *visits > MOST_VISITS {
                return Err(StateError::Impossible("count of distances"));
            }
        }
        scale.overall = size(state, "mean distance")?;
        scale.centre = finite(state, "centre")?;
        scale.centre_distance = size(state, "mean distance")?;
        scale.spread = size(state, "spread")?;
        Ok(scale)
    }
}
