//! A partition that cannot be read on is reported: `/readyz` goes by progress against its end, and the lag grows (B1).

use std::time::Duration;

use anyhow::{Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal, scratch_folder};
use streamgauge_testkit::{eventually, require, unique};

use crate::http_limits::{address, answer};
use crate::program::streamgauge;

/// A batch that librdkafka refuses to unpack, in a few kilobytes.
const UNPACKED_BYTES: usize = 150_000_000;

#[test]
fn a_partition_that_stands_still_is_not_ready() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let topic = unique("stuck");
    kafka.create_topic(&topic, 1)?;
    let reading = |number: i64| {
        let time_ms = 1_700_000_000_000 + number;
        NewRecord::new(0, format!(r#"{{"ts":{time_ms},"value":1.5}}"#))
    };
    kafka.produce(&topic, [reading(0)])?;
    let compressed = [("compression.type", "zstd"), ("message.max.bytes", "1000000000")];
    kafka.produce_with(&compressed, &topic, [NewRecord::new(0, vec![0; UNPACKED_BYTES])])?;
    kafka.produce(&topic, [reading(1), reading(2)])?;

    let folder = scratch_folder("stuck");
    let mut command = streamgauge(["run", "-b", kafka.brokers(), "-t", &topic]);
    command.arg("--table").arg(folder.join("table"));
    command.args(["--anomaly-topic", &format!("{topic}-anomalies")]);
    command
        .env("STREAMGAUGE__KAFKA__GROUP", &topic)
        .env("STREAMGAUGE__READING__TIME_FORMAT", "epoch_ms")
        .env("STREAMGAUGE__HTTP__LISTEN", "127.0.0.1:0");
    let mut child = Child::start_with_events("run", &mut command)?;
    let address = address(&mut child)?;
    let get = |path: &str| {
        answer(
            &address,
            &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        )
    };
    eventually(
        "both sinks say where they stand",
        Duration::from_secs(120),
        || {
            let ready = get("/readyz")?;
            ensure!(ready.starts_with("HTTP/1.1 503"), "{ready}");
            for sink in ["table", "anomalies"] {
                let expected = format!("{sink}: partition 0 has stood at offset 1 for ");
                ensure!(ready.contains(&expected), "{ready}");
            }
            Ok(())
        },
    )?;
    let alive = get("/livez")?;
    ensure!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    let metrics = get("/metrics")?;
    for sink in ["table", "anomalies"] {
        let name = format!("streamgauge_consumer_lag_seconds{{sink=\"{sink}\",partition=\"0\"}} ");
        let lag_s = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
        ensure!(lag_s.is_some_and(|lag_s| lag_s > 60.0), "{name}{lag_s:?}");
    }
    child.signal(Signal::Kill)
}
