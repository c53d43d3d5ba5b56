//! The time of day.

use super::{Scanner, TimeError};

/// A time of day as written: 24:00 and second 60 among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) millisecond: u32,
    pub(super) half: Option<Half>,
    pub(super) has_seconds: bool,
}

/// AM or PM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Morning,
    Afternoon,
}

impl Scanner<'_> {
    /// `6:30`, `06:30:15.250`, `6:30 AM`, `063015` and `0630`.
    pub(super) fn clock(&mut self) -> Result<Clock, TimeError> {
        let is_basic = matches!(self.digit_count(), 4 | 6);
        let (hour, minute, second) = if is_basic {
            self.basic_clock()
        } else {
            self.extended_clock()
        }
        .ok_or(TimeError::UnknownForm)?;
        let millisecond = match second {
            Some(_) => self.fraction().ok_or(TimeError::UnknownForm)?,
            None => 0,
        };
        let clock = Clock {
            hour,
            minute,
            second: second.unwrap_or(0),
            millisecond,
            half: self.half(),
            has_seconds: second.is_some(),
        };
        let exists = hour <= 24 && minute < 60 && clock.second <= 60;
        exists.then_some(clock).ok_or(TimeError::NoSuchTime)
    }

    fn extended_clock(&mut self) -> Option<(u32, u32, Option<u32>)> {
        let hour = self.one_or_two_digits()?;
        let minute = self.accept(':').then(|| self.digits(2))??;
        let second = if self.accept(':') {
            Some(self.digits(2)?)
        } else {
            None
        };
        Some((hour, minute, second))
    }

    fn basic_clock(&mut self) -> Option<(u32, u32, Option<u32>)> {
        let has_seconds = self.digit_count() == 6;
        let (hour, minute) = (self.digits(2)?, self.digits(2)?);
        let second = if has_seconds { Some(self.digits(2)?) } else { None };
        Some((hour, minute, second))
    }

    /// Milliseconds of a fraction of the second, which may be absent; what is finer is left out.
    fn fraction(&mut self) -> Option<u32> {
        let is_fraction = self
            .rest
            .strip_prefix(['.', ','])
            .is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()));
        if !is_fraction {
            return (!self.rest.starts_with('.')).then_some(0);
        }
        self.rest = &self.rest[1..];
        let count = self.digit_count();
        let thousandths = self
            .rest
            .bytes()
            .take(count)
            .chain(std::iter::repeat(b'0'))
            .take(3);
        let milliseconds = thousandths.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        self.rest = &self.rest[count..];
        Some(milliseconds)
    }

    /// `AM`, `pm`, `a.m.`, with or without a blank before it.
    fn half(&mut self) -> Option<Half> {
        let mut scanner = *self;
        scanner.blanks();
        let half = match scanner.rest.bytes().next()?.to_ascii_lowercase() {
            b'a' => Half::Morning,
            b'p' => Half::Afternoon,
            _ => return None,
        };
        let name = ["a.m.", "p.m.", "am", "pm"].into_iter().find(|name| {
            let begin = scanner.rest.get(..name.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        })?;
        scanner.rest = &scanner.rest[name.len()..];
        let ends = !scanner
            .rest
            .starts_with(|character: char| character.is_ascii_alphabetic());
        ends.then(|| {
            *self = scanner;
            half
        })
    }
}
