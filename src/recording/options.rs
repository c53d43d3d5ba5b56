//! What a command says about the files that it reads.

use std::time::Duration;

use chrono_tz::Tz;

use crate::decode;
use crate::notation::number::DecimalMark;
use crate::notation::time::{DateOrder, TimeNotation, Written};
use crate::notation::zone::{AmbiguousTime, instant_ms};

/// What the command line says about a file; whatever it leaves open, the file decides.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// Names, or what columns are commonly called.
    pub columns: Columns,
    /// One ASCII character; `None`: found in the file.
    pub delimiter: Option<u8>,
    /// `None`: found in the file.
    pub decimal: Option<DecimalMark>,
    /// `None`: found in the file; an error where no row decides.
    pub date_order: Option<DateOrder>,
    /// Tried in this order; none is every known text, and a number by its size.
    pub time_formats: Vec<TimeNotation>,
    /// The zone of times without an offset, where the command names it. Such times are then sent with their offset.
    pub time_zone: Option<Tz>,
    /// The zone in which times without an offset are told apart where it is not named.
    pub default_zone: Tz,
    /// Which end of its interval a reading's time is.
    pub stamp: Stamp,
    /// What a reading covers, where its times are of the end; without it the file decides.
    pub interval: Option<Duration>,
    /// Lines above the heading.
    pub skip_lines: SkipLines,
    /// Rows that begin with this character are not read.
    pub comment: Option<u8>,
    /// The fate of readings that repeat an earlier one.
    pub repeated: Repeated,
    /// Readings outside of it are counted and left out.
    pub range: TimeRange,
    /// How lines of JSON are read.
    pub reading: decode::Settings,
}

/// The names of a file's columns. One that is not named is told by what columns are commonly called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Several are joined with a blank: date and time of day.
    pub time: Vec<String>,
    /// `None`: the column that looks like the value.
    pub value: Option<String>,
    /// The columns that tell series apart, joined by `reading.key_separator`; without any a file is one series.
    pub key: Vec<String>,
}

/// Which end of what a reading covers its time is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stamp {
    /// The time at which the interval begins.
    #[default]
    Start,
    /// The time at which the interval ends.
    End,
}

/// What stands above the heading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SkipLines {
    /// Whatever is above the first line that has the wanted columns.
    #[default]
    Auto,
    /// So many lines, whatever they hold.
    Count(u64),
}

/// What becomes of a reading with the time, value and key of an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeated {
    /// It counts again.
    #[default]
    Keep,
    /// It is left out, and counted in the report.
    Drop,
}

/// The readings to take: `from` inclusive, `until` exclusive. Bounds without an offset are in the file's zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Inclusive; `None`: from the first reading.
    pub from: Option<Written>,
    /// Exclusive; `None`: to the last reading.
    pub until: Option<Written>,
}

impl TimeRange {
    /// The instants from and until which readings are taken.
    pub(super) fn instants(&self, zone: Tz) -> std::ops::Range<i64> {
        let instant = |bound: Option<Written>| {
            bound.and_then(|bound| instant_ms(bound, zone, AmbiguousTime::Earlier, None).ok())
        };
        instant(self.from).unwrap_or(i64::MIN)..instant(self.until).unwrap_or(i64::MAX)
    }
}

impl ReadOptions {
    /// Options that leave everything to the file.
    pub fn new(reading: &decode::Settings) -> Self {
        ReadOptions {
            columns: Columns::default(),
            delimiter: None,
            decimal: None,
            date_order: None,
            time_formats: Vec::new(),
            time_zone: None,
            default_zone: reading.time_zone,
            stamp: Stamp::default(),
            interval: None,
            skip_lines: SkipLines::default(),
            comment: None,
            repeated: Repeated::default(),
            range: TimeRange::default(),
            reading: reading.clone(),
        }
    }
}
