//! A table under test: where it lies, writers that commit readings to it, what it must hold then (reckoned in
//! 128-bit fixed point, another arithmetic than the program's), and what its log says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use serde_json::Value;
use streamgauge::config::{Config, DEFAULT_TOML};
use streamgauge::lake::{Lake, LakeError, Maintenance, OpenMode};
use streamgauge::query;
use streamgauge::reading::{Position, SeriesKey};
use streamgauge::table::{Batch, CachedSnapshot, Counts, Outcome, PositionChange};
use streamgauge::window::{Row, Totals, merge_sorted};
use streamgauge_testkit::process::scratch_folder;
use streamgauge_testkit::proxy::FaultProxy;
use streamgauge_testkit::s3::{S3, storage_options};

/// Has each function run on a table on a local disk and on one in S3.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_local_disk {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&$crate::table::Place::local(stringify!($name))).await;
                }
            )*
        }

        mod on_s3 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some(s3) = ::streamgauge_testkit::require("S3", ::streamgauge_testkit::s3::S3::shared()) else {
                        return;
                    };
                    super::$name(&$crate::table::Place::s3(s3, stringify!($name))).await;
                }
            )*
        }
    };
}
pub(crate) use contract;

pub const HOUR_MS: i64 = 3_600_000;

/// Where a table lies, and the folder on this machine that its files are in, on S3 too.
#[derive(Debug, Clone)]
pub struct Place {
    pub uri: String,
    pub options: Vec<(String, String)>,
    pub folder: PathBuf,
}

impl Place {
    pub fn local(name: &str) -> Place {
        let folder = scratch_folder(name).join("table");
        Place {
            uri: folder.to_str().unwrap().to_owned(),
            options: Vec::new(),
            folder,
        }
    }

    pub fn s3(s3: &S3, name: &str) -> Place {
        let uri = s3.table_uri(name);
        Place {
            folder: s3.bucket_folder().join(uri.rsplit('/').next().unwrap()),
            uri,
            options: s3.storage_options(),
        }
    }

    /// A place below this one.
    pub fn within(&self, name: &str) -> Place {
        Place {
            uri: format!("{}/{name}", self.uri),
            options: self.options.clone(),
            folder: self.folder.join(name),
        }
    }

    /// The same table reached through a proxy by a client that waits for two seconds and retries little, so that
    /// the program itself has to.
    pub fn through(&self, proxy: &FaultProxy) -> Place {
        let short = [
            ("timeout", "2s"),
            ("max_retries", "1"),
            ("backoff_config.init_backoff", "10ms"),
        ];
        let short = short.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Place {
            options: storage_options(proxy.address())
                .into_iter()
                .chain(short)
                .collect(),
            ..self.clone()
        }
    }

    /// The default settings with the table here and hourly windows of keyed readings.
    pub fn config(&self) -> Config {
        let mut config: Config = toml::from_str(DEFAULT_TOML).unwrap();
        config.pipeline.table.uri = self.uri.clone();
        config.pipeline.table.storage_options = self.options.iter().cloned().collect();
        config.pipeline.reading.key = "message".parse().expect("a key");
        config
    }

    /// The JSON entries of the log that are there, by version.
    pub fn log(&self) -> BTreeMap<u64, Vec<Value>> {
        let mut entries = BTreeMap::new();
        for file in std::fs::read_dir(self.folder.join("_delta_log")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let version = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                let actions = text.lines().map(|line| serde_json::from_str(line).unwrap());
                entries.insert(version, actions.collect());
            }
        }
        entries
    }

    /// The ids of the commits of readings that the log holds, in order, and how many records they are of.
    pub fn committed(&self) -> (Vec<String>, u64) {
        let mut ids = Vec::new();
        let mut records = 0;
        for info in self.log().values().flatten().map(|action| &action["commitInfo"]) {
            if info["operation"] == "STREAMING UPDATE" {
                ids.push(info["txnId"].as_str().unwrap().to_owned());
                let consumed = info["operationMetrics"]["numRecordsConsumed"].as_str().unwrap();
                records += consumed.parse::<u64>().unwrap();
            }
        }
        (ids, records)
    }

    /// Fails unless the log holds exactly these many commits, each once, of these many records.
    pub fn assert_committed_once(&self, commits: usize, records: u64) {
        let (ids, found) = self.committed();
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "one entry of each commit"
        );
        assert_eq!(
            (ids.len(), found),
            (commits, records),
            "commits and records in the log"
        );
    }
}

/// Names of the Parquet files in a folder.
pub fn data_files(folder: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".parquet")).collect()
}

/// The hour since 1970 of a reading, its key and its value.
pub type Reading = (i64, String, f64);

pub fn reading(hour: i64, key: &str, value: f64) -> Reading {
    (hour, key.to_owned(), value)
}

/// The readings as what is pending after they were consumed at a position of a partition.
pub fn batch(partition: i32, from: Position, readings: &[Reading]) -> Batch {
    let rows = readings.iter().map(|(hour, key, value)| {
        let mut totals = Totals::empty();
        totals.add(*value);
        Row {
            start_ms: hour * HOUR_MS,
            series: SeriesKey::of_key(key.as_str().into()),
            totals,
        }
    });
    let newest = readings.iter().map(|(hour, ..)| hour * HOUR_MS).max();
    let to = Position {
        next_offset: from.next_offset + readings.len() as i64,
        largest_event_time_ms: newest.max(from.largest_event_time_ms),
    };
    let count = readings.len() as u64;
    Batch {
        rows: merge_sorted(rows.collect()),
        positions: vec![PositionChange {
            partition,
            epoch: 0,
            from,
            to,
        }],
        closed_before_ms: to
            .largest_event_time_ms
            .map_or(i64::MIN, |newest| newest - HOUR_MS),
        counts: Counts {
            consumed: count,
            aggregated: count,
            ..Counts::default()
        },
        topic: None,
    }
}

/// The same batch, with keys such as `key/measure` taken apart.
pub fn of_measures(mut batch: Batch) -> Batch {
    for row in &mut batch.rows {
        if let Some((key, measure)) = row.series.key.clone().split_once('/') {
            row.series = SeriesKey {
                key: key.into(),
                measure: Some(measure.into()),
            };
        }
    }
    batch.rows = merge_sorted(batch.rows);
    batch
}

/// Maintenance of the table that lies there, from its last version on.
pub async fn maintenance(config: &Config) -> Maintenance {
    let (lake, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap();
    Maintenance::new(
        Arc::new(lake),
        config.pipeline.maintenance.clone(),
        HOUR_MS,
        cached,
    )
}

/// A process that owns one partition and commits its readings.
#[derive(Debug)]
pub struct Writer {
    pub lake: Lake,
    pub cached: Option<CachedSnapshot>,
    pub partition: i32,
}

impl Writer {
    /// Starts a process, and again if the store happens to be slow: only what is under way is tried again by itself.
    pub async fn open(config: &Config, partition: i32) -> Writer {
        let mut starts = 0;
        let (lake, cached) = loop {
            starts += 1;
            match Lake::open(&config.pipeline.table_spec(), OpenMode::Create).await {
                Err(error) if error.is_transient() && starts < 10 => {}
                opened => break opened.unwrap(),
            }
        };
        Writer {
            lake,
            cached: Some(cached),
            partition,
        }
    }

    /// Starts a process of partition 0, unless there is no table.
    pub async fn try_open(config: &Config) -> Result<Writer, LakeError> {
        let (lake, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::Create).await?;
        Ok(Writer {
            lake,
            cached: Some(cached),
            partition: 0,
        })
    }

    pub async fn try_commit(&mut self, readings: &[Reading]) -> Result<Outcome, LakeError> {
        let cached = match self.cached.take() {
            Some(cached) => cached,
            None => self.lake.reload().await?,
        };
        let from = cached.snapshot.position(self.partition);
        let committed = self
            .lake
            .commit(batch(self.partition, from, readings), cached)
            .await?;
        self.cached = Some(committed.cached);
        Ok(committed.outcome)
    }

    /// Commits readings, of which nothing may hinder it, and returns the version they are in.
    pub async fn commit(&mut self, readings: &[Reading]) -> u64 {
        match self.try_commit(readings).await.unwrap() {
            Outcome::Committed { version } => version,
            other => panic!("{other:?}"),
        }
    }

    /// Merges all files of the last version into as few as can be.
    pub async fn compact(&mut self) -> Outcome {
        let cached = self.lake.reload().await.unwrap();
        let paths = cached.snapshot.files.keys().cloned().collect();
        let committed = self.lake.compact(paths, cached).await.unwrap();
        self.cached = Some(committed.cached);
        committed.outcome
    }
}

/// A row as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    pub start_ms: i64,
    pub key: Option<String>,
    pub end_ms: i64,
    pub average: f64,
    pub minimum: f64,
    pub maximum: f64,
    pub sum: f64,
    pub count: i64,
}

/// The rows of the table's last version, by start and key.
pub async fn rows(config: &Config) -> Vec<TableRow> {
    selected(config, "SELECT * FROM usage ORDER BY start, key NULLS FIRST").await
}

/// The same of a table in long format: a key and its measure are shown as `key/measure`.
pub async fn measured_rows(config: &Config) -> Vec<TableRow> {
    let shown = "CASE WHEN measure IS NULL THEN key ELSE key || '/' || measure END AS key";
    let rest = r#"start, "end", avg_usage, min_usage, max_usage, sum_usage, "count""#;
    let query = format!("SELECT {shown}, {rest} FROM usage ORDER BY start, 1");
    selected(config, &query).await
}

async fn selected(config: &Config, query: &str) -> Vec<TableRow> {
    let session = query::open(&config.pipeline.table, None).await.unwrap();
    let statement = session.parse(query).unwrap().remove(0);
    let mut found = session.run(statement).await.unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = found.next_batch().await.unwrap() {
        assert_eq!(batch.num_columns(), 8);
        let keys = arrow::compute::cast(&batch["key"], &arrow::datatypes::DataType::Utf8).unwrap();
        let keys = keys.as_string::<i32>();
        let time = |name: &str, index| {
            batch[name]
                .as_primitive::<TimestampMicrosecondType>()
                .value(index)
        };
        let number = |name: &str, index| batch[name].as_primitive::<Float64Type>().value(index);
        rows.extend((0..batch.num_rows()).map(|index| TableRow {
            start_ms: time("start", index) / 1000,
            key: keys.is_valid(index).then(|| keys.value(index).to_owned()),
            end_ms: time("end", index) / 1000,
            average: number("avg_usage", index),
            minimum: number("min_usage", index),
            maximum: number("max_usage", index),
            sum: number("sum_usage", index),
            count: batch["count"].as_primitive::<Int64Type>().value(index),
        }));
    }
    rows
}

/// The expected contents of the table: for each hour and key the count, minimum, maximum, and sum in units of 2⁻⁶⁰.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    totals: BTreeMap<(i64, String), (i64, f64, f64, i128)>,
    pub records: u64,
}

impl Expected {
    pub fn of(readings: &[Reading]) -> Expected {
        let mut expected = Expected::default();
        expected.add(readings);
        expected
    }

    pub fn add(&mut self, readings: &[Reading]) {
        for (hour, key, value) in readings {
            let row =
                self.totals
                    .entry((*hour, key.clone()))
                    .or_insert((0, f64::INFINITY, f64::NEG_INFINITY, 0));
            *row = (
                row.0 + 1,
                row.1.min(*value),
                row.2.max(*value),
                row.3 + fixed(*value),
            );
        }
        self.records += readings.len() as u64;
    }

    pub fn rows(&self) -> Vec<TableRow> {
        let rows = self
            .totals
            .iter()
            .map(|((hour, key), &(count, minimum, maximum, sum))| {
                let sum = sum as f64 / 2f64.powi(60);
                TableRow {
                    start_ms: hour * HOUR_MS,
                    key: Some(key.clone()),
                    end_ms: (hour + 1) * HOUR_MS,
                    average: sum / count as f64,
                    minimum,
                    maximum,
                    sum,
                    count,
                }
            });
        rows.collect()
    }
}

fn fixed(value: f64) -> i128 {
    let units = value * 2f64.powi(60);
    assert!(
        units.fract() == 0.0 && units.abs() < 2f64.powi(118),
        "{value} has no place in fixed point"
    );
    units as i128
}

/// Readings in tenths, as meters send them, from a generator that is the same in every run: `count` of them over
/// `hours` and `keys`.
pub fn readings(seed: u64, count: usize, hours: std::ops::Range<i64>, keys: &[&str]) -> Vec<Reading> {
    let mut state = seed;
    let mut below = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let span = (hours.end - hours.start) as usize;
    let make = |_| {
        let (hour, key) = (hours.start + below(span) as i64, keys[below(keys.len())]);
        reading(hour, key, (below(200_000) as f64 - 50_000.0) / 10.0)
    };
    (0..count).map(make).collect()
}
