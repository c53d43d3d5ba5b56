//! What was found in a file besides its readings.

use std::fmt;

use crate::notation::number::{self, DecimalMark, NumberError};
use crate::notation::time::{Suggestion, TimeError};
use crate::reading::LARGEST_VALUE;

/// An account of the rows. Of a CSV `rows` equals the readings plus `outside` and `skipped_count`, plus `repeated` where those are
/// dropped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadReport {
    /// Rows below the heading.
    pub rows: u64,
    /// Readings with an earlier time than the one above. They are sorted.
    pub out_of_order: u64,
    /// Readings with the time, value and key of an earlier one.
    pub repeated: u64,
    /// Whether those were dropped.
    pub drops_repeated: bool,
    /// Readings outside of the requested range.
    pub outside: u64,
    /// Readings with the time and key of an earlier one and another value. They are taken.
    pub same_time: u64,
    /// The line of the first of them.
    pub first_same_time: Option<u64>,
    /// The line of the first reading that is the sum of several samples. Its value is their mean.
    pub first_weighted: Option<u64>,
    /// The first rows without a reading, in the file's order.
    pub skipped: Vec<Skipped>,
    /// All of them, also those that are not kept.
    pub skipped_count: u64,
    /// What the file decided, in words.
    pub assumed: Vec<String>,
    /// The columns of a CSV that hold the time.
    pub time_columns: Vec<String>,
    /// Those that hold neither time nor value.
    pub other_columns: Vec<String>,
}

/// So many skipped rows are kept with their texts.
pub(super) const SKIPPED_KEPT: usize = 1000;

impl ReadReport {
    pub(super) fn skip(&mut self, line: u64, reason: SkipReason) {
        self.skipped_count += 1;
        if self.skipped.len() < SKIPPED_KEPT {
            self.skipped.push(Skipped { line, reason });
        }
    }
}

/// A row without a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The first line of the row, from 1.
    pub line: u64,
    /// Its text is the part of a sentence that follows the line.
    pub reason: SkipReason,
}

/// The reason for skipping a row, with the text found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The cell of the time is empty.
    NoTime,
    /// The cell of the value is empty.
    NoValue,
    /// The cell of the key is empty.
    NoKey,
    /// The text, and why it is not a time.
    BadTime(String, TimeError),
    /// A number that is no time of our days; perhaps a date as spreadsheets count them.
    SerialNumber(String, Option<String>),
    /// It has no offset, and others have one.
    NoOffset(String),
    /// The number of a half hour of a day.
    BadPeriod(String),
    /// The text, and why it is not a number.
    BadValue(String, NumberError),
    /// A number beyond the largest value of a reading.
    ValueTooLarge(String),
    /// A key that is not UTF-8.
    BadKey(String),
    /// A part of a key, and the separator in it.
    KeyHoldsSeparator(String, String),
    /// Fields of the row and columns of the heading.
    TooManyFields(usize, usize),
    /// A line of JSON that `reading.where` or `reading.skip` passes over.
    PassedOver,
    /// A line of JSON that is no reading, with the reason's name and a sentence.
    Rejected(&'static str, String),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NoTime => write!(formatter, "the time is empty"),
            SkipReason::NoValue => write!(formatter, "the value is empty"),
            SkipReason::NoKey => write!(formatter, "the key is empty"),
            SkipReason::BadTime(text, error) => {
                write!(
                    formatter,
                    "cannot parse {text:?} as a time: {error}{}",
                    time_advice(error)
                )
            }
            SkipReason::SerialNumber(text, Some(date)) => write!(
                formatter,
                "{text} may be a spreadsheet's number of {date}; give the column the format of a date before it is saved as CSV"
            ),
            SkipReason::SerialNumber(text, None) => write!(
                formatter,
                "{text} is no time from 1990 to 2100 as a number since 1970; if it is one all the same, say so with --time-format epoch_s"
            ),
            SkipReason::NoOffset(text) => write!(
                formatter,
                "{text} has no offset, and other times have one; name its zone with --time-zone"
            ),
            SkipReason::BadPeriod(text) => {
                write!(
                    formatter,
                    "cannot parse {text:?} as a period of half an hour, from 1 to 50"
                )
            }
            SkipReason::BadValue(text, error) => {
                write!(
                    formatter,
                    "cannot parse {text:?} as a number: {error}{}",
                    value_advice(text, *error)
                )
            }
            SkipReason::ValueTooLarge(text) => {
                write!(formatter, "the value {text} is beyond ±{LARGEST_VALUE:e}")
            }
            SkipReason::BadKey(text) => write!(formatter, "the key {text:?} is not UTF-8; convert the file"),
            SkipReason::KeyHoldsSeparator(part, separator) => write!(
                formatter,
                "the key's part {part:?} holds {separator:?}, which only the last may; name that column last"
            ),
            SkipReason::TooManyFields(found, expected) => write!(
                formatter,
                "{found} fields, the header has {expected}; quote what holds the delimiter, or name another --delimiter"
            ),
            SkipReason::PassedOver => {
                write!(formatter, "reading.where or reading.skip passes over it")
            }
            SkipReason::Rejected(name, detail) => write!(formatter, "{name}: {detail}"),
        }
    }
}

/// The flag that reads such times, as an ending of the sentence.
fn time_advice(error: &TimeError) -> String {
    match error.suggestion() {
        None => String::new(),
        Some(Suggestion::Notation(value)) => format!("; --time-format {value}"),
        Some(Suggestion::OtherNotation) => "; --time-format takes a pattern".to_owned(),
        Some(Suggestion::DateOrder) => "; --date-order dmy or mdy".to_owned(),
        Some(Suggestion::Zone) => "; --time-zone".to_owned(),
        Some(Suggestion::Offset) => "; write an offset".to_owned(),
    }
}

fn value_advice(text: &str, error: NumberError) -> &'static str {
    match error {
        NumberError::HasComma if number::parse(text, DecimalMark::Comma).is_err() => {
            "; write it without the comma"
        }
        NumberError::HasComma => "; --decimal ',' if it is a decimal comma",
        NumberError::BadGroups => "; --decimal . if it is a decimal point",
        _ => "",
    }
}

/// The beginning of a text, for a sentence.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain(std::iter::once('…')).collect()
    }
}
