//! Days that are like Sundays: those of countries, by their laws, and those that are listed.
//!
//! Absent from this room: files. The settings hand their lines over.

mod countries;

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};

use countries::Country;

/// The days of `detect.calendar`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Holidays {
    countries: BTreeSet<Country>,
    /// Days since 1970-01-01.
    days: BTreeSet<i64>,
}

/// No event of a calendar is longer.
const MOST_DAYS: i64 = 366;

impl Holidays {
    /// Whether there are none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.countries.is_empty() && self.days.is_empty()
    }

    /// Whether a day, counted from 1970-01-01, is one.
    pub(crate) fn contains(&self, day: i64) -> bool {
        self.days.contains(&day)
            || date_of(day).is_some_and(|date| self.countries.iter().any(|country| country.rests_on(date)))
    }

    /// Adds an entry of the settings: a country, or a date with what it is. Returns false if it is neither, and so the
    /// name of a file.
    pub(crate) fn add_entry(&mut self, entry: &str) -> bool {
        if let Some(country) = Country::named(entry.trim()) {
            self.countries.insert(country);
            return true;
        }
        let date = dated(entry);
        self.days.extend(date.map(day_of));
        date.is_some()
    }

    /// Adds the lines of a file: a date each, with what it is, or an iCalendar.
    ///
    /// # Errors
    /// What cannot be read, with its line.
    pub(crate) fn add_file(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with("BEGIN:VCALENDAR") {
            return self.add_icalendar(text);
        }
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(date) = dated(line) else {
                return Err(format!(
                    "line {number}: expected a date such as \"2024-12-24 Christmas Eve\", not {line:?}"
                ));
            };
            self.days.insert(day_of(date));
        }
        Ok(())
    }

    /// Adds the events of whole days of an iCalendar (RFC 5545). One that repeats by a rule is refused, so that none of its days
    /// is missed in silence.
    fn add_icalendar(&mut self, text: &str) -> Result<(), String> {
        let (mut first, mut end) = (None, None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let is = |property: &str| name == property || name.starts_with(&format!("{property};"));
            let refused = |what: &str| Err(format!("line {number}: {what}: {line:?}"));
            if is("RRULE") || is("RDATE") {
                return refused("an event that repeats is not read; export each of its days");
            } else if is("DTSTART") || is("DTEND") {
                let date = Some(value)
                    .filter(|value| value.len() == 8)
                    .and_then(|value| NaiveDate::parse_from_str(value, "%Y%m%d").ok());
                let Some(date) = date else {
                    return refused("expected the date of a whole day, such as DTSTART;VALUE=DATE:20241224");
                };
                let place = if is("DTSTART") { &mut first } else { &mut end };
                *place = Some(day_of(date));
            } else if line == "END:VEVENT" {
                let Some(first_day) = first.take() else {
                    return refused("the event has no DTSTART");
                };
                // The end is the first day after it.
                let end_day = end.take().unwrap_or(first_day + 1).max(first_day + 1);
                if end_day - first_day > MOST_DAYS {
                    return refused("the event is longer than a year");
                }
                self.days.extend(first_day..end_day);
            }
        }
        Ok(())
    }

    /// All that decides which days they are, as text.
    pub(crate) fn fingerprint(&self) -> String {
        let countries = self.countries.iter().map(|country| country.name().to_owned());
        let days = self.days.iter().map(i64::to_string);
        countries.chain(days).collect::<Vec<_>>().join(" ")
    }
}

/// The codes of the countries that there are.
pub(crate) fn country_names() -> impl Iterator<Item = &'static str> {
    Country::ALL.iter().map(|country| country.name())
}

/// The date that a text begins with, alone or before a space.
fn dated(text: &str) -> Option<NaiveDate> {
    let date = text.split_whitespace().next()?;
    let has_all_digits = date.len() == 10;
    NaiveDate::parse_from_str(date, "%Y-%m-%d")
        .ok()
        .filter(|_| has_all_digits)
}

fn day_of(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - DAYS_BEFORE_1970
}

fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(day.checked_add(DAYS_BEFORE_1970)?).ok()?)
}

/// From the first day of the year 1 to 1970-01-01, as `chrono` counts.
const DAYS_BEFORE_1970: i64 = 719_163;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i64 {
        day_of(text.parse().unwrap())
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(
            (day("1970-01-01"), day("1969-12-31"), day("2024-03-05")),
            (0, -1, 19_787)
        );
        assert_eq!(date_of(19_787), "2024-03-05".parse().ok());
        assert_eq!(date_of(i64::MAX), None);
        assert!(!Holidays::default().contains(i64::MIN));
    }

    #[test]
    fn an_entry_is_a_country_a_date_or_else_a_file() {
        let mut holidays = Holidays::default();
        assert!(holidays.add_entry("DE"));
        assert!(holidays.add_entry("2024-12-24 Christmas Eve"));
        for file in ["holidays.txt", "2024-12", "2024-13-01", "2024-1-1", "de", "XX"] {
            assert!(!holidays.add_entry(file), "{file}");
        }
        for (date, expected) in [("2024-12-24", true), ("2024-12-25", true), ("2024-12-27", false)] {
            assert_eq!(holidays.contains(day(date)), expected, "{date}");
        }
        assert_eq!(holidays.fingerprint(), "DE 20081");
    }

    #[test]
    fn a_file_has_a_date_a_line() {
        let mut holidays = Holidays::default();
        let text = "# of the plant\n2024-08-05 closed\n\n  2024-08-06\n";
        assert_eq!(holidays.add_file(text), Ok(()));
        assert!(holidays.contains(day("2024-08-05")) && holidays.contains(day("2024-08-06")));
        let error = holidays.add_file("2024-08-05\n5.8.2024\n").unwrap_err();
        assert!(error.starts_with("line 2: expected a date"), "{error}");
    }

    #[test]
    fn an_icalendar_has_events_of_whole_days() {
        let calendar = |lines: &str| {
            format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
        };
        let mut holidays = Holidays::default();
        let days = "DTSTART;VALUE=DATE:20241224\r\nDTEND;VALUE=DATE:20241227\r\nSUMMARY:Christmas";
        assert_eq!(holidays.add_file(&calendar(days)), Ok(()));
        assert_eq!(
            holidays.add_file(&calendar("DTSTART;VALUE=DATE:20250101")),
            Ok(())
        );
        let found: Vec<bool> = [
            "2024-12-23",
            "2024-12-24",
            "2024-12-26",
            "2024-12-27",
            "2025-01-01",
        ]
        .map(|date| holidays.contains(day(date)))
        .to_vec();
        assert_eq!(found, [false, true, true, false, true]);
        for (lines, expected) in [
            (
                "DTSTART:20241224T080000Z",
                "line 3: expected the date of a whole day",
            ),
            ("RRULE:FREQ=YEARLY", "line 3: an event that repeats is not read"),
            ("SUMMARY:no day", "line 4: the event has no DTSTART"),
        ] {
            let error = holidays.add_file(&calendar(lines)).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
