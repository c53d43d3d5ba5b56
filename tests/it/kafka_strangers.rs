//! Other programs on the same cluster: a transaction that they leave open, a group that is theirs.
//!
//! Holds I8 (nothing silent).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge::telemetry::events::{
    GROUP_JOINING, PARTITION_ASSIGNED, PARTITION_BEHIND_TRANSACTION, STATUS,
};
use streamgauge_testkit::events::events;
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{eventually, require};

use crate::http_limits::{address, answer};
use crate::scene::{Scene, failure_of, has_parts, last_line};
use crate::stream::{END_LIMIT, stop};

/// Until something is said that takes half a minute or a whole one to show.
const SAID_LIMIT: Duration = Duration::from_secs(150);

fn reading(number: i64) -> NewRecord {
    let time_ms = 1_700_000_000_000 + number;
    NewRecord::new(0, format!(r#"{{"ts":{time_ms},"value":1.5}}"#))
}

#[test]
fn what_an_open_transaction_holds_back_is_no_end() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "open-transaction", 1)?;
    scene.produce(0, 10)?;
    let open = kafka.open_transaction(&scene.topic, [reading(100)])?;
    scene.produce(0, 20)?;

    let group = format!("{}-detect", scene.topic);
    for (subcommand, flags) in [("aggregate", vec![]), ("detect", vec!["--group", &group])] {
        let (said, _) = scene.all_with_events(subcommand, "table", &flags)?;
        let warned = events(&said, PARTITION_BEHIND_TRANSACTION);
        let warned = warned.first().with_context(|| format!("no warning: {said}"))?;
        ensure!(
            (&warned["offset"], &warned["end"]) == (&10.into(), &31.into()),
            "{warned}"
        );
        let held_back = "behind an open transaction of another producer: 21 in partition 0, from offset 10";
        has_parts(&said, &["10 consumed", held_back, "kafka-transactions.sh"])?;
    }
    ensure!(scene.counted("table")? == 10);
    let mut describe = Child::start("describe", &mut describe_command(&scene))?;
    ensure!(describe.wait(END_LIMIT)?.success(), "{}", describe.output());
    has_parts(
        &describe.stdout(),
        &["21 behind the topic, 21 of them held back by an open transaction"],
    )?;

    let mut command = scene.command("aggregate", "table", &[]);
    command
        .env("STREAMGAUGE__HTTP__LISTEN", "127.0.0.1:0")
        .env("STREAMGAUGE__LOG__STATUS_INTERVAL", "1s");
    let mut child = Child::start_with_events("aggregate", &mut command)?;
    let address = address(&mut child)?;
    let get = |path: &str| {
        answer(
            &address,
            &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        )
    };
    child.wait_for_event(STATUS, &[("behind", 21)], SAID_LIMIT)?;
    let said = child.wait_for_event(
        PARTITION_BEHIND_TRANSACTION,
        &[("offset", 10), ("end", 31)],
        SAID_LIMIT,
    )?;
    has_parts(
        &said.to_string(),
        &["stands_s", "describe-producers", &scene.topic],
    )?;
    eventually("it says that it is held", SAID_LIMIT, || {
        let ready = get("/readyz")?;
        has_parts(
            &ready,
            &[
                "HTTP/1.1 503",
                "partition 0 has stood at offset 10",
                "its end is at 31",
                "open transaction",
            ],
        )
    })?;
    let metrics = get("/metrics")?;
    let lag = "streamgauge_consumer_lag_records{sink=\"table\",partition=\"0\"} 21";
    has_parts(&metrics, &[lag])?;

    open.commit()?;
    scene.wait_until_counted("table", 31)?;
    eventually("it is ready again", SAID_LIMIT, || {
        has_parts(&get("/readyz")?, &["HTTP/1.1 200"])
    })?;
    child.wait_for_event(STATUS, &[("behind", 0)], SAID_LIMIT)?;
    stop(child)
}

fn describe_command(scene: &Scene<'_>) -> std::process::Command {
    let table = scene.table("table").display().to_string();
    crate::program::streamgauge([
        "table",
        "describe",
        "-b",
        scene.kafka.brokers(),
        "-t",
        &scene.topic,
        "--table",
        &table,
    ])
}

#[test]
fn a_detection_does_not_start_from_a_tables_offsets() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "idle-group", 2)?;
    scene.produce(0, 100)?;
    let flags = ["--group", scene.topic.as_str()];
    scene.all("aggregate", "table", &flags)?;
    // Nobody is in the group any more, and what it has are the table's offsets.
    let said = scene.failure("detect", "table", &flags)?;
    has_parts(
        &said,
        &[
            &scene.topic,
            "has offsets of the table with the id",
            "detect.group",
            "never be read",
        ],
    )?;
    let own = format!("{}-detect", scene.topic);
    let (said, _) = scene.all("detect", "table", &["--group", &own])?;
    has_parts(&said, &["100 consumed"])?;
    let other = format!("{}.other", scene.topic);
    let said = scene.failure("detect", "table", &["--group", &own, "--anomaly-topic", &other])?;
    has_parts(
        &said,
        &["has offsets of the detection that publishes to", ".anomaly"],
    )?;
    // The table starts from its own positions, whatever the group has.
    scene.produce(1, 5)?;
    let (said, _) = scene.all("aggregate", "table", &["--group", &own])?;
    has_parts(&said, &["5 consumed"])?;
    ensure!(scene.counted("table")? == 105);
    Ok(())
}

#[test]
fn a_group_of_another_program_is_reported() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "strange-group", 1)?;
    scene.produce(0, 10)?;
    let group = format!("{}-theirs", scene.topic);
    let flags = ["--group", group.as_str()];
    // One that shares partitions in another way: the broker does not take us in.
    let stranger = kafka.join_group(&group, &scene.topic, "range")?;
    for subcommand in ["aggregate", "detect"] {
        let mut child = scene.start(subcommand, "table", &flags)?;
        failure_of(&mut child)?;
        has_parts(
            &last_line(&child),
            &[
                "consumer group",
                &group,
                "stranger at ",
                "kafka.group",
                "detect.group",
            ],
        )?;
    }
    drop(stranger);

    // One that shares them as we do has the only partition, and we wait.
    let group = format!("{}-shared", scene.topic);
    let flags = ["--group", group.as_str(), "-v"];
    let _stranger = kafka.join_group(&group, &scene.topic, "cooperative-sticky")?;
    let mut child = scene.start("aggregate", "table", &flags)?;
    eventually("it says who has the partitions", SAID_LIMIT, || {
        has_parts(
            &child.stderr(),
            &["no partition was assigned for 30 s", "stranger at "],
        )
    })?;
    ensure!(events(&child.stderr(), PARTITION_ASSIGNED).is_empty());
    child.signal(Signal::Terminate)?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", child.output());
    let said = child.stderr();
    has_parts(
        &said,
        &["stopped before the consumer group gave", "nothing was read"],
    )?;
    ensure!(!said.contains("nothing new for the table"), "{said}");

    let mut child = scene.start("aggregate", "table", &[&flags[..], &["--available-now"]].concat())?;
    child.wait_for_event(GROUP_JOINING, &[], END_LIMIT)?;
    std::thread::sleep(Duration::from_secs(1));
    child.signal(Signal::Terminate)?;
    let said = failure_of(&mut child)?;
    has_parts(
        &said,
        &["stopped before the consumer group", &group, "nothing was read"],
    )
}
