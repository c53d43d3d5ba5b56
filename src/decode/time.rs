//! Times as people and devices write them: `2023-01-13 00:00:00`, RFC 3339, and what lies between.

use chrono::{DateTime, Duration, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// Milliseconds since 1970 of `YYYY-MM-DD`, then optionally `T` or a space and `HH:MM`, `:SS`, a fraction (`.` or
/// `,`; digits beyond the millisecond are cut off), then optionally `Z` or an offset (`+02`, `+0200`, `+02:00`).
/// Without an offset the time is in `zone`. `None` if it is no such time.
pub fn parse_ms(text: &str, zone: Tz) -> Option<i64> {
    let mut scanner = Scanner {
        rest: text.trim_ascii().as_bytes(),
    };
    let local = scanner.date_time()?;
    match scanner.rest {
        [] if zone == Tz::UTC => Some(local.and_utc().timestamp_millis()),
        [] => Some(local_to_utc_ms(local, zone)),
        _ => {
            let offset_s = scanner.offset_s()?;
            scanner
                .rest
                .is_empty()
                .then(|| local.and_utc().timestamp_millis() - i64::from(offset_s) * 1000)
        }
    }
}

/// A wall time of `zone` in milliseconds since 1970. An ambiguous one (autumn) is the earlier of the two; a missing
/// one (spring) moves forward by the length of the gap.
pub fn local_to_utc_ms(local: NaiveDateTime, zone: Tz) -> i64 {
    let resolved: Option<DateTime<Tz>> = match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time),
        LocalResult::None => None,
    };
    match resolved {
        Some(time) => time.timestamp_millis(),
        None => {
            // In a gap the offset from before it still applies: 02:30 becomes the 03:30 that the clocks showed.
            let before = zone.offset_from_utc_datetime(&(local - Duration::hours(24)));
            let offset: FixedOffset = chrono::Offset::fix(&before);
            local.and_utc().timestamp_millis() - i64::from(offset.local_minus_utc()) * 1000
        }
    }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn date_time(&mut self) -> Option<NaiveDateTime> {
        let year = self.digits(4)?;
        self.expect(b'-')?;
        let month = self.digits(2)?;
        self.expect(b'-')?;
        let day = self.digits(2)?;
        let date = NaiveDate::from_ymd_opt(year as i32, month, day)?;
        if !matches!(self.rest, [b'T' | b't' | b' ', _, ..]) {
            return date.and_hms_opt(0, 0, 0);
        }
        self.rest = &self.rest[1..];
        let hour = self.digits(2)?;
        self.expect(b':')?;
        let minute = self.digits(2)?;
        let second = if self.accept(b':') { self.digits(2)? } else { 0 };
        let millisecond = if self.accept(b'.') || self.accept(b',') {
            self.milliseconds()?
        } else {
            0
        };
        date.and_hms_milli_opt(hour, minute, second, millisecond)
    }

    fn offset_s(&mut self) -> Option<i32> {
        let sign = match self.rest {
            [b' ', ..] => {
                self.rest = &self.rest[1..];
                return self.offset_s();
            }
            [b'Z' | b'z', ..] => 0,
            [b'+', ..] => 1,
            [b'-', ..] => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        if sign == 0 {
            return Some(0);
        }
        let hours = self.digits(2)?;
        self.accept(b':');
        let minutes = if self.rest.is_empty() { 0 } else { self.digits(2)? };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i32)
    }

    fn milliseconds(&mut self) -> Option<u32> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at_checked(length).filter(|_| length > 0)?;
        self.rest = rest;
        let thousandths = fraction.iter().chain(std::iter::repeat(&b'0')).take(3);
        Some(thousandths.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        digits.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u32::from(digit - b'0'))
        })
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    fn accept(&mut self, byte: u8) -> bool {
        let accepted = self.rest.first() == Some(&byte);
        if accepted {
            self.rest = &self.rest[1..];
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// 2023-01-13T00:00:00Z
    const DAY_MS: i64 = 1_673_568_000_000;

    #[test]
    fn the_usual_forms() {
        for (text, expected_ms) in [
            ("2023-01-13 00:00:00", Some(DAY_MS)),
            ("2023-01-13T01:00", Some(DAY_MS + HOUR_MS)),
            ("2023-01-13", Some(DAY_MS)),
            ("2023-01-13T00:00:00Z", Some(DAY_MS)),
            (" 2023-01-13 00:00:00.123456 ", Some(DAY_MS + 123)),
            ("2023-01-13T00:00:00,5Z", Some(DAY_MS + 500)),
            ("2023-01-13T02:00:00+02:00", Some(DAY_MS)),
            ("2023-01-13T02:00:00 +0200", Some(DAY_MS)),
            ("2023-01-12T19:00:00-05", Some(DAY_MS)),
            ("2023-13-01 00:00:00", None),
            ("2023-02-29 00:00:00", None),
            ("2023-01-13 24:00:00", None),
            ("2023-01-13 00:00:00 EST", None),
            ("2023-01-13T", None),
            ("23-01-13", None),
            ("noon", None),
            ("", None),
        ] {
            assert_eq!(parse_ms(text, Tz::UTC), expected_ms, "{text:?}");
        }
    }

    #[test]
    fn daylight_saving_in_boston() {
        let boston = Tz::America__New_York;
        let utc = |text| parse_ms(text, Tz::UTC);
        assert_eq!(
            parse_ms("2024-01-01 00:00:00", boston),
            utc("2024-01-01T05:00:00Z")
        );
        // 01:30 comes twice on 2024-11-03: the earlier is still in summer time.
        assert_eq!(
            parse_ms("2024-11-03 01:30:00", boston),
            utc("2024-11-03T05:30:00Z")
        );
        // 02:30 never comes on 2024-03-10: forward to 03:30 summer time.
        assert_eq!(
            parse_ms("2024-03-10 02:30:00", boston),
            utc("2024-03-10T07:30:00Z")
        );
        assert_eq!(
            parse_ms("2024-07-01T00:00:00Z", boston),
            utc("2024-07-01T00:00:00Z")
        );
    }
}
