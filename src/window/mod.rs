//! Tumbling windows: which one a reading belongs to, when it is late, and what a window adds up to.

mod exact_sum;
mod totals;

pub use exact_sum::ExactSum;
pub use totals::{Row, Totals, merge_sorted};

use crate::config::WindowConfig;

/// Tumbling windows of one length, aligned to 1970-01-01T00:00:00Z plus an offset. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub length_ms: i64,
    pub offset_ms: i64,
}

impl Windows {
    /// The windows of the settings in `[window]`.
    pub fn new(settings: &WindowConfig) -> Self {
        Windows {
            length_ms: settings.length.as_millis() as i64,
            offset_ms: settings.offset.as_millis() as i64,
        }
    }

    /// Start of the window that holds `event_time_ms`; windows hold their start and not their end.
    pub fn start_of(&self, event_time_ms: i64) -> i64 {
        // rem_euclid, not %: a time before 1970 belongs to the window that began before it.
        event_time_ms - (event_time_ms - self.offset_ms).rem_euclid(self.length_ms)
    }

    /// End of the window that starts at `start_ms`.
    pub fn end_of(&self, start_ms: i64) -> i64 {
        start_ms + self.length_ms
    }

    /// I5, log-time lateness: a reading is late when its window's end is at or before the largest event time
    /// earlier in its own partition, less the allowed delay. Nothing else decides: not the clock, not batches,
    /// not other partitions.
    pub fn is_late(&self, start_ms: i64, largest_event_time_ms: Option<i64>, allowed_delay_ms: i64) -> bool {
        largest_event_time_ms.is_some_and(|largest| self.end_of(start_ms) <= largest - allowed_delay_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn windows_are_aligned_to_the_epoch_plus_the_offset() {
        let hourly = Windows {
            length_ms: HOUR_MS,
            offset_ms: 0,
        };
        for (event_time_ms, start_ms) in [
            (0, 0),
            (HOUR_MS - 1, 0),
            (HOUR_MS, HOUR_MS),
            (-1, -HOUR_MS),
            (-HOUR_MS, -HOUR_MS),
        ] {
            assert_eq!(hourly.start_of(event_time_ms), start_ms, "{event_time_ms}");
        }
        let shifted = Windows {
            length_ms: HOUR_MS,
            offset_ms: 15 * 60_000,
        };
        assert_eq!(shifted.start_of(0), 15 * 60_000 - HOUR_MS);
        assert_eq!(shifted.start_of(15 * 60_000), 15 * 60_000);
    }

    #[test]
    fn late_is_the_windows_end_at_or_before_the_watermark() {
        let hourly = Windows {
            length_ms: HOUR_MS,
            offset_ms: 0,
        };
        assert!(!hourly.is_late(0, None, 0));
        assert!(!hourly.is_late(0, Some(2 * HOUR_MS - 1), HOUR_MS));
        assert!(hourly.is_late(0, Some(2 * HOUR_MS), HOUR_MS));
    }
}
