//! Counters on Apache Kafka: the increases come out identical, whoever is killed, however many processes there are, and whatever
//! becomes of the files of registers.
//!
//! Holds I1 (conservation), I2 (one position), I3 (totals), I4 (one row).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{eventually, heavy, require};

use crate::program::streamgauge;
use crate::scene::{Scene, has_parts};
use crate::simulation::seed;
use crate::stream::{Random, Stream, increases_of, stop};
use streamgauge::telemetry::events::{COMMITTED, PARTITION_ASSIGNED};
use streamgauge::window::LatePolicy;

const JOIN_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn increases_survive_ten_kills_and_two_processes() -> Result<()> {
    const KILLS: u64 = 10;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let seed = seed();
    let mut random = Random(seed);
    let mut stream = Stream::new(kafka, "counters", LatePolicy::Divert, seed)?.of_counters();
    stream.produce(2_000)?;
    for _ in 0..KILLS {
        let mut victim = stream.start(&[])?;
        victim.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        let until = Instant::now() + Duration::from_millis(random.below(900));
        while Instant::now() < until {
            stream.produce(200)?;
        }
        victim.signal(Signal::Kill)?;
    }
    let first = stream.start(&[])?;
    let mut second = stream.start(&[])?;
    let deadline = Instant::now() + JOIN_LIMIT;
    while second.events(PARTITION_ASSIGNED).is_empty() && Instant::now() < deadline {
        stream.produce(100)?;
    }
    second.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    stream.produce(2_000)?;
    stop(first)?;
    stream.produce(2_000)?;
    stop(second)?;
    stream.aggregate_all()?;
    stream.check()
}

const COUNTER: [&str; 4] = [
    "--set",
    "reading.value_kind=counter",
    "--set",
    "detect.state_interval=200ms",
];

/// Registers of a meter, a minute apart.
fn produce(scene: &Scene<'_>, partition: i32, minutes: std::ops::Range<i64>) -> Result<()> {
    let record = |minute: i64| {
        let at = 1_700_000_000_000 + minute * 60_000;
        NewRecord::new(
            partition,
            format!(r#"{{"ts":{at},"value":{}.5}}"#, 1_000 + minute),
        )
    };
    scene.kafka.produce(&scene.topic, minutes.map(record))
}

fn total(scene: &Scene<'_>) -> Result<(u64, f64)> {
    let rows = increases_of(&scene.table("t"))?;
    let cells = rows.values();
    Ok(cells.fold((0, 0.0), |(count, sum), (more, _, _, increase)| {
        (count + more, sum + increase)
    }))
}

fn replayed(child: &Child) -> Vec<i64> {
    let events = child.events(PARTITION_ASSIGNED).into_iter();
    events
        .map(|event| event["replayed"].as_i64().unwrap_or(0))
        .collect()
}

fn folder_of_registers(scene: &Scene<'_>) -> Result<std::path::PathBuf> {
    let folder = std::fs::read_dir(scene.folder.join("t-state"))?.next();
    Ok(folder.context("there are registers")??.path())
}

#[test]
fn registers_come_from_a_file_or_from_the_topic_and_what_is_gone_is_said() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "registers", 1)?;
    let all = || scene.all("aggregate", "t", &COUNTER);
    produce(&scene, 0, 0..100)?;
    all()?;
    ensure!(total(&scene)? == (100, 99.0), "{:?}", total(&scene)?);
    // From the file that the end has kept.
    produce(&scene, 0, 100..150)?;
    let mut running = scene.start("aggregate", "t", &COUNTER)?;
    running.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    stop_well(running, &[0])?;
    ensure!(total(&scene)? == (150, 149.0), "{:?}", total(&scene)?);
    // From the topic's beginning.
    std::fs::remove_dir_all(folder_of_registers(&scene)?)?;
    produce(&scene, 0, 150..200)?;
    let mut running = scene.start("aggregate", "t", &COUNTER)?;
    running.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    stop_well(running, &[150])?;
    ensure!(total(&scene)? == (200, 199.0), "{:?}", total(&scene)?);
    // A pipeline of gauges is not let in, and the table says what it holds.
    let failure = scene.failure("aggregate", "t", &[])?;
    has_parts(
        &failure,
        &["it was made with reading.value_kind = counter, the setting is gauge"],
    )?;
    let described = streamgauge(["table", "describe", "--table"])
        .arg(scene.table("t"))
        .output()?;
    has_parts(
        &String::from_utf8_lossy(&described.stdout),
        &["values     counters: rows have the increase of their window"],
    )?;
    // The topic has lost all of them, and the files are gone, too: the meter begins anew.
    std::fs::remove_dir_all(folder_of_registers(&scene)?)?;
    kafka.delete_records_below(&scene.topic, 0, 200)?;
    produce(&scene, 0, 300..310)?;
    let (said, _) = all()?;
    has_parts(
        &said,
        &["there is no file of registers to go on from", "begins anew"],
    )?;
    ensure!(total(&scene)? == (210, 199.0 + 9.0), "{:?}", total(&scene)?);
    Ok(())
}

fn stop_well(child: Child, expected: &[i64]) -> Result<()> {
    let found = replayed(&child);
    ensure!(found == expected, "{found:?} records were replayed");
    stop(child)
}

#[test]
fn a_meter_in_two_partitions_is_warned_of() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "registers-twice", 2)?;
    produce(&scene, 0, 0..10)?;
    produce(&scene, 1, 10..20)?;
    let (said, _) = scene.all("aggregate", "t", &COUNTER)?;
    has_parts(
        &said,
        &[
            "a counter has records in partition",
            "with the series as the message key",
        ],
    )?;
    eventually("each partition has counted by itself", JOIN_LIMIT, || {
        ensure!(total(&scene)? == (20, 18.0), "{:?}", total(&scene)?);
        Ok(())
    })
}
