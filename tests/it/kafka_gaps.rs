//! Gaps in a topic, and a topic that was recreated: refused with one sentence, and accepted once.
//!
//! Holds I2 (one position) and I8 (nothing silent).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{eventually, require};

use crate::scene::{Scene, failure_of, has_parts};
use crate::stream::{END_LIMIT, local_config, stop};
use streamgauge::kafka::Cluster;

const JOIN_LIMIT: Duration = Duration::from_secs(60);

fn scene<'k>(kafka: &'k Kafka, name: &str) -> Result<Scene<'k>> {
    Scene::new(kafka, name, 2)
}

/// A detection's run to the end, in a group and with state files of the scene's own.
fn detect(scene: &Scene<'_>, flags: &[&str]) -> Result<Child> {
    let mut command = scene.command("detect", "table", flags);
    command
        .env("STREAMGAUGE__DETECT__RULES__*", "above 1")
        .env("STREAMGAUGE__DETECT__GROUP", format!("{}-detect", scene.topic));
    Child::start("detect", &mut command)
}

fn detect_all(scene: &Scene<'_>, flags: &[&str]) -> Result<String> {
    let mut child = detect(scene, &[&["--available-now"], flags].concat())?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", child.output());
    Ok(child.stderr())
}

#[test]
fn a_topic_keeps_its_id_and_another_one_has_another() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "id")?;
    let mut config = local_config(&scene.table("table"))?;
    config.process.kafka.brokers = kafka.brokers().to_owned();
    let cluster = Cluster::connect(&config.subscription())?;
    let first = cluster.topic_id(&scene.topic).context("no id")?;
    ensure!(first.len() == 22, "{first}");
    kafka.grow_topic(&scene.topic, 4)?;
    let started = Instant::now();
    for _ in 0..100 {
        ensure!(cluster.topic_id(&scene.topic).as_ref() == Some(&first));
    }
    println!("asking for a topic's id takes {:?}", started.elapsed() / 100);
    scene.recreate(2)?;
    eventually("another id", JOIN_LIMIT, || {
        let second = cluster.topic_id(&scene.topic).context("no id")?;
        ensure!(second != first);
        Ok(())
    })?;
    ensure!(cluster.topic_id("nobody-has-made-it").is_none());
    Ok(())
}

#[test]
fn a_shorter_topic_is_accepted_once_and_read_whole() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "shorter")?;
    scene.produce(0, 100)?;
    scene.all("aggregate", "table", &[])?;
    scene.recreate(2)?;
    scene.produce(0, 50)?;
    scene.failure("aggregate", "table", &["--available-now"])?;
    let (said, _) = scene.all("aggregate", "table", &["--accept-gap"])?;
    ensure!(said.contains("50 consumed = 50 aggregated"), "{said}");
    scene.produce(1, 5)?;
    let (said, _) = scene.all("aggregate", "table", &[])?;
    ensure!(said.contains("5 consumed"), "accepted once is enough: {said}");
    ensure!(scene.counted("table")? == 155);
    Ok(())
}

#[test]
fn an_emptied_topic_is_accepted_once() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "emptied")?;
    scene.produce(0, 10)?;
    scene.all("aggregate", "table", &[])?;
    detect_all(&scene, &[])?;
    scene.produce(0, 10)?;
    kafka.delete_records_below(&scene.topic, 0, 20)?;

    let said = scene.failure("aggregate", "table", &["--available-now"])?;
    has_parts(&said, &["10 records are missing", "the table's position is 10"])?;
    let (said, _) = scene.all("aggregate", "table", &["--accept-gap"])?;
    ensure!(said.contains("0 consumed"), "{said}");
    let said = failure_of(&mut detect(&scene, &["--available-now"])?)?;
    has_parts(&said, &["10 records are missing", "the group's position is 10"])?;
    detect_all(&scene, &["--accept-gap"])?;

    scene.all("aggregate", "table", &[])?;
    detect_all(&scene, &[])?;
    scene.produce(0, 3)?;
    let (said, _) = scene.all("aggregate", "table", &[])?;
    ensure!(said.contains("3 consumed"), "{said}");
    ensure!(detect_all(&scene, &[])?.contains("3 consumed"));
    Ok(())
}

#[test]
fn a_recreated_topic_is_recognized_however_long_it_is() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "outgrown")?;
    scene.produce(0, 30)?;
    scene.produce(1, 30)?;
    scene.all("aggregate", "table", &[])?;
    scene.recreate(3)?;
    for partition in 0..3 {
        scene.produce(partition, 40)?;
    }
    for flags in [&["--available-now"][..], &[]] {
        let said = scene.failure("aggregate", "table", flags)?;
        has_parts(
            &said,
            &[
                "was recreated",
                "the table's positions are of the one with the id",
                "--accept-gap",
            ],
        )?;
    }
    ensure!(
        scene.counted("table")? == 60,
        "nothing of the new one is in the table"
    );
    let (said, _) = scene.all("aggregate", "table", &["--accept-gap"])?;
    ensure!(said.contains("120 consumed = 120 aggregated"), "{said}");
    scene.produce(0, 1)?;
    scene.all("aggregate", "table", &[])?;
    ensure!(scene.counted("table")? == 181);

    // Accepted while it runs on, too.
    scene.recreate(3)?;
    scene.produce(2, 100)?;
    let running = scene.start("aggregate", "table", &["--accept-gap"])?;
    scene.wait_until_counted("table", 281)?;
    stop(running)
}

#[test]
fn a_topic_recreated_under_a_sleeping_process_is_not_taken_for_the_old_one() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "recreated-asleep")?;
    scene.produce(0, 30)?;
    let mut running = scene.start("aggregate", "table", &[])?;
    scene.wait_until_counted("table", 30)?;
    running.signal(Signal::Stop)?;
    scene.recreate(2)?;
    scene.produce(0, 100)?;
    running.signal(Signal::Continue)?;
    let said = failure_of(&mut running)?;
    // Either its id is recognized, or the broker says first that the topic is gone.
    ensure!(
        said.contains("was recreated") || said.contains("can no longer be consumed"),
        "{said}"
    );
    ensure!(
        scene.counted("table")? == 30,
        "nothing of the new one is in the table"
    );
    Ok(())
}

#[test]
fn a_detection_judges_a_recreated_topic_from_its_beginning() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "judged-recreated")?;
    scene.produce(0, 30)?;
    ensure!(detect_all(&scene, &[])?.contains("30 consumed"));
    let state = scene
        .table("table-state")
        .join(format!("{}-detect", scene.topic))
        .join(&scene.topic)
        .join("partition-0");
    let kept = || -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in std::fs::read_dir(&state)? {
            names.push(file?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    ensure!(kept()? == ["00000000000000000030.state"], "{:?}", kept()?);
    scene.recreate(2)?;
    // Kafka drops the group's offsets with the topic, a moment later.
    std::thread::sleep(Duration::from_secs(2));
    scene.produce(0, 40)?;
    let said = detect_all(&scene, &[])?;
    ensure!(said.contains("40 consumed = 40 judged"), "{said}");
    ensure!(kept()? == ["00000000000000000040.state"], "{:?}", kept()?);
    Ok(())
}

#[test]
fn a_partition_that_the_table_does_not_know_is_logged() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = scene(kafka, "unknown")?;
    scene.produce(1, 10)?;
    scene.all("aggregate", "table", &[])?;
    kafka.grow_topic(&scene.topic, 3)?;
    eventually("the new partition is there", JOIN_LIMIT, || scene.produce(2, 10))?;
    scene.produce(0, 10)?;
    let (said, _) = scene.all("aggregate", "table", &[])?;
    let is_logged = |partition: &str, words: &str| {
        said.lines()
            .any(|line| line.contains(partition) && line.contains(words))
    };
    ensure!(
        is_logged("partition=2", "the partition is new to the table"),
        "{said}"
    );
    ensure!(is_logged("partition=0", "none of this one"), "{said}");
    ensure!(scene.counted("table")? == 30);
    Ok(())
}
