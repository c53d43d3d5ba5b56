//! The tables of docs/times-and-numbers.md are run, row by row.

use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use streamgauge::notation::number::{self, DecimalMark};
use streamgauge::notation::time::{EVENT_TIMES_MS, Source, TimeError, TimeNotation};
use streamgauge::notation::zone::{AmbiguousTime, instant_ms};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/times-and-numbers.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of a section's table, each cell without its back-ticks.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    assert!(rows.len() > 10, "{heading}: {} rows", rows.len());
    rows
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim_matches('|').split('|').map(str::trim);
    inner
        .map(|cell| match cell.strip_prefix('`') {
            Some(code) => unescaped(code.trim_end_matches('`')),
            None => cell.to_owned(),
        })
        .collect()
}

fn unescaped(code: &str) -> String {
    let characters = [("\\t", "\t"), ("\\u{a0}", "\u{a0}"), ("\\u{2212}", "\u{2212}")];
    characters
        .iter()
        .fold(code.to_owned(), |text, (escape, character)| {
            text.replace(escape, character)
        })
}

/// An instant, or the sentence that refuses the text.
fn time(text: &str, setting: &str) -> String {
    let read = || -> Result<i64, TimeError> {
        let notation = TimeNotation::parse(setting).unwrap();
        let written = notation.read(Source::Text(text), None)?;
        instant_ms(written, Tz::UTC, AmbiguousTime::InOrder, None)
    };
    match read() {
        Ok(time_ms) => {
            assert!(EVENT_TIMES_MS.contains(&time_ms), "{text}");
            let time = DateTime::from_timestamp_millis(time_ms).unwrap();
            time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_text_on_the_page_is_the_time_that_the_page_says() {
    let page = page();
    for heading in ["Times as text", "Texts that are refused"] {
        for row in rows(&page, heading) {
            assert_eq!(time(&row[0], "text"), row[1], "{row:?}");
        }
    }
    for row in rows(&page, "Numbers since 1970, and patterns") {
        assert_eq!(time(&row[0], &row[1]), row[2], "{row:?}");
    }
}

#[test]
fn every_number_on_the_page_is_the_one_that_the_page_says() {
    for row in rows(&page(), "Numbers") {
        let decimal = match row[1].as_str() {
            "," => DecimalMark::Comma,
            _ => DecimalMark::Point,
        };
        let read = match number::parse(&row[0], decimal) {
            Ok(number) => (number + 0.0).to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(read, row[2], "{row:?}");
    }
}
