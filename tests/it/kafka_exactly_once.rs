//! The promise on Apache Kafka: kill it anywhere, run one process or five, stop the broker, freeze a process: the
//! table and the side outputs come out identical.
//!
//! Holds I1 (conservation), I2 (one position), I3 (totals), I4 (one row), I5 (log-time lateness), I7 (once out).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::Signal;
use streamgauge_testkit::{eventually, heavy, require};

use crate::simulation::seed;
use crate::stream::{END_LIMIT, Random, Stream, rows_of, stop};
use streamgauge::telemetry::events::{COMMITTED, PARTITION_ASSIGNED};
use streamgauge::window::LatePolicy;

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// After an outage a member may have to wait for its own former session, 45 s, before it gets partitions again.
const REJOIN_LIMIT: Duration = Duration::from_secs(120);

#[test]
fn killed_twenty_five_times_at_random_moments() -> Result<()> {
    const KILLS: u64 = 25;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let seed = seed();
    let mut random = Random(seed);
    let mut stream = Stream::new(kafka, "killed", LatePolicy::Divert, seed)?;
    stream.produce(2_000)?;
    for _ in 0..KILLS {
        let mut victim = stream.start(&[])?;
        victim.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        // Work arrives while it runs, and death comes anywhere between the first block and a few commits later.
        let until = Instant::now() + Duration::from_millis(random.below(700));
        while Instant::now() < until {
            stream.produce(200)?;
        }
        std::thread::sleep(Duration::from_millis(random.below(60)));
        victim.signal(Signal::Kill)?;
    }
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn one_process_then_three_then_two() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut stream = Stream::new(kafka, "rebalanced", LatePolicy::Divert, seed())?;
    stream.produce(2_000)?;
    let first = {
        let mut first = stream.start(&[])?;
        first.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
        first
    };
    let mut others = vec![stream.start(&[])?, stream.start(&[])?];
    for other in &mut others {
        let deadline = Instant::now() + JOIN_LIMIT;
        while other.events(PARTITION_ASSIGNED).is_empty() && Instant::now() < deadline {
            stream.produce(100)?;
        }
        other.wait_for_event(PARTITION_ASSIGNED, &[], Duration::from_secs(1))?;
    }
    stream.produce(2_000)?;
    stop(first)?;
    stream.produce(2_000)?;
    for other in others {
        stop(other)?;
    }
    stream.aggregate_all()?;
    stream.check()?;
    every_version_has_each_row_once(&stream)
}

/// Partitions of one that leaves are given to one that is leaving, too; it must neither lose them nor wait for ever.
#[test]
fn all_stop_one_after_the_other_and_each_ends() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut stream = Stream::new(kafka, "stopping", LatePolicy::Divert, seed())?;
    for pause_ms in [0, 100, 400, 1_000] {
        stream.produce(300)?;
        let mut processes = vec![stream.start(&[])?, stream.start(&[])?];
        for process in &mut processes {
            process.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        }
        for process in &mut processes {
            process.signal(Signal::Terminate)?;
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        for mut process in processes {
            ensure!(process.wait(END_LIMIT)?.success(), "{}", process.output());
        }
    }
    stream.aggregate_all()?;
    stream.check()
}

/// I4 at every version: `rows_of` refuses a row that is there twice.
fn every_version_has_each_row_once(stream: &Stream<'_>) -> Result<()> {
    let log = stream.table.join("_delta_log");
    let versions = std::fs::read_dir(log)?.filter(|entry| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".json"))
    });
    let count = versions.count() as u64;
    for version in (1..count).step_by((count as usize / 40).max(1)) {
        rows_of(&stream.table, Some(version))?;
    }
    Ok(())
}

#[test]
fn late_readings_correct_their_rows_under_upsert_through_kills() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut stream = Stream::new(kafka, "upserted", LatePolicy::Upsert, seed())?;
    for _ in 0..3 {
        stream.produce(1_500)?;
        let mut victim = stream.start(&[])?;
        victim.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
        victim.signal(Signal::Kill)?;
    }
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn the_broker_is_stopped_and_started_again() -> Result<()> {
    let Some(mut private) = require("Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let _alone = heavy();
    let kafka = Kafka::at(private.kafka.brokers());
    let mut stream = Stream::new(&kafka, "outage", LatePolicy::Divert, seed())?;
    stream.produce(3_000)?;
    let mut running = stream.start(&[])?;
    running.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    private.stop()?;
    std::thread::sleep(Duration::from_secs(4));
    private.start()?;
    stream.produce(3_000)?;
    let rows = crate::oracle::oracle(&stream.readings, LatePolicy::Divert).rows;
    eventually("the rows of what came after the outage", REJOIN_LIMIT, || {
        let found = rows_of(&stream.table, None)?;
        ensure!(found == rows, "{} of {} rows", found.len(), rows.len());
        Ok(())
    })?;
    stop(running)?;
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn available_now_twice_changes_nothing_the_second_time() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = Stream::new(kafka, "twice", LatePolicy::Divert, seed())?;
    stream.produce(2_000)?;
    let first = stream.aggregate_all()?;
    ensure!(first.contains("2,000 consumed ="), "{first}");
    stream.check()?;
    let entries = || -> Result<usize> { Ok(std::fs::read_dir(stream.table.join("_delta_log"))?.count()) };
    let before = entries()?;
    let second = stream.aggregate_all()?;
    ensure!(
        second.contains("0 consumed = 0 aggregated + 0 late + 0 dead-lettered"),
        "{second}"
    );
    ensure!(entries()? == before, "the second run wrote a version");
    stream.check()
}

#[test]
fn a_zombie_must_not_commit() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut stream = Stream::new(kafka, "zombie", LatePolicy::Divert, seed())?;
    stream.produce(1_000)?;
    // A slow committer: when it is frozen, it surely has readings and side outputs pending.
    let mut zombie = stream.start(&["--commit-interval", "2s"])?;
    zombie.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    stream.produce(1_000)?;
    std::thread::sleep(Duration::from_millis(300));
    zombie.signal(Signal::Stop)?;
    let mut successor = stream.start(&[])?;
    successor.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    stream.produce(500)?;
    zombie.signal(Signal::Continue)?;
    std::thread::sleep(Duration::from_secs(4));
    stream.produce(500)?;
    stop(zombie)?;
    stop(successor)?;
    stream.aggregate_all()?;
    stream.check()
}
