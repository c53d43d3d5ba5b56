//! The messages that are published, of every cause, against `docs/anomaly.schema.json` with another program's
//! validator.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use streamgauge::config::{Overrides, load};
use streamgauge::detectors::{Anomaly, Cause, MessageContext, Observation, Series, Slot, Verdict, models};
use streamgauge_testkit::cache::python_environment;
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::require;

const MINUTE_MS: i64 = 60_000;

fn context() -> MessageContext {
    MessageContext {
        topic: "usage".to_owned(),
        group: "streamgauge-detect".to_owned(),
        unit: "kW".to_owned(),
        value_name: "value".to_owned(),
    }
}

fn message(key: &str, event_time_ms: i64, value: Option<f64>, verdict: Verdict) -> Value {
    let anomaly = Anomaly {
        partition: 0,
        offset: 7,
        index: 0,
        key: key.into(),
        measure: None,
        event_time_ms,
        local_time_ms: event_time_ms - 4 * 60 * MINUTE_MS,
        value,
        verdict,
    };
    serde_json::from_str(&anomaly.json(&context())).unwrap()
}

/// One message of each cause that scores, with everything there can be and with as little as there can be.
fn scored() -> Vec<Value> {
    let causes = [
        ("isolation-forest", Cause::Isolated),
        ("half-space-trees", Cause::SparseRegion),
        ("adaptive-band", Cause::Point),
        ("adaptive-band", Cause::Hour),
        ("adaptive-band", Cause::Range),
        ("adaptive-band", Cause::Stuck),
    ];
    let messages = |(detector, cause): (&'static str, Cause)| {
        let least = Verdict {
            is_anomaly: true,
            score: 0.75,
            cause,
            ..Verdict::learning(detector, 0.5)
        };
        let most = Verdict {
            expected: Some(640.0),
            lower: Some(612.0),
            upper: Some(655.2),
            slot: Some(Slot::of(0, MINUTE_MS)),
            comparables: Some(12),
            ..least.clone()
        };
        [
            message("", 250, Some(1e-9), least),
            message("Zähler \"7\"\n", 0, Some(820.8), most),
        ]
    };
    causes.into_iter().flat_map(messages).collect()
}

/// Messages of rules of every form, as the detector publishes them.
fn ruled() -> Vec<Value> {
    let conditions = "above 90 for 10m; below 5; changes by 50 within 1m; silent for 15m";
    let overrides = Overrides::default()
        .with("detect.detector", "a test", Some("none"))
        .with("detect.rules.boiler-*", "a test", Some(conditions));
    let settings = load(&overrides, None, []).unwrap().config.pipeline;
    let models = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )
    .unwrap();
    let mut series = Series::new(&models, "boiler-7");
    let mut messages = Vec::new();
    let mut verdicts = Vec::new();
    for (minute, value) in [
        (0, Some(95.0)),
        (10, Some(95.0)),
        (11, Some(2.0)),
        (13, Some(50.0)),
        (29, None),
        (30, Some(50.0)),
        (60, Some(50.0)),
    ] {
        let event_time_ms = minute * MINUTE_MS;
        match value {
            Some(value) => {
                let observation = Observation {
                    event_time_ms,
                    local_time_ms: event_time_ms,
                    value,
                };
                series.observe(observation, &mut verdicts);
            }
            None => series.elapse(event_time_ms, &mut verdicts),
        }
        messages.extend(
            verdicts
                .drain(..)
                .map(|verdict| message("boiler-7", event_time_ms, value, verdict)),
        );
    }
    messages
}

/// Invalid messages: a valid one with one field changed, or without it.
fn broken() -> Vec<Value> {
    let valid = scored().remove(1);
    let changes = [
        ("score", Value::Null),
        ("cause", json!("learning")),
        ("cause", json!("rule_began")),
        ("value", Value::Null),
        ("value", json!("820.8")),
        ("ts", json!("2024-06-25 08:10:00")),
        ("slot", json!("Tue 8:10")),
        ("comparables", json!(1.5)),
        ("severity", json!("cleared")),
        ("detector", json!("rules")),
        ("more", json!(1)),
    ];
    let changed = changes.map(|(field, value)| {
        let mut message = valid.clone();
        message[field] = value;
        message
    });
    let mut incomplete = valid.clone();
    incomplete.as_object_mut().unwrap().shift_remove("key");
    changed.into_iter().chain([incomplete]).collect()
}

/// The validator's complaints about each message.
fn complaints(python: &Path, messages: &[Value]) -> Result<Vec<Vec<String>>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let file = scratch_folder("anomaly-schema").join("messages.jsonl");
    std::fs::write(&file, lines)?;
    let mut validator = Command::new(python);
    validator
        .arg(project.join("tests/schema/validate.py"))
        .arg(project.join("docs/anomaly.schema.json"))
        .arg(file);
    let output = run("jsonschema", &mut validator, Duration::from_secs(60))?;
    let complaints: Vec<Vec<String>> = output
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(
        complaints.len() == messages.len(),
        "not every message was validated:\n{output}"
    );
    Ok(complaints)
}

#[test]
fn messages_of_every_cause_are_valid_and_broken_ones_are_not() {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/requirements.txt");
    let Some(python) = require("jsonschema in Python", python_environment(&requirements)) else {
        return;
    };
    let messages: Vec<Value> = scored().into_iter().chain(ruled()).collect();
    let causes: BTreeSet<&str> = messages
        .iter()
        .filter_map(|message| message["cause"].as_str())
        .collect();
    let schema: Value = serde_json::from_str(include_str!("../../docs/anomaly.schema.json")).unwrap();
    let known: Vec<&str> = schema["properties"]["cause"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(causes, BTreeSet::from_iter(known), "one of each cause");
    assert!(messages.iter().any(|message| message["value"].is_null()));
    for (message, complaints) in messages.iter().zip(complaints(&python, &messages).unwrap()) {
        assert_eq!(complaints, [""; 0], "{message}");
    }
    let broken = broken();
    for (message, complaints) in broken.iter().zip(complaints(&python, &broken).unwrap()) {
        assert_ne!(complaints, [""; 0], "{message}");
    }
}
