//! What people may say, by `docs/feedback.schema.json` and by the program: both take the same messages.

use chrono::DateTime;
use serde_json::{Value, json};
use streamgauge::feedback::{About, Feedback, Opinion, Opinions, Scope, Silence, Verdict};
use streamgauge_testkit::require;

use crate::anomaly_schema::{complaints, validator};

const SCHEMA: &str = "feedback.schema.json";
const EPISODE: &str = "usage/3/1234/0";
const STRETCH: &str = "2026-11-27T06:33:00Z/2026-11-27T07:00:00Z/boiler-7";

/// Messages as the program writes them, with all there can be and with as little as there can be.
fn written() -> Vec<(String, Value)> {
    let time = |text| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let (begin, end) = (time("2026-11-27T06:33:00Z"), time("2026-11-27T07:33:00.25Z"));
    let episode = About::Episode {
        id: EPISODE.to_owned(),
        series: Some(None),
        measure: None,
        detector: None,
        since: None,
        until: None,
    };
    let known = About::Episode {
        id: EPISODE.to_owned(),
        series: Some(Some("boiler-7".to_owned())),
        measure: Some("power".to_owned()),
        detector: Some("rules".to_owned()),
        since: Some(begin),
        until: Some(end),
    };
    let span = |series: Option<&str>| About::Span {
        series: series.map(str::to_owned),
        from: begin,
        to: end,
    };
    let said = |about, verdict, scope, until| {
        Opinion::Feedback(Feedback {
            about,
            verdict,
            scope,
            until,
            by: Some("anna".to_owned()),
            note: Some("test".to_owned()),
            at: Some(begin),
        })
    };
    let silence = Silence {
        id: "3f2a9c01b7de".to_owned(),
        pattern: "boiler-*".to_owned(),
        begin: Some(begin),
        until: Some(end),
        until_resolved: None,
        why: "maintenance".to_owned(),
        by: None,
    };
    let until_resolved = Silence {
        until: None,
        until_resolved: Some(EPISODE.to_owned()),
        ..silence.clone()
    };
    let opinions = [
        said(episode.clone(), Verdict::Expected, Scope::This, None),
        said(known.clone(), Verdict::Real, Scope::This, None),
        said(known.clone(), Verdict::Expected, Scope::Series, Some(end)),
        said(known, Verdict::Expected, Scope::Slot, Some(end)),
        said(episode, Verdict::Withdrawn, Scope::This, None),
        said(span(Some("a/b")), Verdict::Missed, Scope::This, None),
        said(span(None), Verdict::Withdrawn, Scope::This, None),
        Opinion::Silence(silence),
        Opinion::Silence(until_resolved),
    ];
    opinions
        .iter()
        .map(|opinion| (opinion.key(), serde_json::from_str(&opinion.json()).unwrap()))
        .collect()
}

/// Messages of others.
fn foreign() -> Vec<(String, Value)> {
    let stretch =
        json!({"series": "boiler-7", "from": "2026-11-27T07:33:00+01:00", "to": "2026-11-27T07:00:00Z"});
    let messages = [
        (EPISODE, json!({"about": {"episode": EPISODE}, "verdict": "real"})),
        (
            EPISODE,
            json!({"about": {"episode": EPISODE, "page": 7}, "verdict": "expected", "scope": null, "mood": "good"}),
        ),
        (STRETCH, json!({"about": stretch, "verdict": "missed"})),
        (
            "a",
            json!({"silence": "a", "series": "*", "why": "move", "until": "2026-11-27T07:00:00+01:00"}),
        ),
    ];
    messages
        .into_iter()
        .map(|(key, message)| (key.to_owned(), message))
        .collect()
}

/// Messages that say nothing: one of the above with one field changed, or without it.
fn broken() -> Vec<(String, Value)> {
    let (episode, stretch, silence) = (0, 2, 3);
    let changes = [
        (episode, "/version", json!(2)),
        (episode, "/about", json!("usage/3/1234/0")),
        (episode, "/about", json!({})),
        (episode, "/about/episode", json!("usage/3/1234")),
        (episode, "/about/series", json!("")),
        (episode, "/about/since", json!("yesterday")),
        (episode, "/verdict", Value::Null),
        (episode, "/verdict", json!("good")),
        (episode, "/verdict", json!("missed")),
        (episode, "/scope", json!("all")),
        (episode, "/scope", json!("series")),
        (episode, "/until", json!("2026-12-01T00:00:00Z")),
        (episode, "/by", json!(7)),
        (episode, "/note", json!("x".repeat(4_097))),
        (episode, "/silence", json!("a")),
        (stretch, "/about/from", Value::Null),
        (stretch, "/about/to", json!("2026-11-27 07:00")),
        (stretch, "/scope", json!("slot")),
        (silence, "/silence", json!("a b")),
        (silence, "/series", json!("")),
        (silence, "/why", Value::Null),
        (silence, "/until", Value::Null),
        (silence, "/until_resolved", json!("boiler-7")),
    ];
    let valid = foreign();
    let broken = changes.into_iter().map(|(place, pointer, value)| {
        let (key, mut message) = valid[place].clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        message.pointer_mut(parent).unwrap()[field] = value;
        (key, message)
    });
    broken.collect()
}

/// Why the program takes no message of this key.
fn refusal((key, message): &(String, Value)) -> Option<String> {
    let folded = Opinions::default().fold(key.as_bytes(), Some(message.to_string().as_bytes()));
    folded.err().map(|malformed| malformed.to_string())
}

#[test]
fn the_schema_takes_what_the_program_takes() {
    let Some(python) = require("jsonschema in Python", validator()) else {
        return;
    };
    let only_values = |messages: &[(String, Value)]| -> Vec<Value> {
        messages.iter().map(|(_, message)| message.clone()).collect()
    };
    let valid = [written(), foreign()].concat();
    let by_schema = complaints(&python, SCHEMA, &only_values(&valid)).unwrap();
    for (message, complaints) in valid.iter().zip(by_schema) {
        assert_eq!(complaints, [""; 0], "{message:?}");
        assert_eq!(refusal(message), None, "{message:?}");
    }
    let broken = broken();
    let by_schema = complaints(&python, SCHEMA, &only_values(&broken)).unwrap();
    for (message, complaints) in broken.iter().zip(by_schema) {
        assert_ne!(complaints, [""; 0], "{message:?}");
        let refusal = refusal(message).unwrap_or_else(|| panic!("{message:?} is refused"));
        assert!(!refusal.starts_with("its key"), "{refusal}");
    }
}
