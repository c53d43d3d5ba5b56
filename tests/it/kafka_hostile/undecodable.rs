//! Batches that cannot be unpacked, too large or damaged: the run ends at them with a sentence, or passes and counts them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use streamgauge::telemetry::events::{COMMITTED, PARTITION_HELD};
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::{heavy, require};

use super::{BOMB, GOOD, aggregate, detect, ensure_said, stream, text};
use crate::stream::{END_LIMIT, rows_of, stop};

/// Unpacks to more than a consumer takes by default.
const BOMB_BYTES: usize = 150 << 20;
const SKIP: [(&str, &str); 1] = [("STREAMGAUGE__KAFKA__ON_UNDECODABLE", "skip")];

#[test]
fn a_batch_that_cannot_be_unpacked_is_reported_and_can_be_passed() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let stream = stream(kafka, "bomb")?;
    kafka.produce(&stream.topic, [NewRecord::new(2, GOOD)])?;
    kafka.produce_with(&BOMB, &stream.topic, [NewRecord::new(2, vec![0; BOMB_BYTES])])?;
    // Readings that are fine one by one, and too much together: which of them lie in one batch is librdkafka's choice.
    let padding = "x".repeat(990_000);
    let padded = format!(r#"{{"ts":1700000000000,"value":1.5,"key":"meter-1","padding":"{padding}"}}"#);
    let together = [
        BOMB[0],
        BOMB[1],
        BOMB[2],
        ("linger.ms", "3000"),
        ("batch.size", "900000000"),
    ];
    let many = (0..180).map(|_| NewRecord::new(2, padded.as_str()));
    kafka.produce_with(&together, &stream.topic, many)?;
    kafka.produce(&stream.topic, (0..3).map(|_| NewRecord::new(2, GOOD)))?;
    kafka.produce(&stream.topic, [NewRecord::new(0, GOOD)])?;

    let refused = aggregate(&stream, &[], &[], 1)?;
    let last = refused.lines().last().unwrap_or_default();
    ensure_said(
        last,
        &[
            "partition 2",
            "offset 1 ",
            "cannot be unpacked",
            "receive.message.max.bytes",
        ],
    )?;
    ensure_said(last, &["kafka.on_undecodable"])?;
    ensure!(refused.contains("WARN"), "reported at once:\n{refused}");

    let begun = Instant::now();
    let passed = aggregate(&stream, &[], &SKIP, 0)?;
    println!("passed in {:?}", begun.elapsed());
    let outputs = kafka.read_topic(&format!("{}.dlq", stream.topic))?;
    let mut lost = 0;
    for output in &outputs {
        ensure!(text(output, "streamgauge.reason")? == "undecodable", "{output:?}");
        ensure!(output.value.is_none() && text(output, "streamgauge.partition")? == "2");
        let first: i64 = text(output, "streamgauge.offset")?.parse()?;
        let last: i64 = text(output, "streamgauge.last_offset")?.parse()?;
        lost += last - first + 1;
    }
    // Side outputs without a key lie in any partition of their topic.
    let is_first = |output: &&Record| text(output, "streamgauge.offset").is_ok_and(|offset| offset == "1");
    let first = outputs.iter().find(is_first).context("the first is missing")?;
    ensure!(text(first, "streamgauge.last_offset")? == "1");
    ensure!((2..=181).contains(&lost), "{lost} of the 181 are lost");
    // Some of what came before it may have been counted by the run that ended.
    let summary = passed
        .lines()
        .find(|line| line.contains(" consumed = "))
        .context("no summary")?;
    let aggregated: i64 = summary.split(' ').nth(3).context("no count")?.parse()?;
    let conserved = format!(
        "{} consumed = {aggregated} aggregated + 0 late + {lost} dead-lettered",
        aggregated + lost
    );
    ensure_said(
        &passed,
        &[&conserved, &format!("dead-lettered as undecodable: {lost}")],
    )?;
    let counted: u64 = rows_of(&stream.table, None)?.values().map(|cells| cells.0).sum();
    ensure!(counted as i64 == 186 - lost, "{counted}");
    let again = aggregate(&stream, &[], &SKIP, 0)?;
    ensure_said(&again, &["0 consumed"])?;

    let unread = detect(kafka, &stream.topic, &[], 1)?;
    ensure_said(
        unread.lines().last().unwrap_or_default(),
        &["partition 2", "offset 1 "],
    )?;
    let judged = detect(kafka, &stream.topic, &SKIP, 0)?;
    ensure_said(
        &judged,
        &["186 consumed", &format!("rejected as undecodable: {lost}")],
    )
}

#[test]
fn a_running_process_goes_on_beside_what_cannot_be_unpacked() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let stream = stream(kafka, "bomb-running")?;
    let mut running = stream.start(&[])?;
    kafka.produce_with(&BOMB, &stream.topic, [NewRecord::new(1, vec![0; BOMB_BYTES])])?;
    running.wait_for_event(PARTITION_HELD, &[("partition", 1), ("offset", 0)], END_LIMIT)?;
    ensure_said(&running.stderr(), &["cannot be unpacked"])?;
    // The other partitions go on.
    kafka.produce(&stream.topic, [NewRecord::new(3, GOOD)])?;
    running.wait_for_event(COMMITTED, &[("aggregated", 1)], END_LIMIT)?;
    stop(running)
}

/// Damages a byte of the second batch in a partition's segment, counted from the batch's first.
fn damage(folder: &Path, at: usize, byte: u8) -> Result<()> {
    let segment = folder.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment)?;
    let length = u32::from_be_bytes(bytes[8..12].try_into()?) as usize;
    bytes[12 + length + at] = byte;
    Ok(std::fs::write(&segment, bytes)?)
}

#[test]
fn a_batch_that_is_damaged_on_the_brokers_disk_is_reported_and_can_be_passed() -> Result<()> {
    /// The header of a batch; behind it comes the length of the first record.
    const HEADER_BYTES: usize = 61;
    let Some(mut private) = require("Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut topics = Vec::new();
    for name in ["damaged-sum", "damaged-length"] {
        let topic = stream(&private.kafka, name)?.topic;
        let produce = |count: usize| {
            let batch = (0..count).map(|_| NewRecord::new(0, GOOD));
            private.kafka.produce_with(&[("linger.ms", "500")], &topic, batch)
        };
        produce(1)?;
        produce(3)?;
        produce(2)?;
        topics.push(topic);
    }
    private.stop()?;
    let Some(folder) = require("the broker's files", private.partition_folder(&topics[0], 0)) else {
        return Ok(());
    };
    // A byte of a value, which only the checksum reveals; and a length that leads nowhere.
    damage(&folder, HEADER_BYTES + 20, b'!')?;
    damage(&private.partition_folder(&topics[1], 0)?, HEADER_BYTES, 0x7e)?;
    private.start()?;
    for (topic, flags) in topics.iter().zip([&["-X", "check.crcs=true"][..], &[]]) {
        let mut stream = stream(&private.kafka, "damaged")?;
        stream.topic = topic.clone();
        let refused = aggregate(&stream, flags, &[], 1)?;
        let last = refused.lines().last().unwrap_or_default();
        ensure_said(last, &["partition 0", "cannot be unpacked", "CRC32C"])?;
        aggregate(&stream, flags, &SKIP, 0)?;
        let outputs = private.kafka.read_topic(&format!("{topic}.dlq"))?;
        ensure!(outputs.len() == 1, "{outputs:?}");
        let first: u64 = text(&outputs[0], "streamgauge.offset")?.parse()?;
        ensure!(text(&outputs[0], "streamgauge.last_offset")? == "3");
        // Without checksums, records before the damage are read.
        ensure!(first == 1 || (first == 2 && flags.is_empty()), "{first}");
        let counted: u64 = rows_of(&stream.table, None)?.values().map(|cells| cells.0).sum();
        ensure!(counted == 6 - (4 - first), "{topic}: {counted} readings, {first}");
    }
    Ok(())
}
