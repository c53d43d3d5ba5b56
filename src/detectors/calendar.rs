//! The wall clock of a zone, and the time of the week on it.

use std::fmt;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// The wall clock of one zone. It caches the offset of one quarter of an hour, because no zone has ever changed its clocks
/// within one.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: Tz,
    quarter: i64,
    offset_ms: i64,
}

const QUARTER_MS: i64 = 900_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

impl Calendar {
    /// The wall clock of a zone.
    pub fn new(zone: Tz) -> Self {
        Calendar {
            zone,
            quarter: i64::MIN,
            offset_ms: 0,
        }
    }

    /// A time in milliseconds since 1970-01-01T00:00:00Z as wall time, in milliseconds since the zone's own
    /// 1970-01-01T00:00:00.
    #[inline]
    pub fn local_time_ms(&mut self, event_time_ms: i64) -> i64 {
        let quarter = event_time_ms.div_euclid(QUARTER_MS);
        if quarter != self.quarter {
            self.quarter = quarter;
            self.offset_ms = self.offset_ms_at(event_time_ms);
        }
        event_time_ms.saturating_add(self.offset_ms)
    }

    /// How far the wall clock is ahead of UTC, in milliseconds.
    pub(crate) fn offset_ms_at(&self, event_time_ms: i64) -> i64 {
        let utc = DateTime::from_timestamp_millis(event_time_ms).unwrap_or_default();
        let offset = self.zone.offset_from_utc_datetime(&utc.naive_utc());
        i64::from(offset.fix().local_minus_utc()) * 1000
    }
}

/// A minute of the week on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// From 0, Monday, to 6.
    pub weekday: u8,
    /// From 0 to 1439.
    pub minute_of_day: u16,
}

impl Slot {
    /// The slot of `width_ms`, which divides a day, that a wall time lies in.
    pub fn of(local_time_ms: i64, width_ms: i64) -> Self {
        let days = local_time_ms.div_euclid(DAY_MS);
        let in_day_ms = local_time_ms.rem_euclid(DAY_MS);
        let start_ms = in_day_ms - in_day_ms % width_ms;
        Slot {
            // 1970-01-01 was a Thursday.
            weekday: (days + 3).rem_euclid(7) as u8,
            minute_of_day: (start_ms / MINUTE_MS) as u16,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let day = DAYS.get(usize::from(self.weekday)).unwrap_or(&"?");
        let (hour, minute) = (self.minute_of_day / 60, self.minute_of_day % 60);
        write!(formatter, "{day} {hour:02}:{minute:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn slots_are_of_the_wall_clock_through_a_change_of_clocks() {
        let mut boston = Calendar::new(chrono_tz::America::New_York);
        for (utc, slot) in [
            ("2024-03-05T05:00:00Z", "Tue 00:00"),
            ("2024-03-05T13:10:59Z", "Tue 08:10"),
            // The clocks went forward on 2024-03-10.
            ("2024-03-12T12:10:00Z", "Tue 08:10"),
            ("2024-03-11T03:59:59Z", "Sun 23:59"),
            ("1969-12-31T04:00:00Z", "Tue 23:00"),
        ] {
            let local = boston.local_time_ms(ms(utc));
            assert_eq!(Slot::of(local, 60_000).to_string(), slot, "{utc}");
        }
    }

    #[test]
    fn a_wider_slot_is_named_by_its_start() {
        assert_eq!(
            Slot::of(ms("2024-03-05T08:14:59Z"), 900_000).to_string(),
            "Tue 08:00"
        );
    }
}
