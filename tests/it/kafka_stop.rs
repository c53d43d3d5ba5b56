//! Stopping, whatever is down: within 25 seconds by the first signal, at once by the second, and nothing is lost.
//!
//! Holds I1 (conservation) and I7 (once out).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::proxy::{Fault, FaultProxy};
use streamgauge_testkit::s3::{S3, storage_options};
use streamgauge_testkit::{heavy, require, unique};

use crate::scene::{Scene, has_parts, last_line};
use crate::stream::{END_LIMIT, Stream};
use streamgauge::telemetry::events::{COMMITTED, PARTITION_ASSIGNED, STOPPING};
use streamgauge::window::LatePolicy;

const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// The limit in operations.md.
const PROMISED: Duration = Duration::from_secs(25);

/// Ends a process by one signal, and says with which code and what it said last.
fn ended(child: &mut Child) -> Result<(Option<i32>, String)> {
    let started = Instant::now();
    child.signal(Signal::Terminate)?;
    let status = child.wait(PROMISED + Duration::from_secs(60))?;
    let took = started.elapsed();
    println!("ended with {status} after {took:?}");
    ensure!(took < PROMISED, "it took {took:?}:\n{}", child.output());
    Ok((status.code(), last_line(child)))
}

#[test]
fn a_store_that_is_away_delays_no_end_and_loses_nothing() -> Result<()> {
    let (Some(kafka), Some(s3)) = (
        require("Apache Kafka", Kafka::shared()),
        require("S3", S3::shared()),
    ) else {
        return Ok(());
    };
    let _alone = heavy();
    let proxy = FaultProxy::start(s3.address())?;
    let name = unique("stopped");
    let environment = storage_options(proxy.address())
        .into_iter()
        .map(|(name, value)| {
            let name = name.to_ascii_uppercase();
            (format!("STREAMGAUGE__TABLE__STORAGE_OPTIONS__{name}"), value)
        })
        .collect();
    let mut stream = Stream::new(kafka, "stopped", LatePolicy::Divert, 21)?.into_table(
        format!("s3://lake/{name}"),
        s3.bucket_folder().join(&name),
        environment,
    );
    stream.produce(500)?;
    for fault in [
        Fault::Hang { forward: false },
        Fault::Answer {
            status: 503,
            code: "SlowDown",
        },
    ] {
        let mut running = stream.start(&[])?;
        running.wait_for_event(COMMITTED, &[], JOIN_LIMIT)?;
        for method in ["PUT", "GET"] {
            proxy.fail(method, &name, fault, 1_000_000);
        }
        stream.produce(500)?;
        // Until the commit is on its way.
        std::thread::sleep(Duration::from_secs(3));
        let (code, said) = ended(&mut running)?;
        ensure!(code == Some(1), "{code:?}: {said}");
        has_parts(&said, &["error: stopped after waiting", "nothing is lost"])?;
        proxy.heal();
    }
    stream.aggregate_all()?;
    stream.check()
}

#[test]
fn a_broker_that_is_away_delays_no_end_and_loses_nothing() -> Result<()> {
    let _alone = heavy();
    let Some(mut private) = require("a private Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let brokers = Kafka::at(private.kafka.brokers());
    // With side outputs that cannot be written, and that no commit took out before the broker went away.
    let mut stream = Stream::new(&brokers, "brokerless", LatePolicy::Divert, 22)?;
    stream.produce(500)?;
    let mut running = stream.start(&["--commit-interval", "1h"])?;
    running.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    std::thread::sleep(Duration::from_secs(2));
    private.kill()?;
    let (code, said) = ended(&mut running)?;
    ensure!(code == Some(1), "{code:?}: {said}");
    has_parts(&said, &["error: stopped after waiting", "nothing is lost"])?;
    private.start()?;
    stream.aggregate_all()?;
    stream.check()?;

    // With nothing that waits: all is committed.
    let scene = Scene::new(&brokers, "brokerless-idle", 2)?;
    scene.produce(0, 100)?;
    let mut table = scene.start("aggregate", "table", &[])?;
    let mut anomalies = scene.start("detect", "table", &[])?;
    scene.wait_until_counted("table", 100)?;
    anomalies.wait_for_event(PARTITION_ASSIGNED, &[("partition", 1)], JOIN_LIMIT)?;
    std::thread::sleep(Duration::from_secs(2));
    // With rows that wait, and no side outputs: the table takes them without the broker.
    let mut waiting = scene.start("aggregate", "waiting", &["--commit-interval", "1h"])?;
    waiting.wait_for_event(PARTITION_ASSIGNED, &[("partition", 1)], JOIN_LIMIT)?;
    std::thread::sleep(Duration::from_secs(2));
    private.kill()?;
    let (code, said) = ended(&mut waiting)?;
    ensure!(code == Some(0), "{code:?}: {said}");
    ensure!(scene.counted("waiting")? == 100);
    let (code, said) = ended(&mut table)?;
    ensure!(code == Some(0), "{code:?}: {said}");
    let (code, said) = ended(&mut anomalies)?;
    ensure!(code == Some(0), "{code:?}: {said}");
    Ok(())
}

#[test]
fn playing_to_a_broker_that_is_away_ends_in_time() -> Result<()> {
    let _alone = heavy();
    let Some(mut private) = require("a private Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let brokers = Kafka::at(private.kafka.brokers());
    let scene = Scene::new(&brokers, "played", 1)?;
    let recording = std::path::absolute("src/commands/demo/boston_tuesdays.csv")?
        .display()
        .to_string();
    let mut playing = scene.start("play", "table", &[&recording, "--tick", "200ms"])?;
    std::thread::sleep(Duration::from_secs(3));
    private.kill()?;
    std::thread::sleep(Duration::from_secs(1));
    let (code, said) = ended(&mut playing)?;
    ensure!(code == Some(1), "{code:?}: {said}");
    has_parts(&said, &["did not acknowledge"])?;
    Ok(())
}

#[test]
fn a_second_signal_ends_it_at_once() -> Result<()> {
    let _alone = heavy();
    let Some(mut private) = require("a private Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let brokers = Kafka::at(private.kafka.brokers());
    let mut stream = Stream::new(&brokers, "twice", LatePolicy::Divert, 23)?;
    stream.produce(500)?;
    let mut running: Vec<Child> = Vec::new();
    for _ in [Signal::Terminate, Signal::Interrupt] {
        running.push(stream.start(&["--commit-interval", "1h"])?);
    }
    for child in &mut running {
        child.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    }
    // Each has a side output that it cannot write, and does not end before. No commit comes between: one that did would leave
    // nothing to wait for.
    for partition in 0..4 {
        let broken = "{broken".to_owned();
        stream.readings[partition as usize].push(broken.clone());
        brokers.produce(&stream.topic, [NewRecord::new(partition, broken)])?;
    }
    std::thread::sleep(Duration::from_secs(2));
    private.kill()?;
    for (child, (second, code)) in running
        .iter_mut()
        .zip([(Signal::Terminate, 143), (Signal::Interrupt, 130)])
    {
        child.signal(Signal::Terminate)?;
        child.wait_for_event(STOPPING, &[], END_LIMIT)?;
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        child.signal(second)?;
        let status = child.wait(END_LIMIT)?;
        let took = started.elapsed();
        ensure!(
            status.code() == Some(code),
            "{second:?}: {status}\n{}",
            child.output()
        );
        ensure!(took < Duration::from_secs(1), "{second:?} took {took:?}");
    }
    private.start()?;
    stream.aggregate_all()?;
    stream.check()
}
