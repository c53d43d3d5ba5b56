//! What value is expected next.

use super::super::{StateError, StateReader, StateWriter};
use super::pace::Rates;
use super::saved::{non_negative, restore_all, save_all};
use super::season::Usual;

/// Ways to expect: nothing but the recent past; the day's profile; the week's; both; both, scaled to the level.
const BASES: usize = 5;
const SLOW: usize = 2;

/// Several expectations, mixed by how well each has done.
#[derive(Debug, Clone)]
pub(super) struct Expectation {
    offsets: [[f64; 3]; BASES],
    errors: [[f64; 3]; BASES],
    level: f64,
    usual_level: f64,
}

/// The expectations of one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub value: f64,
    /// That of the slow ways that has done best.
    pub slow: f64,
    all: [[f64; 3]; BASES],
    usual: f64,
}

impl Expectation {
    pub(super) fn new(first: f64) -> Self {
        let mut offsets = [[0.0; 3]; BASES];
        offsets[0] = [first; 3];
        Expectation {
            offsets,
            errors: [[0.0; 3]; BASES],
            level: 0.0,
            usual_level: 0.0,
        }
    }

    /// How much better a profile expects than the recent past alone: the mean error of the one over that of the other.
    pub(super) fn profile_error_ratio(&self) -> f64 {
        let slow = |errors: &[f64; 3]| errors[SLOW];
        let best = self.errors[1..].iter().map(slow).fold(f64::INFINITY, f64::min);
        best / slow(&self.errors[0]).max(f64::MIN_POSITIVE)
    }

    /// What is expected without a profile.
    pub(super) fn recent(&self) -> f64 {
        self.offsets[0][1]
    }

    pub(super) fn expect(&self, usual: Usual) -> Expected {
        let both = 0.5 * (usual.day + usual.week);
        let gain = if self.level > 0.0 && self.usual_level > 0.0 {
            (self.level / self.usual_level).clamp(0.25, 4.0)
        } else {
            1.0
        };
        let bases = [0.0, usual.day, usual.week, both, both * gain];
        let best = self
            .errors
            .as_flattened()
            .iter()
            .fold(f64::INFINITY, |least, &error| least.min(error))
            .max(f64::MIN_POSITIVE);
        let mut all = self.offsets;
        let (mut weights, mut sum) = (0.0, 0.0);
        for (base, (values, errors)) in bases.iter().zip(all.iter_mut().zip(&self.errors)) {
            for (value, error) in values.iter_mut().zip(errors) {
                *value += base;
                // The inverse eighth power of the mean error: nearly the best way alone, but without a jump when
                // another becomes the best.
                let ratio = best / error.max(f64::MIN_POSITIVE);
                let square = ratio * ratio;
                let weight = square * square * square * square;
                weights += weight;
                sum += weight * *value;
            }
        }
        let mut slow = 0;
        for base in 1..BASES {
            if self.errors[base][SLOW] < self.errors[slow][SLOW] {
                slow = base;
            }
        }
        Expected {
            value: sum / weights,
            slow: all[slow][SLOW],
            all,
            usual: both,
        }
    }

    /// Learns how the value differed from all expectations of it; `count` readings have been seen with it.
    pub(super) fn learn(
        &mut self,
        value: f64,
        expected: &Expected,
        limit: f64,
        held: bool,
        count: f64,
        pace: &Rates,
    ) {
        // 1/count makes a plain mean of the first readings, whatever the memory will be.
        let rate = (1.0 / count).max(pace.level_rate);
        self.level += rate * (value - self.level);
        self.usual_level += rate * (expected.usual - self.usual_level);
        let error_rate = (1.0 / count).max(pace.error_rate);
        for base in 0..BASES {
            for (speed, follow) in pace.speeds.into_iter().enumerate() {
                let difference = value - expected.all[base][speed];
                let error = &mut self.errors[base][speed];
                // Limited, because one anomaly says nothing about which way expects best.
                *error += error_rate * (difference.abs().min(limit) - *error);
                if !(held && speed == SLOW) {
                    let rate = follow.max(1.0 / count);
                    self.offsets[base][speed] += rate * difference.clamp(-limit, limit);
                }
            }
        }
    }
}

impl Expectation {
    pub(super) fn save(&self, state: &mut StateWriter) {
        save_all(self.offsets.as_flattened(), state);
        save_all(self.errors.as_flattened(), state);
        save_all(&[self.level, self.usual_level], state);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut expectation = Expectation::new(0.0);
        restore_all(expectation.offsets.as_flattened_mut(), state, "expectation")?;
        for error in expectation.errors.as_flattened_mut() {
            *error = non_negative(state, "mean error")?;
        }
        expectation.level = state.finite("level")?;
        expectation.usual_level = state.finite("level")?;
        Ok(expectation)
    }
}
