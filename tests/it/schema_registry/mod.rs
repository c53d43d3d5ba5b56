//! Avro on Apache Kafka, by a schema registry: Apicurio's with messages of Confluent's own serializers, and one of our own
//! that misbehaves. What the registry does not say is waited for; nothing is lost, and nothing is a dead letter but what
//! the registry itself does not know.
//!
//! Holds I1 (conservation), I7 (once out), I8 (nothing silent), I9 (bounds).

mod fake;
mod java;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::registry::Registry;
use streamgauge_testkit::{eventually, free_port, require};

use crate::program::streamgauge;
use crate::scene::{Scene, has_parts};
use crate::service::get;
use crate::stream::{END_LIMIT, header};
use fake::{Fake, Mood};
use streamgauge::telemetry::events::PARTITION_ASSIGNED;

const SCHEMA: &str = r#"{"type": "record", "name": "Reading", "fields": [{"name": "meter", "type": "string"},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "value", "type": "double"}]}"#;
const START_MS: i64 = 1_784_541_600_000; // 2026-07-20T10:00:00Z

/// A message of [`SCHEMA`] behind the id of it.
fn message(id: u32, number: i64) -> NewRecord {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(b"\x02m");
    let mut rest = ((START_MS + number * 1_000) as u64) << 1;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(1.5_f64.to_le_bytes());
    NewRecord::new(0, bytes)
}

/// Flags for Avro by the registry at a URL.
fn flags(url: &str) -> Vec<String> {
    let settings = [
        "reading.format=avro".to_owned(),
        "reading.time_format=text".to_owned(),
        "reading.key=meter".to_owned(),
        "schema_registry.timeout=1s".to_owned(),
        format!("schema_registry.url={url}"),
    ];
    settings
        .into_iter()
        .flat_map(|setting| ["--set".to_owned(), setting])
        .collect()
}

fn borrowed(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The reasons of the dead letters, sorted: their topic has several partitions.
fn reasons(scene: &Scene<'_>) -> Result<Vec<String>> {
    let letters = scene.kafka.read_topic(&format!("{}.dlq", scene.topic))?;
    let reason = |name: &str, letter: &streamgauge_testkit::kafka::Record| {
        let value = header(&letter.headers, name).with_context(|| format!("no header {name}"))?;
        Ok(String::from_utf8_lossy(value).into_owned())
    };
    let reasons = letters.iter().map(|letter| reason("streamgauge.reason", letter));
    let mut reasons: Vec<String> = reasons.collect::<Result<_>>()?;
    reasons.sort();
    Ok(reasons)
}

fn bytes(base64: &str) -> Result<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut length, mut bytes) = (0_u32, 0, Vec::new());
    for character in base64.trim_end_matches('=').chars() {
        let digit = DIGITS.find(character).context("a digit of base64")?;
        bits = bits << 6 | digit as u32;
        length += 6;
        if length >= 8 {
            length -= 8;
            bytes.push((bits >> length) as u8);
        }
    }
    Ok(bytes)
}

#[test]
fn messages_of_confluents_serializers_are_read_by_apicurios_registry() -> Result<()> {
    const COUNT: usize = 50;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(registry) = require("Apicurio's registry", Registry::start()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro", 1)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schema_registry/serialize.py");
    let serialized = registry.serialize(&script, &[&scene.topic, &COUNT.to_string()]);
    let Some(messages) = require("Confluent's serializers", serialized) else {
        return Ok(());
    };
    let values = messages
        .iter()
        .map(|message| bytes(message["value_b64"].as_str().unwrap_or_default()));
    let values = values.collect::<Result<Vec<_>>>()?;
    ensure!(values.len() == 4 * COUNT, "{} messages", values.len());
    kafka.produce(
        &scene.topic,
        values.into_iter().map(|value| NewRecord::new(0, value)),
    )?;
    // An id that nobody has entered, a message that is cut, and what is no Avro at all.
    let cut = NewRecord::new(0, &b"\0\0\0\0\x02\x02a"[..]);
    kafka.produce(&scene.topic, [message(7_777, 0), cut, NewRecord::new(0, "{}")])?;

    let flags = flags(&registry.url());
    scene.all("aggregate", "table", &borrowed(&flags))?;
    ensure!(
        scene.counted("table")? == 4 * COUNT as u64,
        "{}",
        scene.counted("table")?
    );
    let expected = ["invalid_avro", "invalid_avro", "unknown_schema"];
    ensure!(reasons(&scene)? == expected, "{:?}", reasons(&scene)?);

    let (said, _) = scene.all("detect", "table", &borrowed(&flags))?;
    has_parts(&said, &["203 consumed", "200 judged", "3 rejected"])?;
    let mut check = streamgauge([
        "config",
        "check",
        "--for",
        "detect",
        "-b",
        kafka.brokers(),
        "-t",
        &scene.topic,
    ]);
    check.env("STREAMGAUGE__SCHEMA_REGISTRY__URL", registry.url());
    check.env("STREAMGAUGE__READING__FORMAT", "avro");
    check.env("STREAMGAUGE__DETECT__STATE_URI", scene.folder.join("state"));
    let printed = streamgauge_testkit::process::run("check", &mut check, END_LIMIT)?;
    has_parts(&printed, &["schema registry: ok", "/apis/ccompat/v7 answers"])?;

    // What it looks like under the settings in force, and which settings read it.
    let mut sniff = streamgauge(["sniff", "-b", kafka.brokers(), "-t", &scene.topic, "-n", "150"]);
    let set = ["--set", &format!("schema_registry.url={}", registry.url())].map(str::to_owned);
    let printed = streamgauge_testkit::process::run("sniff", sniff.args(set), END_LIMIT)?;
    has_parts(
        &printed,
        &[
            "Confluent's wire format",
            "format = \"avro\"",
            "value_field = \"value\"",
            "key = \"meter\"",
        ],
    )
}

/// An aggregation by the registry, with its health to be looked at.
fn start(scene: &Scene<'_>, registry: &Fake, http: &str) -> Result<Child> {
    let mut flags = flags(&registry.url());
    flags.extend(["--set".to_owned(), format!("http.listen={http}")]);
    // The shortest that Kafka's default allows: one that was killed is missed after so long.
    flags.extend(["-X", "session.timeout.ms=6000"].map(str::to_owned));
    scene.start("aggregate", "table", &borrowed(&flags))
}

#[test]
fn records_wait_for_a_registry_that_is_away_through_a_kill_and_a_restart() -> Result<()> {
    const COUNT: i64 = 500;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro-waits", 1)?;
    let registry = Fake::start(Mood::Well, &[(1, SCHEMA), (2, SCHEMA)])?;
    let http = format!("127.0.0.1:{}", free_port()?);
    kafka.produce(&scene.topic, (0..COUNT).map(|number| message(1, number)))?;
    let mut aggregate = start(&scene, &registry, &http)?;
    scene.wait_until_counted("table", COUNT as u64)?;

    // What is known goes on without it; what is new waits, whatever is wrong.
    registry.turn(Mood::Failing);
    kafka.produce(&scene.topic, (COUNT..2 * COUNT).map(|number| message(1, number)))?;
    scene.wait_until_counted("table", 2 * COUNT as u64)?;
    kafka.produce(
        &scene.topic,
        (2 * COUNT..3 * COUNT).map(|number| message(2, number)),
    )?;
    let away_since = Instant::now();
    let ready_says = |parts: &[&str]| {
        eventually("health says why", Duration::from_secs(20), || {
            let (status, body) = get(&http, "/readyz")?;
            ensure!(status == 503, "{status}: {body}");
            has_parts(&body, parts)
        })
    };
    ready_says(&["fails with 500", "Error in the backend data store"])?;
    for (mood, part) in [
        (Mood::Refusing, "refuses with 401"),
        (Mood::Hanging, "cannot reach"),
        (Mood::Page, "not that of a schema registry"),
    ] {
        registry.turn(mood);
        ready_says(&[part])?;
    }
    aggregate.signal(Signal::Kill)?;
    drop(aggregate);
    let mut aggregate = start(&scene, &registry, &http)?;
    for (mood, part) in [
        (Mood::WrongPath, "/apis/ccompat/v7"),
        (Mood::Huge, "more than 4194304 bytes"),
        (Mood::Failing, "fails with 500"),
    ] {
        registry.turn(mood);
        ready_says(&[part])?;
    }
    std::thread::sleep(Duration::from_secs(20).saturating_sub(away_since.elapsed()));
    ensure!(
        scene.counted("table")? == 2 * COUNT as u64,
        "what waits is not counted"
    );

    registry.turn(Mood::Well);
    scene.wait_until_counted("table", 3 * COUNT as u64)?;
    eventually("health is well again", Duration::from_secs(20), || {
        let (status, body) = get(&http, "/readyz")?;
        ensure!(status == 200, "{status}: {body}");
        Ok(())
    })?;
    aggregate.signal(Signal::Terminate)?;
    ensure!(aggregate.wait(END_LIMIT)?.success(), "{}", aggregate.output());
    let said = aggregate.stderr();
    let warnings = said.matches("waiting for the schema registry").count();
    ensure!(warnings == 1, "once a minute, not {warnings} times: {said}");
    ensure!(reasons(&scene)?.is_empty(), "{:?}", reasons(&scene)?);
    Ok(())
}

#[test]
fn partitions_change_hands_while_their_records_wait_for_the_registry() -> Result<()> {
    const COUNT: i64 = 300;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro-moves", 2)?;
    let registry = Fake::start(Mood::Failing, &[(1, SCHEMA)])?;
    let records = (0..COUNT).map(|number| NewRecord {
        partition: (number % 2) as i32,
        ..message(1, number)
    });
    kafka.produce(&scene.topic, records)?;
    let flags = flags(&registry.url());
    let mut first = scene.start("aggregate", "table", &borrowed(&flags))?;
    eventually("the first asks", END_LIMIT, || {
        ensure!(!registry.asked().is_empty(), "not yet");
        Ok(())
    })?;
    let mut second = scene.start("aggregate", "table", &borrowed(&flags))?;
    second.wait_for_event(PARTITION_ASSIGNED, &[], END_LIMIT)?;
    ensure!(scene.counted("table")? == 0, "what waits is not counted");
    registry.turn(Mood::Well);
    scene.wait_until_counted("table", COUNT as u64)?;
    for process in [&mut first, &mut second] {
        process.signal(Signal::Terminate)?;
        ensure!(process.wait(END_LIMIT)?.success(), "{}", process.output());
    }
    ensure!(scene.counted("table")? == COUNT as u64, "each once");
    ensure!(reasons(&scene)?.is_empty(), "{:?}", reasons(&scene)?);
    Ok(())
}

#[test]
fn a_stop_signal_works_while_the_registry_hangs_and_secrets_are_not_said() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro-stops", 1)?;
    let registry = Fake::start(Mood::Hanging, &[(1, SCHEMA)])?;
    kafka.produce(&scene.topic, [message(1, 0)])?;
    let url = registry.url().replace("http://", "http://reader:hush@");
    let mut flags = flags(&url);
    flags.extend(["--set", "schema_registry.timeout=30s"].map(str::to_owned));
    let mut aggregate = scene.start("aggregate", "table", &borrowed(&flags))?;
    eventually("the registry is asked", END_LIMIT, || {
        ensure!(!registry.asked().is_empty(), "not yet");
        Ok(())
    })?;
    // reader:hush, by whoever wants to look.
    ensure!(
        registry.asked()[0] == (1, Some("Basic cmVhZGVyOmh1c2g=".to_owned())),
        "{:?}",
        registry.asked()
    );
    let stopped_at = Instant::now();
    aggregate.signal(Signal::Terminate)?;
    ensure!(aggregate.wait(END_LIMIT)?.success(), "{}", aggregate.output());
    ensure!(
        stopped_at.elapsed() < Duration::from_secs(10),
        "{:?}",
        stopped_at.elapsed()
    );
    ensure!(!aggregate.output().contains("hush"), "{}", aggregate.output());
    Ok(())
}
