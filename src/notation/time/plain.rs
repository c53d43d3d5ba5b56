//! The forms of times that most messages have, read in one pass over their bytes.

use chrono::{NaiveDate, NaiveDateTime};

use super::Written;

/// Reads `YYYY-MM-DD`, then optionally `T` or a space and `HH:MM`, `:SS`, a fraction of the second (`.` or `,`; digits
/// beyond the millisecond are cut off), then optionally `Z` or an offset (`+02`, `+0200`, `+02:00`). `None` for every
/// other text, and for one that could be an interval.
#[inline]
pub(super) fn read(text: &[u8]) -> Option<Written> {
    let mut scanner = Scanner { rest: text };
    let (wall, may_be_interval) = scanner.date_time()?;
    match scanner.rest {
        [] => Some(Written::Wall(wall)),
        [b'-', ..] if may_be_interval => None,
        _ => {
            let offset_s = scanner.offset_s()?;
            scanner
                .rest
                .is_empty()
                .then(|| Written::Instant(wall.and_utc().timestamp_millis() - i64::from(offset_s) * 1000))
        }
    }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    /// Date and time; and whether a `-` after them could lead to the end of an interval: after hours and minutes that a
    /// space separates from the date, as in `2022-07-15 11:00-12:00`.
    fn date_time(&mut self) -> Option<(NaiveDateTime, bool)> {
        let year = self.digits(4)?;
        self.expect(b'-')?;
        let month = self.digits(2)?;
        self.expect(b'-')?;
        let day = self.digits(2)?;
        let date = NaiveDate::from_ymd_opt(year as i32, month, day)?;
        if !matches!(self.rest, [b'T' | b't' | b' ', _, ..]) {
            // `2022-07-15-11` is an hour to some.
            return Some((date.and_hms_opt(0, 0, 0)?, self.rest.len() == 3));
        }
        let is_apart = self.rest[0] == b' ';
        self.rest = &self.rest[1..];
        let hour = self.digits(2)?;
        self.expect(b':')?;
        let minute = self.digits(2)?;
        // A fraction without seconds would be one of the minute (ISO 8601), which nobody writes.
        let has_seconds = self.accept(b':');
        let (second, millisecond) = if has_seconds { self.seconds()? } else { (0, 0) };
        let wall = date.and_hms_milli_opt(hour, minute, second, millisecond)?;
        Some((wall, is_apart && !has_seconds))
    }

    fn seconds(&mut self) -> Option<(u32, u32)> {
        let second = self.digits(2)?;
        let has_fraction = self.accept(b'.') || self.accept(b',');
        Some((second, if has_fraction { self.milliseconds()? } else { 0 }))
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
        let minutes = if self.accept(b':') || !self.rest.is_empty() {
            self.digits(2)?
        } else {
            0
        };
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
