//! A table that the program wrote, read back by other implementations of Delta Lake and by its own SQL.
//!
//! Holds I3 (totals, to the last bit) and I4 (one row), and that any reader can read the table: protocol versions 1
//! and 2, the schema's types, and no column of the program's own.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use streamgauge::config::Config;
use streamgauge::lake::{Lake, OpenMode, RESIDUAL_COLUMN};
use streamgauge::query;
use streamgauge::table::DataFile;
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::readers::{DeltaKernel, Python, ReadTable};
use streamgauge_testkit::require;
use streamgauge_testkit::s3::S3;

use crate::program::streamgauge;
use crate::table::{
    Expected, HOUR_MS, Place, TableRow, Writer, data_files, maintenance, reading, readings, rows,
};

const KEYS: [&str; 5] = ["north", "Süd 7/α", "東-1", "it's \"quoted\"", "🌊"];

const BOSTON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/commands/demo/boston_tuesdays.csv"
);

/// Writes a table with everything a table can have: a checkpoint, and after it compacted, closed and open files, with
/// sums that are rounded. Returns the settings and what must be in it.
async fn write_table(place: &Place) -> (Config, Expected) {
    let mut config = place.config();
    config.pipeline.maintenance.checkpoint_commits = 6;
    config.pipeline.maintenance.compact_files = 4;
    let mut writer = Writer::open(&config, 0).await;
    let mut maintenance = maintenance(&config).await;
    let mut expected = Expected::default();
    for round in 0..14 {
        let mut pending = readings(round, 30, round as i64..round as i64 + 3, &KEYS);
        pending.push(reading(round as i64, "north", [1e16, -1e16][round as usize % 2]));
        writer.commit(&pending).await;
        expected.add(&pending);
        if round < 12 {
            maintenance.round().await.unwrap();
        }
    }
    assert_has_everything(place, &config).await;
    (config, expected)
}

async fn assert_has_everything(place: &Place, config: &Config) {
    let (_, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap();
    let hours = cached
        .snapshot
        .files
        .values()
        .map(|file| (file.last_start_ms - file.first_start_ms) / HOUR_MS);
    let hours: BTreeSet<i64> = hours.collect();
    assert!(
        hours.contains(&0) && hours.iter().any(|hours| *hours >= 3),
        "hours in a file: {hours:?}"
    );
    assert_eq!(
        data_files(&place.folder.join("_delta_log")).len(),
        2,
        "checkpoints"
    );
    let file = place
        .folder
        .join(cached.snapshot.files.keys().next().unwrap().as_ref());
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    assert!(builder.schema().column_with_name(RESIDUAL_COLUMN).is_some());
}

/// The rows that a reader must see.
fn as_read(expected: &Expected) -> ReadTable {
    let columns = [
        ("key", "string"),
        ("start", "timestamp"),
        ("end", "timestamp"),
        ("avg_usage", "double"),
        ("min_usage", "double"),
        ("max_usage", "double"),
        ("sum_usage", "double"),
        ("count", "long"),
    ];
    let row = |row: TableRow| {
        let row = json!({"key": row.key, "start": row.start_ms * 1000, "end": row.end_ms * 1000,
            "avg_usage": row.average, "min_usage": row.minimum, "max_usage": row.maximum, "sum_usage": row.sum,
            "count": row.count});
        row.as_object().unwrap().clone()
    };
    let mut rows: Vec<_> = expected.rows().into_iter().map(row).collect();
    rows.sort_by_cached_key(|row| serde_json::Value::from(row.clone()).to_string());
    ReadTable {
        schema: columns
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .to_vec(),
        reader_version: 1,
        writer_version: 2,
        rows,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_rs_and_duckdb_read_the_table() {
    let Some(python) = require("delta-rs and DuckDB in Python", Python::shared()) else {
        return;
    };
    let place = Place::local("readers");
    let (_, expected) = write_table(&place).await;
    let expected = as_read(&expected);
    assert_eq!(python.read_with_delta_rs(&place.uri, &[]).unwrap(), expected);
    assert_eq!(python.read_with_duckdb(&place.uri, &[]).unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_rs_and_duckdb_read_the_table_in_s3() {
    let Some(python) = require("delta-rs and DuckDB in Python", Python::shared()) else {
        return;
    };
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let place = Place::s3(s3, "readers");
    let (_, expected) = write_table(&place).await;
    let expected = as_read(&expected);
    assert_eq!(
        python.read_with_delta_rs(&place.uri, &place.options).unwrap(),
        expected
    );
    assert_eq!(
        python.read_with_duckdb(&place.uri, &place.options).unwrap(),
        expected
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_kernel_reads_the_table() {
    let Some(kernel) = require("Delta Kernel", DeltaKernel::shared()) else {
        return;
    };
    let place = Place::local("readers");
    let (_, expected) = write_table(&place).await;
    assert_eq!(kernel.read(&place.folder).unwrap(), as_read(&expected));
}

/// The rows of the table at a version, as `streamgauge query` prints them.
fn query_command(place: &Place, version: Option<u64>) -> Vec<TableRow> {
    let mut settings = toml::Table::new();
    let options = place
        .options
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()));
    settings.insert("uri".to_owned(), place.uri.as_str().into());
    settings.insert(
        "storage_options".to_owned(),
        options.collect::<toml::Table>().into(),
    );
    let file = scratch_folder("settings").join("streamgauge.toml");
    let document = toml::Table::from_iter([("table".to_owned(), settings.into())]);
    std::fs::write(&file, document.to_string()).unwrap();

    let sql = "SELECT to_unixtime(start) AS seconds, key, to_unixtime(\"end\"), avg_usage, min_usage, max_usage, \
               sum_usage, count FROM usage ORDER BY 1, 2";
    let mut command = streamgauge([
        "--config",
        file.to_str().unwrap(),
        "query",
        "--format",
        "csv",
        sql,
    ]);
    if let Some(version) = version {
        command.args(["--version", &version.to_string()]);
    }
    let printed = run("query", &mut command, Duration::from_secs(60)).unwrap();
    let mut reader = csv::Reader::from_reader(printed.as_bytes());
    let row = |record: csv::StringRecord| TableRow {
        start_ms: record[0].parse::<i64>().unwrap() * 1000,
        key: (!record[1].is_empty()).then(|| record[1].to_owned()),
        end_ms: record[2].parse::<i64>().unwrap() * 1000,
        average: record[3].parse().unwrap(),
        minimum: record[4].parse().unwrap(),
        maximum: record[5].parse().unwrap(),
        sum: record[6].parse().unwrap(),
        count: record[7].parse().unwrap(),
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Sums that the next version corrects, and rows that it adds.
async fn sql_reads_every_version(place: &Place) {
    let (_, expected) = write_table(place).await;
    assert_eq!(query_command(place, None), expected.rows());
    let mut writer = Writer::open(&place.config(), 0).await;
    let version = writer.cached.as_ref().unwrap().snapshot.version;
    let more = readings(99, 30, 12..20, &KEYS);
    writer.commit(&more).await;
    let mut corrected = expected.clone();
    corrected.add(&more);
    assert_eq!(query_command(place, Some(version)), expected.rows());
    assert_eq!(query_command(place, Some(version + 1)), corrected.rows());
    assert_eq!(query_command(place, None), corrected.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_sql_reads_every_version() {
    sql_reads_every_version(&Place::local("sql")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_sql_reads_every_version_in_s3() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    sql_reads_every_version(&Place::s3(s3, "sql")).await;
}

/// Files that cannot hold what is asked for are not read, whether a checkpoint or the log has their statistics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_sql_skips_files_by_their_statistics() {
    let place = Place::local("pruned");
    let (config, expected) = write_table(&place).await;
    let session = query::open(&config.pipeline.table, None).await.unwrap();
    for (hours, is_all) in [(0..20, true), (1..3, false), (15..16, false)] {
        let sql = format!(
            "EXPLAIN ANALYZE SELECT * FROM usage WHERE start >= to_timestamp({}) AND start < to_timestamp({})",
            hours.start * 3600,
            hours.end * 3600
        );
        let mut found = session.run(session.parse(&sql).unwrap().remove(0)).await.unwrap();
        let plan = found.next_batch().await.unwrap().unwrap();
        let plan = arrow::util::pretty::pretty_format_batches(&[plan])
            .unwrap()
            .to_string();
        let (_, after) = plan.split_once("count_files_scanned=").unwrap();
        let scanned: usize = after
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let (_, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
            .await
            .unwrap();
        let of_hours = |file: &&DataFile| {
            file.first_start_ms < hours.end * HOUR_MS && file.last_start_ms >= hours.start * HOUR_MS
        };
        let wanted = cached.snapshot.files.values().filter(of_hours).count();
        assert_eq!(scanned, wanted, "hours {hours:?}");
        assert_eq!(wanted == cached.snapshot.files.len(), is_all, "hours {hours:?}");
    }
    assert_eq!(rows(&config).await, expected.rows());
}

/// I3: the seven Tuesdays of Boston's library. Python's exact sum gives the same averages to the last bit; pandas
/// rounds on the way, which may cost the last bits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hourly_averages_are_those_of_python_and_pandas() {
    let Some(python) = require("pandas", Python::shared()) else {
        return;
    };
    let mut config = Place::local("boston").config();
    config.pipeline.reading.key = "none".parse().expect("a key");
    let mut tuesdays = Vec::new();
    for record in csv::Reader::from_path(BOSTON).unwrap().records() {
        let record = record.unwrap();
        let time = chrono::NaiveDateTime::parse_from_str(&record[0], "%Y-%m-%d %H:%M:%S").unwrap();
        let hour = time.and_utc().timestamp().div_euclid(3600);
        tuesdays.push(reading(hour, "", record[2].parse().unwrap()));
    }
    for part in tuesdays.chunks(37) {
        // Backwards within a commit: the order of additions is arbitrary.
        let reversed: Vec<_> = part.iter().rev().cloned().collect();
        Writer::open(&config, 0).await.commit(&reversed).await;
    }
    let found = rows(&config).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/boston_means.py");
    let printed = python.run(&script, &[BOSTON]).unwrap();
    let mut largest_difference = 0;
    assert_eq!(found.len(), printed.lines().count());
    for (row, line) in found.iter().zip(printed.lines()) {
        let [hour, exact, pandas] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (exact, pandas): (f64, f64) = (exact.parse().unwrap(), pandas.parse().unwrap());
        assert_eq!(
            (row.start_ms, row.average),
            (hour.parse::<i64>().unwrap() * 1000, exact)
        );
        largest_difference = largest_difference.max(pandas.to_bits().abs_diff(row.average.to_bits()));
    }
    assert!(
        largest_difference <= 2,
        "pandas is off by {largest_difference} units in the last place"
    );
}
