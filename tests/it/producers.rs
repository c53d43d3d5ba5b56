//! Messages that producers' own libraries have written, through Apache Kafka into the table by the preset of the producer's name.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{producers, require, unique};

use crate::program::streamgauge;

const LIMIT: Duration = Duration::from_secs(120);

/// key and measure to (sum, count, smallest, largest), over all windows.
type Totals = BTreeMap<(String, String), (f64, u64, f64, f64)>;

/// Produces messages, lets `aggregate` read them with one preset, and adds the rows up.
fn totals(kafka: &Kafka, messages: &[String], settings: &[(&str, &str)]) -> Result<(Totals, String)> {
    let topic = unique("producer");
    kafka.create_topic(&topic, 1)?;
    let records = messages.iter().map(|message| {
        let value = (!message.is_empty()).then(|| message.clone().into_bytes());
        NewRecord {
            value,
            ..NewRecord::new(0, "")
        }
    });
    kafka.produce(&topic, records)?;
    let folder = scratch_folder("producer");
    let table = folder.join("table").display().to_string();
    let brokers = kafka.brokers();
    let mut command = streamgauge([
        "aggregate",
        "--available-now",
        "-b",
        brokers,
        "-t",
        &topic,
        "--table",
        &table,
    ]);
    for (name, value) in settings {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    let mut child = Child::start("producer", &mut command)?;
    ensure!(child.wait(LIMIT)?.success(), "{}", child.output());
    let has_measure = !settings.iter().any(|(_, value)| *value == "debezium");
    let measure = if has_measure { "measure" } else { "''" };
    let sql = format!(
        "SELECT key, {measure} AS measure, sum(sum_usage) AS sum, sum(count) AS count, min(min_usage) AS least, \
         max(max_usage) AS most FROM usage GROUP BY 1, 2"
    );
    let mut query = streamgauge(["query", "--table", &table, "--format", "csv", &sql]);
    let mut answer = Child::start("producer-query", &mut query)?;
    ensure!(answer.wait(LIMIT)?.success(), "{}", answer.output());
    let mut totals = Totals::new();
    for row in csv::Reader::from_reader(answer.stdout().as_bytes()).into_deserialize() {
        let (key, measure, sum, count, least, most): (String, String, f64, u64, f64, f64) = row?;
        totals.insert((key, measure), (sum, count, least, most));
    }
    Ok((totals, child.stderr()))
}

/// Of 12 readings, from 0.25 to 11.25.
const USER: (f64, u64, f64, f64) = (69.0, 12, 0.25, 11.25);
/// Of 12 readings, from 0 to 11.
const COUNT: (f64, u64, f64, f64) = (66.0, 12, 0.0, 11.0);

fn cpu(key: impl Fn(&str) -> String) -> Totals {
    let hosts = ["web 1", "db,2"];
    let of_host = |host: &str| {
        [("cpu.usage_user", USER), ("cpu.usage_count", COUNT)]
            .map(|(measure, totals)| ((key(host), measure.to_owned()), totals))
    };
    hosts.iter().flat_map(|host| of_host(host)).collect()
}

/// As `tags.*` writes them: a comma of a value has a backslash in front.
fn tags(host: &str) -> String {
    format!("cpu=cpu-total,host={}", host.replace(',', r"\,"))
}

#[test]
fn what_telegrafs_own_serializers_write_is_read_by_its_presets() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    for (format, settings, records) in [
        ("influx", &[("reading.preset", "telegraf-influx")][..], 24),
        ("json", &[("reading.preset", "telegraf")], 24),
        (
            "json-batch",
            &[("reading.preset", "telegraf"), ("reading.each", "metrics")],
            1,
        ),
    ] {
        let Some(messages) = require("Telegraf's serializers", producers::telegraf(format)) else {
            return Ok(());
        };
        ensure!(messages.len() == records, "{format}: {messages:?}");
        let (found, told) = totals(kafka, &messages, settings)?;
        ensure!(found == cpu(tags), "{format}: {found:?}\n{told}");
    }
    Ok(())
}

#[test]
fn what_influxdbs_client_writes_is_read_by_the_preset() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(messages) = require("influxdb-client", producers::python("influx")) else {
        return Ok(());
    };
    // All in one record, and each in one of its own.
    for messages in [vec![messages.join("\n")], messages] {
        let (found, told) = totals(kafka, &messages, &[("reading.preset", "telegraf-influx")])?;
        ensure!(found == cpu(tags), "{found:?}\n{told}");
    }
    Ok(())
}

#[test]
fn what_opentelemetrys_sdk_writes_is_read_by_the_preset() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(messages) = require("OpenTelemetry's SDK", producers::python("otel")) else {
        return Ok(());
    };
    let (found, told) = totals(kafka, &messages, &[("reading.preset", "otel")])?;
    let mut expected = Totals::new();
    for host in ["web 1", r"db\,2"] {
        let key = format!("service.name=gauge;host={host}");
        expected.insert((key.clone(), "power".to_owned()), USER);
        expected.insert((key, "sockets".to_owned()), (78.0, 12, 1.0, 12.0));
    }
    ensure!(found == expected, "{found:?}\n{told}");
    Ok(())
}

#[test]
fn what_debezium_and_kafka_connect_write_is_read_by_the_preset() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let expected: Totals = ["web 1", "db,2"]
        .into_iter()
        .map(|meter| ((meter.to_owned(), String::new()), USER))
        .collect();
    for (with_schema, settings) in [
        (false, &[("reading.preset", "debezium")][..]),
        (
            true,
            &[
                ("reading.preset", "debezium"),
                ("reading.time_field", "payload.after.ts"),
                ("reading.value_field", "payload.after.value"),
                ("reading.key", "payload.after.meter"),
                ("reading.where", r#"['payload.op in ["c", "r"]']"#),
            ],
        ),
    ] {
        let Some(messages) = require("Debezium's libraries", producers::change_events(with_schema)) else {
            return Ok(());
        };
        let (found, told) = totals(kafka, &messages, settings)?;
        ensure!(found == expected, "with schema {with_schema}: {found:?}\n{told}");
        // Changed and deleted rows and tombstones, two of each.
        ensure!(
            told.contains("30 consumed = 24 aggregated + 0 late + 0 dead-lettered + 6 skipped"),
            "{told}"
        );
    }
    Ok(())
}
