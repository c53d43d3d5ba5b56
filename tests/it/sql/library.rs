//! Tables in S3 of what the Boston Central Library drew, written by `streamgauge aggregate` from a Kafka topic.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate, NaiveDateTime, TimeZone, Timelike};
use chrono_tz::America::New_York;
use serde_json::json;
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::s3::S3;
use streamgauge_testkit::trino::Trino;
use streamgauge_testkit::{once, unique};

use super::by_start;
use super::cells::{Found, from_csv};
use crate::program::streamgauge;
use crate::table::{Expected, Place, Reading, TableRow};

const TUESDAYS: &str = include_str!("../../../src/commands/demo/boston_tuesdays.csv");
const RUN_LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;

/// A table, what must be in it, and the schema in which Trino has it as `usage`.
#[derive(Debug)]
pub struct Library {
    pub place: Place,
    pub schema: String,
    brokers: String,
    topic: String,
    expected: Expected,
    keyed: bool,
}

/// A reading as the city publishes it: wall time and kW.
type Published = (NaiveDateTime, f64);

pub fn tuesdays() -> Result<Vec<Published>> {
    let mut readings = Vec::new();
    for record in csv::Reader::from_reader(TUESDAYS.as_bytes()).records() {
        let record = record?;
        let time = NaiveDateTime::parse_from_str(&record[0], "%Y-%m-%d %H:%M:%S")?;
        readings.push((time, record[2].parse()?));
    }
    Ok(readings)
}

impl Library {
    /// The readings as they are, one series without a name, in seven runs of a Tuesday each: each leaves files.
    pub fn without_key(kafka: &Kafka, s3: &S3, trino: &Trino) -> Result<&'static Library> {
        static SHARED: OnceLock<Result<Library, String>> = OnceLock::new();
        once(&SHARED, || {
            let mut library = Library::new(kafka, s3, false)?;
            for tuesday in tuesdays()?.chunk_by(|left, right| left.0.date() == right.0.date()) {
                library.produce(kafka, "", tuesday)?;
                library.aggregate(&["--available-now"])?;
            }
            library.schema = trino.register(&library.place.uri)?;
            Ok(library)
        })
    }

    /// Two series, in Eastern time: the library, and a branch with the same days in one week, the last one, on which it
    /// lacks two hours altogether and a reading now and then.
    pub fn with_keys(kafka: &Kafka, s3: &S3, trino: &Trino) -> Result<&'static Library> {
        static SHARED: OnceLock<Result<Library, String>> = OnceLock::new();
        once(&SHARED, || {
            let mut library = Library::new(kafka, s3, true)?;
            library.produce(kafka, "library", &tuesdays()?)?;
            library.produce(kafka, "branch", &one_week(&tuesdays()?))?;
            library.aggregate(&["--available-now"])?;
            library.schema = trino.register(&library.place.uri)?;
            Ok(library)
        })
    }

    /// A table that is still to be written, of a topic that is there.
    pub fn new(kafka: &Kafka, s3: &S3, keyed: bool) -> Result<Library> {
        let topic = unique("sql");
        kafka.create_topic(&topic, PARTITIONS)?;
        Ok(Library {
            place: Place::s3(s3, "sql"),
            schema: String::new(),
            brokers: kafka.brokers().to_owned(),
            topic,
            expected: Expected::default(),
            keyed,
        })
    }

    /// Produces readings of a series, in turn to its partitions: all of them, or one half for each of the two.
    pub fn produce(&mut self, kafka: &Kafka, series: &str, readings: &[Published]) -> Result<()> {
        let partitions = match series {
            "library" => 0..PARTITIONS / 2,
            "branch" => PARTITIONS / 2..PARTITIONS,
            _ => 0..PARTITIONS,
        };
        let mut records = Vec::new();
        for ((time, value), partition) in readings.iter().zip(partitions.cycle()) {
            let text = time.format("%Y-%m-%d %H:%M:%S").to_string();
            let value = json!({"ts": text, "value": value}).to_string();
            records.push(NewRecord {
                key: self.keyed.then(|| series.into()),
                ..NewRecord::new(partition, value)
            });
        }
        kafka.produce(&self.topic, records)?;
        let counted = readings
            .iter()
            .map(|(time, value)| self.counted(series, *time, *value));
        let counted = counted.collect::<Vec<_>>();
        self.expected.add(&counted);
        Ok(())
    }

    fn counted(&self, series: &str, time: NaiveDateTime, value: f64) -> Reading {
        let utc = if self.keyed {
            New_York.from_local_datetime(&time).unwrap().timestamp()
        } else {
            time.and_utc().timestamp()
        };
        (utc.div_euclid(3600), series.to_owned(), value)
    }

    /// The expected contents of the table.
    pub fn rows(&self) -> Vec<TableRow> {
        let rows = self.expected.rows().into_iter().map(|row| TableRow {
            key: row.key.filter(|_| self.keyed),
            ..row
        });
        by_start(rows.collect())
    }

    pub fn readings(&self) -> u64 {
        self.expected.records
    }

    /// Runs `streamgauge aggregate` to its end.
    fn aggregate(&self, flags: &[&str]) -> Result<()> {
        run("aggregate", self.aggregation()?.args(flags), RUN_LIMIT).map(drop)
    }

    /// `streamgauge aggregate` of this topic into this table.
    pub fn aggregation(&self) -> Result<Command> {
        let settings = self.settings(&self.place.options)?;
        let mut command = streamgauge(["aggregate", "--config"]);
        command.arg(settings);
        Ok(command)
    }

    fn settings(&self, options: &[(String, String)]) -> Result<PathBuf> {
        let (key, time_zone) = if self.keyed {
            ("message", "America/New_York")
        } else {
            ("none", "UTC")
        };
        let options: toml::Table = options
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let settings = json!({
            "kafka": {"brokers": self.brokers, "topic": self.topic, "group": self.topic},
            "reading": {"key": key, "time_zone": time_zone},
            "table": {"uri": self.place.uri, "storage_options": options},
        });
        let file = scratch_folder("settings").join("streamgauge.toml");
        std::fs::write(&file, toml::to_string(&settings)?)?;
        Ok(file)
    }

    /// The rows that `streamgauge query` gives, of the types of another engine's answer.
    pub fn query(&self, sql: &str, like: &Found) -> Result<Found> {
        self.query_with(&self.place.options, sql, like)
    }

    /// Likewise, over other options of the store.
    pub fn query_with(&self, options: &[(String, String)], sql: &str, like: &Found) -> Result<Found> {
        let file = scratch_folder("query").join("query.sql");
        std::fs::write(&file, sql)?;
        let mut command = streamgauge(["query", "--format", "csv", "--config"]);
        command.arg(self.settings(options)?).arg("--file").arg(file);
        let printed = run("query", &mut command, RUN_LIMIT)?;
        ensure!(!printed.is_empty(), "nothing was printed");
        from_csv(&printed, &like.columns)
    }
}

/// The days in one week, from Wednesday on, without the hours from 3 to 5 of the third and every hundredth reading.
fn one_week(tuesdays: &[Published]) -> Vec<Published> {
    let first = NaiveDate::from_ymd_opt(2024, 4, 10).unwrap();
    let days = tuesdays.chunk_by(|left, right| left.0.date() == right.0.date());
    let days = days.enumerate().flat_map(|(index, day)| {
        let date = first + Days::new(index as u64);
        let readings = day
            .iter()
            .map(move |(time, value)| (date.and_time(time.time()), *value));
        readings.filter(move |(time, _)| index != 2 || !(3..5).contains(&time.hour()))
    });
    let kept = days.enumerate().filter(|(index, _)| index % 100 != 99);
    kept.map(|(_, reading)| reading).collect()
}
