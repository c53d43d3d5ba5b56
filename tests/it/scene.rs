//! A topic, and whatever tables and detections are fed from it: for tests of who consumes what, and from where.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge::config::{Overrides, load};
use streamgauge::kafka::Subscription;
use streamgauge_testkit::events::{json_lines, log_events};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{eventually, unique};

use crate::program::streamgauge;
use crate::stream::{END_LIMIT, rows_of};

pub struct Scene<'k> {
    pub kafka: &'k Kafka,
    pub topic: String,
    pub folder: PathBuf,
    pub produced: Cell<i64>,
}

impl<'k> Scene<'k> {
    /// An empty topic of so many partitions.
    pub fn new(kafka: &'k Kafka, name: &str, partitions: i32) -> Result<Self> {
        let scene = Scene::without_topic(kafka, name);
        kafka.create_topic(&scene.topic, partitions)?;
        Ok(scene)
    }

    /// The topic, consumed in this group.
    pub fn subscription(&self, group: &str) -> Result<Subscription> {
        let config = load(&Overrides::default(), None, [])?.config;
        let mut kafka = config.pipeline.subscription(&config.process.kafka);
        kafka.cluster.brokers = self.kafka.brokers().to_owned();
        kafka.source.topic.clone_from(&self.topic);
        Ok(kafka.in_group(group.to_owned()))
    }

    /// The name of a topic that does not exist.
    pub fn without_topic(kafka: &'k Kafka, name: &str) -> Self {
        Scene {
            kafka,
            topic: unique(name),
            folder: scratch_folder(name),
            produced: Cell::new(0),
        }
    }

    /// Produces readings, a second apart.
    pub fn produce(&self, partition: i32, count: usize) -> Result<()> {
        let next = || {
            let at = self.produced.replace(self.produced.get() + 1);
            let text = format!(r#"{{"ts":{},"value":1.5}}"#, 1_700_000_000_000 + at * 1_000);
            NewRecord::new(partition, text)
        };
        let records: Vec<NewRecord> = (0..count).map(|_| next()).collect();
        self.kafka.produce(&self.topic, records)
    }

    /// Deletes and recreates the topic, which gives it another id.
    pub fn recreate(&self, partitions: i32) -> Result<()> {
        self.kafka.delete_topic(&self.topic)?;
        eventually("the topic is recreated", END_LIMIT, || {
            self.kafka.create_topic(&self.topic, partitions)
        })
    }

    pub fn table(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A subcommand on the topic and the table of a name, with further flags.
    pub fn command(&self, subcommand: &str, table: &str, flags: &[&str]) -> Command {
        let mut command = streamgauge([subcommand]);
        command
            .args(["-b", self.kafka.brokers(), "-t", &self.topic])
            .args(flags);
        for (name, value) in [
            ("TABLE__URI", self.table(table).display().to_string().as_str()),
            ("READING__TIME_FORMAT", "epoch_ms"),
            ("COMMIT__INTERVAL", "50ms"),
            ("COMMIT__IDLE_INTERVAL", "200ms"),
            ("DETECT__ANOMALY_TOPIC", &format!("{}.anomaly", self.topic)),
            ("DETECT__COMMIT_INTERVAL", "100ms"),
            ("HTTP__LISTEN", ""),
        ] {
            command.env(format!("STREAMGAUGE__{name}"), value);
        }
        command
    }

    /// Starts a subcommand, with events that can be waited for.
    pub fn start(&self, subcommand: &str, table: &str, flags: &[&str]) -> Result<Child> {
        Child::start_with_events(subcommand, &mut self.command(subcommand, table, flags))
    }

    /// Runs a subcommand up to the topic's ends. What it says on standard error, and how long it took.
    pub fn all(&self, subcommand: &str, table: &str, flags: &[&str]) -> Result<(String, Duration)> {
        to_the_end(&mut self.command(subcommand, table, &[&["--available-now"], flags].concat()))
    }

    /// Likewise, with a log whose events can be looked for.
    pub fn all_with_events(
        &self,
        subcommand: &str,
        table: &str,
        flags: &[&str],
    ) -> Result<(String, Duration)> {
        let flags = [&["--available-now"], flags].concat();
        to_the_end(log_events(&mut self.command(subcommand, table, &flags)))
    }

    /// Runs a subcommand that must fail, and returns the last line it says.
    pub fn failure(&self, subcommand: &str, table: &str, flags: &[&str]) -> Result<String> {
        let mut child = Child::start(subcommand, &mut self.command(subcommand, table, flags))?;
        failure_of(&mut child)
    }

    /// The number of readings that a table has counted.
    pub fn counted(&self, table: &str) -> Result<u64> {
        let rows = rows_of(&self.table(table), None)?;
        Ok(rows.values().map(|(count, ..)| *count).sum())
    }

    /// Waits until a table has counted so many.
    pub fn wait_until_counted(&self, table: &str, count: u64) -> Result<()> {
        eventually("all readings are counted", Duration::from_secs(60), || {
            let counted = self.counted(table)?;
            ensure!(counted == count, "{table} has {counted} of {count}");
            Ok(())
        })
    }
}

/// Runs a command that must succeed. What it says on standard error, and how long it took.
fn to_the_end(command: &mut Command) -> Result<(String, Duration)> {
    let started = Instant::now();
    let mut child = Child::start("to-the-end", command)?;
    let status = child.wait(END_LIMIT)?;
    ensure!(
        status.success(),
        "{command:?} ended with {status}:\n{}",
        child.output()
    );
    Ok((child.stderr(), started.elapsed()))
}

/// The last line of a process that must fail, as people see it.
pub fn failure_of(child: &mut Child) -> Result<String> {
    let status = child.wait(END_LIMIT)?;
    ensure!(
        status.code() == Some(1),
        "exit code 1 expected, not {status}:\n{}",
        child.output()
    );
    Ok(last_line(child))
}

/// The last line of a process on standard error. An error in a JSON log becomes the line that people see.
pub fn last_line(child: &Child) -> String {
    let said = child.stderr();
    let line = said.lines().last().unwrap_or_default();
    match json_lines(line).first() {
        Some(last) if last["level"] == "ERROR" => {
            format!("error: {}", last["message"].as_str().unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

/// Fails unless a sentence has all of these parts.
pub fn has_parts(said: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(said.contains(part), "{part:?} is not in {said}");
    }
    Ok(())
}
