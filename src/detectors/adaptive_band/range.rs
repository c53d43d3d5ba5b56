//! The view of new extremes.

use super::super::{StateError, StateReader, StateWriter};
use super::saved::{restore_all, save_all};
use super::scale::ROUNDING;

/// Steps after which a new extreme is no rarer.
const MOST_STEPS: u32 = 1000;

/// The range of the values so far.
#[derive(Debug, Clone)]
pub(super) struct Range {
    /// Of the values, as a spike may widen it.
    lowest: f64,
    highest: f64,
    /// Of the values as they were.
    lowest_seen: f64,
    highest_seen: f64,
    /// Steps in which the value changed: as many chances of a new extreme.
    steps: u32,
    last: f64,
    changed: bool,
}

impl Range {
    pub(super) fn new(first: f64) -> Self {
        Range {
            lowest: first,
            highest: first,
            lowest_seen: first,
            highest_seen: first,
            steps: 0,
            last: first,
            changed: false,
        }
    }

    /// Never nothing, but for a range of a single value at 0.
    fn width(&self) -> f64 {
        let rounding = ROUNDING * self.highest.abs().max(self.lowest.abs());
        (self.highest - self.lowest).max(rounding).max(f64::MIN_POSITIVE)
    }

    pub(super) fn step(&mut self) {
        if self.changed {
            self.steps = self.steps.saturating_add(1);
        }
        self.changed = false;
    }

    pub(super) fn evidence(&self, value: f64) -> f64 {
        let outside = (value - self.highest).max(self.lowest - value);
        if outside <= 0.0 {
            return 0.0;
        }
        // One of n values in random order is the highest or the lowest so far with probability 2/n.
        let record = libm::log10((f64::from(self.steps.min(MOST_STEPS)) / 2.0).max(1.0));
        // The further out compared with the range so far, the less it is just the next record.
        let far = (outside / self.width()).min(FARTHEST);
        record + 2.0 * libm::log10(1.0 + 20.0 * far)
    }

    /// The part of a band that lies within the range.
    pub(super) fn within(&self, (lower, upper): (f64, f64)) -> (f64, f64) {
        (lower.max(self.lowest), upper.min(self.highest))
    }

    /// The extreme value of all before on the side of this one, if this one is beyond it.
    pub(super) fn record_before(&self, value: f64) -> Option<f64> {
        if value > self.highest_seen {
            Some(self.highest_seen)
        } else if value < self.lowest_seen {
            Some(self.lowest_seen)
        } else {
            None
        }
    }

    /// Brings a number to the side of 0 that all values were on.
    pub(super) fn on_its_side(&self, number: f64) -> f64 {
        if self.lowest_seen >= 0.0 {
            number.max(0.0)
        } else if self.highest_seen <= 0.0 {
            number.min(0.0)
        } else {
            number
        }
    }

    pub(super) fn learn(&mut self, value: f64, open: bool) {
        self.changed |= value != self.last;
        self.last = value;
        self.lowest_seen = self.lowest_seen.min(value);
        self.highest_seen = self.highest_seen.max(value);
        // At most doubled by one value: a spike must not make all later ones look small. Twice nothing would be nothing, so
        // the first other value of a series that was constant counts whole.
        let most = if open || self.highest <= self.lowest {
            f64::INFINITY
        } else {
            self.width()
        };
        if value > self.highest {
            self.highest += (value - self.highest).min(most);
        }
        if value < self.lowest {
            self.lowest -= (self.lowest - value).min(most);
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        save_all(
            &[self.lowest, self.highest, self.lowest_seen, self.highest_seen],
            state,
        );
        state.u32(self.steps);
        state.f64(self.last);
        state.u8(u8::from(self.changed));
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut extremes = [0.0; 4];
        restore_all(&mut extremes, state, "range")?;
        let [lowest, highest, lowest_seen, highest_seen] = extremes;
        if lowest > highest || lowest_seen > highest_seen {
            return Err(StateError::Impossible("range"));
        }
        Ok(Range {
            lowest,
            highest,
            lowest_seen,
            highest_seen,
            steps: state.u32()?,
            last: state.finite("last value")?,
            changed: state.u8()? != 0,
        })
    }
}

/// More widths beyond the range say no more.
const FARTHEST: f64 = 1e12;
