//! Times that a sender makes up: timestamps, and a watermark that one reading has moved too far.

use std::time::SystemTime;

use anyhow::{Result, ensure};
use streamgauge::telemetry::events::{COMMIT_OVERTAKEN, COMMITTED, PARTITION_ASSIGNED};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::Child;
use streamgauge_testkit::{eventually, require, unique};

use super::{GOOD, detect, ensure_said, said, stream};
use crate::program::streamgauge;
use crate::stream::{END_LIMIT, Stream, rows_of, stop};

#[test]
fn a_record_without_a_timestamp_does_not_move_the_watermark() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "untimed")?;
    kafka.produce(&stream.topic, [NewRecord::new(0, GOOD)])?;
    for timestamp_ms in [-1, -2, -1000] {
        let untimed = NewRecord {
            timestamp_ms: Some(timestamp_ms),
            ..NewRecord::new(0, r#"{"ts":253402210800000,"value":1,"key":"meter-1"}"#)
        };
        kafka.produce(&stream.topic, [untimed])?;
    }
    let never_set = r#"{"ts":0,"value":1,"key":"meter-1"}"#;
    kafka.produce(&stream.topic, [NewRecord::new(0, never_set)])?;
    kafka.produce(&stream.topic, (0..3).map(|_| NewRecord::new(0, GOOD)))?;
    let said = stream.aggregate_all()?;
    ensure_said(
        &said,
        &[
            "8 consumed = 4 aggregated + 0 late + 4 dead-lettered",
            "dead-lettered as no_timestamp: 3",
            "dead-lettered as too_far_behind: 1",
        ],
    )?;
    let untimed = detect(kafka, &stream.topic, &[("STREAMGAUGE__READING__KEY", "key")], 0)?;
    ensure_said(&untimed, &["rejected as no_timestamp: 3"])
}

#[test]
fn a_topic_we_make_bounds_timestamps_and_one_that_does_not_is_reported() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let check = |topic: &str| -> Result<String> {
        let mut command = streamgauge([
            "config",
            "check",
            "-b",
            kafka.brokers(),
            "-t",
            topic,
            "--for",
            "aggregate",
        ]);
        let mut child = Child::start("check", &mut command)?;
        let status = child.wait(END_LIMIT)?;
        ensure!(status.success(), "{status}: {}", child.output());
        Ok(child.stdout())
    };
    let open = unique("open");
    kafka.create_topic_with(
        &open,
        1,
        &[("message.timestamp.after.max.ms", "9223372036854775807")],
    )?;
    kafka.create_topic_with(&format!("{open}.dlq"), 1, &[("max.message.bytes", "1000")])?;
    ensure_said(
        &check(&open)?,
        &[
            "any timestamp",
            "message.timestamp.after.max.ms",
            "accepts messages of 1000 bytes",
        ],
    )?;
    // Kafka's own default takes up all of the default watermark.
    let hour = unique("hour");
    kafka.create_topic_with(&hour, 1, &[("message.timestamp.after.max.ms", "3600000")])?;
    let warning = [
        "timestamps up to 1h ahead",
        "reading.max_ahead = 5m",
        "window.watermark = 1h",
        "message.timestamp.after.max.ms = 300000",
    ];
    ensure_said(&check(&hour)?, &warning)?;
    let mut command = streamgauge(["aggregate", "-b", kafka.brokers(), "-t", &hour]);
    command.env("STREAMGAUGE__HTTP__LISTEN", "");
    let mut started = Child::start_with_events("aggregate", &mut command)?;
    eventually("the warning at a start", END_LIMIT, || {
        ensure_said(&started.stderr(), &warning)
    })?;
    started.wait_for_event(PARTITION_ASSIGNED, &[], END_LIMIT)?;
    stop(started)?;

    let ours = unique("ours");
    ensure!(
        !check(&ours)?.contains("cannot be read"),
        "a topic that is not there yet has no settings"
    );
    let mut command = streamgauge(["aggregate", "--available-now", "-b", kafka.brokers(), "-t", &ours]);
    said(Child::start("aggregate", &mut command)?, 0)?;
    ensure!(!check(&ours)?.contains("timestamps"), "{}", check(&ours)?);
    let now_ms = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_millis() as i64;
    for (ahead_min, is_taken) in [(2, true), (7, false), (50, false), (1_000_000, false)] {
        let ahead = NewRecord {
            timestamp_ms: Some(now_ms + ahead_min * 60_000),
            ..NewRecord::new(0, GOOD)
        };
        ensure!(
            kafka.produce(&ours, [ahead]).is_ok() == is_taken,
            "a timestamp {ahead_min} min ahead"
        );
    }
    Ok(())
}

/// `table set-watermark` of a stream's table, and what it says.
fn set_watermark(stream: &Stream<'_>, flags: &[&str], code: i32) -> Result<String> {
    let table = stream.table.display().to_string();
    let mut command = streamgauge(["table", "set-watermark", "--table", &table]);
    command.args(flags);
    let mut child = Child::start("set-watermark", &mut command)?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.code() == Some(code), "{status}:\n{}", child.output());
    Ok(child.output())
}

#[test]
fn a_poisoned_watermark_can_be_set_back_also_under_a_running_process() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "poisoned")?;
    let good = || kafka.produce(&stream.topic, [NewRecord::new(0, GOOD)]);
    // The stream's own bound is three years: wide enough for one clock to close everything.
    let ahead_ms = 1_700_000_000_000_i64 + 2_000 * 86_400_000;
    let poison = GOOD.replace("1700000000000", &ahead_ms.to_string());
    good()?;
    kafka.produce(&stream.topic, [NewRecord::new(0, poison)])?;
    good()?;
    ensure_said(
        &stream.aggregate_all()?,
        &["3 consumed = 2 aggregated + 1 late + 0 dead-lettered"],
    )?;
    for (flags, code, expected) in [
        (vec!["--to", "soon"], 1, "as a time"),
        (vec!["--to", "2999-01-01"], 1, "future"),
        (
            vec!["--to", "2023-11-14", "--partition", "7"],
            1,
            "no position of partition 7",
        ),
        (
            vec!["--to", "2023-11-14 22:13:20", "--dry-run"],
            0,
            "would set the newest reading of partition 0",
        ),
    ] {
        ensure_said(&set_watermark(&stream, &flags, code)?, &[expected])?;
    }
    good()?;
    ensure_said(&stream.aggregate_all()?, &["1 consumed = 0 aggregated + 1 late"])?;

    let mut running = stream.start(&[])?;
    running.wait_for_event(PARTITION_ASSIGNED, &[("partition", 0)], END_LIMIT)?;
    let done = set_watermark(&stream, &["--to", "2023-11-14T22:13:20Z"], 0)?;
    ensure_said(
        &done,
        &[
            "set the newest reading of partition 0 from 2029-",
            "to 2023-11-14T22:13:20Z",
        ],
    )?;
    ensure_said(
        &set_watermark(&stream, &["--to", "2023-11-14T22:13:20Z", "--partition", "0"], 1)?,
        &["nothing to set back: partition 0"],
    )?;
    good()?;
    let overtaken = running.wait_for_event(COMMIT_OVERTAKEN, &[], END_LIMIT)?;
    ensure_said(&overtaken.to_string(), &["set by hand"])?;
    running.wait_for_event(COMMITTED, &[("aggregated", 1), ("late", 0)], END_LIMIT)?;
    stop(running)?;
    good()?;
    ensure_said(&stream.aggregate_all()?, &["1 consumed = 1 aggregated + 0 late"])?;
    let counted: u64 = rows_of(&stream.table, None)?.values().map(|cells| cells.0).sum();
    ensure!(counted == 4, "{counted} readings in the table");
    Ok(())
}
