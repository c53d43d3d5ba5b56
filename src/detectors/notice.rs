//! What a person should know of a series beside its anomalies: that it is not judged yet, or that it is hardly what it
//! is taken for.

use super::{StateError, StateReader, StateWriter};

/// What is worth saying of one series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Notice {
    /// The event time until which the detector learns before it judges, as far as can be said; `None` once it judges.
    pub learning_until_ms: Option<i64>,
    /// The share of readings that have the time of another one, if it is so large that several meters may be in one series.
    pub share_at_equal_times: Option<f64>,
    /// Whether the values look like the totals of a counter.
    pub is_like_counter: bool,
}

/// From this share of equal times on a series is suspect, and how many readings it takes to say so.
const SUSPECT_SHARE: f64 = 0.3;
const LEAST_READINGS: u32 = 60;
/// A counter rises with at least this share of the readings, and never falls.
const COUNTER_SHARE: f64 = 0.5;

/// Counts of what readings have in common with the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs {
    readings: u32,
    last: f64,
    /// Readings at the time of another, and whether the last one was.
    at_equal_times: u32,
    was_equal: bool,
    rises: u32,
    falls: u32,
}

impl Signs {
    /// Notes a reading and the time since the newest one.
    pub(super) fn note(&mut self, value: f64, gap_ms: i64) {
        if self.readings > 0 {
            let is_equal = gap_ms == 0;
            if is_equal {
                self.at_equal_times += if self.was_equal { 1 } else { 2 };
            }
            self.was_equal = is_equal;
            self.rises += u32::from(value > self.last);
            self.falls += u32::from(value < self.last);
        }
        self.last = value;
        self.readings += 1;
        if self.readings >= MOST_READINGS {
            // What was long ago counts half, so that a series which is put in order is no longer suspect.
            for count in [
                &mut self.readings,
                &mut self.at_equal_times,
                &mut self.rises,
                &mut self.falls,
            ] {
                *count /= 2;
            }
        }
    }

    pub(super) fn notice(&self, learning_until_ms: Option<i64>) -> Notice {
        let share = |count: u32| f64::from(count) / f64::from(self.readings.max(1));
        let is_enough = self.readings >= LEAST_READINGS;
        let share_at_equal_times = share(self.at_equal_times).min(1.0);
        Notice {
            learning_until_ms,
            share_at_equal_times: Some(share_at_equal_times)
                .filter(|share| is_enough && *share > SUSPECT_SHARE),
            is_like_counter: is_enough && self.falls == 0 && share(self.rises) >= COUNTER_SHARE,
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.f64(self.last);
        state.u8(u8::from(self.was_equal));
        for count in [self.readings, self.at_equal_times, self.rises, self.falls] {
            state.u32(count);
        }
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let signs = Signs {
            last: state.f64()?,
            was_equal: state.u8()? != 0,
            readings: state.u32()?,
            at_equal_times: state.u32()?,
            rises: state.u32()?,
            falls: state.u32()?,
        };
        if !signs.last.is_finite() || signs.readings >= MOST_READINGS {
            return Err(StateError::Impossible("count of readings"));
        }
        Ok(signs)
    }
}

/// Readings that are counted.
const MOST_READINGS: u32 = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(readings: impl Iterator<Item = (f64, i64)>) -> Notice {
        let mut signs = Signs::default();
        readings.for_each(|(value, gap_ms)| signs.note(value, gap_ms));
        signs.notice(None)
    }

    #[test]
    fn several_meters_in_one_series_are_noticed_and_single_repetitions_are_not() {
        let three = notice((0..300).map(|index| ((index % 7) as f64, if index % 3 == 0 { 1 } else { 0 })));
        assert_eq!(three.share_at_equal_times, Some(1.0));
        let one = notice((0..300).map(|index| ((index % 7) as f64, if index % 50 == 1 { 0 } else { 1 })));
        assert_eq!(one, Notice::default());
    }

    #[test]
    fn a_counter_is_noticed_until_it_falls() {
        let counter = |index: i32| ((index / 2 * 3) as f64 + f64::from(index % 2), 1);
        assert!(notice((0..200).map(counter)).is_like_counter);
        assert!(!notice((0..200).map(counter).chain([(0.0, 1)])).is_like_counter);
        assert!(!notice((0..200).map(|index| (f64::from(index / 9), 1))).is_like_counter);
    }
}
