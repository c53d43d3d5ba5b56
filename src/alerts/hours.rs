//! Hours of the week, as people write them: `22:00-07:00`, `08:00-18:00 Mon-Fri; Sat`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Spans of the week on a wall clock; none if the text is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    text: String,
    spans: Vec<Span>,
}

/// From a minute of a day to another one, of the next day if that is not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
    /// By the day that it begins on, from Monday.
    days: [bool; 7],
}

/// A text that is no hours of the week.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot parse {text:?} as hours; expected such as \"22:00-07:00\", \"08:00-18:00 Mon-Fri\" or \"Sat-Sun\", several \
     separated by semicolons"
)]
pub struct HoursError {
    /// The span that cannot be read.
    pub text: String,
}

const MINUTES_OF_DAY: u32 = 24 * 60;
const MINUTES_OF_WEEK: u32 = 7 * MINUTES_OF_DAY;

impl Hours {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether they cover this time on the wall clock of `zone`.
    pub fn cover(&self, time: DateTime<Utc>, zone: Tz) -> bool {
        let local = time.with_timezone(&zone);
        let minute = local.hour() * 60 + local.minute();
        let day = local.weekday().num_days_from_monday() as usize;
        self.spans.iter().any(|span| span.covers(day, minute))
    }

    /// The first full minute after this time that they do not cover; `None` if there is none within the next week.
    pub fn end_after(&self, time: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        // An hour more than a week: where clocks are set back, one is longer.
        let minute = |minutes: u32| {
            let full = time.with_second(0)?.with_nanosecond(0)?;
            full.checked_add_signed(TimeDelta::minutes(minutes.into()))
        };
        (1..=MINUTES_OF_WEEK + 60)
            .filter_map(minute)
            .find(|time| !self.cover(*time, zone))
    }
}

impl Span {
    fn covers(&self, day: usize, minute: u32) -> bool {
        let before = (day + 6) % 7;
        if self.start < self.end {
            self.days[day] && (self.start..self.end).contains(&minute)
        } else {
            (self.days[day] && minute >= self.start) || (self.days[before] && minute < self.end)
        }
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let span = |part: &str| {
            read_span(part).ok_or_else(|| HoursError {
                text: part.to_owned(),
            })
        };
        Ok(Hours {
            spans: parts.map(span).collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Times, days, or times and then days.
fn read_span(text: &str) -> Option<Span> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let ((start, end), days) = match read_times(first) {
        Some(times) => (times, words.next()),
        None => ((0, MINUTES_OF_DAY), Some(first)),
    };
    let days = days.map_or(Some([true; 7]), read_days)?;
    words.next().is_none().then_some(Span { start, end, days })
}

fn read_times(text: &str) -> Option<(u32, u32)> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (read_time(start)?, read_time(end)?);
    (start != end && start < MINUTES_OF_DAY).then_some((start, end))
}

/// Minutes since midnight; 24:00 is the end of a day.
fn read_time(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_short = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_short.then(|| text.parse::<u32>().ok())?
    };
    let (hour, minute) = (number(hour)?, number(minute).filter(|_| minute.len() == 2)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= MINUTES_OF_DAY).then_some(minutes)
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`; `Fri-Mon` goes over the weekend.
fn read_days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let day = |name: &str| Some(name.parse::<Weekday>().ok()?.num_days_from_monday() as usize);
        let (mut day, last) = (day(first)?, day(last)?);
        days[day] = true;
        while day != last {
            day = (day + 1) % 7;
            days[day] = true;
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27 is a Friday.
    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn hours_cover_what_they_say_on_the_wall_clock_of_their_zone() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        for (hours, time, expected) in [
            ("", "2026-11-27T12:00:00Z", false),
            ("22:00-07:00", "2026-11-27T20:59:59Z", false),
            ("22:00-07:00", "2026-11-27T21:00:00Z", true),
            ("22:00-07:00", "2026-11-27T05:59:59Z", true),
            ("22:00-07:00", "2026-11-27T06:00:00Z", false),
            ("22:00-07:00 Fri", "2026-11-28T05:00:00Z", true),
            ("22:00-07:00 Fri", "2026-11-27T05:00:00Z", false),
            ("22:00-07:00 Sun", "2026-11-30T05:00:00Z", true),
            ("8:00-18:00 Mon-Fri; Sat", "2026-11-28T20:00:00Z", true),
            ("8:00-18:00 Mon-Fri; Sat", "2026-11-29T12:00:00Z", false),
            ("8:00-18:00 Mon-Fri; Sat", "2026-11-27T06:59:00Z", false),
            ("sat,sunday", "2026-11-29T12:00:00Z", true),
            ("Fri-Mon", "2026-11-30T12:00:00Z", true),
            ("Fri-Mon", "2026-12-01T12:00:00Z", false),
            ("00:00-24:00", "2026-12-01T12:00:00Z", true),
            ("22:00-24:00", "2026-11-27T22:59:00Z", true),
            ("22:00-24:00", "2026-11-27T23:00:00Z", false),
        ] {
            let read: Hours = hours.parse().unwrap();
            assert_eq!(read.cover(at(time), berlin), expected, "{hours:?} at {time}");
            assert_eq!(String::from(read), hours);
        }
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        for text in [
            "22-07",
            "22:00",
            "22:00-25:00",
            "24:00-07:00",
            "07:00-07:00",
            "22:00-07:60",
            "+1:00-02:00",
            "1:0-2:00",
            "22:00-07:00 Mon Tue",
            "Mon 22:00-07:00",
            "Mo-",
            "noon",
            "22:00-07:00,Mon",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }

    #[test]
    fn their_end_is_found_over_a_change_of_clocks() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let end = |hours: &str, time: &str| hours.parse::<Hours>().unwrap().end_after(at(time), berlin);
        let night = "22:00-07:00";
        assert_eq!(
            end(night, "2026-11-26T23:10:30Z"),
            Some(at("2026-11-27T06:00:00Z"))
        );
        // In the night to 2026-10-25 it is 02:00 twice.
        assert_eq!(
            end(night, "2026-10-24T20:00:00Z"),
            Some(at("2026-10-25T06:00:00Z"))
        );
        assert_eq!(
            end("22:00-07:00 Fri; Sat-Sun", "2026-11-27T21:30:00Z"),
            Some(at("2026-11-29T23:00:00Z"))
        );
        assert_eq!(end("0:00-24:00", "2026-11-27T21:30:00Z"), None);
    }
}
