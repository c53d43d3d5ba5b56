//! Hostile input from one device with write access to the topic, on Apache Kafka: none of it stops the stream, moves
//! what outlives it, or grows past its bound.
//!
//! Holds I1 (conservation), I8 (nothing silent) and I9 (bounded).

mod sizes;
mod times;
mod undecodable;

use anyhow::{Context, Result, ensure};
use streamgauge::window::LatePolicy;
use streamgauge_testkit::kafka::{Kafka, Record};
use streamgauge_testkit::process::{Child, scratch_folder};

use crate::program::streamgauge;
use crate::stream::{END_LIMIT, Stream, header};

const GOOD: &str = r#"{"ts":1700000000000,"value":1.5,"key":"meter-1"}"#;
/// The settings of a producer of batches that unpack to hundreds of megabytes.
const BOMB: [(&str, &str); 3] = [
    ("compression.type", "zstd"),
    ("message.max.bytes", "900000000"),
    ("queue.buffering.max.kbytes", "2000000"),
];

fn stream<'k>(kafka: &'k Kafka, name: &str) -> Result<Stream<'k>> {
    Stream::new(kafka, name, LatePolicy::Divert, 7)
}

fn text<'r>(record: &'r Record, name: &str) -> Result<&'r str> {
    let value = header(&record.headers, name).with_context(|| format!("no header {name}: {record:?}"))?;
    Ok(std::str::from_utf8(value)?)
}

/// Runs a child to its end and returns what it said on standard error.
fn said(mut child: Child, code: i32) -> Result<String> {
    let status = child.wait(END_LIMIT)?;
    ensure!(status.code() == Some(code), "{status}:\n{}", child.output());
    Ok(child.stderr())
}

/// Aggregates all there is, with further variables, and returns what is said.
fn aggregate(stream: &Stream<'_>, flags: &[&str], variables: &[(&str, &str)], code: i32) -> Result<String> {
    let mut command = stream.aggregate(&[&["--available-now"], flags].concat());
    command.envs(variables.iter().copied());
    said(Child::start("aggregate", &mut command)?, code)
}

/// Detects in all there is, by a rule that every reading breaks, and returns what is said.
fn detect(kafka: &Kafka, topic: &str, variables: &[(&str, &str)], code: i32) -> Result<String> {
    let folder = scratch_folder("hostile-state").display().to_string();
    let mut command = streamgauge(["detect", "--available-now", "-b", kafka.brokers(), "-t", topic]);
    command.args([
        "--group",
        &format!("{topic}-detect"),
        "--anomaly-topic",
        &format!("{topic}.anomaly"),
    ]);
    command.args(["--state", &folder, "--key", "message", "--detector", "none"]);
    command.env("STREAMGAUGE__READING__TIME_FORMAT", "epoch_ms");
    command.env("STREAMGAUGE__DETECT__RULES__*", "above 0");
    command.envs(variables.iter().copied());
    said(Child::start("detect", &mut command)?, code)
}

fn ensure_said(said: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    Ok(())
}
