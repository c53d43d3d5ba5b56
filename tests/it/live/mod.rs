//! The live page on Apache Kafka: what it shows is what was published, what is said on it is in the topic, and nobody who looks
//! harms anybody.

mod browser;
mod demo;
mod guests;
mod query;
mod shown;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamgauge::telemetry::events::LIVE_LISTENING;
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{eventually, unique};

use crate::program::streamgauge;
use crate::stream::END_LIMIT;

/// The first event time of the readings.
const START_MS: i64 = 1_709_596_800_000;
/// Between two readings of a series.
const STEP_MS: i64 = 300_000;
const PARTITIONS: u64 = 2;
/// Names that must be text wherever they are shown.
const HOSTILE: [&str; 3] = [
    "<script>alert(1)</script>",
    "\u{202e}derevo\u{1b}[31m",
    "a\"&'=?#/%c3",
];

/// A topic of meters whose days look alike, but for what is told to be out of the ordinary.
struct Meters<'k> {
    kafka: &'k Kafka,
    topic: String,
    folder: PathBuf,
    listen: String,
}

impl<'k> Meters<'k> {
    fn new(kafka: &'k Kafka, name: &str) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, PARTITIONS as i32)?;
        Ok(Meters {
            kafka,
            topic,
            folder: scratch_folder(name),
            listen: "127.0.0.1:0".to_owned(),
        })
    }

    fn anomaly_topic(&self) -> String {
        format!("{}.anomaly", self.topic)
    }

    /// A subcommand with what all of them need here.
    fn command(&self, subcommand: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = streamgauge([subcommand]);
        command.args(["-b", self.kafka.brokers()]);
        let place = |name: &str| self.folder.join(name).display().to_string();
        let own = [
            ("KAFKA__TOPIC", self.topic.clone()),
            ("KAFKA__GROUP", self.topic.clone()),
            ("TABLE__URI", place("table")),
            ("READING__KEY", "key".to_owned()),
            ("READING__TIME_FORMAT", "epoch_ms".to_owned()),
            ("DETECT__ANOMALY_TOPIC", self.anomaly_topic()),
            ("DETECT__UNIT", "kW".to_owned()),
            ("DETECT__COMMIT_INTERVAL", "100ms".to_owned()),
            ("COMMIT__INTERVAL", "200ms".to_owned()),
            ("HTTP__LISTEN", String::new()),
            ("LIVE__LISTEN", self.listen.clone()),
        ];
        command.envs(own.map(|(name, value)| (format!("STREAMGAUGE__{name}"), value)));
        command.envs(
            settings
                .iter()
                .map(|(name, value)| (format!("STREAMGAUGE__{name}"), value)),
        );
        command
    }

    /// Starts a subcommand that serves the page; the answer is that process and the page's address.
    fn start(&self, subcommand: &str, settings: &[(&str, &str)]) -> Result<(Child, Site)> {
        let mut child = Child::start_with_events(subcommand, &mut self.command(subcommand, settings))?;
        let listening = child.wait_for_event(LIVE_LISTENING, &[], END_LIMIT)?;
        let address = listening["address"].as_str().context("no address in the log")?;
        Ok((
            child,
            Site {
                address: address.to_owned(),
            },
        ))
    }

    /// Readings of these keys, one each at every step; every 97th of a key is far too high.
    fn produce(&self, keys: &[&str], steps: std::ops::Range<i64>) -> Result<()> {
        for (number, key) in (0_u64..).zip(keys) {
            let records = steps.clone().map(|step| {
                let hour = (step * STEP_MS).rem_euclid(86_400_000) as f64 / 3_600_000.0;
                let usual =
                    500.0 + 200.0 * (hour / 24.0 * std::f64::consts::TAU).sin() + (step * 37 % 11) as f64;
                let value = if step % 997 == 996 { 2_000.0 } else { usual };
                reading(number % PARTITIONS, key, START_MS + step * STEP_MS, value)
            });
            self.kafka.produce(&self.topic, records.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

fn reading(partition: u64, key: &str, time_ms: i64, value: f64) -> NewRecord {
    let text = serde_json::json!({ "ts": time_ms, "value": value, "key": key });
    NewRecord::new(partition as i32, text.to_string())
}

/// A served page.
struct Site {
    address: String,
}

impl Site {
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A request as it is written, and the answer's status, head and body.
    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(u16, String, String)> {
        let mut connection = TcpStream::connect(&self.address)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if headers.iter().all(|(name, _)| *name != "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        connection.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let body = match head.contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        };
        Ok((status, head.to_owned(), body))
    }

    fn get(&self, path: &str) -> Result<Value> {
        let (status, _, body) = self.ask("GET", path, &[], "")?;
        ensure!(status == 200, "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let json = [("Content-Type", "application/json")];
        let (status, _, body) = self.ask("POST", path, &json, &body.to_string())?;
        Ok((status, serde_json::from_str(&body)?))
    }

    /// Waits until as many readings are shown, and the episodes of all anomalies that were published.
    fn shows(&self, readings: u64, kafka: &Kafka, anomaly_topic: &str) -> Result<()> {
        eventually("the page shows it", END_LIMIT, || {
            let health = self.get("/api/health")?;
            let read = health["replica"]["read"].as_u64().unwrap_or(0);
            ensure!(read >= readings, "{health}");
            let published = kafka.read_topic(anomaly_topic)?.len();
            let shown = self.get("/api/episodes?limit=200")?;
            let shown: u64 = shown["episodes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|episode| {
                    let ends = u64::from(!episode["until_ms"].is_null());
                    episode["anomalies"].as_u64().unwrap_or(0) + ends
                })
                .sum();
            ensure!(shown == published as u64, "{shown} of {published}");
            Ok(())
        })
    }
}

/// A body that came in chunks.
fn unchunked(body: &str) -> String {
    let mut rest = body.as_bytes();
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let Some(size) = size.filter(|size| *size > 0 && end + 2 + size <= rest.len()) else {
            break;
        };
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[(end + 4 + size).min(rest.len())..];
    }
    String::from_utf8_lossy(&whole).into_owned()
}

/// A text as it stands in an address.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
