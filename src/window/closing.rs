//! When windows close: the watermark of a partition decides, and nothing else.

use super::{Settings, Windows};
use crate::decode::Stamp;

/// Windows that close once the watermark of their partition has reached their end. The watermark is the largest event
/// time in the partition so far, less the delay that readings are allowed. Times in milliseconds.
///
/// The aggregation and the detection share this decision and nothing more. The detection keeps a window's totals until
/// it closes, because it judges the average once. The aggregation keeps none: its pending totals are what the next
/// commit adds to the rows of the table, for open windows and for closed ones alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosingWindows {
    /// Their length and alignment.
    pub windows: Windows,
    /// How far the watermark trails the largest event time.
    pub allowed_delay_ms: i64,
    /// Which end of its interval the time of a reading is.
    pub stamp: Stamp,
}

impl ClosingWindows {
    /// The windows and the delay of the settings in `[window]`, for readings whose times are this end of their intervals.
    pub fn new(settings: &Settings, stamp: Stamp) -> Self {
        ClosingWindows {
            windows: Windows::new(settings),
            allowed_delay_ms: settings.watermark.as_millis() as i64,
            stamp,
        }
    }

    /// Start of the window that a reading of this time belongs to. A time that is the end of an interval is the last
    /// millisecond of it, so that windows reach up to their end.
    #[inline]
    pub(crate) fn start_for(&self, event_time_ms: i64) -> i64 {
        self.windows.start_of(self.within(event_time_ms))
    }

    /// Start of the window that holds an instant.
    pub(crate) fn start_of(&self, instant_ms: i64) -> i64 {
        self.windows.start_of(instant_ms)
    }

    #[inline]
    fn within(&self, event_time_ms: i64) -> i64 {
        match self.stamp {
            Stamp::Start => event_time_ms,
            Stamp::End => event_time_ms.saturating_sub(1),
        }
    }

    /// End of the window that starts at `start_ms`.
    pub(crate) fn end_of(&self, start_ms: i64) -> i64 {
        self.windows.end_of(start_ms)
    }

    /// The watermark of a partition in which `largest_event_time_ms` is the largest event time so far.
    pub fn watermark_ms(&self, largest_event_time_ms: i64) -> i64 {
        self.within(largest_event_time_ms)
            .saturating_sub(self.allowed_delay_ms)
    }

    /// I5, log-time lateness: a window is closed, and a reading that belongs to it late, when its end is at or before
    /// the watermark of the readings earlier in the same partition. The clock, the division into batches and other
    /// partitions decide nothing.
    #[inline]
    pub fn is_closed(&self, start_ms: i64, largest_event_time_ms: Option<i64>) -> bool {
        largest_event_time_ms.is_some_and(|largest| self.end_of(start_ms) <= self.watermark_ms(largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn late_is_the_windows_end_at_or_before_the_watermark() {
        let hourly = |allowed_delay_ms| ClosingWindows {
            windows: Windows {
                length_ms: HOUR_MS,
                offset_ms: 0,
            },
            allowed_delay_ms,
            stamp: Stamp::Start,
        };
        assert!(!hourly(0).is_closed(0, None));
        assert!(!hourly(HOUR_MS).is_closed(0, Some(2 * HOUR_MS - 1)));
        assert!(hourly(HOUR_MS).is_closed(0, Some(2 * HOUR_MS)));
    }

    #[test]
    fn the_end_of_an_interval_belongs_to_the_window_that_ends_with_it() {
        let ends = ClosingWindows {
            windows: Windows {
                length_ms: HOUR_MS,
                offset_ms: 0,
            },
            allowed_delay_ms: 0,
            stamp: Stamp::End,
        };
        assert_eq!(ends.start_for(HOUR_MS), 0);
        assert_eq!(ends.start_for(HOUR_MS + 1), HOUR_MS);
        // The first meter's reading of 02:00 must not make that of the second late.
        assert!(!ends.is_closed(HOUR_MS, Some(2 * HOUR_MS)));
        assert!(ends.is_closed(HOUR_MS, Some(2 * HOUR_MS + 1)));
    }
}
