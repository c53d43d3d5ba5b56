//! Files of readings: a CSV or lines of JSON, in whatever dialect, as readings in order of time.
//!
//! [`ReadOptions`] say what the command line says; whatever they leave open the file decides as a whole, or it is refused
//! with the readings it could be. A row that is no reading is skipped, counted and reported ([`ReadReport`]).
//!
//! Absent from this room: paths, printing, Kafka; a second look at the input, which may be a pipe.

mod cells;
mod choices;
mod columns;
mod dialect;
mod encoding;
mod evidence;
mod json_lines;
mod lines;
mod options;
mod order;
mod report;
mod table;

use std::io::Read;
use std::sync::Arc;

use chrono::{NaiveDate, Timelike};
use chrono_tz::Tz;

pub(crate) use choices::{Choice, Purpose};
pub use options::{Columns, ReadOptions, Repeated, SkipLines, Stamp, TimeRange};
pub use report::{ReadReport, SkipReason, Skipped};

use crate::notation::zone::wall_time;

/// The reason for not reading a file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum Error {
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
    #[error("cannot read the CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("the file is empty")]
    Empty,
    #[error("the file is {name}; {advice}")]
    NotText {
        name: &'static str,
        advice: &'static str,
    },
    #[error("the CSV has no column {wanted:?}; its columns are: {known}")]
    UnknownColumn { wanted: String, known: String },
    #[error(
        "none of the CSV's columns looks like the {what}: name it with --{what}-column; they are: {known}"
    )]
    NoSuchColumn {
        what: &'static str,
        known: String,
        names: Vec<String>,
    },
    #[error("--{what}-column names no field of the JSON: {reason}")]
    NoSuchField { what: &'static str, reason: String },
    #[error("two columns are called {0}; name one of them as {0}#1 or {0}#2")]
    AmbiguousColumn(String),
    #[error(
        "line {line} is a reading, so that the file has no heading; put a first line such as time,value above it"
    )]
    NoHeading { line: u64 },
    #[error(
        "the file is a wide table, with a numbered column for each part of a day; call the columns 00:00, 00:30 and so on, \
         or turn it into a row for each reading"
    )]
    Wide,
    #[error(
        "the quote on line {0} is not closed, or spans rows: what follows would become one field; close or remove it"
    )]
    StrayQuote(u64),
    #[error(
        "line {line}: {text} is {day_first} or {month_first}, and no other row decides; add --date-order dmy or --date-order mdy"
    )]
    DayOrMonthFirst {
        line: u64,
        text: String,
        day_first: NaiveDate,
        month_first: NaiveDate,
    },
    #[error(
        "line {day_first} can only have the day before the month, and line {month_first} only the month before the day; \
         correct one of them, or add --date-order dmy or mdy to skip the others"
    )]
    BothDateOrders { day_first: u64, month_first: u64 },
    #[error(
        "line {point} has a decimal point, and line {comma} a decimal comma; correct one of them, or add --decimal . or , \
         to skip the others"
    )]
    BothDecimalMarks { point: u64, comma: u64 },
    #[error(
        "cannot tell what --stamp end is the end of: the file has no two readings in a row; add --interval, such as 15m"
    )]
    NoInterval,
    #[error("the file has more than {0} different keys; --key-column may name the wrong column")]
    TooManyKeys(usize),
    #[error("the file has more than {0} lines; split it")]
    TooManyLines(u32),
}

/// One reading of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedReading {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Finite.
    pub value: f64,
    /// The first line of its row; the heading of a CSV is usually line 1.
    pub line: u32,
    /// One more than the place of its key, or zero, and flags in the highest bits.
    tag: u32,
}

const HAS_OFFSET: u32 = 1 << 31;
/// Its clock had gone back, for whatever reason.
const WENT_BACK: u32 = 1 << 30;

/// The readings of a file in order of time. Readings of the same time keep the file's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Only those in the requested range.
    pub readings: Vec<RecordedReading>,
    /// Rows that are not among the readings, and what the file decided.
    pub report: ReadReport,
    keys: Vec<Arc<str>>,
    /// The zone of times without an offset.
    pub zone: Tz,
    /// Whether times that had no offset are written with one.
    writes_offsets: bool,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error`] saying what it is instead, or what to decide.
    pub fn read(input: impl Read, options: &ReadOptions) -> Result<Self, Error> {
        let text = encoding::text(input)?;
        let (head, mut input) = encoding::peek(text.input)?;
        let pending = if head.trim_ascii_start().starts_with(b"{") {
            json_lines::read(input, options)?
        } else {
            table::read(&mut input, options)?
        };
        let mut recording = order::finish(pending, options)?;
        recording.report.assumed.splice(0..0, text.assumed);
        Ok(recording)
    }

    /// The key of one of the readings; `None` in a file of one series.
    pub fn key(&self, reading: &RecordedReading) -> Option<&str> {
        let place = evidence::key_of(reading.tag).checked_sub(1)?;
        self.keys.get(place as usize).map(|key| &**key)
    }

    /// Series that are told apart by a key; 0 in a file of one series.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Whether readings have times without an offset, so that their zone matters.
    pub(crate) fn has_wall_times(&self) -> bool {
        self.readings.iter().any(|reading| reading.tag & HAS_OFFSET == 0)
    }

    /// What clocks show at a reading's time in the recording's zone, in milliseconds since 1970-01-01T00:00:00.
    pub fn wall_time_ms(&self, reading: &RecordedReading) -> i64 {
        let wall = wall_time(reading.time_ms, self.zone);
        wall.map_or(reading.time_ms, |wall| wall.and_utc().timestamp_millis())
    }

    /// The time of a reading as it is sent: as it was written, in the recording's zone; with an offset if it had one, or
    /// if the zone was named.
    pub fn time_text(&self, reading: &RecordedReading) -> String {
        let has_offset = reading.tag & HAS_OFFSET != 0;
        let zone = if has_offset && !self.writes_offsets {
            Tz::UTC
        } else {
            self.zone
        };
        let Some(wall) = wall_time(reading.time_ms, zone) else {
            return reading.time_ms.to_string();
        };
        if has_offset && zone == Tz::UTC {
            return wall.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        }
        let fraction = if wall.nanosecond() == 0 { "" } else { "%.3f" };
        if !has_offset && !self.writes_offsets {
            return wall.format(&format!("%Y-%m-%d %H:%M:%S{fraction}")).to_string();
        }
        let offset_minutes = wall.and_utc().timestamp_millis().saturating_sub(reading.time_ms) / 60_000;
        let sign = if offset_minutes < 0 { '-' } else { '+' };
        format!(
            "{}{sign}{:02}:{:02}",
            wall.format(&format!("%Y-%m-%dT%H:%M:%S{fraction}")),
            offset_minutes.abs() / 60,
            offset_minutes.abs() % 60
        )
    }
}

#[cfg(test)]
mod tests;
