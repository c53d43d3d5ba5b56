//! The present of a series: the largest time of its readings, unless that was a mistake.

use super::super::{DAY_MS, StateError, StateReader, StateWriter};
use super::saved::time;

/// A step ahead is a leap from this many gaps on, and not below a day.
const LEAP_GAPS: i64 = 100;
/// Readings in a row behind a leap that prove it wrong.
const BEHIND: u8 = 3;

/// The newest time. A reading that claims to be of a far future would stop the clock of the series until then, so the
/// readings behind it decide: three in a row between the time before a leap and the time after it take the leap back. They may
/// as well be what a device sends in arrears after an outage, and are then judged as if they were new.
#[derive(Debug, Clone)]
pub(super) struct Present {
    now_ms: i64,
    before_leap_ms: i64,
    /// The newest of the readings in a row behind the leap, and how many they are.
    behind_ms: i64,
    behind: u8,
}

impl Present {
    /// At the first reading, which may be the one from the future.
    pub(super) fn new(first_ms: i64) -> Self {
        Present {
            now_ms: first_ms,
            before_leap_ms: i64::MIN,
            behind_ms: i64::MIN,
            behind: 0,
        }
    }

    #[inline]
    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Comes to the time of a reading. Returns whether a leap was taken back. A reading out of order takes nothing back.
    #[inline]
    pub(super) fn come_to(&mut self, time_ms: i64, gap_ms: i64) -> bool {
        let ahead_ms = time_ms.saturating_sub(self.now_ms);
        if ahead_ms >= 0 {
            if ahead_ms > DAY_MS.max(LEAP_GAPS.saturating_mul(gap_ms)) {
                self.before_leap_ms = self.now_ms;
            }
            self.now_ms = time_ms;
            (self.behind, self.behind_ms) = (0, i64::MIN);
            return false;
        }
        let is_far = ahead_ms < -DAY_MS.max(LEAP_GAPS.saturating_mul(gap_ms));
        if !is_far || time_ms <= self.before_leap_ms {
            return false;
        }
        self.behind += 1;
        self.behind_ms = self.behind_ms.max(time_ms);
        if self.behind < BEHIND {
            return false;
        }
        *self = Present::new(self.behind_ms);
        self.before_leap_ms = self.now_ms;
        true
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        for time_ms in [self.now_ms, self.before_leap_ms, self.behind_ms] {
            state.i64(time_ms);
        }
        state.u8(self.behind);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Present {
            now_ms: time(state)?,
            before_leap_ms: state.i64()?,
            behind_ms: state.i64()?,
            behind: match state.u8()? {
                behind if behind < BEHIND => behind,
                _ => return Err(StateError::Impossible("count of readings")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP_MS: i64 = 300_000;

    #[test]
    fn three_readings_behind_a_leap_take_it_back() {
        let mut present = Present::new(0);
        present.come_to(GAP_MS, GAP_MS);
        present.come_to(3_650 * DAY_MS, GAP_MS);
        for index in 2..4 {
            assert!(!present.come_to(index * GAP_MS, GAP_MS));
            assert_eq!(present.now_ms(), 3_650 * DAY_MS);
        }
        assert!(present.come_to(4 * GAP_MS, GAP_MS));
        assert_eq!(present.now_ms(), 4 * GAP_MS);
    }

    #[test]
    fn the_first_reading_may_be_the_one_from_the_future() {
        let mut present = Present::new(3_650 * DAY_MS);
        for index in 0..3 {
            present.come_to(index * GAP_MS, GAP_MS);
        }
        assert_eq!(present.now_ms(), 2 * GAP_MS);
    }

    #[test]
    fn readings_out_of_order_take_nothing_back() {
        let mut present = Present::new(0);
        for index in [1, 9, 2, 3, 4, 5, 6, 7, 8] {
            assert!(!present.come_to(index * GAP_MS, GAP_MS));
        }
        assert_eq!(present.now_ms(), 9 * GAP_MS);
        // After an outage, some of the readings before it come late.
        present.come_to(40 * DAY_MS, GAP_MS);
        for index in [3, 4, 5, 6] {
            assert!(!present.come_to(index * GAP_MS, GAP_MS));
        }
        assert_eq!(present.now_ms(), 40 * DAY_MS);
    }
}
