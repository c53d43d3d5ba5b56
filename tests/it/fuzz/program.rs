//! Mutated messages through `aggregate` and `detect` on Apache Kafka, record by record against the oracle: what became of
//! each and for which reason, each row's count, minimum, maximum and sum, and each alert of a rule.
//!
//! Holds I1 (conservation), I3 (totals), I5 (log-time lateness), I8 (nothing silent).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{require, unique};

use super::judge::{Alert, Expected, Fate, Reading, Row, rules};
use super::messages::{Message, Producer};
use super::settings::{STREAMS, Settings};
use super::times_as_many;
use crate::program::streamgauge;
use crate::simulation::seed;
use crate::stream::{END_LIMIT, header, rows_of};

/// Mutated messages of the three streams together.
const MESSAGES: u64 = 10_200;
/// After so many mutated messages comes one as it should be.
const GOOD_EVERY: u64 = 10;

/// A topic with messages, and what they must come to.
struct Fuzzed<'k> {
    kafka: &'k Kafka,
    settings: &'static Settings,
    topic: String,
    folder: PathBuf,
    partitions: Vec<Vec<Message>>,
    expected: Expected,
}

impl<'k> Fuzzed<'k> {
    fn new(kafka: &'k Kafka, settings: &'static Settings, seed: u64, count: u64) -> Result<Self> {
        let topic = unique(settings.name);
        kafka.create_topic(&topic, 4)?;
        let mut producer = Producer::new(settings, seed);
        let mut partitions = vec![Vec::new(); 4];
        let mut records = Vec::new();
        for number in 0..count + count / GOOD_EVERY {
            let message = match number % (GOOD_EVERY + 1) {
                0 => producer.good(),
                _ => producer.mutated(),
            };
            records.push(NewRecord {
                partition: message.partition,
                key: message.key.clone(),
                value: message.value.clone(),
                headers: Vec::new(),
                timestamp_ms: message.timestamp_ms,
            });
            partitions[message.partition as usize].push(message);
        }
        kafka.produce(&topic, records)?;
        Ok(Fuzzed {
            kafka,
            settings,
            folder: scratch_folder(settings.name),
            expected: Expected::of(settings, &partitions),
            topic,
            partitions,
        })
    }

    /// Runs a subcommand up to the ends of the topic and returns all that it says.
    fn run(&self, subcommand: &str, name: &str, environment: &[(&str, String)]) -> Result<String> {
        let group = format!("{}.{name}", self.topic);
        let mut command = streamgauge([subcommand]);
        command.args(["-b", self.kafka.brokers(), "-t", &self.topic, "--group", &group]);
        command.args(["--available-now"]);
        command.envs(self.settings.environment());
        command.env("STREAMGAUGE__HTTP__LISTEN", "");
        for (name, value) in environment {
            command.env(format!("STREAMGAUGE__{name}"), value);
        }
        let mut child = Child::start(subcommand, &mut command)?;
        let status = child.wait(END_LIMIT)?;
        ensure!(
            status.success(),
            "{subcommand} ended with {status}:\n{}",
            child.output()
        );
        Ok(child.output())
    }

    fn aggregate(&self, late: &str) -> Result<()> {
        let table = self.folder.join(late);
        let sink = |kind: &str| format!("{}.{late}.{kind}", self.topic);
        let said = self.run(
            "aggregate",
            late,
            &[
                ("TABLE__URI", table.display().to_string()),
                ("WINDOW__LATE", late.to_owned()),
                ("KAFKA__LATE_TOPIC", sink("late")),
                ("KAFKA__DEAD_LETTER_TOPIC", sink("dlq")),
            ],
        )?;
        self.check_summary(&said, late)?;
        let dead = self.side_outputs(&sink("dlq"))?;
        let diverted = match late {
            "divert" => self.side_outputs(&sink("late"))?,
            _ => BTreeMap::new(),
        };
        self.check_fates(&dead, &diverted, late)?;
        self.check_rows(&table, late)
    }

    fn check_summary(&self, said: &str, late: &str) -> Result<()> {
        // Records and readings are one sum unless a record holds several readings.
        let (in_time, all) = (readings(&self.expected.in_time), readings(&self.expected.all));
        let late_count = all - in_time;
        let dead = self.expected.count(|fate| matches!(fate, Fate::Dead(_)));
        let consumed: usize = self.partitions.iter().map(Vec::len).sum();
        let accepted = consumed - dead;
        let number = |number: usize| indicatif::HumanCount(number as u64).to_string();
        let split = format!("{} aggregated + {} late", number(in_time), number(late_count));
        let (consumed, dead) = (number(consumed), number(dead));
        let sentence = if all == accepted {
            format!("{consumed} consumed = {split} + {dead} dead-lettered;")
        } else {
            let (accepted, all) = (number(accepted), number(all));
            format!(
                "{consumed} consumed = {accepted} accepted + {dead} dead-lettered; {all} readings = {split};"
            )
        };
        ensure!(
            said.contains(&sentence),
            "{late}: expected {sentence:?} in\n{said}"
        );
        let action = match late {
            "divert" => "diverted",
            "upsert" => "upserted",
            _ => "dropped",
        };
        let line = format!("late and {action}: {}\n", number(late_count));
        ensure!(said.contains(&line), "{late}: expected {line:?} in\n{said}");
        for reason in self.expected.fates.iter().flatten() {
            if let Fate::Dead(reason) = reason {
                let count = self.expected.count(|fate| fate == Fate::Dead(reason));
                let line = format!("dead-lettered as {reason}: {}\n", number(count));
                ensure!(said.contains(&line), "{late}: expected {line:?} in\n{said}");
            }
        }
        Ok(())
    }

    /// The records of a topic of side outputs by where they came from.
    fn side_outputs(&self, topic: &str) -> Result<BTreeMap<(i32, i64), Record>> {
        let mut departed = BTreeMap::new();
        for record in self.kafka.read_topic(topic)? {
            let number = |name: &str| -> Result<i64> { Ok(text(&record, name)?.parse()?) };
            let place = (
                number("streamgauge.partition")? as i32,
                number("streamgauge.offset")?,
            );
            ensure!(
                departed.insert(place, record).is_none(),
                "{place:?} is there twice in {topic}"
            );
        }
        Ok(departed)
    }

    fn check_fates(
        &self,
        dead: &BTreeMap<(i32, i64), Record>,
        diverted: &BTreeMap<(i32, i64), Record>,
        late: &str,
    ) -> Result<()> {
        for (partition, fates) in self.expected.fates.iter().enumerate() {
            for (offset, fate) in fates.iter().enumerate() {
                let place = (partition as i32, offset as i64);
                let message = &self.partitions[partition][offset];
                let output = dead.get(&place).or(diverted.get(&place));
                let found = match (dead.get(&place), diverted.get(&place)) {
                    (Some(output), None) => text(output, "streamgauge.reason")?,
                    (None, Some(_)) => "late",
                    (None, None) => "none",
                    (Some(_), Some(_)) => "both",
                };
                let expected = match fate {
                    Fate::Dead(reason) => reason,
                    Fate::Late if late == "divert" => "late",
                    Fate::Late | Fate::Counted => "none",
                };
                ensure!(
                    found == expected,
                    "{late}: {place:?} is {found}, not {expected}: {message:?}"
                );
                let is_whole = |output: &Record| output.value == message.value && output.key == message.key;
                ensure!(
                    output.is_none_or(is_whole),
                    "{late}: the side output of {place:?} is another record"
                );
            }
        }
        Ok(())
    }

    fn check_rows(&self, table: &Path, late: &str) -> Result<()> {
        let found = rows_of(table, None)?;
        let expected = if late == "upsert" {
            &self.expected.all
        } else {
            &self.expected.in_time
        };
        ensure!(
            found.len() == expected.len(),
            "{late}: {} rows, not {}",
            found.len(),
            expected.len()
        );
        for (place, row) in expected {
            let cells = found
                .get(place)
                .with_context(|| format!("{late}: no row {place:?}"))?;
            let (count, minimum, maximum, sum) = cells;
            let bits = [minimum, maximum, sum].map(|number| number.to_bits());
            let wanted = [row.minimum, row.maximum, row.sum.rounded()];
            ensure!(
                *count == row.count && bits == wanted.map(f64::to_bits),
                "{late}: {place:?} is {cells:?}, not {} of {wanted:?}",
                row.count
            );
        }
        Ok(())
    }

    fn detect(&self) -> Result<()> {
        let topic = format!("{}.alerts", self.topic);
        let said = self.run(
            "detect",
            "detect",
            &[
                ("DETECT__DETECTOR", "none".to_owned()),
                ("DETECT__RULES__*", self.settings.rules().join("; ")),
                ("DETECT__ANOMALY_TOPIC", topic.clone()),
                (
                    "DETECT__STATE_URI",
                    self.folder.join("state").display().to_string(),
                ),
            ],
        )?;
        let rejected = self.expected.count(|fate| matches!(fate, Fate::Dead(_)));
        let consumed: usize = self.partitions.iter().map(Vec::len).sum();
        let number = |number: usize| indicatif::HumanCount(number as u64).to_string();
        let judged = readings(&self.expected.all);
        let accepted = consumed - rejected;
        let (consumed, rejected) = (number(consumed), number(rejected));
        let sentence = if judged == accepted {
            format!(
                "{consumed} consumed = {} judged + 0 late + {rejected} rejected",
                number(judged)
            )
        } else {
            format!(
                "{consumed} consumed = {} accepted + {rejected} rejected; {} readings judged, 0 late",
                number(accepted),
                number(judged)
            )
        };
        ensure!(said.contains(&sentence), "expected {sentence:?} in\n{said}");
        self.check_alerts(&self.kafka.read_topic(&topic)?)
    }

    fn check_alerts(&self, messages: &[Record]) -> Result<()> {
        let expected = rules(self.settings, &self.partitions);
        ensure!(
            !expected.is_empty(),
            "the rules raised no alert: the test would show nothing"
        );
        let mut found = BTreeMap::new();
        for message in messages {
            let (alert, reading) = alert(message)?;
            ensure!(
                found.insert(alert.clone(), reading).is_none(),
                "{alert:?} was raised twice"
            );
        }
        for alert in expected.keys().chain(found.keys()) {
            let (found, expected) = (found.get(alert), expected.get(alert));
            ensure!(
                found == expected,
                "{alert:?}: found {found:?}, expected {expected:?}"
            );
        }
        Ok(())
    }
}

/// The alert in a message of the anomaly topic, and the reading that it is about.
fn alert(message: &Record) -> Result<(Alert, Reading)> {
    let id: Vec<&str> = text(message, "ce_id")?.rsplitn(4, '/').collect();
    let (partition, offset) = (id[2].parse()?, id[1].parse()?);
    let value: serde_json::Value = serde_json::from_slice(message.value.as_deref().context("no value")?)?;
    let cause = value["cause"].as_str().context("no cause")?;
    let at = chrono::DateTime::parse_from_rfc3339(value["ts"].as_str().context("no ts")?)?;
    let reading = Reading {
        // A series whose key is the empty text has no name.
        key: value["key"].as_str().unwrap_or_default().to_owned(),
        at_ms: at.timestamp_millis(),
        value: match cause {
            // It is about no reading.
            "series_forgotten" => 0.0,
            _ => value["value"].as_f64().context("no value")?,
        },
    };
    let rule = text(message, "ce_rule")?.to_owned();
    let series = reading.key.clone();
    Ok(((partition, offset, series, rule, cause == "rule_began"), reading))
}

fn text<'r>(record: &'r Record, name: &str) -> Result<&'r str> {
    Ok(std::str::from_utf8(
        header(&record.headers, name).with_context(|| format!("no header {name}"))?,
    )?)
}

fn fuzz(settings: &'static Settings) -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fuzzed = Fuzzed::new(kafka, settings, seed(), times_as_many(MESSAGES / 3))?;
    println!(
        "{}: {} in time, {} late, {} dead",
        settings.name,
        fuzzed.expected.count(|fate| fate == Fate::Counted),
        fuzzed.expected.count(|fate| fate == Fate::Late),
        fuzzed.expected.count(|fate| matches!(fate, Fate::Dead(_))),
    );
    for late in ["divert", "upsert", "drop"] {
        fuzzed.aggregate(late)?;
    }
    fuzzed.detect()
}

/// Readings in rows.
fn readings(rows: &BTreeMap<(i64, String), Row>) -> usize {
    rows.values().map(|row| row.count as usize).sum()
}

#[test]
fn mutated_messages_with_times_as_text_become_what_the_manual_says() -> Result<()> {
    fuzz(&STREAMS[0])
}

#[test]
fn mutated_messages_with_nested_fields_become_what_the_manual_says() -> Result<()> {
    fuzz(&STREAMS[1])
}

#[test]
fn mutated_messages_with_seconds_and_message_keys_become_what_the_manual_says() -> Result<()> {
    fuzz(&STREAMS[2])
}
