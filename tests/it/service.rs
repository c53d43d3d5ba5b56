//! The program as a service: systemd's notifications, metrics, health, and the log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use streamgauge_testkit::events::json_lines;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{eventually, require};

use crate::http_limits::address;
use crate::stream::{END_LIMIT, Stream, stop};
use streamgauge::telemetry::events::STATUS;
use streamgauge::window::LatePolicy;

/// The status and the body of an answer.
pub fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// The sum of a metric's samples whose labels hold all of these.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (found, value) = rest.split_once(' ')?;
        let is_it =
            (found.is_empty() || found.starts_with('{')) && labels.iter().all(|label| found.contains(label));
        is_it.then(|| value.parse::<f64>().ok())?
    });
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Takes in what is sent to a notification socket, as systemd does, until nothing came for a while.
fn listen(socket: UnixDatagram) -> Result<JoinHandle<Vec<String>>> {
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(std::thread::spawn(move || {
        let mut texts: Vec<String> = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(length) = socket.recv(&mut bytes) {
            texts.push(String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned());
            if texts.last().is_some_and(|text| text == "STOPPING=1") {
                break;
            }
        }
        texts
    }))
}

/// A number that the deployment takes out of the log: the lines it comes from, by fields and their values, and the field
/// that it is.
pub struct LogMetric {
    conditions: Vec<(String, String)>,
    value: String,
}

/// A metric of `terraform/watching.tf`, by its name there.
pub fn log_metric(name: &str) -> Result<LogMetric> {
    let text = std::fs::read_to_string("terraform/watching.tf")?;
    let line = text
        .lines()
        .find(|line| line.trim_start().split(' ').next() == Some(name) && line.contains("pattern"))
        .with_context(|| format!("no metric {name}"))?
        .replace("\\\"", "'");
    // Commits = { pattern = "{ $.event = 'committed' }", value = "1", counts = true }
    let mut quoted = line.split('"').skip(1).step_by(2);
    let (pattern, value) = (
        quoted.next().context("no pattern")?,
        quoted.next().context("no value")?,
    );
    let conditions = pattern
        .trim_matches(['{', '}', ' '])
        .split(" && ")
        .map(|condition| {
            let (field, value) = condition.split_once(" = ").context("no condition")?;
            let field = field.strip_prefix("$.").context("no field")?;
            Ok((field.to_owned(), value.trim_matches('\'').to_owned()))
        });
    Ok(LogMetric {
        conditions: conditions.collect::<Result<_>>()?,
        value: value.to_owned(),
    })
}

/// Whether the metric finds a line in the log.
pub fn found_by(metric: &LogMetric, lines: &[Value]) -> bool {
    lines.iter().any(|line| {
        let is_it = metric
            .conditions
            .iter()
            .all(|(field, value)| line[field] == value.as_str());
        is_it
            && metric
                .value
                .strip_prefix("$.")
                .is_none_or(|field| line[field].is_number())
    })
}

#[test]
fn a_service_reports_its_health_to_systemd_prometheus_and_the_log() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = Stream::new(kafka, "service", LatePolicy::Upsert, 11)?;
    let socket_path = scratch_folder("service-notify").join("socket");
    let listening = listen(UnixDatagram::bind(&socket_path)?)?;
    let mut command = stream.command("run", &[]);
    command
        .env("NOTIFY_SOCKET", &socket_path)
        .env("WATCHDOG_USEC", "2000000")
        .env("STREAMGAUGE__HTTP__LISTEN", "127.0.0.1:0")
        .env("STREAMGAUGE__LOG__STATUS_INTERVAL", "1s")
        .env(
            "STREAMGAUGE__DETECT__ANOMALY_TOPIC",
            format!("{}.anomaly", stream.topic),
        )
        .env("STREAMGAUGE__DETECT__RULES__METER-*", "above 7000")
        .env("STREAMGAUGE__DETECT__COMMIT_INTERVAL", "100ms");
    let mut child = Child::start_with_events("run", &mut command)?;
    let address = address(&mut child)?;
    stream.produce(3_000)?;

    eventually("all is ingested", END_LIMIT, || {
        let (_, metrics) = get(&address, "/metrics")?;
        let ingested = sample(&metrics, "streamgauge_ingested_records_total", &[]);
        ensure!(ingested == Some(6_000.0), "{metrics}");
        for sink in ["sink=\"table\"", "sink=\"anomalies\""] {
            for partition in 0..4 {
                let partition = format!("partition=\"{partition}\"");
                let lag = sample(&metrics, "streamgauge_consumer_lag_records", &[sink, &partition]);
                ensure!(lag == Some(0.0), "{metrics}");
            }
        }
        Ok(())
    })?;
    let (status, metrics) = get(&address, "/metrics")?;
    ensure!(status == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    let value = |name: &str, labels: &[&str]| {
        sample(&metrics, name, labels).with_context(|| format!("{name} {labels:?} is missing in:\n{metrics}"))
    };
    let dead = value("streamgauge_dead_letters_total", &["reason=\"invalid_json\""])?;
    let late = value("streamgauge_late_readings_total", &["action=\"upserted\""])?;
    let aggregated = value("streamgauge_aggregated_readings_total", &[])?;
    ensure!(
        dead > 0.0 && late > 0.0 && aggregated + late + dead == 3_000.0,
        "I1 in metrics: {metrics}"
    );
    ensure!(
        value("streamgauge_rejected_readings_total", &[])? == dead,
        "{metrics}"
    );
    ensure!(
        value(
            "streamgauge_anomalies_total",
            &["detector=\"rules\"", "severity=\"warning\""]
        )? > 0.0,
        "{metrics}"
    );
    ensure!(
        value("streamgauge_assigned_partitions", &["sink=\"table\""])? == 4.0,
        "{metrics}"
    );
    ensure!(
        value("streamgauge_consumer_lag_seconds", &[])? == 0.0,
        "{metrics}"
    );
    ensure!(
        value("streamgauge_commit_duration_seconds_count", &["sink=\"table\""])? >= 1.0,
        "{metrics}"
    );

    for path in ["/livez", "/readyz"] {
        ensure!(
            get(&address, path)? == (200, "table: ok\nanomalies: ok\n".to_owned()),
            "{path}"
        );
    }
    ensure!(get(&address, "/")?.0 == 404, "nothing else is served");

    eventually("both sinks say how far they are", END_LIMIT, || {
        let log = child.stderr();
        for sink in ["table", "anomalies"] {
            let is_reported = child
                .events(STATUS)
                .iter()
                .any(|status| status["sink"] == sink && status["behind"] == 0 && status["partitions"] == 4);
            ensure!(is_reported, "no status of {sink} in:\n{log}");
        }
        Ok(())
    })?;
    let lines = json_lines(&child.stderr());
    for name in [
        "Commits",
        "Consumed",
        "Late",
        "DeadLetters",
        "TableBehind",
        "AnomaliesBehind",
    ] {
        ensure!(
            found_by(&log_metric(name)?, &lines),
            "the metric {name} finds nothing in:\n{}",
            child.stderr()
        );
    }
    // Pings come twice in two seconds.
    std::thread::sleep(Duration::from_millis(2_500));
    stop(child)?;
    let notified = listening.join().map_err(|_| anyhow!("the listener panicked"))?;
    ensure!(
        notified.first().map(String::as_str) == Some("READY=1"),
        "{notified:?}"
    );
    ensure!(
        notified.iter().filter(|text| *text == "WATCHDOG=1").count() >= 2,
        "{notified:?}"
    );
    ensure!(
        notified
            .iter()
            .any(|text| text.starts_with("STATUS=") && text.contains("0 behind")),
        "{notified:?}"
    );
    ensure!(notified.iter().any(|text| text == "STOPPING=1"), "{notified:?}");
    Ok(())
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = Stream::new(kafka, "service-taken", LatePolicy::Upsert, 12)?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let listen = taken.local_addr()?.to_string();
    let mut command = stream.command("aggregate", &["--available-now"]);
    command.env("STREAMGAUGE__HTTP__LISTEN", &listen);
    let mut child = Child::start_with_events("aggregate", &mut command)?;
    ensure!(child.wait(END_LIMIT)?.code() == Some(1), "{}", child.output());
    let lines = json_lines(&child.stderr());
    let last = lines.last().context("nothing was said")?;
    let message = last["message"].as_str().unwrap_or_default();
    ensure!(
        message.starts_with(&format!("http.listen: cannot listen on {listen}")),
        "{last}"
    );
    ensure!(found_by(&log_metric("Errors")?, &lines), "{lines:?}");
    Ok(())
}
