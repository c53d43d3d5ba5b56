//! The promise of the detecting side on Apache Kafka: kill it anywhere, move its partitions, freeze it: what a reader
//! under `read_committed` sees is, message for message, what an undisturbed run tells.
//!
//! Holds I6 (determinism) and I7 (once out).

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::simulation::seed;
use crate::stream::{END_LIMIT, Random, stop};
use crate::support::kafka::Kafka;
use crate::support::process::{Child, Signal};
use crate::support::{heavy, require};
use crate::watched::Watched;

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

const TOOK_OVER: &str = "took a partition over";

#[test]
fn anomalies_survive_twenty_five_kills_at_random_moments() -> Result<()> {
    const KILLS: u64 = 25;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let seed = seed();
    let mut random = Random(seed);
    let mut watched = Watched::new(kafka, "watched-killed", seed)?;
    watched.produce(2_000)?;
    for kill in 0..KILLS {
        // Every other time under a name of its own, so that both ways of clearing up after a crash are tried.
        let mut command = watched.detect("killed", &[]);
        if kill % 2 == 0 {
            command.env("STREAMGAUGE__KAFKA__TRANSACTIONAL_ID", &watched.topic);
        }
        let mut victim = Child::start("detect", &mut command)?;
        victim.wait_for(TOOK_OVER, JOIN_LIMIT)?;
        // Work arrives while it runs, and death comes anywhere between the first block and a few snapshots later.
        let until = Instant::now() + Duration::from_millis(random.below(700));
        while Instant::now() < until {
            watched.produce(200)?;
        }
        std::thread::sleep(Duration::from_millis(random.below(60)));
        victim.signal(Signal::Kill)?;
    }
    watched.detect_all("killed")?;
    watched.check("killed")
}

#[test]
fn series_keep_their_history_when_partitions_move() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut watched = Watched::new(kafka, "watched-moved", seed())?;
    watched.produce(2_000)?;
    let mut first = watched.start("moved", &[])?;
    first.wait_for(TOOK_OVER, JOIN_LIMIT)?;
    let mut others = vec![watched.start("moved", &[])?, watched.start("moved", &[])?];
    for other in &mut others {
        let deadline = Instant::now() + JOIN_LIMIT;
        while !other.stderr().contains(TOOK_OVER) && Instant::now() < deadline {
            watched.produce(100)?;
        }
        other.wait_for(TOOK_OVER, Duration::from_secs(1))?;
        ensure!(
            other.stderr().contains("replayed=0"),
            "a partition that was given up in good order needs no replay:\n{}",
            other.stderr()
        );
    }
    watched.produce(2_000)?;
    stop(first)?;
    watched.produce(2_000)?;
    for other in others {
        stop(other)?;
    }
    watched.detect_all("moved")?;
    watched.check("moved")
}

#[test]
fn a_frozen_detection_must_not_publish_what_its_successor_has() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut watched = Watched::new(kafka, "watched-zombie", seed())?;
    watched.produce(1_000)?;
    let mut zombie = watched.start("zombie", &[])?;
    zombie.wait_for(TOOK_OVER, JOIN_LIMIT)?;
    watched.produce(1_000)?;
    std::thread::sleep(Duration::from_millis(100));
    zombie.signal(Signal::Stop)?;
    // What comes now waits for the zombie in its own buffers, too.
    watched.produce(1_000)?;
    let mut successor = watched.start("zombie", &[])?;
    successor.wait_for(TOOK_OVER, JOIN_LIMIT)?;
    watched.produce(500)?;
    zombie.signal(Signal::Continue)?;
    std::thread::sleep(Duration::from_secs(4));
    watched.produce(500)?;
    stop(zombie)?;
    stop(successor)?;
    watched.detect_all("zombie")?;
    watched.check("zombie")
}

#[test]
fn a_torn_snapshot_is_named_and_the_state_rebuilt() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut watched = Watched::new(kafka, "watched-torn", seed())?;
    watched.produce(3_000)?;
    watched.detect_all("torn")?;
    // One partition's files lose their ends, another's are of no known version, a third's are gone.
    let folder = watched.snapshots("torn");
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
    watched.produce(1_000)?;
    let said = watched.detect_all("torn")?;
    for expected in [
        "a snapshot cannot be read; the state is rebuilt without it partition=0",
        "it is of version 65535, and this program's are of version",
    ] {
        ensure!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
    watched.check("torn")?;
    let kept = files(3)?.len();
    ensure!(kept <= 2, "{kept} snapshots are kept of one partition");
    Ok(())
}

#[test]
fn anomalies_of_an_aborted_transaction_are_invisible() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut watched = Watched::new(kafka, "watched-aborted", seed())?;
    watched.produce(3_000)?;
    watched.detect_all("aborted")?;
    let before = watched.told("aborted")?;
    // A transaction with an anomaly in it, abandoned by its producer and aborted by the next one of its name.
    kafka.abort_transaction(&watched.anomaly_topic("aborted"), b"never happened")?;
    watched.produce(1_000)?;
    watched.detect_all("aborted")?;
    let after = watched.told("aborted")?;
    ensure!(after.len() > before.len(), "what came afterwards was told");
    let never = |told: &crate::watched::Told| told.value == "never happened";
    ensure!(!after.iter().any(never), "an aborted anomaly is visible");
    watched.check("aborted")
}

#[test]
fn settings_that_change_take_effect_from_the_next_reading_on() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut watched = Watched::new(kafka, "watched-changed", seed())?;
    watched.produce(2_000)?;
    watched.detect_all("changed")?;
    watched.produce(1_000)?;
    let mut child = watched.start("changed", &["--available-now", "--threshold", "0.98"])?;
    ensure!(child.wait(END_LIMIT)?.success(), "{}", child.output());
    ensure!(
        child.stderr().contains("it came about under other settings"),
        "{}",
        child.stderr()
    );
    let of_trees = |name: &str| -> Result<usize> {
        let told = watched.told(name)?;
        Ok(told
            .iter()
            .filter(|told| told.value.contains("half-space-trees"))
            .count())
    };
    watched.detect_all("undisturbed")?;
    let (changed, undisturbed) = (of_trees("changed")?, of_trees("undisturbed")?);
    ensure!(
        0 < changed && changed < undisturbed,
        "{changed} of {undisturbed} anomalies of the trees: hardly a score is above 0.98 in the last thousand readings"
    );
    Ok(())
}
