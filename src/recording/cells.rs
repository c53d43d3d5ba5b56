//! From the cells of a row to its time, value and key.

use std::borrow::Cow;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use csv::ByteRecord;

use super::columns::{Positions, is_clock_only, is_dotted_clock};
use super::report::{SkipReason, excerpt};
use crate::notation::number::{self, DecimalMark, NumberError};
use crate::notation::time::{self, DateOrder, Source, TimeError, TimeNotation, Written, plausible_unit};
use crate::notation::zone::{AmbiguousTime, instant_ms, wall_to_instant_ms};
use crate::reading::LARGEST_VALUE;

/// The time of a row, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowTime {
    Instant(i64),
    Wall(i64),
    /// With the day first; with the month first it is another date.
    Either(i64),
    OnlyDayFirst(i64),
    OnlyMonthFirst(i64),
    /// An instant whose date has the day first.
    DayFirstInstant(i64),
}

/// The value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RowValue {
    Sure(f64),
    /// With a decimal point; with a decimal comma it is a thousand times as large.
    Either(f64),
    OnlyPoint(f64),
    OnlyComma(f64),
    /// With a decimal comma; otherwise the comma stands between thousands.
    PerhapsComma(f64),
}

/// Reads the cells of a file's rows.
pub(super) struct Cells<'o> {
    pub(super) positions: Positions,
    /// Columns of the heading.
    pub(super) width: usize,
    pub(super) time_formats: &'o [TimeNotation],
    pub(super) date_order: Option<DateOrder>,
    pub(super) decimal: Option<DecimalMark>,
    /// Whether the file may decide that a comma is the decimal mark.
    pub(super) may_have_decimal_comma: bool,
    pub(super) zone: Tz,
    /// What stands between the columns of a key.
    pub(super) key_separator: &'o str,
    /// Whether the second of two columns numbers the half hours of a day.
    pub(super) has_periods: bool,
    /// Whether a time was a number.
    pub(super) has_numbers: bool,
    /// Whether an hour was a number, or 24:00.
    pub(super) has_numbered_hours: bool,
}

/// A row as it was read: its key is not empty.
pub(super) struct Row<'r> {
    pub(super) time: RowTime,
    pub(super) value: RowValue,
    pub(super) key: Option<Cow<'r, str>>,
}

impl Cells<'_> {
    /// The reading of a row.
    pub(super) fn row<'r>(&mut self, record: &'r ByteRecord) -> Result<Row<'r>, SkipReason> {
        self.reading(record, self.positions.value, self.time_text(record))
    }

    /// One of a row's readings, in a table with a column for each time of day.
    pub(super) fn row_at<'r>(
        &mut self,
        record: &'r ByteRecord,
        (place, clock): &(usize, String),
    ) -> Result<Row<'r>, SkipReason> {
        let date = self.time_text(record);
        let time = match date.trim() {
            "" => String::new(),
            date => format!("{date} {clock}"),
        };
        self.reading(record, *place, Cow::Owned(time))
    }

    fn reading<'r>(
        &mut self,
        record: &'r ByteRecord,
        value: usize,
        time: Cow<'r, str>,
    ) -> Result<Row<'r>, SkipReason> {
        self.check_width(record)?;
        let value = field(record, value);
        let value = value.trim();
        if time.trim().is_empty() {
            return Err(SkipReason::NoTime);
        }
        if value.is_empty() {
            return Err(SkipReason::NoValue);
        }
        let key = match self.positions.key.as_slice() {
            [] => None,
            [only] => Some(key(record, *only)?),
            several => Some(Cow::Owned(self.joined_key(record, several)?)),
        };
        Ok(Row {
            time: self.time(time.trim())?,
            value: self.value(value)?,
            key,
        })
    }

    /// The parts of a key as the decoder joins them. Two keys that differ must not become one, so that only the last part may
    /// hold the separator.
    fn joined_key(&self, record: &ByteRecord, places: &[usize]) -> Result<String, SkipReason> {
        let mut joined = String::new();
        for (number, place) in places.iter().enumerate() {
            let part = key(record, *place)?;
            if number + 1 < places.len() && part.contains(self.key_separator) {
                let separator = self.key_separator.to_owned();
                return Err(SkipReason::KeyHoldsSeparator(excerpt(&part), separator));
            }
            if number > 0 {
                joined.push_str(self.key_separator);
            }
            joined.push_str(&part);
        }
        Ok(joined)
    }

    /// A field beyond the heading belongs to no column, and shows that those before it may have moved.
    fn check_width(&self, record: &ByteRecord) -> Result<(), SkipReason> {
        let is_moved = record
            .iter()
            .skip(self.width)
            .any(|field| !field.trim_ascii().is_empty());
        if is_moved {
            let filled = record.iter().rposition(|field| !field.trim_ascii().is_empty());
            return Err(SkipReason::TooManyFields(
                filled.map_or(0, |last| last + 1),
                self.width,
            ));
        }
        Ok(())
    }

    fn time_text<'r>(&self, record: &'r ByteRecord) -> Cow<'r, str> {
        match self.positions.time.as_slice() {
            [only] => field(record, *only),
            several => {
                let cells: Vec<Cow<'_, str>> = several.iter().map(|place| field(record, *place)).collect();
                let cells: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
                if cells.iter().any(|cell| cell.is_empty()) {
                    return Cow::Borrowed("");
                }
                Cow::Owned(cells.join(" "))
            }
        }
    }

    fn time(&mut self, text: &str) -> Result<RowTime, SkipReason> {
        if self.has_periods {
            return self.half_hour(text);
        }
        if !self.time_formats.is_empty() {
            let written = time::read(self.time_formats, Source::Text(text), self.date_order);
            return written
                .and_then(|written| self.settled(written))
                .map_err(|error| SkipReason::BadTime(excerpt(text), error));
        }
        let start = interval_start(text).unwrap_or(text);
        let (start, offset_s) = central_european(start);
        let start = with_colons(start);
        let start = with_minutes(&start, self.positions.time.len() > 1);
        self.has_numbered_hours |= matches!(start, Cow::Owned(_)) || start.contains(" 24:");
        let offset_ms = i64::from(offset_s.unwrap_or(0)) * 1000;
        match self.known_text(&start) {
            Ok(RowTime::Wall(wall_ms)) if offset_s.is_some() => Ok(RowTime::Instant(wall_ms - offset_ms)),
            // Where people write (CET) behind a time, they write the day before the month.
            Ok(RowTime::Either(wall_ms) | RowTime::OnlyDayFirst(wall_ms)) if offset_s.is_some() => {
                Ok(RowTime::DayFirstInstant(wall_ms - offset_ms))
            }
            Ok(_) if offset_s.is_some() => Err(SkipReason::BadTime(excerpt(text), TimeError::UnknownForm)),
            Err(TimeError::Number(Some((_, instant_ms)))) => {
                self.has_numbers = true;
                Ok(RowTime::Instant(instant_ms))
            }
            Err(TimeError::Number(None)) => Err(no_time_of_our_days(text)),
            Err(error) => Err(SkipReason::BadTime(excerpt(text), error)),
            Ok(time) => Ok(time),
        }
    }

    /// A text of any known form; where day and month may be either, what it is with the day first.
    fn known_text(&self, text: &str) -> Result<RowTime, TimeError> {
        let read = |order| TimeNotation::Text.read(Source::Text(text), order);
        let ms = |written| match written {
            Written::Wall(wall) => Ok(wall.and_utc().timestamp_millis()),
            Written::Instant(_) | Written::Seasonal(..) => Err(TimeError::UnknownForm),
        };
        match read(self.date_order) {
            Ok(written) => self.settled(written),
            // With an offset or in parentheses the order of day and month matters all the same.
            Err(TimeError::DayOrMonthFirst {
                day_first,
                month_first,
            }) => {
                let day_first = day_first.map(|_| read(Some(DateOrder::DayFirst)));
                let month_first = month_first.map(|_| read(Some(DateOrder::MonthFirst)));
                match (day_first, month_first) {
                    (Some(day_first), Some(_)) => Ok(RowTime::Either(ms(day_first?)?)),
                    (Some(day_first), None) => Ok(RowTime::OnlyDayFirst(ms(day_first?)?)),
                    (None, Some(month_first)) => Ok(RowTime::OnlyMonthFirst(ms(month_first?)?)),
                    (None, None) => Err(TimeError::NoSuchTime),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn settled(&self, written: Written) -> Result<RowTime, TimeError> {
        match written {
            Written::Wall(wall) => Ok(RowTime::Wall(wall.and_utc().timestamp_millis())),
            written => instant_ms(written, self.zone, AmbiguousTime::InOrder, None).map(RowTime::Instant),
        }
    }

    /// The beginning of a numbered half hour of a day: real time since midnight, so that days of 46 and 50 are right.
    fn half_hour(&self, text: &str) -> Result<RowTime, SkipReason> {
        let (date, number) = text.rsplit_once(' ').unwrap_or((text, ""));
        let periods = number
            .parse::<i64>()
            .ok()
            .filter(|number| (1..=50).contains(number))
            .ok_or_else(|| SkipReason::BadPeriod(excerpt(number)))?;
        let bad_date = |error| SkipReason::BadTime(excerpt(date), error);
        let notations = match self.time_formats {
            [] => &[TimeNotation::Text][..],
            formats => formats,
        };
        match time::read(notations, Source::Text(date), self.date_order).map_err(bad_date)? {
            Written::Wall(midnight) => {
                let midnight_ms = wall_to_instant_ms(midnight, self.zone, AmbiguousTime::Earlier, None);
                Ok(RowTime::Instant(midnight_ms + (periods - 1) * 1_800_000))
            }
            _ => Err(bad_date(TimeError::UnknownForm)),
        }
    }

    fn value(&self, text: &str) -> Result<RowValue, SkipReason> {
        let bad = |error| SkipReason::BadValue(excerpt(text), error);
        let value = match self.decimal {
            Some(decimal) => RowValue::Sure(number::parse(text, decimal).map_err(bad)?),
            None if self.may_have_decimal_comma => either(text).map_err(bad)?,
            None => RowValue::Sure(number::parse(text, DecimalMark::Point).map_err(bad)?),
        };
        let (RowValue::Sure(number)
        | RowValue::Either(number)
        | RowValue::OnlyPoint(number)
        | RowValue::OnlyComma(number)
        | RowValue::PerhapsComma(number)) = value;
        if number.abs() > LARGEST_VALUE {
            return Err(SkipReason::ValueTooLarge(excerpt(text)));
        }
        Ok(value)
    }
}

/// A number by either decimal mark.
fn either(text: &str) -> Result<RowValue, NumberError> {
    let has_mark = text.contains(['.', ',']);
    match (
        number::parse(text, DecimalMark::Point),
        number::parse(text, DecimalMark::Comma),
    ) {
        (Ok(point), _) if !has_mark => Ok(RowValue::Sure(point)),
        (Ok(point), Ok(_)) => Ok(RowValue::Either(point)),
        (Ok(point), Err(_)) => Ok(RowValue::OnlyPoint(point)),
        (Err(_), Ok(comma)) if is_group_of_three(text) => Ok(RowValue::PerhapsComma(comma)),
        (Err(_), Ok(comma)) => Ok(RowValue::OnlyComma(comma)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// `1,234`: one to three digits, a comma, three digits.
fn is_group_of_three(text: &str) -> bool {
    text.split_once(',').is_some_and(|(whole, fraction)| {
        let digits = whole.trim_start_matches(['+', '-']);
        (1..=3).contains(&digits.len()) && digits != "0" && fraction.len() == 3
    })
}

/// Whether a text is a time, or would be one by some setting.
pub(super) fn looks_like_time(text: &str, formats: &[TimeNotation]) -> bool {
    let text = text.trim();
    let start = interval_start(text).unwrap_or(text);
    let notations = if formats.is_empty() {
        &[TimeNotation::Text][..]
    } else {
        formats
    };
    let (start, _) = central_european(start);
    match time::read(
        notations,
        Source::Text(&with_minutes(&with_colons(start), true)),
        None,
    ) {
        Ok(_) => true,
        Err(TimeError::Number(plausible)) => plausible.is_some() || serial_date(text).is_some(),
        Err(error) => matches!(
            error,
            TimeError::DayOrMonthFirst { .. }
                | TimeError::TwoDigitYear
                | TimeError::ZoneName(_)
                | TimeError::Interval
        ),
    }
}

pub(super) fn is_number(text: &str) -> bool {
    number::parse(text, DecimalMark::Point).is_ok() || number::parse(text, DecimalMark::Comma).is_ok()
}

/// What is before the dash of `27.10.2024 02:00 - 27.10.2024 02:15`.
fn interval_start(text: &str) -> Option<&str> {
    let (start, end) = text.split_once(" - ").or_else(|| text.split_once(" \u{2013} "))?;
    (start.contains(':') && end.contains(':')).then_some(start.trim_end())
}

/// A time without the name of central European time behind it, which is not ambiguous in parentheses: `(CET)`, `(CEST)`.
fn central_european(text: &str) -> (&str, Option<i32>) {
    for (name, offset_s) in [("(CET)", 3600), ("(CEST)", 7200)] {
        if let Some(time) = text.strip_suffix(name) {
            return (time.trim_end(), Some(offset_s));
        }
    }
    (text, None)
}

/// A date and an hour with the minutes of the hour: `2024-01-01 07` becomes `2024-01-01 07:00`, and so does `07X`, as
/// grid operators write the second of two hours in autumn.
fn with_minutes(text: &str, is_joined: bool) -> Cow<'_, str> {
    let hour = text.rsplit_once(' ').map(|(_, hour)| hour);
    match hour.map(|hour| hour.strip_suffix('X').unwrap_or(hour)) {
        Some(hour) if is_joined && is_clock_only(hour) && !hour.contains(':') => {
            Cow::Owned(format!("{}:00", text.trim_end_matches('X')))
        }
        _ => Cow::Borrowed(text),
    }
}

/// A date and a time of day such as `18.00.00`, with colons in it.
fn with_colons(text: &str) -> Cow<'_, str> {
    match text.rsplit_once(' ') {
        Some((date, clock)) if is_dotted_clock(clock) => {
            Cow::Owned(format!("{date} {}", clock.replace('.', ":")))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Why a number is not taken for a time.
fn no_time_of_our_days(text: &str) -> SkipReason {
    match TimeNotation::Auto.read(Source::Text(text), None) {
        Err(error @ TimeError::TwelveDigits(_)) => SkipReason::BadTime(excerpt(text), error),
        _ => SkipReason::SerialNumber(excerpt(text), serial_date(text).map(|date| date.to_string())),
    }
}

/// The date that a number is in a spreadsheet, from 1990 to 2100.
fn serial_date(text: &str) -> Option<NaiveDate> {
    let days: f64 = text.parse().ok()?;
    let is_date = plausible_unit(Source::Text(text)).is_none() && (32_874.0..73_051.0).contains(&days);
    let epoch = NaiveDate::from_ymd_opt(1899, 12, 30)?;
    epoch.checked_add_days(Days::new(is_date.then_some(days as u64)?))
}

fn field(record: &ByteRecord, position: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(record.get(position).unwrap_or_default())
}

fn key(record: &ByteRecord, position: usize) -> Result<Cow<'_, str>, SkipReason> {
    // Lossy conversion would merge keys of other encodings, because it replaces every bad byte by the same mark.
    let bytes = record.get(position).unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(key) if key.trim().is_empty() => Err(SkipReason::NoKey),
        Ok(key) => Ok(Cow::Borrowed(key.trim())),
        Err(_) => Err(SkipReason::BadKey(excerpt(String::from_utf8_lossy(bytes).trim()))),
    }
}

/// A wall time from its milliseconds.
pub(super) fn wall(wall_ms: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(wall_ms)
        .unwrap_or_default()
        .naive_utc()
}
