//! Tumbling windows: which one a reading belongs to, when it closes, and what it adds up to.

mod closing;
mod exact_sum;
mod settings;
mod totals;

pub use closing::ClosingWindows;
pub use exact_sum::ExactSum;
pub use settings::{LatePolicy, Settings};
pub use totals::{Row, Totals, merge_sorted};

/// Tumbling windows of one length, aligned to 1970-01-01T00:00:00Z plus an offset. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// At least 1 second and at most 1 day.
    pub length_ms: i64,
    /// Shifts every start; less than the length.
    pub offset_ms: i64,
}

impl Windows {
    /// The windows of the settings in `[window]`.
    pub fn new(settings: &Settings) -> Self {
        Windows {
            length_ms: settings.length.as_millis() as i64,
            offset_ms: settings.offset.as_millis() as i64,
        }
    }

    /// Start of the window that holds `event_time_ms`; windows hold their start and not their end.
    #[inline]
    pub(crate) fn start_of(&self, event_time_ms: i64) -> i64 {
        // rem_euclid, not %: a time before 1970 belongs to the window that began before it.
        let into_ms = event_time_ms
            .saturating_sub(self.offset_ms)
            .rem_euclid(self.length_ms);
        event_time_ms.saturating_sub(into_ms)
    }

    /// End of the window that starts at `start_ms`.
    #[inline]
    pub(crate) fn end_of(&self, start_ms: i64) -> i64 {
        start_ms.saturating_add(self.length_ms)
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
}
