//! A topic of readings under detection: eight series in four partitions, each series in one partition.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::process::{self, Child, scratch_folder};
use streamgauge_testkit::{eventually, unique};

use crate::program::streamgauge;
use crate::stream::{END_LIMIT, Random, header};

/// The transaction timeout, and the interval at which the broker looks.
const OPEN_TRANSACTIONS_LIMIT: Duration = Duration::from_secs(60);

/// A message of the anomaly topic: everything that must be the same in every run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    pub id: String,
    pub key: Option<String>,
    pub value: String,
    pub headers: Vec<(String, String)>,
}

/// The topic with its readings so far, and the folder of its detections' state files.
pub struct JudgedTopic<'k> {
    pub kafka: &'k Kafka,
    pub topic: String,
    folder: PathBuf,
    random: Random,
    time_ms: i64,
}

impl<'k> JudgedTopic<'k> {
    /// An empty topic; `seed` decides everything that will be produced.
    pub fn new(kafka: &'k Kafka, name: &str, seed: u64) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, 4)?;
        Ok(JudgedTopic {
            kafka,
            topic,
            folder: scratch_folder(name),
            random: Random(seed),
            time_ms: 1_700_000_000_000,
        })
    }

    /// Produces `count` records: readings of eight meters that mostly lie in a band and now and then far outside,
    /// a meter that falls silent at times, and one broken record in a hundred.
    pub fn produce(&mut self, count: usize) -> Result<()> {
        let records: Vec<NewRecord> = (0..count).map(|_| self.next_record()).collect();
        self.kafka.produce(&self.topic, records)
    }

    fn next_record(&mut self) -> NewRecord {
        self.time_ms += 50 + self.random.below(300) as i64;
        let meter = self.random.below(8);
        // The last meter is silent for nine of ten minutes.
        let is_silent = meter == 7 && (self.time_ms / 60_000) % 10 != 0;
        let meter = if is_silent { 0 } else { meter };
        let partition = (meter % 4) as i32;
        let value = match self.random.below(50) {
            0 => 95.0 + self.random.below(100) as f64 / 10.0,
            1 => self.random.below(30) as f64 / 10.0,
            _ => 40.0 + self.random.below(200) as f64 / 10.0,
        };
        if self.random.below(100) == 0 {
            return NewRecord::new(partition, format!("{{broken {value}"));
        }
        let text = format!(
            r#"{{"ts":{},"value":{value:?},"key":"meter-{meter}"}}"#,
            self.time_ms
        );
        NewRecord::new(partition, text)
    }

    /// A detection of this topic in the group and into the topic of this name, with further flags.
    pub fn detect(&self, name: &str, flags: &[&str]) -> Command {
        let state = self.folder.join(format!("state-{name}")).display().to_string();
        let target = self.anomaly_topic(name);
        let mut command = streamgauge(["detect"]);
        command.args(["-b", self.kafka.brokers(), "-t", &self.topic, "--key", "key"]);
        command.args(["--group", &target, "--anomaly-topic", &target, "--state", &state]);
        command.args(["--detector", "half-space-trees"]);
        command.args(["-X", "session.timeout.ms=2000", "-X", "heartbeat.interval.ms=300"]);
        command.args(flags);
        for (name, value) in [
            ("READING__TIME_FORMAT", "epoch_ms"),
            ("READING__MAX_AHEAD", "1000d"),
            ("HALF_SPACE_TREES__SCALE", "100"),
            ("HALF_SPACE_TREES__WINDOW_SIZE", "50"),
            ("HALF_SPACE_TREES__HEIGHT", "5"),
            (
                "DETECT__RULES__METER-*",
                "above 90 for 1s; below 2; silent for 1m",
            ),
            ("DETECT__THRESHOLD", "0.85"),
            ("DETECT__COMMIT_INTERVAL", "100ms"),
            ("DETECT__STATE_INTERVAL", "300ms"),
        ] {
            command.env(format!("STREAMGAUGE__{name}"), value);
        }
        command
    }

    /// Starts a detection, with events that can be waited for.
    pub fn start(&self, name: &str, flags: &[&str]) -> Result<Child> {
        Child::start_with_events("detect", &mut self.detect(name, flags))
    }

    /// Runs a detection up to the topic's ends and returns what it says on standard error.
    pub fn detect_all(&self, name: &str) -> Result<String> {
        let mut child = Child::start("detect", &mut self.detect(name, &["--available-now"]))?;
        let status = child.wait(END_LIMIT)?;
        ensure!(
            status.success(),
            "detect ended with {status}:\n{}",
            process::tail(&child.output())
        );
        Ok(child.stderr())
    }

    /// The folder of a detection's state files.
    pub fn state(&self, name: &str) -> PathBuf {
        let group = self.anomaly_topic(name);
        self.folder
            .join(format!("state-{name}"))
            .join(group)
            .join(&self.topic)
    }

    /// The topic and group of a detection.
    pub fn anomaly_topic(&self, name: &str) -> String {
        format!("{}.{name}", self.topic)
    }

    /// The anomalies that a detection has published, as `read_committed` sees them, in the order of each partition.
    pub fn published(&self, name: &str) -> Result<Vec<Published>> {
        let group = self.anomaly_topic(name);
        let records = self.kafka.read_topic(&group)?;
        records.iter().map(|record| published(record, &group)).collect()
    }

    /// Fails unless a detection has published exactly what an undisturbed one publishes, each series in the same order.
    pub fn check(&self, name: &str) -> Result<()> {
        self.detect_all("undisturbed")?;
        let expected = in_order_of_series(self.published("undisturbed")?);
        ensure!(
            expected.len() > 50,
            "only {} anomalies: the test would show nothing",
            expected.len()
        );
        // A killed process may leave a transaction open, which hides what comes behind it until the broker aborts it.
        eventually("all anomalies", OPEN_TRANSACTIONS_LIMIT, || {
            let found = in_order_of_series(self.published(name)?);
            let missing = expected.iter().filter(|one| !found.contains(one)).count();
            ensure!(
                found == expected,
                "{} anomalies instead of {}; {missing} are missing",
                found.len(),
                expected.len()
            );
            Ok(())
        })
    }
}

/// Sorts by series, each in the order of its messages: the order between series means nothing.
fn in_order_of_series(mut messages: Vec<Published>) -> Vec<Published> {
    messages.sort_by(|left, right| left.key.cmp(&right.key));
    messages
}

/// A message, with the group's name in its source replaced: that is what two detections of one topic differ by.
fn published(record: &Record, group: &str) -> Result<Published> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    let id = header(&record.headers, "ce_id").context("ce_id is missing")?;
    let headers = record.headers.iter().map(|(name, value)| {
        let value = text(value.as_deref().unwrap_or_default())?;
        Ok((name.clone(), value.replace(group, "GROUP")))
    });
    Ok(Published {
        id: text(id)?,
        key: record.key.as_deref().map(text).transpose()?,
        value: text(record.value.as_deref().context("an anomaly without a value")?)?,
        headers: headers.collect::<Result<_>>()?,
    })
}
