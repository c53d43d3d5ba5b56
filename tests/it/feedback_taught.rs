//! What people say changes how readings are judged, at one place of the partition's order: with answers written all the
//! time, killed anywhere, the anomalies are those of a run that is not disturbed and takes the places from the journal.
//!
//! Holds I6 (determinism) and I7 (once out).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal};
use streamgauge_testkit::{eventually, heavy, require};

use crate::judged_topic::{JudgedTopic, Published};
use crate::simulation::seed;
use crate::stream::Random;
use streamgauge::telemetry::events::{ANSWER_APPLIED, PARTITION_ASSIGNED};

/// Until a process has joined the group, however slow the machine is.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// The transaction timeout, and the interval at which the broker looks.
const OPEN_TRANSACTIONS_LIMIT: Duration = Duration::from_secs(60);
const KILLS: u64 = 8;
const COMPACTED: &[(&str, &str)] = &[("cleanup.policy", "compact")];

/// Messages as kcat writes them, about some of the episodes of the detector so far.
fn answers(published: &[Published], random: &mut Random) -> Vec<NewRecord> {
    let of_detector = published
        .iter()
        .filter(|message| message.value.contains("half-space-trees"));
    let episodes: BTreeSet<String> = of_detector
        .filter_map(|message| {
            let value: Value = serde_json::from_str(&message.value).ok()?;
            Some(value["episode"].as_str()?.to_owned())
        })
        .collect();
    let episodes: Vec<String> = episodes.into_iter().collect();
    let mut messages = Vec::new();
    // Mostly the newest: those may be open.
    for episode in episodes.iter().rev().take(6) {
        let verdict = match random.below(3) {
            0 => "withdrawn",
            _ => "real",
        };
        let value = json!({"about": {"episode": episode}, "verdict": verdict}).to_string();
        messages.push(NewRecord {
            key: Some(episode.as_bytes().to_vec()),
            ..NewRecord::new(0, value)
        });
    }
    messages
}

/// A series whose anomalies are all announced.
const ANNOUNCED: &str = "meter-1";

fn announcement() -> NewRecord {
    let (from, to) = ("2023-11-14T22:00:00Z", "2099-01-01T00:00:00Z");
    let about = json!({"series": ANNOUNCED, "from": from, "to": to});
    NewRecord {
        key: Some(format!("{from}/{to}/{ANNOUNCED}").into_bytes()),
        ..NewRecord::new(
            0,
            json!({"about": about, "verdict": "expected", "by": "anna"}).to_string(),
        )
    }
}

#[test]
fn anomalies_survive_kills_while_people_answer() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let seed = seed();
    let mut random = Random(seed);
    let mut judged = JudgedTopic::new(kafka, "judged-taught", seed)?;
    judged.produce(2_000)?;
    judged.detect_all("taught")?;
    let said_topic = format!("{}.feedback", judged.anomaly_topic("taught"));
    let journal_topic = format!("{}.applied", judged.anomaly_topic("taught"));
    kafka.create_topic_with(&said_topic, 1, COMPACTED)?;
    kafka.produce(&said_topic, [announcement()])?;
    let mut applied = 0;
    for kill in 0..KILLS {
        let mut command = judged.detect("taught", &[]);
        if kill % 2 == 0 {
            command.env("STREAMGAUGE__KAFKA__TRANSACTIONAL_ID", &judged.topic);
        }
        kafka.produce(&said_topic, answers(&judged.published("taught")?, &mut random))?;
        let mut victim = Child::start_with_events("detect", &mut command)?;
        victim.wait_for_event(PARTITION_ASSIGNED, &[], JOIN_LIMIT)?;
        let until = Instant::now() + Duration::from_millis(500 + random.below(1_500));
        while Instant::now() < until {
            judged.produce(200)?;
            kafka.produce(&said_topic, answers(&judged.published("taught")?, &mut random))?;
        }
        victim.signal(Signal::Kill)?;
        victim.wait(JOIN_LIMIT)?;
        applied += victim.events(ANSWER_APPLIED).len();
    }
    judged.detect_all("taught")?;
    ensure!(applied > 0, "no answer was applied: the test would show nothing");

    // The same readings with the same journal, by a group that nobody disturbs, and to which nobody says anything.
    let journal = kafka.read_topic(&journal_topic)?;
    ensure!(!journal.is_empty(), "there are places in the journal");
    let copy = format!("{}.applied", judged.anomaly_topic("copy"));
    kafka.create_topic_with(&copy, 1, COMPACTED)?;
    let of_copy = |key: Option<&[u8]>| -> Result<Vec<u8>> {
        let mut key: Value = serde_json::from_slice(key.unwrap_or_default())?;
        key[0] = json!(judged.anomaly_topic("copy"));
        Ok(key.to_string().into_bytes())
    };
    let entries = journal.iter().map(|entry| {
        let value = String::from_utf8(entry.value.clone().unwrap_or_default())?;
        Ok(NewRecord {
            key: Some(of_copy(entry.key.as_deref())?),
            ..NewRecord::new(0, value)
        })
    });
    kafka.produce(&copy, entries.collect::<Result<Vec<_>>>()?)?;
    judged.detect_all("copy")?;
    let expected = in_order(judged.published("copy")?);
    ensure!(expected.len() > 50, "only {} anomalies", expected.len());
    eventually("all anomalies", OPEN_TRANSACTIONS_LIMIT, || {
        let found = in_order(judged.published("taught")?);
        ensure!(
            found == expected,
            "{} anomalies instead of {}",
            found.len(),
            expected.len()
        );
        Ok(())
    })?;
    let is_marked = |message: &&Published| {
        message.key.as_deref() == Some(ANNOUNCED)
            && message.value.contains(r#""severity":"expected""#)
            && message.value.contains("anna has said to expect it")
    };
    ensure!(
        expected.iter().any(|message| is_marked(&message)),
        "nothing is marked as expected"
    );
    // And the answers made a difference.
    judged.detect_all("untaught")?;
    ensure!(
        in_order(judged.published("untaught")?) != expected,
        "nothing was learned"
    );
    Ok(())
}

fn in_order(mut messages: Vec<Published>) -> Vec<Published> {
    messages.sort_by(|left, right| left.key.cmp(&right.key));
    messages
}
