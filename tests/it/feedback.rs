//! What people say of anomalies: by the program, by other programs, followed over a broker's restart, and as labels.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use streamgauge::config::{Config, Overrides, load};
use streamgauge::feedback::{Follower, Opinions};
use streamgauge_testkit::kafka::{Kafka, NewRecord, Record};
use streamgauge_testkit::process::{Child, run, scratch_folder};
use streamgauge_testkit::{block_on, eventually, require, unique};

use crate::program::streamgauge;
use crate::stream::{END_LIMIT, header};

/// How long something said may take to be known.
const NEWS_LIMIT: Duration = Duration::from_secs(30);

/// A boiler with four episodes, each above 90 for some minutes; the last one is open.
struct Boiler<'k> {
    kafka: &'k Kafka,
    topic: String,
    anomaly_topic: String,
    /// The ids of the episodes, in their order.
    episodes: Vec<String>,
    history: PathBuf,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_020, 0).unwrap()
}

fn is_hot(minute: i64) -> bool {
    matches!(minute, 30..40 | 60..65 | 80..82 | 98..100)
}

impl<'k> Boiler<'k> {
    fn new(kafka: &'k Kafka, name: &str) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, 2)?;
        let mut csv = "time,value\n".to_owned();
        let records: Vec<NewRecord> = (0..100)
            .map(|minute| {
                let time = (start() + TimeDelta::minutes(minute)).format("%Y-%m-%d %H:%M:%S");
                let value = if is_hot(minute) { 95 } else { 70 };
                csv += &format!("{time},{value}\n");
                let text = format!(r#"{{"ts":"{time}","value":{value},"key":"boiler-7"}}"#);
                NewRecord::new(1, text)
            })
            .collect();
        kafka.produce(&topic, records)?;
        let folder = scratch_folder(name);
        let history = folder.join("boiler-7.csv");
        std::fs::write(&history, csv)?;
        let mut boiler = Boiler {
            anomaly_topic: format!("{topic}.anomaly"),
            kafka,
            topic,
            episodes: Vec::new(),
            history,
        };
        boiler.detect(&folder)?;
        let anomalies = kafka.read_topic(&boiler.anomaly_topic)?;
        boiler.episodes = anomalies
            .iter()
            .filter(|record| header(&record.headers, "ce_phase") == Some(b"opened".as_slice()))
            .map(|record| Ok(text(header(&record.headers, "ce_id").context("an id")?)?.to_owned()))
            .collect::<Result<_>>()?;
        ensure!(boiler.episodes.len() == 4, "{:?}", boiler.episodes);
        Ok(boiler)
    }

    fn detect(&self, folder: &std::path::Path) -> Result<()> {
        let state = folder.join("state").display().to_string();
        let mut detect = streamgauge([
            "detect",
            "--available-now",
            "-b",
            self.kafka.brokers(),
            "-t",
            &self.topic,
            "--group",
            &self.topic,
            "--anomaly-topic",
            &self.anomaly_topic,
            "--key",
            "key",
            "--detector",
            "none",
            "--state",
            &state,
            "--set",
            "detect.rules.*=above 90",
            "--set",
            "reading.max_ahead=36500d",
        ]);
        run("detect", &mut detect, END_LIMIT).map(drop)
    }

    fn feedback_topic(&self) -> String {
        format!("{}.feedback", self.anomaly_topic)
    }

    /// The end of the program with these arguments; its standard output, or its failure.
    fn program(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = streamgauge(arguments.iter().copied());
        command.args(["-b", self.kafka.brokers(), "--set"]);
        command.arg(format!("detect.anomaly_topic={}", self.anomaly_topic));
        command.env("USER", "anna");
        let mut child = Child::start(arguments[0], &mut command)?;
        child.wait(END_LIMIT)?;
        Ok(child)
    }

    fn say(&self, arguments: &[&str]) -> Result<String> {
        let mut child = self.program(arguments)?;
        let is_good = child.exit_status()?.is_some_and(|status| status.success());
        ensure!(is_good, "{arguments:?}:\n{}", child.output());
        Ok(child.stdout())
    }

    fn refusal(&self, arguments: &[&str]) -> Result<String> {
        let mut child = self.program(arguments)?;
        let is_good = child.exit_status()?.is_some_and(|status| status.success());
        ensure!(!is_good, "{arguments:?}:\n{}", child.output());
        Ok(child.stderr())
    }

    fn said(&self) -> Result<Vec<Record>> {
        self.kafka.read_topic(&self.feedback_topic())
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    Ok(std::str::from_utf8(bytes)?)
}

fn config(brokers: &str) -> Result<Config> {
    let flags = Overrides::default().with("kafka.brokers", "a test", Some(brokers));
    Ok(load(&flags, None, [])?.config)
}

/// A message as kcat writes it: a key, a value, and no headers.
fn by_kcat(key: &str, value: &str) -> NewRecord {
    NewRecord {
        key: Some(key.as_bytes().to_vec()),
        ..NewRecord::new(0, value)
    }
}

#[test]
fn what_is_said_is_kept_and_becomes_labels() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let boiler = Boiler::new(kafka, "judged-by-people")?;
    let [first, second, third, open] = boiler.episodes.as_slice() else {
        unreachable!("four were found")
    };

    let printed = boiler.say(&["feedback", first, "real", "--why", "pump broken"])?;
    let expected = format!("real: episode {first} (boiler-7, rules, since 2026-11-18T");
    ensure!(printed.starts_with(&expected), "{printed}");
    boiler.say(&["feedback", open, "real", "--why", "leak"])?;
    boiler.say(&["feedback", second, "real", "--why", "wrong"])?;
    boiler.say(&["feedback", second, "expected", "--why", "test", "--by", "Bo Li"])?;
    let missed = [
        "feedback",
        "--missed",
        "boiler-7",
        "--why",
        "cold",
        "--from",
        "2026-11-18 11:20",
        "--to",
    ];
    boiler.say(&[&missed[..], &["2026-11-18 11:25"]].concat())?;
    boiler.say(&[&missed[..], &["2026-11-18 11:30"]].concat())?;
    boiler.say(&[&missed[..], &["2026-11-18 11:30", "--withdraw"]].concat())?;
    let announced = ["--from", "2026-11-18 12:00", "--to", "2026-11-18 14:00"];
    let announce = ["feedback", "--announce", "boiler-7", "--why", "new burner"];
    let printed = boiler.say(&[&announce[..], &announced].concat())?;
    ensure!(
        printed.starts_with("expected: boiler-7, 2026-11-18T12:00:00Z"),
        "{printed}"
    );
    boiler.say(&[&announce[..], &announced, &["--withdraw"]].concat())?;
    boiler.say(&[&announce[..], &announced].concat())?;
    kafka.produce(
        &boiler.feedback_topic(),
        [
            by_kcat(
                third,
                &format!(r#"{{"about":{{"episode":"{third}"}},"verdict":"real"}}"#),
            ),
            by_kcat("nonsense", "{}"),
        ],
    )?;

    let messages = boiler.said()?;
    let newest = messages
        .iter()
        .rfind(|record| record.key.as_deref() == Some(second.as_bytes()))
        .context("what was said of the second")?;
    let value: Value = serde_json::from_slice(newest.value.as_deref().context("a value")?)?;
    ensure!(
        value["verdict"] == "expected" && value["by"] == "Bo Li",
        "{value}"
    );
    ensure!(
        value["about"]["series"] == "boiler-7" && value["about"]["until"].is_string(),
        "{value}"
    );
    for (name, expected) in [
        ("ce_type", "streamgauge.feedback"),
        ("ce_source", "/people/Bo%20Li"),
        ("ce_subject", "boiler-7"),
    ] {
        let found = header(&newest.headers, name).context(name)?;
        ensure!(text(found)? == expected, "{name}");
    }

    let labels = scratch_folder("labels").join("labels.json");
    let labels = labels.to_str().context("a path")?;
    let topic = ["-t", &boiler.topic];
    let export = boiler.program(&[&["labels", "export", "--out", labels][..], &topic].concat())?;
    let said = export.stderr();
    for part in [
        "nonsense",
        "about (or silence) is missing",
        "4 windows of 1 series",
        "rules: 2 real, 1 expected: precision 0.67",
        "unknown detector: 1 real",
        "all: 3 real, 1 expected: precision 0.75",
        "missed     1",
    ] {
        ensure!(said.contains(part), "{part} in:\n{said}");
    }
    let history = boiler.history.to_str().context("a path")?;
    let mut backtest = streamgauge(["backtest", history, "--labels", labels, "--no-report"]);
    backtest.args([
        "--format",
        "json",
        "--detector",
        "none",
        "--set",
        "detect.rules.*=above 90",
    ]);
    let result: Value = serde_json::from_str(&run("backtest", &mut backtest, END_LIMIT)?)?;
    // Three were real and found, one was missed.
    ensure!(
        result["total"]["windows"] == 4 && result["total"]["caught"] == 3,
        "{result}"
    );

    let answers = scratch_folder("answers").join("answers.jsonl");
    let answers = answers.to_str().context("a path")?;
    boiler.say(
        &[
            &["labels", "export", "--format", "messages", "--out", answers][..],
            &topic,
        ]
        .concat(),
    )?;
    let lines = std::fs::read_to_string(answers)?;
    // With what was announced, which is no answer to tune by.
    ensure!(lines.lines().count() == 6, "{lines}");
    for line in lines.lines() {
        let about = &serde_json::from_str::<Value>(line)?["about"];
        let is_complete = about["since"].is_string() && about["until"].is_string() || about["to"].is_string();
        ensure!(is_complete && about["series"] == "boiler-7", "{line}");
    }
    let of_topic = boiler.say(&[&["tune", history][..], &topic].concat())?;
    ensure!(
        of_topic.starts_with("Nothing is proposed: 5 answers are of"),
        "{of_topic}"
    );
    let of_file = boiler.say(&["tune", history, "--labels", answers])?;
    ensure!(of_file == of_topic, "{of_file}");
    Ok(())
}

#[test]
fn what_nobody_could_take_is_refused() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let boiler = Boiler::new(kafka, "refused-feedback")?;
    let episode = boiler.episodes[0].as_str();
    let none = format!("{}/0/99999/0", boiler.topic);
    let long = "x".repeat(5_000);
    for (arguments, expected) in [
        (
            &["feedback", &none, "real", "--why", "a"][..],
            "there is no episode",
        ),
        (
            &["feedback", &none, "withdrawn", "--why", "a"],
            "nothing is said of episode",
        ),
        (
            &["feedback", episode, "missed", "--why", "a"],
            "invalid value 'missed'",
        ),
        (&["feedback", episode, "real"], "--why <TEXT>"),
        (
            &["feedback", episode, "real", "--why", &long],
            "cannot say this: note must be a text of 1 to 4096 characters",
        ),
        (
            &["feedback", episode, "expected", "--why", "a", "--scope", "series"],
            "--until <TIME>",
        ),
        (
            &[
                "feedback",
                episode,
                "expected",
                "--why",
                "a",
                "--scope",
                "series",
                "--until",
                "2020-01-01",
            ],
            "--until is over already",
        ),
        (
            &[
                "feedback",
                episode,
                "expected",
                "--why",
                "a",
                "--scope",
                "this",
                "--until",
                "2999-01-01",
            ],
            "cannot say this: until must be left out",
        ),
        (&["silence", "add", "*", "--why", "a"], "--for <DURATION>"),
        (
            &["silence", "add", "*", "--why", "a", "--until", "noon"],
            "cannot read --until \"noon\" as a time",
        ),
        (
            &["silence", "add", "*", "--why", "a", "--until-resolved", episode],
            "is over since 2026-11-18T",
        ),
        (&["silence", "end", "abc"], "there is no silence abc"),
    ] {
        let refused = boiler.refusal(arguments)?;
        ensure!(refused.contains(expected), "{arguments:?}: {refused}");
    }
    kafka.create_topic(&boiler.feedback_topic(), 1)?;
    let refused = boiler.refusal(&["feedback", episode, "real", "--why", "a"])?;
    ensure!(refused.contains("it is not compacted"), "{refused}");
    let other = format!("alert.feedback_topic={}", unique("other"));
    let printed = boiler.say(&["feedback", episode, "real", "--why", "a", "--set", &other])?;
    ensure!(printed.contains("written to other"), "{printed}");
    let nowhere = Boiler {
        anomaly_topic: unique("nowhere"),
        episodes: Vec::new(),
        ..boiler
    };
    let refused = nowhere.refusal(&["feedback", &none, "real", "--why", "a"])?;
    ensure!(refused.contains("does not exist at"), "{refused}");
    Ok(())
}

#[test]
fn a_silence_is_begun_listed_and_ended() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let boiler = Boiler::new(kafka, "silenced")?;
    ensure!(
        boiler
            .program(&["silence", "list"])?
            .stderr()
            .contains("there are no silences")
    );
    let printed = boiler.say(&[
        "silence",
        "add",
        "boiler-*",
        "--for",
        "2h",
        "--why",
        "maintenance",
    ])?;
    let id = printed.split(':').next().context("an id")?.to_owned();
    let planned = [
        "silence",
        "add",
        "*",
        "--from",
        "2999-12-24 18:00",
        "--until",
        "2999-12-27",
        "--why",
        "shut",
    ];
    boiler.say(&planned)?;
    let open = boiler.episodes[3].as_str();
    boiler.say(&[
        "silence",
        "add",
        "pump",
        "--until-resolved",
        open,
        "--why",
        "a leak",
    ])?;
    let follower = block_on(Follower::start(
        &config(kafka.brokers())?.subscription(),
        &boiler.feedback_topic(),
    ))?;
    let opinions = follower.opinions();
    let is_silenced = || {
        let now = Utc::now();
        let said: std::sync::Arc<Opinions> = opinions.borrow().clone();
        said.silence_of(Some("boiler-7"), "usage/0/1/0", now, |_| false)
            .is_some_and(|silence| silence.by.as_deref() == Some("anna"))
    };
    ensure!(is_silenced());

    let lines = |all: &[&str]| -> Result<Vec<String>> {
        let table = boiler.say(&[&["silence", "list"][..], all].concat())?;
        Ok(table.lines().skip(1).map(str::to_owned).collect())
    };
    let listed = lines(&[])?;
    ensure!(listed.len() == 3, "{listed:?}");
    let until_resolved = format!("the end of {open}");
    ensure!(
        listed
            .iter()
            .any(|line| line.contains(" on ") && line.contains(&until_resolved)),
        "{listed:?}"
    );
    let one = listed.iter().find(|line| line.starts_with(&id)).context("it")?;
    ensure!(
        one.contains(" on ") && one.contains("boiler-*") && one.ends_with("anna  maintenance"),
        "{one}"
    );
    ensure!(listed.iter().any(|line| line.contains(" planned ")), "{listed:?}");

    boiler.say(&["silence", "end", &id])?;
    eventually("the end of the silence", NEWS_LIMIT, || {
        ensure!(!is_silenced(), "it is silenced still");
        Ok(())
    })?;
    ensure!(lines(&[])?.len() == 2);
    let all = lines(&["--all"])?;
    ensure!(
        all.iter()
            .any(|line| line.starts_with(&id) && line.contains(" over ")),
        "{all:?}"
    );
    let again = boiler.refusal(&["silence", "end", &id])?;
    ensure!(again.contains("is over since"), "{again}");
    Ok(())
}

#[test]
fn a_follower_hears_what_is_said_also_after_the_broker_was_away() -> Result<()> {
    let Some(mut private) = require("Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let topic = "anomaly.feedback";
    let kafka = Kafka::at(private.kafka.brokers());
    let episode = |number: u64| format!("usage/0/{number}/0");
    let said = |number| {
        let id = episode(number);
        by_kcat(
            &id,
            &format!(r#"{{"about":{{"episode":"{id}"}},"verdict":"expected"}}"#),
        )
    };
    kafka.create_topic_with(topic, 1, &[("cleanup.policy", "compact")])?;
    kafka.produce(topic, [said(1), by_kcat("x", "not JSON")])?;
    let follower = block_on(Follower::start(&config(kafka.brokers())?.subscription(), topic))?;
    let opinions = follower.opinions();
    let knows = |number| {
        let now = Utc::now();
        opinions.borrow().is_expected(&episode(number), None, now)
    };
    ensure!(knows(1) && !knows(2));
    ensure!(opinions.borrow().malformed() == 1);

    let hears = |number| {
        eventually("what was said", NEWS_LIMIT, || {
            ensure!(knows(number), "not yet");
            Ok(())
        })
    };
    kafka.produce(topic, [by_kcat("y", "[]"), said(2)])?;
    hears(2)?;
    ensure!(opinions.borrow().malformed() == 2);
    private.stop()?;
    private.start()?;
    kafka.produce(topic, [said(3)])?;
    hears(3)?;
    ensure!(knows(1) && knows(2));

    drop(follower);
    eventually("the end of the follower", Duration::from_secs(5), || {
        ensure!(opinions.has_changed().is_err(), "it runs still");
        Ok(())
    })
}
