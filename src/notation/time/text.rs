//! Every other text that is a time: what programming languages, mail, web servers, spreadsheets and meters write.

mod clock;
mod date;
mod offset;

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};

use super::{DateOrder, Season, TimeError, Written};
use clock::{Clock, Half};
use offset::Offset;

/// Reads a date, and perhaps a time of day and an offset.
pub(super) fn read(text: &str, order: Option<DateOrder>) -> Result<Written, TimeError> {
    let mut scanner = Scanner { rest: trim(text) };
    if scanner.rest.is_empty() {
        return Err(TimeError::Empty);
    }
    scanner.weekday();
    let written = if let Some(written) = scanner.year_last(text)? {
        written
    } else {
        let date = scanner.date(order)?;
        scanner.after_date(date)?
    };
    if scanner.rest.is_empty() {
        Ok(written)
    } else if scanner.begins_end_of_interval() {
        Err(TimeError::Interval)
    } else {
        Err(TimeError::UnknownForm)
    }
}

/// Reads `YYMMDDhhmmssX`.
pub(super) fn read_dsmr(text: &str) -> Result<Written, TimeError> {
    let mut scanner = Scanner {
        rest: text.trim_ascii(),
    };
    let mut pair = || scanner.digits(2).ok_or(TimeError::UnknownForm);
    let (year, month, day) = (pair()?, pair()?, pair()?);
    let (hour, minute, second) = (pair()?, pair()?, pair()?);
    let season = match scanner.rest {
        "S" => Season::Summer,
        "W" => Season::Winter,
        _ => return Err(TimeError::UnknownForm),
    };
    NaiveDate::from_ymd_opt(2000 + year as i32, month, day)
        .and_then(|date| date.and_hms_opt(hour, minute, second))
        .map(|wall| Written::Seasonal(wall, season))
        .ok_or(TimeError::NoSuchTime)
}

/// The time that twelve digits are as `YYYYMMDDhhmm`, from 1900 to 2099.
pub(super) fn minutes_in_twelve_digits(text: &str) -> Option<NaiveDateTime> {
    let mut scanner = Scanner {
        rest: text.trim_ascii(),
    };
    let has_form =
        scanner.rest.len() == 12 && (scanner.rest.starts_with("19") || scanner.rest.starts_with("20"));
    let (year, month, day) = (scanner.digits(4)?, scanner.digits(2)?, scanner.digits(2)?);
    let (hour, minute) = (scanner.digits(2)?, scanner.digits(2)?);
    NaiveDate::from_ymd_opt(year as i32, month, day)
        .filter(|_| has_form)?
        .and_hms_opt(hour, minute, 0)
}

/// White space, the ones without a break among it.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{a0}' | '\u{202f}')
}

fn trim(text: &str) -> &str {
    text.trim_matches(|character: char| is_blank(character) || character.is_ascii_whitespace())
}

/// What is left to be read.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// What follows a date: nothing, or a time of day.
    fn after_date(&mut self, date: NaiveDate) -> Result<Written, TimeError> {
        if self.rest.is_empty() {
            return Ok(Written::Wall(date.and_time(NaiveTime::MIN)));
        }
        if self.rest.starts_with(['Z', 'z', '+', '-', '\u{2212}']) {
            return self.date_with_offset(date);
        }
        let is_apart = if self.accept('T') || self.accept('t') || self.digit_count() == 6 {
            false
        } else if self.accept(':') {
            // As web servers write it: 15/Jul/2022:11:34:32 +0000
            true
        } else {
            self.accept(',');
            if self.blanks() == 0 {
                return Err(TimeError::UnknownForm);
            }
            true
        };
        let clock = self.clock()?;
        self.with_offset(date, clock, is_apart)
    }

    /// A day that begins at an offset, as XML has it: `2022-07-15+02:00`.
    fn date_with_offset(&mut self, date: NaiveDate) -> Result<Written, TimeError> {
        let behind = self.rest.strip_prefix(['-', '\u{2212}']);
        // `2022-07-15-11` is an hour to some.
        if behind.is_some_and(|hour| hour.len() == 2) {
            return Err(TimeError::UnknownForm);
        }
        match self.offset()? {
            Offset::None => Err(TimeError::UnknownForm),
            Offset::Seconds(offset_s) => Ok(Written::Instant(
                date.and_time(NaiveTime::MIN).and_utc().timestamp_millis() - i64::from(offset_s) * 1000,
            )),
        }
    }

    /// A date with its time of day, and with the offset if one follows.
    fn with_offset(&mut self, date: NaiveDate, clock: Clock, is_apart: bool) -> Result<Written, TimeError> {
        if is_apart && !clock.has_seconds && self.rest.starts_with(['-', '\u{2013}']) {
            return Err(TimeError::Interval);
        }
        let wall = at(date, clock).ok_or(TimeError::NoSuchTime)?;
        match self.offset()? {
            Offset::None => Ok(Written::Wall(wall)),
            Offset::Seconds(offset_s) => Ok(Written::Instant(
                wall.and_utc().timestamp_millis() - i64::from(offset_s) * 1000,
            )),
        }
    }

    /// `Jul 15 11:34:32 2022` and `Jul 15 11:34:32 UTC 2022`, as C and date(1) write it after the day of the week.
    fn year_last(&mut self, text: &str) -> Result<Option<Written>, TimeError> {
        let mut scanner = *self;
        let Some(month) = scanner.month_name() else {
            return Ok(None);
        };
        if scanner.blanks() == 0 {
            return Ok(None);
        }
        let Some(day) = scanner.one_or_two_digits() else {
            return Ok(None);
        };
        if scanner.blanks() == 0 || !scanner.rest.get(..3).is_some_and(|next| next.contains(':')) {
            return Ok(None);
        }
        let clock = scanner.clock()?;
        if scanner.blanks() == 0 {
            return Err(TimeError::UnknownForm);
        }
        let is_utc = scanner.utc_word();
        if !is_utc
            && scanner
                .rest
                .starts_with(|character: char| character.is_ascii_alphabetic())
        {
            return Err(TimeError::ZoneName(offset::word(trim(text), scanner.rest)));
        }
        if is_utc && scanner.blanks() == 0 {
            return Err(TimeError::UnknownForm);
        }
        let year = scanner.four_digit_year()?;
        let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(TimeError::NoSuchTime)?;
        let wall = at(date, clock).ok_or(TimeError::NoSuchTime)?;
        *self = scanner;
        Ok(Some(if is_utc {
            Written::Instant(wall.and_utc().timestamp_millis())
        } else {
            Written::Wall(wall)
        }))
    }

    /// What follows a whole time where it is only the first of two.
    fn begins_end_of_interval(&mut self) -> bool {
        self.blanks();
        ["/", "-", "\u{2013}", "to "]
            .iter()
            .any(|mark| self.rest.starts_with(mark))
    }

    fn blanks(&mut self) -> usize {
        let rest = self.rest.trim_start_matches(is_blank);
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        count
    }

    fn accept(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// How many digits come next.
    fn digit_count(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    /// A number of exactly so many digits, whatever follows.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.rest.get(..count)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| digits.parse().ok())??;
        self.rest = &self.rest[count..];
        Some(number)
    }

    /// A number of one or two digits, after which there is no third.
    fn one_or_two_digits(&mut self) -> Option<u32> {
        match self.digit_count() {
            count @ (1 | 2) => self.digits(count),
            _ => None,
        }
    }
}

/// A day and a time of it, where 24:00 is the beginning of the next.
fn at(date: NaiveDate, clock: Clock) -> Option<NaiveDateTime> {
    let Clock {
        hour,
        minute,
        second,
        millisecond,
        half,
        ..
    } = clock;
    if hour == 24 {
        let is_end = (minute, second, millisecond, half) == (0, 0, 0, None);
        return is_end
            .then(|| date.checked_add_days(Days::new(1)))?
            .map(|next| next.and_time(NaiveTime::MIN));
    }
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(Half::Morning) => hour % 12,
        Some(Half::Afternoon) => hour % 12 + 12,
    };
    // A leap second is read as the last millisecond before it.
    let (second, millisecond) = if second == 60 {
        (59, 999)
    } else {
        (second, millisecond)
    };
    date.and_hms_milli_opt(hour, minute, second, millisecond)
}
