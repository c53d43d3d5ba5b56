//! Groups that share a topic: every table gets all of it, and a run that has nothing to do delays no other.
//!
//! Holds I1 (conservation) and I8 (nothing silent).

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure_of, has_parts};
use crate::stream::{END_LIMIT, stop};
use streamgauge::telemetry::events::{COMMITTED, GROUP_JOINING, PARTITION_ASSIGNED};
use streamgauge_testkit::events::events;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{heavy, require};

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// A member that died is missed after 45 s. A run that ends far below that has waited for none.
const NO_WAIT: Duration = Duration::from_secs(20);

#[test]
fn two_tables_of_one_topic_each_get_all_of_it() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "two-tables", 4)?;
    let mut hourly = scene.start("aggregate", "hourly", &[])?;
    hourly.wait_for_event(PARTITION_ASSIGNED, &[("partition", 3)], JOIN_LIMIT)?;
    let mut daily = scene.start("aggregate", "daily", &["--window", "1d"])?;
    daily.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    for partition in 0..4 {
        scene.produce(partition, 200)?;
    }
    let all = scene
        .wait_until_counted("hourly", 800)
        .and_then(|()| scene.wait_until_counted("daily", 800));
    stop(hourly)?;
    stop(daily)?;
    all
}

#[test]
fn two_runs_on_one_topic_publish_each_anomaly_once() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "two-runs", 4)?;
    // The default group is that of all topics of this broker.
    let group = format!("{}-detect", scene.topic);
    let start = |table: &str, flags: &[&str]| {
        let mut command = scene.command("run", table, flags);
        command
            .env("STREAMGAUGE__DETECT__RULES__*", "above 1")
            .env("STREAMGAUGE__DETECT__GROUP", &group);
        Child::start_with_events("run", &mut command)
    };
    let mut hourly = start("hourly", &[])?;
    hourly.wait_for_event(PARTITION_ASSIGNED, &[("partition", 3)], JOIN_LIMIT)?;
    let mut daily = start("daily", &["--window", "1d"])?;
    daily.wait_for_event(PARTITION_ASSIGNED, &[("partition", 3)], JOIN_LIMIT)?;
    for partition in 0..4 {
        scene.produce(partition, 10)?;
    }
    scene.wait_until_counted("hourly", 40)?;
    scene.wait_until_counted("daily", 40)?;
    stop(hourly)?;
    stop(daily)?;
    let anomalies = kafka.read_topic(&format!("{}.anomaly", scene.topic))?;
    // The rule reports once for each partition's series that it is above.
    let mut from: Vec<String> = Vec::new();
    for anomaly in &anomalies {
        let source = crate::stream::header(&anomaly.headers, "ce_source").unwrap_or_default();
        from.push(String::from_utf8_lossy(source).into_owned());
    }
    from.sort();
    from.dedup();
    ensure!(
        (anomalies.len(), from.len()) == (4, 4),
        "{} anomalies from {from:?}",
        anomalies.len()
    );
    Ok(())
}

#[test]
fn a_group_that_another_table_uses_is_refused() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "one-group", 4)?;
    scene.produce(0, 100)?;
    let group = scene.topic.clone();
    let flags = ["--group", group.as_str()];
    let mut first = scene.start("aggregate", "first", &flags)?;
    first.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
    scene.wait_until_counted("first", 100)?;

    let said = scene.failure("aggregate", "second", &flags)?;
    has_parts(
        &said,
        &[
            &group,
            "in use by the table with the id",
            "kafka.group",
            "--group",
        ],
    )?;
    let said = scene.failure("detect", "second", &flags)?;
    has_parts(
        &said,
        &[&group, "in use by the table with the id", "detect.group"],
    )?;
    scene.produce(3, 100)?;
    scene.wait_until_counted("first", 200)?;
    // Another process of the same table is welcome.
    let mut helper = scene.start("aggregate", "first", &flags)?;
    helper.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    stop(helper)?;
    stop(first)?;

    // A group without members is accepted, and each table gets all readings.
    scene.all("aggregate", "second", &flags)?;
    ensure!(scene.counted("second")? == 200);
    scene.all("aggregate", "first", &flags)?;
    ensure!(scene.counted("first")? == 200);
    Ok(())
}

#[test]
fn a_group_that_a_detection_into_another_topic_uses_is_refused() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "one-detection", 2)?;
    scene.produce(0, 50)?;
    let group = scene.topic.clone();
    let mut first = scene.start("detect", "first", &["--group", &group])?;
    first.wait_for_event(PARTITION_ASSIGNED, &[("partition", 1)], JOIN_LIMIT)?;
    // Its offsets are published every 100 ms.
    std::thread::sleep(Duration::from_secs(2));
    let other = format!("{}.other", scene.topic);
    let said = scene.failure(
        "detect",
        "second",
        &["--group", &group, "--anomaly-topic", &other],
    )?;
    has_parts(
        &said,
        &[
            "in use by the detection that publishes to",
            ".anomaly",
            "detect.group",
        ],
    )?;
    let said = scene.failure("aggregate", "second", &["--group", &group])?;
    has_parts(
        &said,
        &["in use by the detection that publishes to", "kafka.group"],
    )?;
    stop(first)
}

#[test]
fn a_run_with_nothing_to_do_keeps_the_next_one_from_nothing() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let scene = Scene::new(kafka, "nothing-to-do", 2)?;
    let group = format!("{}-detect", scene.topic);
    for (subcommand, flags) in [("aggregate", vec![]), ("detect", vec!["--group", &group])] {
        scene.produce(0, 10)?;
        scene.all(subcommand, "table", &flags)?;
        for _ in 0..2 {
            let (said, took) = scene.all_with_events(subcommand, "table", &flags)?;
            ensure!(
                events(&said, PARTITION_ASSIGNED).is_empty(),
                "it joined the group for nothing: {said}"
            );
            ensure!(took < NO_WAIT, "{subcommand} with nothing to do took {took:?}");
        }
        scene.produce(0, 10)?;
        let (said, took) = scene.all_with_events(subcommand, "table", &flags)?;
        ensure!(said.contains("10 consumed"), "{said}");
        ensure!(!events(&said, PARTITION_ASSIGNED).is_empty(), "{said}");
        ensure!(took < NO_WAIT, "the next {subcommand} took {took:?}:\n{said}");
    }
    Ok(())
}

#[test]
fn a_process_stopped_while_it_joins_leaves_no_ghost() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let scene = Scene::new(kafka, "mid-join", 2)?;
    scene.produce(0, 10)?;
    scene.all("aggregate", "table", &[])?;
    // With a member there, a join takes until that one has heard of it: up to its heartbeat's interval of 3 s.
    let mut first = scene.start("aggregate", "table", &[])?;
    first.wait_for_event(PARTITION_ASSIGNED, &[("partition", 1)], JOIN_LIMIT)?;
    for wait_ms in [200, 600] {
        let mut child = scene.start("aggregate", "table", &["-v"])?;
        child.wait_for_event(GROUP_JOINING, &[], JOIN_LIMIT)?;
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.signal(Signal::Terminate)?;
        let status = child.wait(END_LIMIT)?;
        ensure!(status.success(), "{status}:\n{}", child.output());
        let mut next = scene.start("aggregate", "table", &[])?;
        next.wait_for_event(PARTITION_ASSIGNED, &[], NO_WAIT)?;
        stop(next)?;
    }
    scene.produce(0, 10)?;
    scene.wait_until_counted("table", 20)?;
    stop(first)
}

#[test]
fn what_cannot_be_read_leaves_no_table_behind() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::without_topic(kafka, "misspelt");
    for subcommand in ["aggregate", "run"] {
        let mut command = scene.command(subcommand, "table", &[]);
        command.env("STREAMGAUGE__KAFKA__CREATE_TOPICS", "false");
        let mut child = Child::start(subcommand, &mut command)?;
        let said = failure_of(&mut child)?;
        has_parts(&said, &["topic misspelt", "does not exist"])?;
        ensure!(!scene.table("table").exists(), "{subcommand} has made a table");
        ensure!(
            !scene.table("table-state").exists(),
            "{subcommand} has made a folder"
        );

        let nowhere = Kafka::at("127.0.0.1:1");
        let away = Scene {
            kafka: &nowhere,
            ..Scene::without_topic(kafka, "away")
        };
        has_parts(&away.failure(subcommand, "table", &[])?, &["no broker answers"])?;
        ensure!(!away.table("table").exists(), "{subcommand} has made a table");
    }
    // And a topic that the table is not of is not made.
    let right = Scene::new(kafka, "right", 1)?;
    right.produce(0, 5)?;
    right.all("aggregate", "table", &[])?;
    let wrong = Scene {
        topic: scene.topic.clone(),
        folder: right.folder.clone(),
        ..Scene::without_topic(kafka, "wrong")
    };
    for subcommand in ["aggregate", "run"] {
        let said = wrong.failure(subcommand, "table", &[])?;
        has_parts(&said, &["it was made with kafka.topic = right"])?;
        ensure!(
            kafka.read_topic(&wrong.topic).is_err(),
            "{subcommand} has made the topic"
        );
    }
    Ok(())
}
