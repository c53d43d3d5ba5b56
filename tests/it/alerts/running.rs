//! The running alerts on Apache Kafka: what a receiver hears while the program is killed, frozen and moved, and what a user
//! sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use streamgauge::telemetry::events::{ALERT_SENT, PARTITION_ASSIGNED};
use streamgauge_testkit::alerts::{Alertmanager, debians_alertmanager};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{self, Child, Signal, run, scratch_folder};
use streamgauge_testkit::{eventually, heavy, require, unique};

use super::WEBHOOK_SECRET;
use super::fake::{Asked, Fake, Reply};
use crate::program::streamgauge;
use crate::simulation::seed;
use crate::stream::{END_LIMIT, Random, stop};

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// Until everything is told, with a receiver that is left alone for longer each time.
const TOLD_LIMIT: Duration = Duration::from_secs(240);

/// A plant whose boilers are told of when they are above 90, by a webhook.
struct Plant<'k> {
    kafka: &'k Kafka,
    topic: String,
    folder: PathBuf,
    fake: &'k Fake,
}

impl<'k> Plant<'k> {
    fn new(kafka: &'k Kafka, name: &str, fake: &'k Fake) -> Result<Self> {
        let topic = unique(name);
        kafka.create_topic(&topic, 4)?;
        Ok(Plant {
            kafka,
            topic,
            folder: scratch_folder(name),
            fake,
        })
    }

    fn anomaly_topic(&self) -> String {
        format!("{}.anomaly", self.topic)
    }

    /// The program with what all of its commands need here.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = streamgauge(arguments.iter().copied());
        command.args(["-b", self.kafka.brokers()]);
        for (name, value) in [
            ("KAFKA__TOPIC", &*self.topic),
            ("KAFKA__GROUP", &*self.topic),
            ("DETECT__ANOMALY_TOPIC", &self.anomaly_topic()),
            ("ALERT__RECEIVER__OPS__KIND", "webhook"),
            ("ALERT__RECEIVER__OPS__URL", &self.fake.url("/hook")),
            ("ALERT__RECEIVER__OPS__SECRET", WEBHOOK_SECRET),
            ("ALERT__RECEIVER__OPS__GROUP_WAIT", "0s"),
            ("ALERT__RECEIVER__OPS__STORM", "0"),
        ] {
            command.env(format!("STREAMGAUGE__{name}"), value);
        }
        command
    }

    /// `run`, with quick sessions and quick commits.
    fn run(&self, flags: &[&str]) -> Command {
        let mut command = self.command(&["run"]);
        let place = |name: &str| self.folder.join(name).display().to_string();
        command.args([
            "--table",
            &place("table"),
            "--state",
            &place("state"),
            "--key",
            "key",
        ]);
        command.args(["--detector", "none", "--set", "detect.rules.boiler-*=above 90"]);
        command.args(QUICK_SESSION).args(flags);
        command.env("STREAMGAUGE__COMMIT__INTERVAL", "200ms");
        command.env("STREAMGAUGE__DETECT__COMMIT_INTERVAL", "100ms");
        command
    }

    fn alert_run(&self, flags: &[&str]) -> Command {
        let mut command = self.command(&["alert", "run"]);
        command.args(QUICK_SESSION).args(flags);
        command
    }

    /// What a command that ends by itself prints.
    fn printed(&self, arguments: &[&str]) -> Result<String> {
        run(arguments[0], &mut self.command(arguments), END_LIMIT)
    }

    /// Readings of a boiler, now.
    fn measure(&self, boiler: u64, value: f64) -> Result<()> {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let text = format!("{{\"ts\":\"{time}\",\"value\":{value},\"key\":\"boiler-{boiler}\"}}");
        let partition = i32::try_from(boiler % 4)?;
        self.kafka.produce(&self.topic, [NewRecord::new(partition, text)])
    }

    /// Messages of an episode of `boiler-0`, as the detection publishes them.
    fn publish(&self, episode: u64, phases: &[&str]) -> Result<()> {
        let time =
            |minutes| (Utc::now() - TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Millis, true);
        let records = phases.iter().map(|phase| {
            let is_end = *phase == "ended";
            let message = json!({
                "ts": time(0), "value": 95.0, "key": "boiler-0", "detector": "rules",
                "cause": if is_end { "rule_ended" } else { "rule_began" },
                "severity": if is_end { "cleared" } else { "warning" },
                "explanation": "boiler-0: 95 is above 90.", "episode": format!("{}/0/{episode}/0", self.topic),
                "phase": phase, "since": time(1), "until": is_end.then(|| time(0)),
            });
            NewRecord::new(0, message.to_string())
        });
        self.kafka
            .produce(&self.anomaly_topic(), records.collect::<Vec<_>>())
    }
}

const QUICK_SESSION: [&str; 4] = ["-X", "session.timeout.ms=2000", "-X", "heartbeat.interval.ms=300"];

/// What a webhook was asked to know: its id, the episode, and what has happened to it.
fn told(asked: &Asked) -> (String, String, String) {
    let body = asked.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (
        asked.header("webhook-id").to_owned(),
        text(&body["data"]["episode"]),
        text(&body["type"]),
    )
}

/// Fails if anything of an episode came after its end; gives what came of each, each id once.
fn in_order(asked: &[Asked]) -> Result<BTreeMap<String, Vec<(String, String)>>> {
    let mut episodes: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for asked in asked {
        let (id, episode, kind) = told(asked);
        let heard = episodes.entry(episode.clone()).or_default();
        if let Some((last, last_kind)) = heard.last() {
            let is_after_end = last_kind == "anomaly.ended" && *last != id;
            ensure!(!is_after_end, "{episode}: {kind} after its end");
        }
        if heard.iter().all(|(known, _)| *known != id) {
            heard.push((id, kind));
        }
    }
    Ok(episodes)
}

#[test]
fn a_broken_rule_is_told_once_and_told_when_it_is_over() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    let plant = Plant::new(kafka, "told", &fake)?;
    let switch = Fake::start(|_| Reply::new(200, ""))?;
    let mut command = plant.run(&[]);
    command.env("STREAMGAUGE__ALERT__HEARTBEAT_URL", switch.url("/ping/hush"));
    let mut running = Child::start_with_events("run", &mut command)?;
    running.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    assert_eq!(switch.wait_for(1)?[0].path, "/ping/hush");
    plant.measure(7, 70.0)?;
    plant.measure(7, 95.0)?;
    let opened = fake.wait_for(1)?.remove(0).json();
    assert_eq!(
        (
            &opened["type"],
            &opened["data"]["series"],
            &opened["data"]["rule"]
        ),
        (&json!("anomaly.opened"), &json!("boiler-7"), &json!("above 90"))
    );
    running.wait_for_event(ALERT_SENT, &[], END_LIMIT)?;
    let listed = eventually("the list has it", END_LIMIT, || {
        let listed = plant.printed(&["alert", "list"])?;
        ensure!(listed.contains("told "), "{listed}");
        Ok(listed)
    })?;
    let row = listed
        .lines()
        .find(|line| line.contains("boiler-7"))
        .context("a row")?;
    assert!(
        row.contains(" open ") && row.contains(" ops ") && row.contains("above 90 began: 95 at"),
        "{row}"
    );
    plant.measure(7, 95.5)?;
    plant.measure(7, 70.0)?;
    assert_eq!(fake.wait_for(2)?[1].json()["type"], "anomaly.ended");
    eventually("the list has its end", END_LIMIT, || {
        let listed = plant.printed(&["alert", "list"])?;
        ensure!(listed.contains(", ended "), "{listed}");
        ensure!(!listed.contains(" open "), "{listed}");
        Ok(())
    })?;
    let json = plant.printed(&["alert", "list", "--json"])?;
    let row: serde_json::Value = serde_json::from_str(json.trim())?;
    assert_eq!(
        (&row["series"], &row["receiver"], &row["open"], &row["waiting"]),
        (&json!("boiler-7"), &json!("ops"), &json!(false), &json!(0))
    );
    stop(running)?;
    assert_eq!(fake.asked().len(), 2);
    Ok(())
}

#[test]
fn what_people_say_is_heeded_at_once_and_after_a_restart() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    let plant = Plant::new(kafka, "heeded", &fake)?;
    let start = || -> Result<Child> {
        let mut running = Child::start_with_events("alert", &mut plant.alert_run(&[]))?;
        running.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        Ok(running)
    };
    let running = start()?;
    plant.publish(1, &["opened"])?;
    fake.wait_for(1)?;
    let episode = format!("{}/0/1/0", plant.topic);
    plant.printed(&[
        "feedback",
        &episode,
        "expected",
        "--why",
        "a test run",
        "--by",
        "Ada",
    ])?;
    let closed = fake.wait_for(2)?[1].json();
    assert_eq!(
        (&closed["type"], &closed["data"]["explanation"]),
        (
            &json!("anomaly.ended"),
            &json!("Ada says that this was expected: a test run")
        )
    );
    plant.printed(&[
        "silence", "add", "boiler-*", "--for", "1h", "--why", "filters", "--by", "Ada",
    ])?;
    stop(running)?;
    let running = start()?;
    plant.publish(1, &["worsened", "ended"])?;
    plant.publish(2, &["opened"])?;
    let listed = eventually("the silenced episode is known", END_LIMIT, || {
        let listed = plant.printed(&["alert", "list", "--json"])?;
        ensure!(listed.contains("/0/2/0"), "{listed}");
        Ok(listed)
    })?;
    assert!(
        !listed.contains("\"open\":true,\"receiver\":\"ops\",\"state\":\"told"),
        "{listed}"
    );
    let silences = plant.printed(&["silence", "list"])?;
    let id = silences
        .lines()
        .last()
        .context("a silence")?
        .split_whitespace()
        .next()
        .context("its id")?;
    assert_eq!(
        fake.asked().len(),
        2,
        "nobody is told of what is silenced, or was closed"
    );
    plant.printed(&["silence", "end", id])?;
    let told_of: Vec<_> = fake
        .wait_for(3)?
        .iter()
        .map(told)
        .map(|(_, episode, kind)| (episode, kind))
        .collect();
    assert_eq!(
        told_of[2],
        (format!("{}/0/2/0", plant.topic), "anomaly.opened".to_owned())
    );
    stop(running)
}

#[test]
fn an_alertmanager_that_forgets_over_a_restart_is_told_of_the_end() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(program) = require("Debian's Alertmanager", debians_alertmanager()) else {
        return Ok(());
    };
    let webhook = Fake::start(|_| Reply::new(200, ""))?;
    let mut alertmanager = Alertmanager::start(&program, &webhook.url("/"))?;
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    let plant = Plant::new(kafka, "told-alertmanager", &fake)?;
    let mut command = plant.alert_run(&[]);
    command.env("STREAMGAUGE__ALERT__RECEIVER__PROMETHEUS__KIND", "alertmanager");
    command.env(
        "STREAMGAUGE__ALERT__RECEIVER__PROMETHEUS__URL",
        alertmanager.url(),
    );
    command.env("STREAMGAUGE__ALERT__RECEIVER__PROMETHEUS__GROUP_WAIT", "0s");
    let mut running = Child::start_with_events("alert", &mut command)?;
    running.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    plant.publish(1, &["opened"])?;
    let fires = webhook.wait_for(1)?[0].json();
    assert_eq!(
        (&fires["status"], &fires["alerts"][0]["labels"]["series"]),
        (&json!("firing"), &json!("boiler-0"))
    );
    alertmanager.restart()?;
    plant.publish(1, &["ended"])?;
    assert_eq!(webhook.wait_for(2)?[1].json()["status"], "resolved");
    assert_eq!(fake.wait_for(2)?.len(), 2, "the other receiver, too");
    stop(running)
}

#[test]
fn old_news_pages_nobody() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    let plant = Plant::new(kafka, "old-news", &fake)?;
    let readings = (0..86_400i64).step_by(60).map(|second| {
        let time = (Utc::now() - TimeDelta::days(2) + TimeDelta::seconds(second)).to_rfc3339();
        let value = if second % 3_600 < 600 { 95 } else { 70 };
        let text = format!(
            "{{\"ts\":\"{time}\",\"value\":{value},\"key\":\"boiler-{}\"}}",
            second / 60 % 8
        );
        NewRecord::new(i32::try_from(second / 60 % 4).unwrap_or_default(), text)
    });
    kafka.produce(&plant.topic, readings.collect::<Vec<_>>())?;
    let mut command = plant.run(&["--available-now", "--set", "reading.max_ahead=36500d"]);
    let mut child = Child::start("run", &mut command)?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", process::tail(&child.output()));
    let published = kafka.read_topic(&plant.anomaly_topic())?.len();
    assert!(published > 40, "{published} messages of episodes");
    assert!(child.stderr().contains("ops: 0 told"), "{}", child.stderr());
    assert_eq!(fake.asked().len(), 0);
    Ok(())
}

#[test]
fn every_transition_is_told_once_whatever_is_killed() -> Result<()> {
    const KILLS: u64 = 25;
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    // Half of the requests fail; of these half have been taken nevertheless.
    let fake = Fake::start(|_| match REQUESTS.fetch_add(1, Ordering::Relaxed) % 4 {
        0 | 2 => Reply::new(204, ""),
        1 => Reply::new(500, "taken, and not said"),
        _ => Reply::new(503, "not taken"),
    })?;
    let plant = Plant::new(kafka, "told-killed", &fake)?;
    let mut random = Random(seed());
    let mut hot = [false; 8];
    let mut measure_some = |count: u64, random: &mut Random| -> Result<()> {
        for _ in 0..count {
            let boiler = random.below(8);
            let is_hot = &mut hot[usize::try_from(boiler)?];
            *is_hot ^= random.below(3) == 0;
            plant.measure(boiler, if *is_hot { 95.0 } else { 70.0 })?;
        }
        Ok(())
    };
    for _ in 0..KILLS {
        let mut victim = Child::start_with_events("run", &mut plant.run(&[]))?;
        victim.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        let until = Instant::now() + Duration::from_millis(random.below(1_500));
        measure_some(5, &mut random)?;
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        victim.signal(Signal::Kill)?;
    }
    for boiler in 0..8 {
        plant.measure(boiler, 70.0)?;
    }
    let mut last = Child::start_with_events("run", &mut plant.run(&[]))?;
    // An undisturbed run, to a receiver of the same name, of the same episodes.
    let quiet = Fake::start(|_| Reply::new(204, ""))?;
    eventually("all is told", TOLD_LIMIT, || {
        let listed = plant.printed(&["alert", "list", "--json"])?;
        ensure!(
            !listed.is_empty() && !listed.contains("\"open\":true"),
            "{listed}"
        );
        let waits = listed.lines().any(|line| !line.contains("\"waiting\":0"));
        ensure!(!waits, "{listed}");
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    last.signal(Signal::Terminate)?;
    last.wait(END_LIMIT)?;
    let undisturbed = Plant {
        fake: &quiet,
        topic: plant.topic.clone(),
        folder: plant.folder.clone(),
        kafka,
    };
    let mut command = undisturbed.alert_run(&["--available-now", "--group"]);
    command.arg(format!("{}-again", plant.topic));
    let mut again = Child::start("alert", &mut command)?;
    let status = again.wait(END_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", process::tail(&again.output()));
    let (found, expected) = (in_order(&fake.asked())?, in_order(&quiet.asked())?);
    ensure!(
        expected.len() > 15,
        "only {} episodes: the test would show nothing",
        expected.len()
    );
    for (episode, told) in &expected {
        let kinds: BTreeSet<&str> = told.iter().map(|(_, kind)| &**kind).collect();
        assert_eq!(
            kinds,
            BTreeSet::from(["anomaly.ended", "anomaly.opened"]),
            "{episode}"
        );
        assert_eq!(found.get(episode), Some(told), "{episode}");
    }
    assert_eq!(found.len(), expected.len());
    Ok(())
}

#[test]
fn whoever_was_frozen_tells_nothing_that_is_over() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let fake = Fake::start(|_| Reply::new(204, ""))?;
    fake.first((0..4).map(|_| Reply::new(503, "")));
    let plant = Plant::new(kafka, "told-frozen", &fake)?;
    kafka.create_topic(&plant.anomaly_topic(), 1)?;
    let mut zombie = Child::start_with_events("alert", &mut plant.alert_run(&[]))?;
    zombie.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    plant.publish(1, &["opened"])?;
    // It has tried some times in vain, and will try again.
    fake.wait_for(3)?;
    zombie.signal(Signal::Stop)?;
    let mut successor = Child::start_with_events("alert", &mut plant.alert_run(&[]))?;
    successor.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
    successor.wait_for_event(ALERT_SENT, &[], END_LIMIT)?;
    plant.publish(1, &["ended"])?;
    eventually("its end is told", END_LIMIT, || {
        let asked = fake.asked();
        let is_over = asked.iter().any(|asked| told(asked).2 == "anomaly.ended");
        ensure!(is_over, "{} requests", asked.len());
        Ok(())
    })?;
    zombie.signal(Signal::Continue)?;
    std::thread::sleep(Duration::from_secs(5));
    in_order(&fake.asked())?;
    stop(zombie)?;
    stop(successor)
}
