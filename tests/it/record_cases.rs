//! Records as producers really write them, through the decoder and the aggregator in this process: which rows come out,
//! which records are dead letters and why, and which are skipped.
//!
//! Each folder of `tests/data/record-cases` is a case; its README says how to read one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use streamgauge::aggregation::{AggregationSpec, Aggregator, Fate};
use streamgauge::config::{Config, Overrides, load};
use streamgauge::decode::ValueKind;
use streamgauge::reading::{Position, Record, RecordBlock};

/// What is right, as `case.toml` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Who writes such records.
    #[serde(rename = "source")]
    _source: String,
    /// Why a record, or a setting, is refused that somebody might expect to work.
    #[serde(rename = "answer", default)]
    _answer: String,
    /// The Kafka timestamp of records that name none.
    #[serde(default = "default_timestamp_ms")]
    timestamp_ms: i64,
    /// As a settings file has them.
    #[serde(default)]
    settings: toml::Table,
    /// Part of the sentence with which the settings are refused; there are no rows then.
    #[serde(default)]
    refused: String,
    /// `start key measure average of count`, in the order of rows; `-` for no key and no measure. Of counters, the increase.
    #[serde(default)]
    rows: Vec<String>,
    /// `line reason: a part of the detail`.
    #[serde(default)]
    dead: Vec<String>,
    /// How many records are skipped.
    #[serde(default)]
    skipped: u64,
}

/// 2026-11-25T10:20:58Z
fn default_timestamp_ms() -> i64 {
    1_795_602_058_000
}

/// A line of `input.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    value: Option<String>,
    value_b64: Option<String>,
    key: Option<String>,
    key_b64: Option<String>,
    /// The Kafka timestamp in milliseconds since 1970.
    ts: Option<i64>,
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    rows: Vec<String>,
    /// Line, reason and detail.
    dead: Vec<(usize, String, String)>,
    skipped: u64,
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = (0u32, 0);
    let mut bytes = Vec::new();
    for character in text.trim_end_matches('=').chars() {
        let digit = DIGITS.find(character).expect("a digit of base64") as u32;
        bits = (bits.0 << 6 | digit, bits.1 + 6);
        if bits.1 >= 8 {
            bits.1 -= 8;
            bytes.push((bits.0 >> bits.1) as u8);
        }
    }
    bytes
}

fn bytes(text: Option<String>, encoded: Option<String>) -> Option<Vec<u8>> {
    text.map(String::into_bytes)
        .or_else(|| encoded.map(|encoded| base64(&encoded)))
}

fn block(folder: &Path, case: &Case) -> RecordBlock {
    let input = std::fs::read_to_string(folder.join("input.jsonl")).expect("a case has records");
    let mut block = RecordBlock::new(0, 0);
    for (offset, line) in (0..).zip(input.lines()) {
        let line: Line = serde_json::from_str(line).expect("a line is a record");
        let (key, value) = (bytes(line.key, line.key_b64), bytes(line.value, line.value_b64));
        let record = Record {
            offset,
            timestamp_ms: Some(line.ts.unwrap_or(case.timestamp_ms)),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &[],
        };
        block.push(record, None);
    }
    block
}

/// The outcome under the settings of the case, or the sentence that refuses them. Late readings count, too.
fn outcome(folder: &Path, case: &Case) -> Result<Outcome, String> {
    let settings = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(settings.path(), case.settings.to_string()).expect("a temporary file");
    let late = Overrides::default().with("window.late", "the test", Some("upsert"));
    let loaded = load(&late, Some(settings.path()), []).map_err(|error| error.to_string())?;
    Ok(outcome_of(&loaded.config, &block(folder, case)))
}

fn outcome_of(config: &Config, block: &RecordBlock) -> Outcome {
    let pipeline = &config.pipeline;
    let mut aggregator = Aggregator::new(AggregationSpec::new(&pipeline.reading, &pipeline.window));
    aggregator.assign(0, 0, Position::default(), 0);
    let mut outcome = Outcome::default();
    for output in aggregator.step(block) {
        if let Fate::Dead(rejection) = output.fate {
            let (reason, detail) = (rejection.reason.name().to_owned(), rejection.detail);
            outcome.dead.push((output.index + 1, reason, detail));
        }
    }
    let Some(batch) = aggregator.seal() else {
        return outcome;
    };
    assert!(batch.counts.are_conserved(), "{:?}", batch.counts);
    outcome.skipped = batch.counts.skipped;
    for row in batch.rows {
        let start = chrono::DateTime::from_timestamp_millis(row.start_ms).expect("a time");
        let shown = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.to_owned()
            }
        };
        outcome.rows.push(format!(
            "{} {} {} {} of {}",
            start.format("%Y-%m-%dT%H:%M:%SZ"),
            shown(&row.series.key),
            row.series.measure.as_deref().unwrap_or("-"),
            match pipeline.reading.value_kind {
                ValueKind::Gauge => row.totals.average(),
                ValueKind::Counter => row.totals.sum.rounded(),
            },
            row.totals.count
        ));
    }
    outcome
}

/// What is wrong with the outcome of a case, and the outcome as the case would have it.
fn fault(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("case.toml")).expect("a case says what is right");
    let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let found = match outcome(folder, &case) {
        Err(refusal) if !case.refused.is_empty() && refusal.contains(&case.refused) => return None,
        Err(refusal) => return Some(format!("refused: {refusal}")),
        Ok(_) if !case.refused.is_empty() => return Some("the settings are not refused".to_owned()),
        Ok(outcome) => outcome,
    };
    let is_expected = |((line, reason, detail), expected): (&(usize, String, String), &String)| {
        let (kind, part) = expected.split_once(": ").unwrap_or((expected, ""));
        kind == format!("{line} {reason}") && detail.contains(part)
    };
    let are_dead = found.dead.len() == case.dead.len() && found.dead.iter().zip(&case.dead).all(is_expected);
    if are_dead && found.rows == case.rows && found.skipped == case.skipped {
        return None;
    }
    let mut text = format!("rows = {:#?}\ndead = [\n", found.rows);
    for (line, reason, detail) in &found.dead {
        let _ = writeln!(text, "    {:?},", format!("{line} {reason}: {detail}"));
    }
    let _ = writeln!(text, "]\nskipped = {}", found.skipped);
    Some(text)
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/record-cases");
    let entries = std::fs::read_dir(root).expect("there are cases");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn records_as_producers_write_them_become_the_right_rows() {
    let folders = folders();
    assert!(folders.len() > 40, "{} cases", folders.len());
    let faults: BTreeMap<&PathBuf, String> = folders
        .iter()
        .filter_map(|folder| Some((folder, fault(folder)?)))
        .collect();
    let mut text = String::new();
    for (folder, fault) in &faults {
        let _ = writeln!(text, "=== {}\n{fault}", folder.display());
    }
    assert!(
        faults.is_empty(),
        "{} of {} cases:\n{text}",
        faults.len(),
        folders.len()
    );
}

const PRESETS: &str = include_str!("../../docs/presets.md");

/// The rows of a page's section, as cells without their quotes.
fn cells(section: &str) -> Vec<Vec<String>> {
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| …"));
    rows.map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn each_preset_gives_the_rows_that_its_section_shows() {
    let sections: Vec<&str> = PRESETS.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 11);
    let mut rows = Vec::new();
    for section in sections {
        let name = section.lines().next().unwrap_or_default();
        let message = section
            .split("```")
            .nth(1)
            .and_then(|block| block.split_once('\n'));
        let (_, message) = message.unwrap_or_else(|| panic!("{name} shows a message"));
        // The section of the same messages in another format refers to the rows before it.
        let shown = cells(section);
        rows = if shown.is_empty() { rows } else { shown };
        let preset = Overrides::default().with("reading.preset", "the test", Some(name));
        let loaded = load(&preset, None, []).expect("a preset is valid");
        let mut block = RecordBlock::new(0, 0);
        let record = Record {
            offset: 0,
            // 2026-07-20T10:00:30Z
            timestamp_ms: Some(1_784_541_630_000),
            key: Some(rows[0][0].as_bytes()),
            value: Some(message.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
        let outcome = outcome_of(&loaded.config, &block);
        assert_eq!(outcome.dead, [], "{name}");
        let is_cut = rows.last().is_some_and(|cells| cells[0] == "…");
        let expected: Vec<String> = rows
            .iter()
            .filter(|cells| cells[0] != "…")
            .map(|cells| match cells.as_slice() {
                [key, measure, average, count] => {
                    format!("2026-07-20T10:00:00Z {key} {measure} {average} of {count}")
                }
                [key, average, count] => format!("2026-07-20T10:00:00Z {key} - {average} of {count}"),
                other => panic!("{name}: {other:?}"),
            })
            .collect();
        for row in &expected {
            assert!(outcome.rows.contains(row), "{name}: {row} in {:#?}", outcome.rows);
        }
        assert!(
            is_cut || outcome.rows.len() == expected.len(),
            "{name}: {:#?}",
            outcome.rows
        );
    }
}

/// A reading: its wall time in minutes after midnight of the day on which New York has 25 hours, its key and its value.
type Plain = (u32, u8, i32);

/// The table of records with these settings, and how many readings are late.
fn table(records: &[String], settings: &[(&str, &str)]) -> (Vec<String>, u64) {
    let base = [
        ("reading.time_zone", "America/New_York"),
        ("reading.key", "key"),
        ("window.length", "15m"),
        ("window.watermark", "20m"),
        ("window.late", "drop"),
    ];
    let overrides = base
        .iter()
        .chain(settings)
        .fold(Overrides::default(), |overrides, (key, value)| {
            overrides.with(key, "the test", Some(value))
        });
    let pipeline = load(&overrides, None, [])
        .expect("the settings are right")
        .config
        .pipeline;
    let mut aggregator = Aggregator::new(AggregationSpec::new(&pipeline.reading, &pipeline.window));
    aggregator.assign(0, 0, Position::default(), 0);
    let mut block = RecordBlock::new(0, 0);
    for (offset, record) in (0..).zip(records) {
        let record = Record {
            offset,
            timestamp_ms: Some(default_timestamp_ms()),
            key: None,
            value: Some(record.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    assert_eq!(aggregator.step(&block), [], "nothing leaves");
    let batch = aggregator.seal().expect("records were consumed");
    let rows = batch.rows.iter().map(|row| format!("{row:?}")).collect();
    (rows, batch.counts.late_dropped)
}

fn time_of(minute: u32) -> String {
    format!("2024-11-03 {:02}:{:02}:00", minute / 60, minute % 60)
}

fn as_json((minute, key, value): &Plain) -> String {
    format!(
        r#"{{"ts":"{}","key":"k{key}","value":{value}}}"#,
        time_of(*minute)
    )
}

/// A time of an hour that comes twice is told by the readings before it, whatever the record.
fn readings() -> impl Strategy<Value = Vec<Plain>> {
    proptest::collection::vec((0u32..240, 0u8..3, -50i32..50), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// However readings are split over records, lines and arrays, and over blocks, the same table comes out.
    #[test]
    fn any_split_of_readings_into_records_gives_the_same_table(
        readings in readings(),
        sizes in proptest::collection::vec(1usize..6, 40),
    ) {
        let alone: Vec<String> = readings.iter().map(as_json).collect();
        let expected = table(&alone, &[]);
        let mut lists = Vec::new();
        let mut rest = &readings[..];
        for size in sizes {
            let (record, behind) = rest.split_at(size.min(rest.len()));
            if !record.is_empty() {
                lists.push(record.iter().map(as_json).collect::<Vec<_>>());
            }
            rest = behind;
        }
        let joined = |separator: &str| lists.iter().map(|list| list.join(separator)).collect::<Vec<_>>();
        prop_assert_eq!(table(&joined("\n"), &[]), expected.clone());
        let arrays: Vec<String> = joined(",").iter().map(|list| format!("[{list}]")).collect();
        prop_assert_eq!(table(&arrays, &[("reading.each", "[]")]), expected.clone());
        let inside: Vec<String> = joined(",").iter().map(|list| format!("{{\"m\":[{{\"r\":[{list}]}}]}}")).collect();
        prop_assert_eq!(table(&inside, &[("reading.each", "m.r")]), expected.clone());
        let unpacked: Vec<String> = joined("\n").iter().map(|list| format!("\u{feff}{list}\n\0")).collect();
        prop_assert_eq!(table(&unpacked, &[]), expected.clone());
        let beside: Vec<String> = joined("\n").iter().map(|list| list.replace("\"ts\"", "\"x\":NaN,\"ts\"")).collect();
        prop_assert_eq!(table(&beside, &[]), expected);
    }

    /// Lines of the line protocol likewise.
    #[test]
    fn any_split_of_lines_gives_the_same_table(
        readings in readings(),
        sizes in proptest::collection::vec(1usize..6, 40),
    ) {
        let as_line = |(minute, key, value): &Plain| {
            format!("m,k=k{key} v={value} {}000000000", 1_730_606_400 + i64::from(*minute) * 60)
        };
        let settings = [
            ("reading.format", "influx"),
            ("reading.key", "tags.k"),
            ("reading.value_field", "fields.v"),
            ("reading.time_field", "timestamp"),
            ("reading.time_format", "epoch_ns"),
        ];
        let lines: Vec<String> = readings.iter().map(as_line).collect();
        let expected = table(&lines, &settings);
        let mut records = Vec::new();
        let mut rest = &lines[..];
        for size in sizes {
            let (record, behind) = rest.split_at(size.min(rest.len()));
            if !record.is_empty() {
                records.push(format!("# a comment\r\n{}\r\n", record.join("\n")));
            }
            rest = behind;
        }
        prop_assert_eq!(table(&records, &settings), expected);
    }
}
