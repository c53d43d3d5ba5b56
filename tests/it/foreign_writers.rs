//! Other engines write to the table: values of the same meaning are read, however they lie in the
//! file; others are reported.
//!
//! Holds I3 and I4 (totals and rows are those of an oracle that knows what the other engine did) and I8: a value that
//! cannot be read is reported by column, row and file. delta-rs' Python package changes tables as its users do;
//! pyarrow writes files as Spark (96-bit timestamps), Trino (milliseconds) and others do.

use std::path::Path;

use futures::StreamExt;
use serde_json::{Value, json};
use streamgauge::lake::{Lake, LakeError, OpenMode};
use streamgauge::table::Outcome;
use streamgauge_testkit::readers::Python;
use streamgauge_testkit::require;

use crate::table::{Expected, Place, Reading, TableRow, Writer, contract, reading, readings, rows};

contract!(
    readings_go_on_after_each_change_by_delta_rs,
    a_checkpoint_of_delta_rs_with_statistics_in_columns_is_read,
    rows_that_were_put_back_without_their_positions_stop_it_until_that_is_undone,
);

const KEYS: [&str; 3] = ["north", "east", "west"];

/// Readings in quarters, so that any sum of them is exact in 32 bits, too.
fn quarters(seed: u64, count: usize) -> Vec<Reading> {
    let rough = readings(seed, count, 0..4, &KEYS).into_iter();
    rough
        .map(|(hour, key, value)| (hour, key, (value / 10.0).round() / 4.0))
        .collect()
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/readers")
        .join(name)
}

fn change(python: &Python, place: &Place, operation: &str) {
    let options = place.options.iter().cloned();
    let options: serde_json::Map<String, Value> = options.map(|(name, value)| (name, value.into())).collect();
    let options = Value::from(options).to_string();
    python
        .run(&script("change_table.py"), &[operation, &place.uri, &options])
        .unwrap();
}

/// The rows after an operation of `change_table.py`.
fn changed(rows: &mut Vec<TableRow>, operation: &str) {
    let adds_one = ["update", "merge"].contains(&operation);
    if ["delete", "merge"].contains(&operation) {
        rows.retain(|row| row.key.as_deref() != Some("east"));
    }
    for row in rows.iter_mut().filter(|row| row.key.as_deref() == Some("north")) {
        if adds_one {
            row.sum += 1.0;
        }
        if operation == "append" && row.start_ms == crate::table::HOUR_MS {
            row.sum += 2.5;
            row.count += 1;
            row.minimum = row.minimum.min(2.5);
            row.maximum = row.maximum.max(2.5);
        }
    }
}

/// Adds readings' rows to others, as a commit does.
fn added(rows: &mut Vec<TableRow>, readings: &[Reading]) {
    for new in Expected::of(readings).rows() {
        match rows
            .iter_mut()
            .find(|row| (row.start_ms, &row.key) == (new.start_ms, &new.key))
        {
            Some(row) => {
                row.sum += new.sum;
                row.count += new.count;
                row.minimum = row.minimum.min(new.minimum);
                row.maximum = row.maximum.max(new.maximum);
            }
            None => rows.push(new),
        }
    }
    for row in rows.iter_mut() {
        row.average = row.sum / row.count as f64;
    }
    rows.sort_by(|left, right| (left.start_ms, &left.key).cmp(&(right.start_ms, &right.key)));
}

/// L7: `RESTORE` takes rows back and leaves the positions, by Delta's design.
async fn rows_that_were_put_back_without_their_positions_stop_it_until_that_is_undone(place: &Place) {
    let Some(python) = require("delta-rs", Python::shared()) else {
        return;
    };
    let config = place.config();
    let mut expected = Expected::default();
    let mut running = Writer::open(&config, 0).await;
    for seed in 1..4 {
        let pending = quarters(seed, 20);
        running.commit(&pending).await;
        expected.add(&pending);
    }
    change(python, place, "restore");
    let refused = |error: &LakeError| {
        let sentence = error.to_string();
        assert!(
            matches!(error, LakeError::Incompatible { .. }) && sentence.contains("(RESTORE)"),
            "{sentence}"
        );
    };
    refused(
        &Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
            .await
            .unwrap_err(),
    );
    match running.try_commit(&quarters(4, 20)).await.unwrap() {
        Outcome::Incompatible(sentence) => assert!(sentence.contains("(RESTORE)"), "{sentence}"),
        other => panic!("{other:?}"),
    }
    refused(&running.lake.reload().await.unwrap_err());

    // Put where it was: rows and positions belong together again.
    change(python, place, "restore");
    let mut started = Writer::open(&config, 0).await;
    let pending = quarters(5, 20);
    started.commit(&pending).await;
    expected.add(&pending);
    assert_eq!(rows(&config).await, expected.rows());
}

async fn readings_go_on_after_each_change_by_delta_rs(place: &Place) {
    let Some(python) = require("delta-rs", Python::shared()) else {
        return;
    };
    let config = place.config();
    let mut expected = Vec::new();
    let mut running = Writer::open(&config, 0).await;
    let first = quarters(1, 60);
    running.commit(&first).await;
    added(&mut expected, &first);
    let operations = [
        "update",
        "delete",
        "append",
        "optimize",
        "update",
        "z-order",
        "merge",
        "overwrite",
    ];
    for (seed, operation) in operations.into_iter().enumerate() {
        change(python, place, operation);
        changed(&mut expected, operation);
        // Every row is touched, by a process that ran meanwhile and by one that starts then.
        let mut pending = quarters(seed as u64 + 10, 20);
        for hour in 0..4 {
            pending.extend(KEYS.map(|key| reading(hour, key, 0.25)));
        }
        running.commit(&pending).await;
        added(&mut expected, &pending);
        assert_eq!(rows(&config).await, expected, "after {operation}");
        Writer::open(&config, 1).await.commit(&pending).await;
        added(&mut expected, &pending);
        assert_eq!(rows(&config).await, expected, "after {operation} and a start");
    }
}

async fn a_checkpoint_of_delta_rs_with_statistics_in_columns_is_read(place: &Place) {
    let Some(python) = require("delta-rs", Python::shared()) else {
        return;
    };
    let config = place.config();
    let (first, second) = (quarters(1, 60), quarters(2, 60));
    Writer::open(&config, 0).await.commit(&first).await;
    change(python, place, "update");
    change(python, place, "checkpoint");
    Writer::open(&config, 0).await.commit(&second).await;
    let mut expected = Expected::of(&first).rows();
    changed(&mut expected, "update");
    added(&mut expected, &second);
    assert_eq!(rows(&config).await, expected);
}

/// The table of a test, rewritten as another engine would.
async fn rewritten(python: &'static Python, how: &'static str, first: &[Reading]) -> Place {
    let place = Place::local(how);
    Writer::open(&place.config(), 0).await.commit(first).await;
    let folder = place.folder.to_str().unwrap().to_owned();
    let run = move || python.run(&script("rewrite_files.py"), &[&folder, how]);
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_values_are_read_however_they_are_written() {
    let Some(python) = require("pyarrow", Python::shared()) else {
        return;
    };
    let ways = [
        "string_view",
        "large_string",
        "dictionary",
        "binary",
        "int96",
        "milliseconds",
        "nanoseconds",
        "no_zone",
        "other_zone",
        "milliseconds_no_zone",
        "int32_count",
        "uint16_count",
        "uint64_count",
        "float32",
        "decimals",
        "reversed",
        "more_columns",
        "small_row_groups",
        "gzip",
        "brotli",
        "lz4",
        "zstd",
        "uncompressed",
        "delta_encoded",
    ];
    let cases = ways.into_iter().map(async |how| {
        let (first, second) = (quarters(1, 60), quarters(2, 80));
        let place = rewritten(python, how, &first).await;
        let config = place.config();
        let mut writer = Writer::open(&config, 0).await;
        if let Err(error) = writer.try_commit(&second).await {
            return Some(format!("{how}: {error}"));
        }
        let expected = Expected::of(&[first, second].concat()).rows();
        (rows(&config).await != expected).then(|| format!("{how}: other rows"))
    });
    let wrong: Vec<_> = futures::stream::iter(cases).buffer_unordered(3).collect().await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A residual that belongs to another sum than its row's is not added to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_residual_of_another_sum_is_left_out() {
    let Some(python) = require("pyarrow", Python::shared()) else {
        return;
    };
    let first = [reading(1, "north", 1e16), reading(1, "north", 1.0)];
    let place = rewritten(python, "foreign_sum", &first).await;
    let config = place.config();
    Writer::open(&config, 0)
        .await
        .commit(&[reading(1, "north", 4.0)])
        .await;
    assert_eq!(rows(&config).await[0].sum, 1004.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_values_are_reported_by_column_and_row_or_type() {
    let Some(python) = require("pyarrow", Python::shared()) else {
        return;
    };
    let cases = [
        ("int64_key", "the column key is Int64, not text"),
        ("int64_start", "the column start is Int64, not a timestamp"),
        ("text_start", "the column start is Utf8, not a timestamp"),
        ("text_sum", "the column sum_usage is Utf8, not a number"),
        ("double_count", "the column count is Float64, not a whole number"),
        ("list_count", "the column count is List"),
        ("no_start", "the column start is missing"),
        (
            "null_key",
            "the column key is null, though every reading has one, in row 2",
        ),
        ("null_count", "the column count is null in row 3"),
        ("all_null_sum", "the column sum_usage is null in row 1"),
        (
            "zero_count",
            "the column count is 0, and must be at least 1, in row 1",
        ),
        (
            "huge_count",
            "the column count (UInt64) holds what is not a whole number in row 1",
        ),
        (
            "nan_sum",
            "the column sum_usage is NaN, and must be a finite number, in row 2",
        ),
        (
            "infinite_minimum",
            "the column min_usage is -inf, and must be a finite number, in row 1",
        ),
        (
            "odd_start",
            "the column start is not a whole millisecond of the years 1 to 9999 in row 1",
        ),
        (
            "far_start",
            "the column start is not a whole millisecond of the years 1 to 9999 in row 1",
        ),
        (
            "not_utf8",
            "the column key (BinaryView) holds what is not text in row 1",
        ),
    ];
    let reported = cases.into_iter().map(async |(how, words)| {
        let first: Vec<_> = KEYS.map(|key| reading(1, key, 0.5)).into();
        let place = rewritten(python, how, &first).await;
        let before = place.log().len();
        let mut writer = Writer::open(&place.config(), 0).await;
        let error = writer.try_commit(&[reading(1, "north", 1.0)]).await.unwrap_err();
        assert!(matches!(error, LakeError::Unfit { .. }), "{how}: {error:?}");
        assert_eq!(place.log().len(), before, "{how}");
        let message = error.to_string();
        assert!(message.contains("the data file part-00000-"), "{how}: {message}");
        (!message.contains(words) || message.contains("damaged")).then(|| format!("{how}: {message}"))
    });
    let wrong: Vec<_> = futures::stream::iter(reported)
        .buffer_unordered(3)
        .collect()
        .await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Adds the only data file under another name, in an entry by hand, with these statistics.
fn restate(place: &Place, stats: &Value) {
    let log = place.log();
    let mut adds = log.values().flatten().filter_map(|action| action.get("add"));
    let add = adds.next_back().unwrap().clone();
    let path = add["path"].as_str().unwrap();
    let name = format!("part-00000-{}-c000.parquet", uuid::Uuid::new_v4());
    std::fs::copy(place.folder.join(path), place.folder.join(&name)).unwrap();
    let mut new = add.clone();
    new["path"] = name.into();
    new["stats"] = stats.to_string().into();
    let remove = json!({"remove": {"path": path, "dataChange": true, "deletionTimestamp": 0}});
    let entry = format!("{remove}\n{}\n", json!({ "add": new }));
    let file = place
        .folder
        .join("_delta_log")
        .join(format!("{:020}.json", log.len()));
    std::fs::write(file, entry).unwrap();
}

/// I4: statistics that are missing, or written in a way that is not understood, never hide a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_any_form_hide_no_row() {
    let bounds = |first: &str, last: &str| json!({"numRecords": 1, "minValues": {"start": first}, "maxValues": {"start": last}});
    let forms = [
        bounds("1970-01-01T01:00:00.000Z", "1970-01-01T01:00:00.000Z"),
        bounds("1970-01-01T01:00:00Z", "1970-01-01T01:00:00Z"),
        bounds("1970-01-01T01:00:00.000000Z", "1970-01-01T01:00:00.000000Z"),
        bounds("1970-01-01T06:30:00.000+05:30", "1969-12-31T20:00:00-05:00"),
        bounds("1970-01-01T01:00:00", "1970-01-01T01:00:00"),
        bounds("1970-01-01 01:00:00", "1970-01-01 01:00:00"),
        bounds("1970-01-01", "1970-01-01"),
        bounds("1970-01-01T02:00:00.000Z", "1970-01-01T00:00:00.000Z"),
        bounds("", "+12345-01-01T00:00:00Z"),
        json!({"numRecords": 1}),
        json!({"numRecords": "1", "minValues": {"start": 3_600_000_000_i64}}),
        json!({"minValues": null, "maxValues": null}),
        json!({"maxValues": {"start": "1970-01-01T01:00:00.000Z"}}),
        json!("no statistics"),
        json!(null),
    ];
    for stats in forms {
        let place = Place::local("statistics");
        let config = place.config();
        Writer::open(&config, 0)
            .await
            .commit(&[reading(1, "north", 1.0)])
            .await;
        restate(&place, &stats);
        Writer::open(&config, 0)
            .await
            .commit(&[reading(1, "north", 2.0)])
            .await;
        let expected = Expected::of(&[reading(1, "north", 1.0), reading(1, "north", 2.0)]);
        assert_eq!(rows(&config).await, expected.rows(), "{stats}");
    }
}
