//! A reader of CSVs by RFC 4180 and the manual of `play`: which messages a file must become, and what must be
//! reported of the rows that become none.

use std::collections::BTreeSet;

use super::double::nearest;
use super::times::{self, Order};

/// The expected result of a file.
#[derive(Debug, Default, PartialEq)]
pub struct Played {
    pub rows: usize,
    /// In the order of their times: what is sent, and its key.
    pub messages: Vec<(String, Option<String>)>,
    /// How many of them have the time, value and key of an earlier one.
    pub repeated: usize,
    /// The lines of the rows that are skipped.
    pub skipped: Vec<usize>,
}

/// A file's rows: the line that each begins on, and its fields.
struct Rows {
    rows: Vec<(usize, Vec<Vec<u8>>)>,
    /// A quoted field does not end where its quote is closed, or at all.
    is_cut: bool,
}

/// A file with the columns of these names, its dates with the month first; none if it lacks one of them, has two of one of
/// them, or has a quote that is not closed.
pub fn play(file: &[u8], time: &str, value: &str, key: Option<&str>) -> Option<Played> {
    let Rows { rows, is_cut } = rows(without_marks(file));
    let (_, heading) = rows.first()?;
    let column = |name: &str| {
        let mut places = (0..heading.len()).filter(|place| text(&heading[*place]).trim() == name);
        places.next().filter(|_| places.next().is_none())
    };
    let (time, value) = (column(time)?, column(value)?);
    let key = match key {
        Some(name) => Some(column(name)?),
        None => None,
    };
    if is_cut {
        return None;
    }
    let mut played = Played::default();
    let mut readings = Vec::new();
    for (line, fields) in rows.iter().skip(1) {
        played.rows += 1;
        let is_wide = fields
            .iter()
            .skip(heading.len())
            .any(|field| !field.trim_ascii().is_empty());
        let at =
            time_of(&field(fields, time)).filter(|(at_ms, _)| !is_wide && EVENT_TIMES_MS.contains(at_ms));
        let value = number(&field(fields, value));
        let key = key.map(|key| series(fields, key));
        match (at, value, key) {
            (Some(at), Some(value), None) => readings.push((at, value, None, *line)),
            (Some(at), Some(value), Some(Some(key))) => readings.push((at, value, Some(key), *line)),
            _ => played.skipped.push(*line),
        }
    }
    // Times without an offset are of no zone where others have one.
    let has_offsets = readings.iter().any(|((_, has_offset), ..)| *has_offset);
    readings.retain(|((_, has_offset), .., line)| {
        let is_kept = *has_offset == has_offsets;
        if !is_kept {
            played.skipped.push(*line);
        }
        is_kept
    });
    played.skipped.sort_unstable();
    readings.sort_by_key(|((at_ms, _), ..)| *at_ms);
    let mut seen = BTreeSet::new();
    for ((at_ms, has_offset), value, key, _) in readings {
        played.repeated += usize::from(!seen.insert((at_ms, (value + 0.0).to_bits(), key.clone())));
        let member = key.as_ref().map(|key| format!(", \"key\": {}", json_text(key)));
        let text = format!(
            "{{\"ts\": \"{}\", \"value\": {}{}}}",
            written_time(at_ms, has_offset),
            written_number(value),
            member.unwrap_or_default()
        );
        played.messages.push((text, key));
    }
    Some(played)
}

/// Whether it is a matter of judgment what a file is: it begins like something else, or a quoted field goes over lines and
/// has commas behind the end of one.
pub fn is_doubtful(file: &[u8]) -> bool {
    let file = without_marks(file);
    let first = file
        .split(|byte| b"\r\n".contains(byte))
        .find(|line| !line.is_empty());
    let first = first.unwrap_or_default().trim_ascii();
    let begins_oddly =
        first.is_empty() || first.starts_with(b"#") || first.starts_with(b"{") || file.contains(&0);
    // A mark of the byte order behind an empty line.
    let begins_oddly = begins_oddly || first.starts_with(b"\xef\xbb\xbf");
    let spans_rows = |field: &Vec<u8>| {
        let line_end = field.iter().position(|byte| b"\r\n".contains(byte));
        line_end.is_some_and(|end| field[end..].contains(&b',') || field[end..].len() > 30)
    };
    let Rows { rows, .. } = rows(file);
    let quoted_is_followed = rows.iter().flat_map(|(_, fields)| fields).any(spans_rows);
    begins_oddly || quoted_is_followed
}

/// Files that were put together have two byte order marks.
fn without_marks(mut file: &[u8]) -> &[u8] {
    while let Some(rest) = file.strip_prefix(b"\xef\xbb\xbf") {
        file = rest;
    }
    file
}

/// From 1900 to the day before the last of 9999.
const EVENT_TIMES_MS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=253_402_214_399_999;

/// A time in milliseconds, and whether it is since 1970 in UTC.
fn time_of(text: &str) -> Option<(i64, bool)> {
    match times::written(text, Order::MonthFirst) {
        Some((local_ms, offset_ms)) => Some((local_ms - offset_ms.unwrap_or(0), offset_ms.is_some())),
        None => {
            let number = number(text)?;
            // Seconds, milliseconds, microseconds or nanoseconds, from 1990 to 2100.
            let is_plausible = |at_ms: &f64| (631_152_000_000.0..4_102_444_800_000.0).contains(at_ms);
            [1e3, 1.0, 1e-3, 1e-6]
                .iter()
                .map(|unit| (number * unit).floor())
                .find(is_plausible)
                .map(|at_ms| (at_ms as i64, true))
        }
    }
}

fn rows(file: &[u8]) -> Rows {
    let mut rows = Vec::new();
    let (mut line, mut at) = (1, 0);
    let mut is_cut = false;
    while at < file.len() {
        let ends_line = |byte: u8| matches!(byte, b'\r' | b'\n');
        if ends_line(file[at]) {
            at += if file[at..].starts_with(b"\r\n") { 2 } else { 1 };
            line += 1;
            continue;
        }
        let begins = line;
        let mut fields = vec![Vec::new()];
        loop {
            let (field, end, is_closed) = one_field(&file[at..]);
            is_cut |= !is_closed;
            let passed = &file[at..at + end];
            line += passed.iter().filter(|byte| **byte == b'\n').count();
            line += passed
                .iter()
                .zip(&passed[1.min(end)..])
                .filter(|(byte, next)| **byte == b'\r' && **next != b'\n')
                .count();
            at += end;
            *fields.last_mut().expect("a row has a field") = field;
            if file.get(at) != Some(&b',') {
                break;
            }
            at += 1;
            fields.push(Vec::new());
        }
        rows.push((begins, fields));
    }
    Rows { rows, is_cut }
}

/// The field that a text begins with, its length there, and whether its quotes are closed where it ends.
fn one_field(text: &[u8]) -> (Vec<u8>, usize, bool) {
    let mut field = Vec::new();
    let mut at = 0;
    if text.first() == Some(&b'"') {
        at = 1;
        loop {
            match text[at..] {
                [b'"', b'"', ..] => {
                    field.push(b'"');
                    at += 2;
                }
                [b'"', ..] => break at += 1,
                [byte, ..] => {
                    field.push(byte);
                    at += 1;
                }
                [] => return (field, at, false),
            }
        }
    }
    let rest = text[at..].iter().take_while(|byte| !b",\r\n".contains(byte));
    let before = field.len();
    field.extend(rest);
    let length = at + field.len() - before;
    // Behind a quote that closes a field over several lines stands a comma, or it was meant to open one.
    let spans_lines = field[..before].iter().any(|byte| b"\r\n".contains(byte));
    let is_closed = !spans_lines || field.len() == before;
    (field, length, is_closed)
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn field(fields: &[Vec<u8>], column: usize) -> String {
    fields
        .get(column)
        .map(|field| text(field).trim().to_owned())
        .unwrap_or_default()
}

fn series(fields: &[Vec<u8>], column: usize) -> Option<String> {
    let key = String::from_utf8(fields.get(column)?.clone())
        .ok()?
        .trim()
        .to_owned();
    (!key.is_empty()).then_some(key)
}

/// A number as people write it: `1`, `+1.5`, `.5`, `5.`, `1e-3`; not beyond what a stream takes.
fn number(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = rest
        .split_once(['e', 'E'])
        .map_or((rest, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = are_digits(whole) && are_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    is_number.then_some(())?;
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        (are_digits(digits) && !digits.is_empty()).then_some(())?;
    }
    let number = nearest(&format!("{sign}{whole}.{fraction}e{}", exponent.unwrap_or("0")));
    (number.abs() <= 1e288).then_some(number)
}

fn written_time(at_ms: i64, has_offset: bool) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at_ms).expect("within chrono's years");
    let format = match (has_offset, at_ms.rem_euclid(1000)) {
        (true, _) => "%Y-%m-%dT%H:%M:%S%.3fZ",
        (false, 0) => "%Y-%m-%d %H:%M:%S",
        (false, _) => "%Y-%m-%d %H:%M:%S%.3f",
    };
    at.format(format).to_string()
}

/// As Python writes a float: the shortest digits that read back as the same double.
fn written_number(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("it has an exponent");
    let exponent: i64 = exponent.parse().expect("it is a number");
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}

fn json_text(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' => json += "\\\"",
            '\\' => json += "\\\\",
            '\n' => json += "\\n",
            '\r' => json += "\\r",
            '\t' => json += "\\t",
            '\u{8}' => json += "\\b",
            '\u{c}' => json += "\\f",
            '\0'..' ' => json += &format!("\\u{:04x}", u32::from(character)),
            _ => json.push(character),
        }
    }
    json + "\""
}
