//! Times written as text or as a number.
//!
//! [`TimeNotation`]s are what a setting names; they turn what is written into a [`Written`] time. [`super::zone`] makes an
//! instant of it.

mod epoch;
mod error;
mod pattern;
mod plain;
mod short_years;
mod text;

use std::fmt;

use chrono::NaiveDateTime;

pub use epoch::{EpochUnit, plausible_unit};
pub use error::{Suggestion, TimeError};
pub use pattern::Pattern;
pub(crate) use plain::PlainTime;
pub(crate) use short_years::short_year_patterns;

/// Event times from 1900 to the end of 30 December 9999: every reader of the table (Spark among them) can represent
/// these, and the end of the longest window that they can fall into.
pub const EVENT_TIMES_MS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=253_402_214_399_999;

/// A time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It has an offset or is an epoch: milliseconds since 1970-01-01T00:00:00Z.
    /// It has an offset or a zone: milliseconds since 1970.
    Instant(i64),
    /// It has none: what clocks show in a zone that it does not name.
    Wall(NaiveDateTime),
    /// It has none, but says whether summer time holds.
    Seasonal(NaiveDateTime, Season),
}

/// Whether summer time holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    /// Summer time, which clocks show an hour ahead.
    Summer,
    /// Standard time.
    Winter,
}

/// What a time is read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source<'a> {
    /// As it stands, blanks around it included.
    Text(&'a str),
    /// Of 64 bits, with or without sign.
    Integer(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
}

/// Whether the day or the month is written first where both are numbers and the year is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// `05/03/2024` is in March.
    DayFirst,
    /// `05/03/2024` is in May.
    MonthFirst,
}

/// A way to write times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeNotation {
    /// Any text that is known, or a number by its size.
    Auto,
    /// Any text that is known; no numbers.
    Text,
    /// A number since 1970, whose unit its size decides.
    Epoch,
    /// A number of this unit since 1970.
    EpochIn(EpochUnit),
    /// `YYMMDDhhmmssX` of Dutch and Belgian meters, where X is S in summer and W in winter time.
    Dsmr,
    /// As strptime has it.
    Pattern(Pattern),
}

impl TimeNotation {
    /// Reads a setting: a name such as `epoch_ms`, or a pattern such as `%d.%m.%Y %H:%M`.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(setting: &str) -> Result<Self, String> {
        Ok(match setting {
            "auto" => TimeNotation::Auto,
            "text" => TimeNotation::Text,
            "epoch" => TimeNotation::Epoch,
            "dsmr" => TimeNotation::Dsmr,
            pattern if pattern.contains('%') => TimeNotation::Pattern(Pattern::parse(pattern)?),
            other => match EpochUnit::ALL.iter().find(|unit| unit.name() == other) {
                Some(unit) => TimeNotation::EpochIn(*unit),
                None => {
                    return Err(format!(
                        "must be auto, text, epoch, epoch_s, epoch_ms, epoch_us, epoch_ns, dsmr or a pattern such as \
                         \"%d.%m.%Y %H:%M\", not {other:?}"
                    ));
                }
            },
        })
    }

    /// The setting that names it.
    pub fn name(&self) -> &str {
        match self {
            TimeNotation::Auto => "auto",
            TimeNotation::Text => "text",
            TimeNotation::Epoch => "epoch",
            TimeNotation::EpochIn(unit) => unit.name(),
            TimeNotation::Dsmr => "dsmr",
            TimeNotation::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Reads a time. Dates of numbers with the year last need an order.
    ///
    /// # Errors
    /// [`TimeError`]. A time that is read may still lie outside of [`EVENT_TIMES_MS`].
    #[inline]
    pub fn read(&self, source: Source<'_>, order: Option<DateOrder>) -> Result<Written, TimeError> {
        match (self, source) {
            (TimeNotation::Text, Source::Text(text)) => read_text(text, order),
            (TimeNotation::Text, number) => Err(TimeError::Number(plausible_unit(number))),
            (TimeNotation::Auto, Source::Text(text)) => read_any(text, order),
            (TimeNotation::Auto | TimeNotation::Epoch, source) => epoch::read(source, None),
            (TimeNotation::EpochIn(unit), source) => epoch::read(source, Some(*unit)),
            (TimeNotation::Dsmr, Source::Text(text)) => text::read_dsmr(text),
            (TimeNotation::Pattern(pattern), Source::Text(text)) => pattern.read(text),
            (TimeNotation::Pattern(pattern), Source::Integer(number)) => pattern.read(&number.to_string()),
            (TimeNotation::Dsmr, _) | (TimeNotation::Pattern(_), Source::Float(_)) => {
                Err(TimeError::NumberForText)
            }
        }
    }
}

impl fmt::Display for TimeNotation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Reads a time with the first of several notations that takes it.
///
/// # Errors
/// The [`TimeError`] of the first notation if none does.
#[inline]
pub fn read(
    notations: &[TimeNotation],
    source: Source<'_>,
    order: Option<DateOrder>,
) -> Result<Written, TimeError> {
    let (first, others) = notations.split_first().ok_or(TimeError::UnknownForm)?;
    first.read(source, order).or_else(|error| {
        others
            .iter()
            .find_map(|notation| notation.read(source, order).ok())
            .ok_or(error)
    })
}

/// A text in one of the forms that most messages have; `None` for other texts, which [`TimeNotation::Text`] may read.
#[inline]
pub(crate) fn read_plain(text: &[u8]) -> Option<PlainTime> {
    plain::read(text.trim_ascii())
}

/// A known text. The forms that most messages have come first.
#[inline]
fn read_text(text: &str, order: Option<DateOrder>) -> Result<Written, TimeError> {
    match read_plain(text.as_bytes()).and_then(PlainTime::written) {
        Some(written) => Ok(written),
        None => text::read(text, order).map_err(|error| match error {
            TimeError::UnknownForm => epoch::number_instead(text),
            error => error,
        }),
    }
}

/// A known text, or a number. Twelve digits are either.
fn read_any(text: &str, order: Option<DateOrder>) -> Result<Written, TimeError> {
    match read_text(text, order) {
        Err(TimeError::Number(_)) => match text::minutes_in_twelve_digits(text) {
            Some(wall) => Err(TimeError::TwelveDigits(wall)),
            None => epoch::read(Source::Text(text), None),
        },
        read => read,
    }
}

#[cfg(test)]
mod tests;
