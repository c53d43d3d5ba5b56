//! The ways a CSV writes a wall time.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

const TIME_FORMATS: [&str; 8] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%m/%d/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
];

/// Reads a wall time: ISO (`2024-03-05 00:05`, with `T`, seconds or a fraction) or American (`3/5/2024 12:05:00 AM`).
///
/// A time with a zone is none: what is played back are wall times, and their zone is a setting of the reader.
pub fn parse_wall_time(text: &str) -> Option<NaiveDateTime> {
    TIME_FORMATS
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// Reads a wall time or the beginning of a day: `2024-03-05`.
///
/// # Errors
/// A sentence that shows the accepted forms.
pub fn parse_bound(text: &str) -> Result<NaiveDateTime, String> {
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .map(|day| day.and_time(NaiveTime::MIN))
    };
    parse_wall_time(text)
        .or_else(day)
        .ok_or_else(|| "expected a time such as 2024-03-05 or \"2024-03-05 06:00:00\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_the_city_uses_is_read() {
        for (text, iso) in [
            ("2024-03-05 00:05:00", "2024-03-05 00:05:00"),
            ("2024-03-05T00:05:00", "2024-03-05 00:05:00"),
            ("2024-03-05T00:05:00.000", "2024-03-05 00:05:00"),
            ("2024-03-05 00:05:00.25", "2024-03-05 00:05:00.250"),
            ("2024-03-05 00:05", "2024-03-05 00:05:00"),
            ("3/5/2024 0:05", "2024-03-05 00:05:00"),
            ("03/05/2024 00:05:00", "2024-03-05 00:05:00"),
            ("03/05/2024 12:05:00 AM", "2024-03-05 00:05:00"),
            ("3/5/2024 1:05 pm", "2024-03-05 13:05:00"),
        ] {
            assert_eq!(
                parse_wall_time(text).map(|time| time.to_string()).as_deref(),
                Some(iso),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_wall_time_is_refused() {
        for text in [
            "",
            "noon",
            "2024-02-30 00:00:00",
            "13/45/2024 0:05",
            "2024-03-05 00:05:00Z",
            "2024-03-05",
            "1709596800",
        ] {
            assert_eq!(parse_wall_time(text), None, "{text}");
        }
        assert_eq!(
            parse_bound("2024-03-05").map(|time| time.to_string()).as_deref(),
            Ok("2024-03-05 00:00:00")
        );
        assert!(parse_bound("tomorrow").is_err());
    }
}
