//! Log entries changed at random, as by a broken disk or an attacker: each is read or refused, none ends the
//! process.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Definition;
use super::log::EntryFormat;
use crate::config::{Config, DEFAULT_TOML};
use crate::reading::{Position, SeriesKey};
use crate::table::{
    Batch, CachedSnapshot, Commit, DataFile, Entry, Event, Moment, PositionChange, Snapshot,
    choose_compaction,
};
use crate::window::{ClosingWindows, Row, Totals};

const HOUR_MS: i64 = 3_600_000;

fn definition() -> Definition {
    let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
    Definition::new(&config.pipeline.table_spec())
}

fn entry(format: &EntryFormat<'_>) -> Vec<Value> {
    let position = Position {
        next_offset: 100,
        largest_event_time_ms: Some(5 * HOUR_MS),
    };
    let file = DataFile {
        path: "a.snappy.parquet".into(),
        size_bytes: 1_000,
        rows: 10,
        first_start_ms: 0,
        last_start_ms: 4 * HOUR_MS,
        bucket: Some(0),
    };
    let entry = Entry {
        id: Some("id".to_owned()),
        added: vec![file],
        removed: vec!["b.snappy.parquet".into()],
        positions: vec![(0, position), (1, position)],
        changes_rows: true,
        ..Entry::default()
    };
    let stats = r#"{"numRecords":10,"minValues":{"start":"1970-01-01T00:00:00Z"},"maxValues":{"start":"1970-01-01T04:00:00Z"}}"#;
    let written = format.write(&entry, 0, |_| Some(stats.to_owned())).unwrap();
    let made = format.creation("table", 0).unwrap();
    let lines = [made, written].concat();
    let text = String::from_utf8(lines).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// JSON pointers to every changeable part of a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| pointers(member, &format!("{at}/{}", name.replace('/', "~1")), found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    let stats = |start: &'static str, end: &'static str, rows: u64| {
        json!(
            json!({"numRecords": rows, "minValues": {"start": start}, "maxValues": {"start": end}})
                .to_string()
        )
    };
    prop_oneof![
        prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX])
            .prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        Just(Value::Null),
        Just(json!({})),
        Just(json!([])),
        Just(stats(
            "-262143-01-01T00:00:00Z",
            "+262142-12-31T00:00:00Z",
            u64::MAX
        )),
        Just(stats("9999-12-31T00:00:00Z", "1900-01-01T00:00:00Z", 0)),
        ".{0,12}".prop_map(|text| json!(text)),
        prop::sample::select(vec![
            "../x",
            "/x",
            "streamgauge/usage/0/offset",
            "streamgauge/usage/-2147483648/event_time",
            "streamgauge//",
        ])
        .prop_map(|text| json!(text)),
    ]
}

/// Uses the parsed entry as a writer and maintenance would.
fn use_entry(definition: &Definition, entry: &Entry) {
    let mut snapshot = Snapshot::default();
    snapshot.apply(entry);
    for start_ms in [i64::MIN, 0, i64::MAX] {
        snapshot.files_around(start_ms).count();
    }
    for closed_before_ms in [i64::MIN, 0, i64::MAX] {
        choose_compaction(&snapshot, &definition.layout, closed_before_ms, 2, u64::MAX);
    }
    let from = snapshot.position(0);
    let mut totals = Totals::empty();
    totals.add(1.0);
    let batch = Batch {
        rows: vec![Row {
            start_ms: 0,
            series: SeriesKey::of_key("key".into()),
            totals,
        }],
        positions: vec![PositionChange {
            partition: 0,
            epoch: 0,
            from,
            to: Position {
                next_offset: from.next_offset.saturating_add(1),
                ..from
            },
        }],
        closed_before_ms: from.largest_event_time_ms.unwrap_or(i64::MIN),
        counts: Default::default(),
        topic: None,
    };
    let cached = CachedSnapshot::new(snapshot, Moment::default());
    let (mut commit, _) = Commit::upsert("id".to_owned(), batch, definition.layout, cached);
    commit.next(Event::Entry(Some(entry.clone())));
    for largest in entry
        .positions
        .iter()
        .filter_map(|(_, position)| position.largest_event_time_ms)
    {
        let windows = definition.layout.windows;
        let closing = ClosingWindows {
            windows,
            allowed_delay_ms: i64::MAX,
            stamp: crate::decode::Stamp::Start,
        };
        closing.is_closed(largest, Some(largest));
        windows.start_of(largest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_entry_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), replacement(), any::<bool>()), 1..6),
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let definition = definition();
        let format = EntryFormat { definition: &definition };
        let mut actions = Value::Array(entry(&format));
        for (at, value, removes) in changes {
            let mut found = Vec::new();
            pointers(&actions, "", &mut found);
            let pointer = at.get(&found[1..]).clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match actions.pointer_mut(parent).unwrap() {
                Value::Object(members) if removes => drop(members.remove(&name.replace("~1", "/"))),
                _ => *actions.pointer_mut(&pointer).unwrap() = value,
            }
            if actions.as_array().is_none_or(Vec::is_empty) {
                break;
            }
        }
        let lines: Vec<String> = actions.as_array().into_iter().flatten().map(Value::to_string).collect();
        let mut lines = lines.join("\n").into_bytes();
        for (at, byte) in bytes {
            if !lines.is_empty() {
                let index = at.index(lines.len());
                lines[index] = byte;
            }
        }
        if let Ok(entry) = format.read(7, &lines) {
            use_entry(&definition, &entry);
        }
    }
}

#[test]
fn what_lies_beyond_all_times_counts_as_the_nearest() {
    let definition = definition();
    let format = EntryFormat {
        definition: &definition,
    };
    for (said, taken) in [
        (i64::MIN, -2_208_988_800_000),
        (0, 0),
        (i64::MAX, 253_402_300_799_999),
    ] {
        let app_id = format!("{}/{}/3/event_time", definition.pipeline, definition.topic);
        let line = json!({"txn": {"appId": app_id, "version": said}}).to_string();
        let entry = format.read(1, line.as_bytes()).unwrap();
        assert_eq!(entry.positions[0].1.largest_event_time_ms, Some(taken));
    }
}
