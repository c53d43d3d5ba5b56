//! Poison pills, gaps, codecs and topics that change, on Apache Kafka: each bad record ends in the dead letters with
//! its bytes and a reason, the stream goes on, and what cannot go on stops with one clear sentence.
//!
//! Holds I1 (conservation), I7 (once out), I8 (nothing silent).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::require;

use crate::stream::{END_LIMIT, Stream, header};
use streamgauge::telemetry::events::{COMMITTED, PARTITION_ASSIGNED};
use streamgauge::window::LatePolicy;

const GOOD: &str = r#"{"ts":1700000000000,"value":1.5,"key":"meter-1"}"#;

fn stream<'k>(kafka: &'k Kafka, name: &str) -> Result<Stream<'k>> {
    Stream::new(kafka, name, LatePolicy::Divert, 7)
}

/// Runs the aggregation, which must fail, and returns the last line it says.
fn failure(stream: &Stream<'_>, flags: &[&str]) -> Result<String> {
    let flags = [&["--available-now"], flags].concat();
    let mut child = Child::start("aggregate", &mut stream.aggregate(&flags))?;
    let status = child.wait(END_LIMIT)?;
    ensure!(
        status.code() == Some(1),
        "exit code 1 expected, not {status}:\n{}",
        child.output()
    );
    Ok(child.stderr().lines().last().unwrap_or_default().to_owned())
}

fn text<'r>(record: &'r Record, name: &str) -> Result<&'r str> {
    Ok(std::str::from_utf8(
        header(&record.headers, name).with_context(|| format!("no header {name}"))?,
    )?)
}

#[test]
fn every_kind_of_poison_pill_is_a_dead_letter_and_the_stream_goes_on() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "poison")?;
    let huge = format!(
        r#"{{"ts":1700000000000,"value":1.5,"key":"m","padding":"{}"}}"#,
        "x".repeat(10_000_000)
    );
    let pills: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("empty", None),
        ("empty", Some(Vec::new())),
        ("invalid_json", Some(b"{".to_vec())),
        ("invalid_json", Some(b"\xff\xfe".to_vec())),
        ("invalid_json", Some(b"[1]".to_vec())),
        ("missing_field", Some(br#"{"value":1,"key":"m"}"#.to_vec())),
        (
            "missing_field",
            Some(br#"{"ts":1700000000000,"key":"m"}"#.to_vec()),
        ),
        (
            "null_field",
            Some(br#"{"ts":1700000000000,"value":null,"key":"m"}"#.to_vec()),
        ),
        (
            "wrong_type",
            Some(br#"{"ts":1700000000000,"value":"1.5 kW","key":"m"}"#.to_vec()),
        ),
        (
            "wrong_type",
            Some(br#"{"ts":"soon","value":1,"key":"m"}"#.to_vec()),
        ),
        (
            "not_finite",
            Some(br#"{"ts":1700000000000,"value":NaN,"key":"m"}"#.to_vec()),
        ),
        (
            "not_finite",
            Some(br#"{"ts":1700000000000,"value":-Infinity,"key":"m"}"#.to_vec()),
        ),
        (
            "out_of_range",
            Some(br#"{"ts":1700000000000,"value":1e999,"key":"m"}"#.to_vec()),
        ),
        (
            "invalid_time",
            Some(br#"{"ts":99999999999999999,"value":1,"key":"m"}"#.to_vec()),
        ),
        (
            "too_far_ahead",
            Some(br#"{"ts":4000000000000,"value":1,"key":"m"}"#.to_vec()),
        ),
        ("missing_key", Some(br#"{"ts":1700000000000,"value":1}"#.to_vec())),
        (
            "invalid_key",
            Some(br#"{"ts":1700000000000,"value":1,"key":{}}"#.to_vec()),
        ),
        ("too_large", Some(huge.into_bytes())),
    ];
    for (_, value) in &pills {
        let pill = NewRecord {
            value: value.clone(),
            key: Some(b"the key".to_vec()),
            headers: vec![("trace".to_owned(), b"42".to_vec())],
            ..NewRecord::default()
        };
        kafka.produce(&stream.topic, [NewRecord::new(0, GOOD), pill])?;
    }
    let said = stream.aggregate_all()?;
    let (consumed, dead) = (pills.len() * 2, pills.len());
    let conserved = format!("{consumed} consumed = {dead} aggregated + 0 late + {dead} dead-lettered");
    ensure!(said.contains(&conserved), "I1: {said}");

    let mut outputs = kafka.read_topic(&format!("{}.dlq", stream.topic))?;
    outputs.sort_by_key(|output| {
        text(output, "streamgauge.offset")
            .unwrap_or_default()
            .parse::<i64>()
            .ok()
    });
    ensure!(outputs.len() == pills.len(), "{} side outputs", outputs.len());
    for (index, (output, (reason, value))) in outputs.iter().zip(&pills).enumerate() {
        ensure!(output.value == *value, "the bytes of {reason} are kept");
        ensure!(
            output.key.as_deref() == Some(b"the key"),
            "the key of {reason} is kept"
        );
        ensure!(text(output, "trace")? == "42", "the headers of {reason} are kept");
        ensure!(
            text(output, "streamgauge.reason")? == *reason,
            "{reason}: {output:?}"
        );
        ensure!(text(output, "streamgauge.stage")? == "decode");
        ensure!(text(output, "streamgauge.topic")? == stream.topic);
        ensure!(text(output, "streamgauge.partition")? == "0");
        ensure!(text(output, "streamgauge.offset")? == (index * 2 + 1).to_string());
        ensure!(!text(output, "streamgauge.detail")?.is_empty());
        ensure!(said.contains(&format!("dead-lettered as {reason}: ")), "{said}");
    }
    kafka.delete_topic(&stream.topic)?;
    kafka.delete_topic(&format!("{}.dlq", stream.topic))
}

#[test]
fn a_dead_letter_topic_that_takes_nothing_stops_it_and_nothing_is_lost() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = stream(kafka, "refused")?;
    let dead_letters = format!("{}.dlq", stream.topic);
    kafka.create_topic_with(&dead_letters, 1, &[("max.message.bytes", "100")])?;
    let broken = format!("{{broken {}", "x".repeat(1000));
    for value in [GOOD, &broken, GOOD] {
        stream.readings[0].push(value.to_owned());
        kafka.produce(&stream.topic, [NewRecord::new(0, value)])?;
    }
    let said = failure(&stream, &[])?;
    ensure!(
        said.starts_with("error: ") && said.contains(&dead_letters) && said.contains("nothing is lost"),
        "{said}"
    );
    kafka.delete_topic(&dead_letters)?;
    std::thread::sleep(Duration::from_secs(1));
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn a_gap_stops_it_until_it_is_accepted() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "gap")?;
    let produce = |count: usize| kafka.produce(&stream.topic, (0..count).map(|_| NewRecord::new(2, GOOD)));
    produce(10)?;
    stream.aggregate_all()?;
    produce(10)?;
    kafka.delete_records_below(&stream.topic, 2, 15)?;
    let said = failure(&stream, &[])?;
    for part in [
        "partition 2",
        "position is 10",
        "begins at 15",
        "5 records are missing",
        "kafka.accept_gap",
    ] {
        ensure!(said.contains(part), "{part:?} is not in {said}");
    }
    let accepting = ["--available-now", "--accept-gap"];
    let mut accepted = Child::start("aggregate", &mut stream.aggregate(&accepting))?;
    ensure!(accepted.wait(END_LIMIT)?.success(), "{}", accepted.output());
    ensure!(
        accepted.stderr().contains("5 consumed = 5 aggregated"),
        "{}",
        accepted.output()
    );
    ensure!(
        accepted.stderr().contains("5 records are missing"),
        "the gap is logged: {}",
        accepted.output()
    );
    Ok(())
}

#[test]
fn a_recreated_topic_stops_it() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = stream(kafka, "recreated")?;
    kafka.produce(&stream.topic, (0..10).map(|_| NewRecord::new(1, GOOD)))?;
    stream.aggregate_all()?;
    kafka.delete_topic(&stream.topic)?;
    std::thread::sleep(Duration::from_secs(1));
    kafka.create_topic(&stream.topic, 4)?;
    kafka.produce(&stream.topic, (0..3).map(|_| NewRecord::new(1, GOOD)))?;
    let mut child = Child::start("aggregate", &mut stream.aggregate(&[]))?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.code() == Some(1), "{status}");
    let said = child.stderr().lines().last().unwrap_or_default().to_owned();
    for part in [
        stream.topic.as_str(),
        "was recreated",
        "the table's positions",
        "--accept-gap",
    ] {
        ensure!(said.contains(part), "{part:?} is not in {said}");
    }
    Ok(())
}

#[test]
fn all_codecs_are_read() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = stream(kafka, "codecs")?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let values: Vec<String> = (0..50)
            .map(|at| GOOD.replace("000000,", &format!("{at:06},")))
            .collect();
        stream.readings[3].extend(values.iter().cloned());
        let records = values.into_iter().map(|value| NewRecord::new(3, value));
        kafka.produce_with(
            &[("compression.type", codec), ("linger.ms", "50")],
            &stream.topic,
            records,
        )?;
    }
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn new_partitions_are_picked_up_from_their_beginning() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = stream(kafka, "grown")?;
    stream.produce(200)?;
    let mut running = stream.start(&["-X", "topic.metadata.refresh.interval.ms=500"])?;
    running.wait_for_event(COMMITTED, &[], END_LIMIT)?;
    kafka.grow_topic(&stream.topic, 6)?;
    for partition in [4, 5] {
        stream.readings.push(vec![GOOD.to_owned()]);
        kafka.produce(&stream.topic, [NewRecord::new(partition, GOOD)])?;
    }
    running.wait_for_event(PARTITION_ASSIGNED, &[("partition", 5)], END_LIMIT)?;
    running.signal(Signal::Terminate)?;
    ensure!(running.wait(END_LIMIT)?.success(), "{}", running.output());
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn wrong_settings_and_an_absent_broker_give_one_sentence() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = stream(kafka, "settings")?;
    let mut child = Child::start("aggregate", &mut stream.aggregate(&["--commit-interval", "0s"]))?;
    ensure!(child.wait(END_LIMIT)?.code() == Some(2), "{}", child.output());
    ensure!(child.stderr().contains("commit.interval"), "{}", child.output());

    let refused = Kafka::at("127.0.0.1:1");
    stream.kafka = &refused;
    let said = failure(&stream, &[])?;
    ensure!(
        said.contains("no broker answers at 127.0.0.1:1 (connection refused)"),
        "{said}"
    );

    let nowhere = "/proc/no-such-table";
    let mut stream = stream.into_table(nowhere.to_owned(), nowhere.into(), Vec::new());
    stream.kafka = kafka;
    let said = failure(&stream, &[])?;
    ensure!(
        said.contains("the store refuses to make the folder /proc/no-such-table"),
        "{said}"
    );
    Ok(())
}
