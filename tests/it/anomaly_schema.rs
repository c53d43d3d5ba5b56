//! The messages that are published, of every cause, against `docs/anomaly.schema.json` with another program's
//! validator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use streamgauge::config::{Overrides, load};
use streamgauge::detectors::{
    Anomaly, Cause, EndReason, EpisodeStep, MessageContext, MessageId, MessageIds, Observation, Phase,
    Series, Slot, Verdict, models,
};
use streamgauge_testkit::cache::python_environment;
use streamgauge_testkit::process::{run, scratch_folder};
use streamgauge_testkit::require;

const MINUTE_MS: i64 = 60_000;
const SCHEMA: &str = "anomaly.schema.json";

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
        episode: verdict.episode.unwrap(),
        key: key.into(),
        measure: None,
        event_time_ms,
        local_time_ms: event_time_ms - 4 * 60 * MINUTE_MS,
        value,
        verdict,
    };
    serde_json::from_str(&anomaly.json(&context())).unwrap()
}

const OPENING: MessageId = MessageId { offset: 7, index: 0 };

/// The first message of an episode.
const OPENED: EpisodeStep = EpisodeStep {
    message: OPENING,
    opened: OPENING,
    phase: Phase::Opened,
    since_ms: 250,
    until_ms: None,
};

/// The ends of episodes, for every reason.
fn ended() -> Vec<Value> {
    let end = |detector, reason, rule: Option<&str>, value| {
        let rule = rule.map(Into::into);
        let verdict = Verdict {
            is_anomaly: true,
            cause: Cause::Ended { reason, rule },
            episode: Some(EpisodeStep {
                phase: Phase::Ended,
                until_ms: Some(60_000),
                ..OPENED
            }),
            ..Verdict::learning(detector, 1.0)
        };
        message("boiler-7", 120_000, value, verdict)
    };
    vec![
        end("adaptive-band", EndReason::BackToUsual, None, Some(1.0)),
        end("half-space-trees", EndReason::BecameUsual, None, Some(1.0)),
        end("isolation-forest", EndReason::SeriesForgotten, None, None),
        end("rules", EndReason::SeriesForgotten, Some("above 90"), None),
    ]
}

/// One message of each cause that scores, with everything there can be and with as little as there can be.
fn scored() -> Vec<Value> {
    let causes = [
        ("isolation-forest", Cause::Isolated),
        ("half-space-trees", Cause::SparseRegion),
        ("adaptive-band", Cause::Point),
        (
            "adaptive-band",
            Cause::Hour {
                span_ms: 3_600_000,
                earlier: None,
            },
        ),
        ("adaptive-band", Cause::Range { record_before: None }),
        (
            "adaptive-band",
            Cause::Stuck {
                lasted_ms: 39_600_000,
                longest_before_ms: 10_800_000,
            },
        ),
        (
            "adaptive-band",
            Cause::Trend {
                per_day: 12.3,
                days: 5,
            },
        ),
        (
            "adaptive-band",
            Cause::Glitch {
                before: 1_060.0,
                fell_to: 0.0,
            },
        ),
        (
            "adaptive-band",
            Cause::Reset {
                before: 1_060.0,
                fell_to: 0.0,
            },
        ),
        (
            "adaptive-band",
            Cause::Expected {
                by: Some("anna".into()),
                cause: Box::new(Cause::Point),
            },
        ),
    ];
    let messages = |(detector, cause): (&'static str, Cause)| {
        let least = Verdict {
            is_anomaly: true,
            score: 0.75,
            cause,
            episode: Some(OPENED),
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
    let conditions = "above 90 for 10m; below 5 until above 20; changes by 50 within 1m; silent for 15m";
    let readings = [
        (0, Some(95.0)),
        (10, Some(95.0)),
        (11, Some(2.0)),
        (13, Some(50.0)),
        (29, None),
        (30, Some(50.0)),
        (60, Some(50.0)),
    ];
    let filling = (0..95).map(|hour| (hour * 60, Some(40.0 + 0.5 * hour as f64)));
    let emptied = (95..105).map(|hour| (hour * 60, Some(20.0)));
    let disk: Vec<(i64, Option<f64>)> = filling.chain(emptied).collect();
    [
        reported(conditions, &readings),
        reported("reaches 95 within 3d", &disk),
    ]
    .concat()
}

/// What conditions say of readings at these minutes, and of those at which there is none.
fn reported(conditions: &str, readings: &[(i64, Option<f64>)]) -> Vec<Value> {
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
    for (offset, &(minute, value)) in (0..).zip(readings) {
        let mut ids = MessageIds::of_record(offset);
        let event_time_ms = minute * MINUTE_MS;
        match value {
            Some(value) => {
                let observation = Observation {
                    event_time_ms,
                    local_time_ms: event_time_ms,
                    value,
                };
                series.observe(observation, &mut ids, &mut verdicts);
            }
            None => series.elapse(event_time_ms, &mut ids, &mut verdicts),
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
        ("phase", json!("ended")),
        ("until", json!("2024-06-25T08:10:00-04:00")),
        ("episode", Value::Null),
        ("since", json!(0)),
        ("detector", json!("rules")),
        (
            "trend",
            json!({"per_day": 1, "early": null, "likely": null, "late": null}),
        ),
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

/// The validator's complaints about each message by a schema in `docs`.
pub fn complaints(python: &Path, schema: &str, messages: &[Value]) -> Result<Vec<Vec<String>>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let file = scratch_folder("schema").join("messages.jsonl");
    std::fs::write(&file, lines)?;
    let mut validator = Command::new(python);
    validator
        .arg(project.join("tests/schema/validate.py"))
        .arg(project.join("docs").join(schema))
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

/// A Python with a validator.
pub fn validator() -> Result<PathBuf> {
    python_environment(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/requirements.txt"))
}

#[test]
fn messages_of_every_cause_are_valid_and_broken_ones_are_not() {
    let Some(python) = require("jsonschema in Python", validator()) else {
        return;
    };
    let messages: Vec<Value> = [scored(), ruled(), ended()].concat();
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
    assert!(messages.iter().any(|message| message["trend"].is_object()));
    for (message, complaints) in messages
        .iter()
        .zip(complaints(&python, SCHEMA, &messages).unwrap())
    {
        assert_eq!(complaints, [""; 0], "{message}");
    }
    let broken = broken();
    for (message, complaints) in broken.iter().zip(complaints(&python, SCHEMA, &broken).unwrap()) {
        assert_ne!(complaints, [""; 0], "{message}");
    }
}
