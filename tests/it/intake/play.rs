//! What `play` sends of a file, and what the table makes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{require, unique};

use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(120);

/// A topic of one partition, and a folder for what is made of it.
struct Scene<'k> {
    kafka: &'k Kafka,
    topic: String,
    folder: PathBuf,
}

impl<'k> Scene<'k> {
    fn new(kafka: &'k Kafka, name: &str) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, 1)?;
        Ok(Scene {
            kafka,
            topic,
            folder: scratch_folder(name),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = streamgauge(arguments.iter().copied());
        command.current_dir(&self.folder);
        let mut child = Child::start("intake-play", &mut command)?;
        let status = child.wait(LIMIT)?;
        ensure!(status.success(), "{arguments:?}: {}", child.output());
        Ok(child)
    }

    /// Plays a file; the answer is what it told.
    fn play(&self, file: &Path, flags: &[&str]) -> Result<String> {
        let file = file.display().to_string();
        let topic = ["-b", self.kafka.brokers(), "-t", &self.topic, "--tick", "0"];
        let arguments = [&["play", &file][..], &topic, flags].concat();
        let child = self.run(&arguments)?;
        Ok(child.stdout() + &child.stderr())
    }

    /// The values of the topic's messages.
    fn messages(&self) -> Result<Vec<String>> {
        let records = self.kafka.read_topic(&self.topic)?.into_iter();
        Ok(records
            .map(|record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned())
            .collect())
    }
}

/// The day on which Boston's clocks go back: 25 hours of 12 readings, as clocks show them.
fn autumn_day() -> String {
    let row = |number: i64| {
        let minute = number * 5;
        let shown = if minute < 120 { minute } else { minute - 60 };
        let value = [500.0, 507.2][number as usize % 2];
        format!("2024-11-03 {:02}:{:02}:00,{value}\n", shown / 60, shown % 60)
    };
    let rows: String = (0..300).map(row).collect();
    format!("time,kw\n{rows}")
}

#[test]
fn an_autumn_day_from_a_file_has_25_rows_of_12_readings() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "autumn")?;
    let file = scene.folder.join("day.csv");
    std::fs::write(&file, autumn_day())?;
    let told = scene.play(&file, &["--time-zone", "America/New_York", "--repeated", "drop"])?;
    ensure!(
        told.contains("read       300 rows; 0 repeated and dropped, 0 skipped"),
        "{told}"
    );
    ensure!(
        told.contains("event time 2024-11-03T00:00:00-04:00 to 2024-11-03T23:55:00-05:00"),
        "{told}"
    );
    let table = scene.folder.join("table").display().to_string();
    let brokers = kafka.brokers();
    scene.run(&[
        "aggregate",
        "--available-now",
        "-b",
        brokers,
        "-t",
        &scene.topic,
        "--table",
        &table,
    ])?;
    let sql = "SELECT count(*) AS rows, min(count) AS fewest, max(count) AS most FROM usage";
    let found = scene
        .run(&["query", "--table", &table, "--format", "csv", sql])?
        .stdout();
    ensure!(found == "rows,fewest,most\n25,12,12\n", "{found}");
    Ok(())
}

#[test]
fn times_are_sent_with_the_offsets_that_they_have() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/field-cases");
    let scene = Scene::new(kafka, "offsets")?;
    scene.play(&cases.join("f26-offsets/input.csv"), &[])?;
    scene.play(&cases.join("f25-gz/input.csv.gz"), &[])?;
    let told = scene.play(
        &cases.join("f42-key-default/input.csv"),
        &["--key-column", "meter"],
    )?;
    ensure!(told.contains("set reading.key = \"message\""), "{told}");
    let expected = [
        r#"{"ts": "2024-11-03T01:30:00.000Z", "value": 3.0}"#,
        r#"{"ts": "2024-11-03T05:00:00.000Z", "value": 1.0}"#,
        r#"{"ts": "2024-11-03T06:00:00.000Z", "value": 2.0}"#,
        r#"{"ts": "2024-03-05 00:00:00", "value": 1.0}"#,
        r#"{"ts": "2024-03-05 00:00:00", "value": 1.0, "key": "a"}"#,
        r#"{"ts": "2024-03-05 00:00:00", "value": 100.0, "key": "b"}"#,
    ];
    let found = scene.messages()?;
    ensure!(found == expected, "{found:?}");
    Ok(())
}

#[test]
fn a_reading_of_several_samples_is_refused_rather_than_played_as_one() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "weighted")?;
    let file = scene.folder.join("stream.ndjson");
    let line = |count: u32| {
        format!(
            r#"{{"account_id":"1","region":"eu-west-1","namespace":"AWS/EC2","metric_name":"CPUUtilization","dimensions":{{"InstanceId":"i-1"}},"timestamp":1657884872000,"value":{{"sum":7.5,"count":{count}}}}}"#
        )
    };
    std::fs::write(&file, line(1) + "\n" + &line(5) + "\n")?;
    let file = file.display().to_string();
    let arguments = [
        "play",
        &file,
        "-b",
        kafka.brokers(),
        "-t",
        &scene.topic,
        "--tick",
        "0",
    ];
    let mut command = streamgauge(arguments);
    command.env("STREAMGAUGE__READING__PRESET", "cloudwatch-stream");
    let mut child = Child::start("weighted", &mut command)?;
    ensure!(!child.wait(LIMIT)?.success(), "{}", child.output());
    let told = child.stderr();
    ensure!(
        told.contains("line 2 holds the sum of several samples (reading.count_field)"),
        "{told}"
    );
    ensure!(scene.messages()?.is_empty(), "nothing is sent");
    Ok(())
}
