//! Readings as they were read, before the whole file has decided what their dates and decimal marks are.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use super::cells::{Row, RowTime, RowValue, wall};
use super::report::{ReadReport, SKIPPED_KEPT, SkipReason, excerpt};
use super::{Error, RecordedReading};
use crate::notation::number::NumberError;

/// What is open about a reading, beside the place of its key in the same number.
pub(super) const INSTANT: u32 = 1 << 31;
pub(super) const EITHER_ORDER: u32 = 1 << 30;
pub(super) const EITHER_MARK: u32 = 1 << 29;
pub(super) const NEEDS_COMMA: u32 = 1 << 28;
const KEY: u32 = NEEDS_COMMA - 1;
const MOST_KEYS: usize = KEY as usize - 1;

/// The key of a reading, as [`RecordedReading`] has it, in what is open about it.
pub(super) fn key_of(tag: u32) -> u32 {
    tag & KEY
}

/// The readings of a file in its order, with what the file has shown.
pub(super) struct Pending {
    pub(super) readings: Vec<RecordedReading>,
    pub(super) keys: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
    pub(super) report: ReadReport,
    pub(super) zone: Tz,
    pub(super) writes_offsets: bool,
    /// Whether the hours of a day are numbered, up to 24.
    pub(super) numbers_hours: bool,
    pub(super) evidence: Evidence,
    /// Texts of the first values that are only numbers if the file has decimal commas.
    commas: Vec<(u32, String)>,
}

/// The first lines that can only be read in one way.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) day_first: Option<(u64, String)>,
    pub(super) month_first: Option<(u64, String)>,
    /// The first date that may be either: line, text and what it is with the day first.
    pub(super) either: Option<(u64, String, NaiveDate)>,
    pub(super) point: Option<u64>,
    pub(super) comma: Option<(u64, String)>,
}

impl Pending {
    pub(super) fn new(zone: Tz, writes_offsets: bool) -> Self {
        Pending {
            readings: Vec::new(),
            keys: Vec::new(),
            places: HashMap::new(),
            report: ReadReport::default(),
            zone,
            writes_offsets,
            numbers_hours: false,
            evidence: Evidence::default(),
            commas: Vec::new(),
        }
    }

    /// Takes a row; `time_text` and `value_text` are what evidence is shown by.
    pub(super) fn push(
        &mut self,
        line: u64,
        row: &Row<'_>,
        time_text: impl Fn() -> String,
        value_text: impl Fn() -> String,
    ) -> Result<(), Error> {
        let mut tag = self.key_tag(row.key.as_deref())?;
        let time_ms = match row.time {
            RowTime::Instant(time_ms) => {
                tag |= INSTANT;
                time_ms
            }
            RowTime::Wall(time_ms) => time_ms,
            RowTime::DayFirstInstant(time_ms) => {
                tag |= INSTANT;
                self.evidence.day_first.get_or_insert_with(|| (line, time_text()));
                time_ms
            }
            RowTime::Either(time_ms) => {
                tag |= EITHER_ORDER;
                let date = || wall(time_ms).date();
                self.evidence
                    .either
                    .get_or_insert_with(|| (line, time_text(), date()));
                time_ms
            }
            RowTime::OnlyDayFirst(time_ms) => {
                self.evidence.day_first.get_or_insert_with(|| (line, time_text()));
                time_ms
            }
            RowTime::OnlyMonthFirst(time_ms) => {
                self.evidence
                    .month_first
                    .get_or_insert_with(|| (line, time_text()));
                time_ms
            }
        };
        let value = match row.value {
            RowValue::Sure(value) => value,
            RowValue::Either(value) => {
                tag |= EITHER_MARK;
                value
            }
            RowValue::OnlyPoint(value) => {
                self.evidence.point.get_or_insert(line);
                value
            }
            RowValue::OnlyComma(value) | RowValue::PerhapsComma(value) => {
                tag |= NEEDS_COMMA;
                if self.commas.len() < SKIPPED_KEPT {
                    self.commas.push((line as u32, value_text()));
                }
                if matches!(row.value, RowValue::OnlyComma(_)) {
                    self.evidence.comma.get_or_insert_with(|| (line, value_text()));
                }
                value
            }
        };
        self.readings.push(RecordedReading {
            time_ms,
            value,
            line: u32::try_from(line).map_err(|_| Error::TooManyLines(u32::MAX))?,
            tag,
        });
        Ok(())
    }

    fn key_tag(&mut self, key: Option<&str>) -> Result<u32, Error> {
        let Some(key) = key else { return Ok(0) };
        if let Some(place) = self.places.get(key) {
            return Ok(*place);
        }
        if self.keys.len() >= MOST_KEYS {
            return Err(Error::TooManyKeys(MOST_KEYS));
        }
        let key: Arc<str> = key.into();
        self.keys.push(Arc::clone(&key));
        let place = self.keys.len() as u32;
        self.places.insert(key, place);
        Ok(place)
    }

    /// Decides which of day and month comes first.
    pub(super) fn settle_dates(&mut self) -> Result<(), Error> {
        let evidence = &self.evidence;
        let (line, text, is_month_first) = match (&evidence.day_first, &evidence.month_first) {
            (Some((day_first, _)), Some((month_first, _))) => {
                return Err(Error::BothDateOrders {
                    day_first: *day_first,
                    month_first: *month_first,
                });
            }
            (Some((line, text)), None) => (line, text, false),
            (None, Some((line, text))) => (line, text, true),
            (None, None) => match &evidence.either {
                None => return Ok(()),
                Some((line, text, date)) => {
                    return Err(Error::DayOrMonthFirst {
                        line: *line,
                        text: text.clone(),
                        day_first: *date,
                        month_first: swapped(*date).unwrap_or(*date),
                    });
                }
            },
        };
        let first = if is_month_first { "the month" } else { "the day" };
        self.report.assumed.push(format!(
            "dates have {first} first, as line {line} shows: {text} (--date-order)"
        ));
        if is_month_first {
            for reading in self
                .readings
                .iter_mut()
                .filter(|reading| reading.tag & EITHER_ORDER != 0)
            {
                let read = wall(reading.time_ms);
                if let Some(date) = swapped(read.date()) {
                    reading.time_ms = date.and_time(read.time()).and_utc().timestamp_millis();
                }
            }
        }
        Ok(())
    }

    /// Decides which mark is before the fractions of values, and skips those that are none by it.
    pub(super) fn settle_decimal_marks(&mut self) -> Result<(), Error> {
        match (&self.evidence.comma, self.evidence.point) {
            (Some((comma, _)), Some(point)) => Err(Error::BothDecimalMarks { point, comma: *comma }),
            (Some((line, text)), None) => {
                self.report.assumed.push(format!(
                    "a comma is the decimal mark, as line {line} shows: {text} (--decimal)"
                ));
                for reading in self
                    .readings
                    .iter_mut()
                    .filter(|reading| reading.tag & EITHER_MARK != 0)
                {
                    // It was read as 4.216, with three decimals, and is 4,216.
                    reading.value = (reading.value * 1000.0).round();
                }
                Ok(())
            }
            (None, _) => {
                let mut texts = std::mem::take(&mut self.commas).into_iter().peekable();
                let report = &mut self.report;
                self.readings.retain(|reading| {
                    let is_number = reading.tag & NEEDS_COMMA == 0;
                    if !is_number {
                        let text = texts.next_if(|(line, _)| *line == reading.line);
                        let text = text.map_or_else(String::new, |(_, text)| excerpt(&text));
                        report.skip(
                            u64::from(reading.line),
                            SkipReason::BadValue(text, NumberError::HasComma),
                        );
                    }
                    is_number
                });
                Ok(())
            }
        }
    }
}

/// The date with day and month exchanged.
fn swapped(date: NaiveDate) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(date.year(), date.day(), date.month())
}
