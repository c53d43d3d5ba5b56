//! Messages of Java's serializers: Apicurio's, in each way that it names schemas, and Avro's own encoder of single objects.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::process::run;
use streamgauge_testkit::registry::Registry;
use streamgauge_testkit::require;

use super::{borrowed, flags};
use crate::program::streamgauge;
use crate::scene::{Scene, has_parts};
use crate::stream::{END_LIMIT, header};

const COUNT: usize = 20;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/schema_registry")
        .join(name)
}

fn schemas() -> [String; 2] {
    ["reading-1.avsc", "reading-2.avsc"].map(|name| file(name).display().to_string())
}

/// The setting of these files, as a flag.
fn files(files: &[String]) -> [String; 2] {
    [
        "--set".to_owned(),
        format!("schema_registry.files={}", files.join(",")),
    ]
}

fn bytes(hexadecimal: &Value) -> Result<Vec<u8>> {
    let digits = hexadecimal.as_str().context("a text")?.as_bytes();
    let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    digits.chunks(2).map(byte).collect()
}

fn record(message: &Value) -> Result<NewRecord> {
    let headers = message["headers"].as_object().context("headers")?;
    let headers = headers
        .iter()
        .map(|(name, value)| Ok((name.clone(), bytes(value)?)));
    Ok(NewRecord {
        headers: headers.collect::<Result<_>>()?,
        ..NewRecord::new(0, bytes(&message["value"])?)
    })
}

/// Reason and detail of each dead letter, sorted, each once.
fn dead_letters(scene: &Scene<'_>) -> Result<Vec<String>> {
    let letters = scene.kafka.read_topic(&format!("{}.dlq", scene.topic))?;
    let text = |letter: &Record, name: &str| {
        let value = header(&letter.headers, name).with_context(|| format!("no header {name}"))?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(value).into_owned())
    };
    let told = letters.iter().map(|letter| {
        let (reason, detail) = (
            text(letter, "streamgauge.reason")?,
            text(letter, "streamgauge.detail")?,
        );
        Ok(format!("{reason}: {detail}"))
    });
    let mut told: Vec<String> = told.collect::<Result<_>>()?;
    told.sort();
    told.dedup();
    Ok(told)
}

#[test]
fn messages_of_javas_serializers_are_read_or_say_what_to_set() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(registry) = require("Apicurio's registry", Registry::start()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro-java", 1)?;
    let arguments = [[scene.topic.clone(), COUNT.to_string()], schemas()].concat();
    let written = registry.serialize_by_java(&file("JavaMessages.java"), &arguments);
    let Some(messages) = require("Apicurio's serializers", written) else {
        return Ok(());
    };
    ensure!(messages.len() == 6 * COUNT, "{} messages", messages.len());
    let records = messages.iter().map(record).collect::<Result<Vec<_>>>()?;
    kafka.produce(&scene.topic, records)?;

    let mut flags = flags(&registry.url());
    let first_only = files(&schemas()[..1]);
    flags.extend(first_only.clone());
    scene.all("aggregate", "table", &borrowed(&flags))?;
    // Of the single objects those of the first schema; by ids in front or in a header all that are of a content.
    ensure!(
        scene.counted("table")? == 3 * COUNT as u64,
        "{}",
        scene.counted("table")?
    );
    let told = dead_letters(&scene)?;
    ensure!(told.len() == 3, "{told:?}");
    for (letter, part) in told.iter().zip([
        "unknown_schema: no schema of schema_registry.files has the fingerprint ",
        "unknown_schema: the header apicurio.value.globalId names its schema by an id that only Apicurio has",
        "unknown_schema: the id in front of it has eight bytes (",
    ]) {
        ensure!(letter.starts_with(part), "{letter}");
    }

    // With the second version beside it, and another table, more of the same records are readings.
    let both = files(&schemas());
    let place = flags.len() - both.len();
    flags.splice(place.., both);
    let (said, _) = scene.all("detect", "table", &borrowed(&flags))?;
    has_parts(&said, &["120 consumed", "80 judged", "40 rejected"])
}

#[test]
fn single_objects_are_named_by_sniff_and_read_without_a_registry() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let scene = Scene::new(kafka, "avro-single", 1)?;
    // A reading of each schema, by org.apache.avro 1.12.0.
    let written = [
        "c301898e736ebe0e1dc70c73696e676c6580e4beefef67000000000000e03f",
        "c301b4f80aa4d4332a3202000000000000e03f0080a0bd82ffc1ab060c73696e676c65",
    ];
    let values = written.map(|digits| bytes(&Value::from(digits)));
    for value in values {
        let value = value?;
        kafka.produce(&scene.topic, (0..COUNT).map(|_| NewRecord::new(0, value.clone())))?;
    }
    let sniff = |flags: &[String]| {
        let mut sniff = streamgauge(["sniff", "-b", kafka.brokers(), "-t", &scene.topic]);
        run("sniff", sniff.args(flags), END_LIMIT)
    };
    has_parts(
        &sniff(&[])?,
        &[
            "Avro's single-object encoding",
            "the fingerprint 898e736ebe0e1dc7",
            "the fingerprint b4f80aa4d4332a32",
            "schema_registry.files",
        ],
    )?;
    has_parts(
        &sniff(&files(&schemas()))?,
        &[
            "format = \"avro\"",
            "value_field = \"value\"",
            "time_field = \"ts\"",
        ],
    )?;

    // An id where there is no registry to ask does not hold anything up.
    kafka.produce(&scene.topic, [super::message(7, 0), NewRecord::new(0, "{}")])?;
    let mut flags = flags("");
    flags.extend(files(&schemas()));
    scene.all("aggregate", "table", &borrowed(&flags))?;
    ensure!(
        scene.counted("table")? == 2 * COUNT as u64,
        "{}",
        scene.counted("table")?
    );
    let told = dead_letters(&scene)?;
    ensure!(told.len() == 2, "{told:?}");
    has_parts(&told[0], &["invalid_avro: ", "reading.avro_schema"])?;
    has_parts(
        &told[1],
        &[
            "unknown_schema: ",
            "the id 7: it is not set (schema_registry.url)",
        ],
    )
}
