//! Reads a CSV, row by row.

use std::io::{Cursor, Read};

use chrono_tz::Tz;
use csv::{ByteRecord, ReaderBuilder};

use super::Error;
use super::cells::{Cells, Row, looks_like_time};
use super::columns::is_end;
use super::dialect::{self, Dialect};
use super::evidence::Pending;
use super::lines::Lines;
use super::options::{ReadOptions, Stamp};
use super::report::{SkipReason, excerpt};

/// So much of a file is looked at to find its heading.
const BEGINNING: u64 = 65_536;

pub(super) fn read(input: &mut dyn Read, options: &ReadOptions) -> Result<Pending, Error> {
    let mut beginning = Vec::new();
    input.take(BEGINNING).read_to_end(&mut beginning)?;
    let dialect = dialect::find(&beginning, options).map_err(|error| match unclosed_quote(&beginning) {
        Some(line) => Error::StrayQuote(line),
        None => error,
    })?;
    let has_periods = dialect.positions.time.len() == 2
        && dialect.heading[dialect.positions.time[1]]
            .to_lowercase()
            .contains("period");
    let (zone, zone_words) = zone(&dialect, options, has_periods);
    let mut pending = Pending::new(zone, options.time_zone.is_some() || zone_words.is_some());
    let Dialect {
        delimiter,
        comment,
        offset,
        line,
        heading,
        positions,
        assumed,
    } = dialect;
    pending.report.assumed = assumed;
    let named = |is_wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        let columns = heading.iter().enumerate().filter(|(place, _)| is_wanted(*place));
        columns.map(|(_, name)| name.clone()).collect()
    };
    pending.report.time_columns = named(&|place| positions.time.contains(&place));
    pending.report.other_columns =
        named(&|place| !positions.time.contains(&place) && place != positions.value);
    pending.report.assumed.extend(zone_words);
    let ends = pending.report.time_columns.iter().find(|name| is_end(name));
    if let Some(name) = ends.filter(|_| options.stamp == Stamp::Start) {
        let words = format!("times of column {name:?} are taken for starts (--stamp end)");
        pending.report.assumed.push(words);
    }
    let mut cells = Cells {
        positions,
        width: heading.len(),
        time_formats: &options.time_formats,
        date_order: options.date_order,
        decimal: options.decimal,
        may_have_decimal_comma: delimiter != b',',
        zone,
        key_separator: &options.reading.key_separator,
        has_periods,
        has_numbers: false,
        has_numbered_hours: false,
    };
    let rest = beginning.split_off(offset);
    let input = Lines::new(Cursor::new(rest).chain(input), delimiter, comment, line);
    rows(input, delimiter, comment, &mut cells, &mut pending)?;
    pending.numbers_hours = cells.has_numbered_hours;
    if cells.has_numbers {
        let words = "times are numbers since 1970, whose size decides their unit (--time-format)";
        pending.report.assumed.push(words.to_owned());
    }
    if has_periods {
        let words = format!("times are half hours of a day in {zone}, counted from 1 (--time-zone)");
        pending.report.assumed.push(words);
    }
    Ok(pending)
}

/// The line of a quote in the beginning of a file that hides what is behind it.
fn unclosed_quote(beginning: &[u8]) -> Option<u64> {
    let mut lines = Lines::new(beginning, b',', None, 1);
    std::io::copy(&mut lines, &mut std::io::sink()).ok()?;
    lines.stray_quote()
}

fn rows<R: Read>(
    input: Lines<R>,
    delimiter: u8,
    comment: Option<u8>,
    cells: &mut Cells<'_>,
    pending: &mut Pending,
) -> Result<(), Error> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(comment)
        .from_reader(input);
    let mut record = ByteRecord::new();
    let clocks = cells.positions.clocks.clone();
    let _heading = reader.read_byte_record(&mut record)?;
    while reader.read_byte_record(&mut record)? {
        let offset = record.position().map_or(0, csv::Position::byte);
        let line = reader.get_mut().line_from(offset);
        if let Some(line) = reader.get_ref().stray_quote() {
            return Err(Error::StrayQuote(line));
        }
        if holds_rows(&record, delimiter, cells) {
            return Err(Error::StrayQuote(line));
        }
        if clocks.is_empty() {
            let value = cells.positions.value;
            take(cells.row(&record), &record, value, line, cells, pending)?;
        }
        for clock in &clocks {
            let row = cells.row_at(&record, clock);
            take(row, &record, clock.0, line, cells, pending)?;
        }
    }
    match reader.get_ref().stray_quote() {
        Some(line) => Err(Error::StrayQuote(line)),
        None => Ok(()),
    }
}

/// Adds what a row, or a cell of one, holds.
fn take(
    row: Result<Row<'_>, SkipReason>,
    record: &ByteRecord,
    value: usize,
    line: u64,
    cells: &Cells<'_>,
    pending: &mut Pending,
) -> Result<(), Error> {
    pending.report.rows += 1;
    match row {
        Err(reason) => {
            pending.report.skip(line, reason);
            Ok(())
        }
        Ok(row) => {
            let text = |place: usize| {
                let field = record.get(place).unwrap_or_default();
                excerpt(String::from_utf8_lossy(field).trim())
            };
            pending.push(line, &row, || text(cells.positions.time[0]), || text(value))
        }
    }
}

/// Whether a quoted field has lines in it that are rows of their own: between two marks for inches.
fn holds_rows(record: &ByteRecord, delimiter: u8, cells: &Cells<'_>) -> bool {
    let ends_line = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let time = cells.positions.time[0];
    record.iter().any(|field| {
        field.iter().any(ends_line)
            && field.split(ends_line).skip(1).any(|line| {
                let cell = line.split(|byte| *byte == delimiter).nth(time);
                line.contains(&delimiter)
                    && cell.is_some_and(|cell| {
                        looks_like_time(&String::from_utf8_lossy(cell), cells.time_formats)
                    })
            })
    })
}

/// The zone of times without an offset; and, where the heading says which, that it does.
fn zone(dialect: &Dialect, options: &ReadOptions, has_periods: bool) -> (Tz, Option<String>) {
    if let Some(zone) = options.time_zone {
        return (zone, None);
    }
    let name = &dialect.heading[dialect.positions.time[0]];
    let upper = name.to_uppercase();
    let mut words = upper.split(|character: char| !character.is_ascii_alphanumeric());
    let named = if upper.contains("CET/CEST") {
        Some(Tz::CET)
    } else if words.any(|word| word == "UTC" || word == "GMT") {
        Some(Tz::UTC)
    } else {
        None
    };
    match named {
        Some(zone) => (
            zone,
            Some(format!(
                "times are of {zone}, as the column {name:?} says (--time-zone)"
            )),
        ),
        // Days that are counted in half hours are those of the British market.
        None if has_periods && options.default_zone == Tz::UTC => (Tz::Europe__London, None),
        None => (options.default_zone, None),
    }
}
