//! The promise of detection on Apache Kafka: kill it anywhere, move its partitions, freeze it: what a reader
//! under `read_committed` sees is, message for message, what an undisturbed run publishes.
//!
//! Holds I6 (determinism) and I7 (once out).

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::judged_topic::JudgedTopic;
use crate::scene::{Scene, has_parts};
use crate::simulation::seed;
use crate::stream::{END_LIMIT, Random, stop};
use streamgauge::telemetry::events::PARTITION_ASSIGNED;
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{heavy, require};

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn anomalies_survive_twenty_five_kills_at_random_moments() -> Result<()> {
    const KILLS: u64 = 25;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let seed = seed();
    let mut random = Random(seed);
    let mut judged = JudgedTopic::new(kafka, "judged-killed", seed)?;
    judged.produce(2_000)?;
    for kill in 0..KILLS {
        // Every other time under a name of its own, so that both ways of clearing up after a crash are tried.
        let mut command = judged.detect("killed", &[]);
        if kill % 2 == 0 {
            command.env("STREAMGAUGE__KAFKA__TRANSACTIONAL_ID", &judged.topic);
        }
        let mut victim = Child::start_with_events("detect", &mut command)?;
        victim.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        // Work arrives while it runs, and death comes anywhere between the first block and a few state files later.
        let until = Instant::now() + Duration::from_millis(random.below(700));
        while Instant::now() < until {
            judged.produce(200)?;
        }
        std::thread::sleep(Duration::from_millis(random.below(60)));
        victim.signal(Signal::Kill)?;
    }
    judged.detect_all("killed")?;
    judged.check("killed")
}

#[test]
fn series_keep_their_history_when_partitions_move() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    // What is published is right in each hand-over. That nothing need be replayed takes one in good order: a process that
    // stands still for as long as its session here, which is short, is shut out, and its successor replays.
    let mut replays = String::new();
    for _ in 0..MOST_HAND_OVERS {
        match hand_over(kafka)? {
            None => return Ok(()),
            Some(said) => {
                eprintln!("handed over, and replayed");
                replays = said;
            }
        }
    }
    bail!("a partition that was given up in good order needs no replay:\n{replays}");
}

const MOST_HAND_OVERS: usize = 3;

/// Moves partitions between three processes; the answer is what one said that had to replay some, if one had.
fn hand_over(kafka: &Kafka) -> Result<Option<String>> {
    let mut replays = None;
    let mut judged = JudgedTopic::new(kafka, "judged-moved", seed())?;
    judged.produce(2_000)?;
    let mut first = judged.start("moved", &[])?;
    first.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    let mut others = vec![judged.start("moved", &[])?, judged.start("moved", &[])?];
    for other in &mut others {
        let deadline = Instant::now() + JOIN_LIMIT;
        while other.events(PARTITION_ASSIGNED).is_empty() && Instant::now() < deadline {
            judged.produce(100)?;
        }
        other.wait_for_event(PARTITION_ASSIGNED, &[], Duration::from_secs(1))?;
        let assigned = other.events(PARTITION_ASSIGNED);
        if !assigned.iter().any(|event| event["replayed"] == 0) {
            replays = Some(format!(
                "{}\nwho had it before:\n{}",
                other.stderr(),
                first.stderr()
            ));
        }
    }
    judged.produce(2_000)?;
    stop(first)?;
    judged.produce(2_000)?;
    for other in others {
        stop(other)?;
    }
    judged.detect_all("moved")?;
    judged.check("moved")?;
    Ok(replays)
}

#[test]
fn a_frozen_detection_must_not_publish_what_its_successor_has() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut judged = JudgedTopic::new(kafka, "judged-zombie", seed())?;
    judged.produce(1_000)?;
    let mut zombie = judged.start("zombie", &[])?;
    zombie.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    judged.produce(1_000)?;
    std::thread::sleep(Duration::from_millis(100));
    zombie.signal(Signal::Stop)?;
    // Records from now on wait for the zombie in its own buffers, too.
    judged.produce(1_000)?;
    let mut successor = judged.start("zombie", &[])?;
    successor.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    judged.produce(500)?;
    zombie.signal(Signal::Continue)?;
    std::thread::sleep(Duration::from_secs(4));
    judged.produce(500)?;
    stop(zombie)?;
    stop(successor)?;
    judged.detect_all("zombie")?;
    judged.check("zombie")
}

#[test]
fn a_torn_state_file_is_named_and_the_state_rebuilt() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut judged = JudgedTopic::new(kafka, "judged-torn", seed())?;
    judged.produce(3_000)?;
    judged.detect_all("torn")?;
    // One partition's files lose their ends, another's are of no known version, a third's are gone.
    let folder = judged.state("torn");
    let files = |partition: u32| -> Result<Vec<std::path::PathBuf>> {
        let entries = fs::read_dir(folder.join(format!("partition-{partition}")))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    for path in files(0)? {
        let bytes = fs::read(&path)?;
        fs::write(&path, &bytes[..bytes.len() / 2])?;
    }
    for path in files(1)? {
        fs::write(&path, zstd::bulk::compress(b"SGSTATE\xff\xffrest", 1)?)?;
    }
    for path in files(2)? {
        fs::remove_file(path)?;
    }
    judged.produce(1_000)?;
    let said = judged.detect_all("torn")?;
    for expected in [
        "a state file cannot be read; the state is rebuilt without it partition=0",
        "written in version 65535 of the format; this program reads version",
    ] {
        ensure!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
    judged.check("torn")?;
    let kept = files(3)?.len();
    ensure!(kept <= 2, "{kept} state files are kept of one partition");
    Ok(())
}

#[test]
fn anomalies_of_an_aborted_transaction_are_invisible() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut judged = JudgedTopic::new(kafka, "judged-aborted", seed())?;
    judged.produce(3_000)?;
    judged.detect_all("aborted")?;
    let before = judged.published("aborted")?;
    // A transaction with an anomaly in it, abandoned by its producer and aborted by the next one of its name.
    kafka.abort_transaction(&judged.anomaly_topic("aborted"), b"never happened")?;
    judged.produce(1_000)?;
    judged.detect_all("aborted")?;
    let after = judged.published("aborted")?;
    ensure!(after.len() > before.len(), "what came afterwards was published");
    let never = |message: &crate::judged_topic::Published| message.value == "never happened";
    ensure!(!after.iter().any(never), "an aborted anomaly is visible");
    judged.check("aborted")
}

#[test]
fn settings_that_change_take_effect_from_the_next_reading_on() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut judged = JudgedTopic::new(kafka, "judged-changed", seed())?;
    judged.produce(2_000)?;
    judged.detect_all("changed")?;
    judged.produce(1_000)?;
    let mut child = judged.start("changed", &["--available-now", "--threshold", "0.98"])?;
    ensure!(child.wait(END_LIMIT)?.success(), "{}", child.output());
    ensure!(
        child.stderr().contains("written under different settings"),
        "{}",
        child.stderr()
    );
    let of_trees = |name: &str| -> Result<usize> {
        let messages = judged.published(name)?;
        Ok(messages
            .iter()
            .filter(|message| message.value.contains("half-space-trees"))
            .count())
    };
    judged.detect_all("undisturbed")?;
    let (changed, undisturbed) = (of_trees("changed")?, of_trees("undisturbed")?);
    ensure!(
        0 < changed && changed < undisturbed,
        "{changed} of {undisturbed} anomalies of the trees: hardly a score is above 0.98 in the last thousand readings"
    );
    Ok(())
}

#[test]
fn times_that_lie_in_headers_are_those_of_the_table() -> Result<()> {
    const COUNT: i64 = 20;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "judged-headers", 1)?;
    let records = (0..COUNT).map(|number| NewRecord {
        headers: vec![(
            "at".to_owned(),
            (1_700_000_000_000 + number * 1_000).to_string().into_bytes(),
        )],
        ..NewRecord::new(0, r#"{"value":1.5}"#)
    });
    kafka.produce(&scene.topic, records)?;
    let flags = ["--set", "reading.time_field=@header.at"];
    scene.all("aggregate", "table", &flags)?;
    ensure!(scene.counted("table")? == COUNT as u64, "the table has them");
    let (said, _) = scene.all("detect", "table", &flags)?;
    has_parts(&said, &["20 consumed = 20 judged + 0 late + 0 rejected"])
}
