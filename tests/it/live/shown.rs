//! What the page shows is what was measured, judged and published.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use serde_json::Value;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, run};
use streamgauge_testkit::{eventually, require};

use super::{HOSTILE, Meters, START_MS, STEP_MS, Site, encoded};
use crate::stream::{END_LIMIT, stop};

const KEYS: [&str; 4] = ["meter-0", "meter-1", "meter-2", "meter-3"];
const STEPS: i64 = 3_000;

/// Anomalies as they were published: by key and event time, what was said of them.
fn published(kafka: &Kafka, topic: &str) -> Result<BTreeMap<(String, i64), Value>> {
    let mut found = BTreeMap::new();
    for record in kafka.read_topic(topic)? {
        let message: Value = serde_json::from_slice(&record.value.context("a value")?)?;
        if message["phase"] == "ended" {
            continue;
        }
        let time = DateTime::parse_from_rfc3339(message["ts"].as_str().context("ts")?)?;
        let key = message["key"].as_str().unwrap_or_default().to_owned();
        found.insert((key, time.timestamp_millis()), message);
    }
    Ok(found)
}

/// Each anomaly's point has the band and the score that it was published by; no other point is one. Returns how many.
fn assert_as_published(
    site: &Site,
    keys: &[&str],
    published: &BTreeMap<(String, i64), Value>,
) -> Result<usize> {
    let mut compared = 0;
    for key in keys {
        let points = site.get(&format!("/api/points?key={}&width=4000", encoded(key)))?;
        let times = points["time"].as_array().context("times")?;
        ensure!(times.len() as i64 >= STEPS, "{key}: {} points", times.len());
        for (index, time_ms) in times.iter().enumerate() {
            let message = published.get(&((*key).to_owned(), time_ms.as_i64().context("a time")?));
            let of = |column: &str| &points[column][index];
            ensure!(
                *of("is_anomaly") == i32::from(message.is_some()),
                "{key} at {time_ms}"
            );
            let Some(message) = message else { continue };
            for column in ["lower", "upper", "expected", "value"] {
                ensure!(of(column) == &message[column], "{key} at {time_ms}: {column}");
            }
            let (score, told) = (of("score").as_f64(), message["score"].as_f64());
            let (score, told) = (score.context("a score")?, told.context("its score")?);
            ensure!(
                (score - told).abs() <= 1e-6 * told.abs(),
                "{key} at {time_ms}: {score} and {told}"
            );
            compared += 1;
        }
    }
    Ok(compared)
}

fn judge_all(meters: &Meters<'_>) -> Result<()> {
    let settings = [("LIVE__LISTEN", "")];
    run(
        "detect",
        meters.command("detect", &settings).arg("--available-now"),
        END_LIMIT,
    )?;
    run(
        "aggregate",
        meters.command("aggregate", &settings).arg("--available-now"),
        END_LIMIT,
    )
    .map(drop)
}

#[test]
fn bands_and_episodes_are_those_that_were_published_also_after_a_restart() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-shown")?;
    meters.produce(&KEYS, 0..STEPS)?;
    judge_all(&meters)?;
    let first = published(kafka, &meters.anomaly_topic())?;
    ensure!(first.len() >= 4, "{first:?}");

    let (running, site) = meters.start("live", &[])?;
    site.shows(4 * STEPS as u64, kafka, &meters.anomaly_topic())?;
    assert_eq!(assert_as_published(&site, &KEYS, &first)?, first.len());
    let averages = site.get("/api/averages?key=meter-1")?;
    let counted: i64 = averages["count"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .sum();
    // The last windows are still open.
    assert!((STEPS - 30..=STEPS).contains(&counted), "{counted}");
    stop(running)?;

    // A replica that reads only the end starts from the detecting side's own state, and goes on as that does.
    let history = [("LIVE__HISTORY_READINGS", "200")];
    let (running, site) = meters.start("live", &history)?;
    eventually("the history is read", END_LIMIT, || {
        let health = site.get("/api/health")?;
        ensure!(health["replica"]["read"] == 200, "{health}");
        Ok(())
    })?;
    meters.produce(&KEYS, STEPS..2 * STEPS)?;
    judge_all(&meters)?;
    let all = published(kafka, &meters.anomaly_topic())?;
    let later: BTreeMap<_, _> = all
        .into_iter()
        .filter(|(place, _)| !first.contains_key(place))
        .collect();
    ensure!(later.len() >= 4, "{later:?}");
    site.shows(200 + 4 * STEPS as u64, kafka, &meters.anomaly_topic())?;
    assert_eq!(assert_as_published(&site, &KEYS, &later)?, later.len());
    stop(running)
}

#[test]
fn a_reading_is_shown_soon_and_whatever_is_no_reading_is_told() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-soon")?;
    meters.produce(&HOSTILE, 0..30)?;
    let (running, site) = meters.start("run", &[])?;
    site.shows(90, kafka, &meters.anomaly_topic())?;
    let listed = site.get("/api/series?sort=name")?;
    let keys: Vec<&str> = listed["series"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["key"].as_str())
        .collect();
    let mut expected = HOSTILE.to_vec();
    expected.sort_unstable();
    assert_eq!(keys, expected, "as they are: the page makes text of them");
    for key in HOSTILE {
        let points = site.get(&format!("/api/points?key={}", encoded(key)))?;
        assert_eq!(points["cursor"], 30, "{key:?}");
    }

    let broken = streamgauge_testkit::kafka::NewRecord::new(0, "{\"ts\": \"<b>never</b>\"");
    kafka.produce(&meters.topic, [broken])?;
    let letters = eventually("the dead letter is shown", END_LIMIT, || {
        let letters = site.get("/api/dead-letters")?;
        ensure!(letters["reasons"][0]["count"] == 1, "{letters}");
        Ok(letters)
    })?;
    assert_eq!(letters["reasons"][0]["reason"], "invalid_json");
    assert_eq!(
        letters["reasons"][0]["newest"][0]["value"],
        "{\"ts\": \"<b>never</b>\""
    );

    let before = site.get(&format!(
        "/api/changes?selected=1&cursor=30&key={}",
        encoded(HOSTILE[0])
    ))?;
    assert_eq!(before["points"], Value::Null);
    let time_ms = START_MS + 30 * STEP_MS;
    kafka.produce(&meters.topic, [super::reading(0, HOSTILE[0], time_ms, 777.5)])?;
    let seen = before["seen"].as_u64().context("a number")?;
    let path = format!(
        "/api/changes?selected=1&cursor=30&seen={seen}&key={}",
        encoded(HOSTILE[0])
    );
    let changes = eventually("the reading is shown", END_LIMIT, || {
        let changes = site.get(&path)?;
        ensure!(
            changes["points"]["value"] == serde_json::json!([777.5]),
            "{changes}"
        );
        Ok(changes)
    })?;
    assert_eq!(
        (&changes["points"]["first"], &changes["points"]["cursor"]),
        (&30.into(), &31.into())
    );
    let changed: Vec<_> = changes["series"].as_array().into_iter().flatten().collect();
    assert_eq!(changed.len(), 1, "{changes}");
    let sinks = &changes["health"]["sinks"];
    assert_eq!(
        (&sinks[0]["name"], &sinks[1]["name"]),
        (&"table".into(), &"anomalies".into())
    );
    assert_state(&site, "fine")?;
    stop(running)
}

fn assert_state(site: &Site, state: &str) -> Result<()> {
    eventually("its state", END_LIMIT, || {
        let health = site.get("/api/health")?;
        ensure!(health["state"] == state, "{health}");
        Ok(())
    })
}

#[test]
fn a_topic_that_is_made_anew_is_shown_anew() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-anew")?;
    meters.produce(&["old"], 0..50)?;
    let (running, site): (Child, Site) = meters.start("live", &[])?;
    let series = |wanted: &str| {
        eventually("the series is shown", END_LIMIT, || {
            let listed = site.get("/api/series")?;
            ensure!(
                listed["total"] == 1 && listed["series"][0]["key"] == wanted,
                "{listed}"
            );
            Ok(())
        })
    };
    series("old")?;
    let boot = site.get("/api/about")?["boot"].clone();
    kafka.delete_topic(&meters.topic)?;
    kafka.create_topic(&meters.topic, 2)?;
    meters.produce(&["new"], 0..20)?;
    series("new")?;
    assert_ne!(
        site.get("/api/about")?["boot"],
        boot,
        "numbers mean other things now"
    );
    assert_state(&site, "fine")?;
    stop(running)
}

#[test]
fn a_broker_that_is_away_is_said_and_waited_for() -> Result<()> {
    let Some(mut private) = require("Apache Kafka", Kafka::private()) else {
        return Ok(());
    };
    let client = Kafka::at(private.kafka.brokers());
    let meters = Meters::new(&client, "live-away")?;
    meters.produce(&["meter-0"], 0..50)?;
    let (running, site) = meters.start("live", &[])?;
    let shows = |count: u64| {
        eventually("the readings are shown", END_LIMIT, || {
            let points = site.get("/api/points?key=meter-0")?;
            ensure!(points["cursor"] == count, "{}", points["cursor"]);
            Ok(())
        })
    };
    shows(50)?;
    private.stop()?;
    assert_state(&site, "broken")?;
    let sentence = site.get("/api/health")?["sentence"].clone();
    ensure!(
        sentence
            .as_str()
            .is_some_and(|words| words.contains("Kafka cannot be reached")),
        "{sentence}"
    );
    private.start()?;
    meters.produce(&["meter-0"], 50..60)?;
    shows(60)?;
    assert_state(&site, "fine")?;
    stop(running)
}
