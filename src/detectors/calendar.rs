//! The wall clock of a zone, and the time of the week on it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::{DAY_MS, Holidays};

/// The wall clock of one zone. It caches the offset of one quarter of an hour, because no zone has ever changed its clocks
/// within one.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: Tz,
    quarter: i64,
    offset_ms: i64,
    holidays: Arc<Holidays>,
    /// The newest day that was asked for, and how far ahead the Sunday is that it is like.
    day: i64,
    to_sunday_ms: i64,
}

const QUARTER_MS: i64 = 900_000;
const MINUTE_MS: i64 = 60_000;

impl Calendar {
    /// The wall clock of a zone.
    pub fn new(zone: Tz) -> Self {
        Calendar {
            zone,
            quarter: i64::MIN,
            offset_ms: 0,
            holidays: Arc::default(),
            day: i64::MIN,
            to_sunday_ms: 0,
        }
    }

    /// The same with days that are like Sundays.
    #[must_use]
    pub(crate) fn with_holidays(self, holidays: Holidays) -> Self {
        Calendar {
            holidays: Arc::new(holidays),
            ..self
        }
    }

    /// The wall time whose profile counts at a wall time: the same, but on a holiday that of the Sunday of its week.
    #[inline]
    pub(crate) fn profile_time_ms(&mut self, local_time_ms: i64) -> i64 {
        let day = local_time_ms.div_euclid(DAY_MS);
        if day != self.day {
            self.day = day;
            let is_holiday = !self.holidays.is_empty() && self.holidays.contains(day);
            let days_to_sunday = 6 - weekday_of(day);
            self.to_sunday_ms = if is_holiday { days_to_sunday * DAY_MS } else { 0 };
        }
        local_time_ms.saturating_add(self.to_sunday_ms)
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

/// The day of the week of a day counted from 1970-01-01, from 0, Monday, to 6.
pub(super) fn weekday_of(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7)
}

impl Slot {
    /// The slot of `width_ms`, which divides a day, that a wall time lies in.
    pub fn of(local_time_ms: i64, width_ms: i64) -> Self {
        let days = local_time_ms.div_euclid(DAY_MS);
        let in_day_ms = local_time_ms.rem_euclid(DAY_MS);
        let start_ms = in_day_ms - in_day_ms % width_ms;
        Slot {
            weekday: weekday_of(days) as u8,
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
    fn on_a_holiday_the_profile_is_that_of_the_sunday_of_its_week() {
        let mut holidays = Holidays::default();
        assert!(holidays.add_entry("DE"));
        let mut berlin = Calendar::new(chrono_tz::Europe::Berlin).with_holidays(holidays);
        for (utc, slot) in [
            ("2024-04-30T21:59:59Z", "Tue 23:59"),
            // The first of May, a Wednesday.
            ("2024-04-30T22:00:00Z", "Sun 00:00"),
            ("2024-05-01T21:59:59Z", "Sun 23:59"),
            ("2024-05-01T22:00:00Z", "Thu 00:00"),
            ("2024-05-05T10:00:00Z", "Sun 12:00"),
        ] {
            let local = berlin.local_time_ms(ms(utc));
            let profile = berlin.profile_time_ms(local);
            assert_eq!(Slot::of(profile, 60_000).to_string(), slot, "{utc}");
            assert_eq!((profile - local) % DAY_MS, 0, "{utc}");
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
