//! The tables of docs/times-and-numbers.md are run, row by row.

use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use streamgauge::config::{Overrides, load};
use streamgauge::decode::{Decoder, Settings};
use streamgauge::notation::number::{self, DecimalMark};
use streamgauge::notation::time::{EVENT_TIMES_MS, Source, TimeError, TimeNotation};
use streamgauge::notation::zone::{AmbiguousTime, instant_ms};
use streamgauge::reading::Record;
use streamgauge::recording::{ReadOptions, Recording};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/times-and-numbers.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of a section's table, each cell without its back-ticks.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    const FEWEST: usize = 5;
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    assert!(rows.len() >= FEWEST, "{heading}: {} rows", rows.len());
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

fn settings(key: &str) -> Settings {
    let overrides = Overrides::default()
        .with("reading.time_zone", "the page", Some("America/New_York"))
        .with("reading.key", "the page", Some(key));
    let loaded = load(&overrides, None, []).unwrap();
    loaded.config.pipeline.reading
}

/// Hours and minutes in UTC of what is read.
fn utc(time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(time_ms).unwrap();
    time.format("%H:%M").to_string()
}

/// What becomes of messages with these times in a partition.
fn of_messages(shown: &str, settings: &Settings) -> String {
    let decoder = Decoder::new(settings);
    let mut newest_ms = None;
    let read = shown.split(' ').map(|clock| {
        let value = format!(r#"{{"ts":"2024-11-03 {clock}","value":1,"meter":"a"}}"#);
        let record = Record {
            offset: 0,
            timestamp_ms: Some(1_795_602_058_000),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        let mut time_ms = 0;
        let decoded = decoder.decode(record, newest_ms, &mut |reading| time_ms = reading.event_time_ms);
        match decoded {
            Ok(_) => {
                newest_ms = newest_ms.max(Some(time_ms));
                utc(time_ms)
            }
            Err(rejection) => {
                assert!(rejection.detail.contains("clocks show it twice"), "{rejection:?}");
                "refused".to_owned()
            }
        }
    });
    read.collect::<Vec<_>>().join(" ")
}

fn of_rows(shown: &str) -> String {
    let rows = shown.split(' ').map(|clock| format!("2024-11-03 {clock},1\n"));
    let csv = format!("time,kw\n{}", rows.collect::<String>());
    let recording = Recording::read(csv.as_bytes(), &ReadOptions::new(&settings("none"))).unwrap();
    let mut readings = recording.readings;
    readings.sort_by_key(|reading| reading.line);
    let times = readings.iter().map(|reading| utc(reading.time_ms));
    times.collect::<Vec<_>>().join(" ")
}

#[test]
fn an_hour_that_comes_twice_is_told_apart_or_refused_as_the_page_says() {
    for row in rows(&page(), "Hours that come twice") {
        assert_eq!(
            of_messages(&row[0], &settings("none")),
            row[1],
            "one series: {row:?}"
        );
        assert_eq!(
            of_messages(&row[0], &settings("meter")),
            row[2],
            "several series: {row:?}"
        );
        assert_eq!(of_rows(&row[0]), row[3], "a file: {row:?}");
    }
}
