//! Prometheus Alertmanager, API v2.
//!
//! An alert is its labels, so nothing that changes during an episode is one: not the severity, not the value, not the
//! episode's id. Alertmanager forgets alerts when it restarts, and what ends is an alert whose `endsAt` has passed; so
//! an open episode is sent again and again, and its end for a while.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Request, SendError, Task};
use crate::alerts::{Kind, Message, Notification, text};

/// How often Prometheus sends what is firing.
pub(super) const RESEND_INTERVAL: Duration = Duration::from_secs(60);
/// How long Prometheus sends what has ended, at least.
pub(super) const RESEND_END_FOR: Duration = Duration::from_secs(300);
/// When an alert that is no longer sent ends by itself. Long: that nothing is heard from us is no recovery.
const ENDS_WITHOUT_US_AFTER: TimeDelta = TimeDelta::hours(1);
/// A test that nobody ends is over soon.
const TEST_ENDS_AFTER: TimeDelta = TimeDelta::minutes(5);
/// The most characters of a label.
const LONGEST_LABEL: usize = 1_000;
const LONGEST_ANNOTATION: usize = 4_000;

pub(super) fn requests(task: &Task<'_>) -> Result<Vec<Request>, SendError> {
    let Message::Episode(notification) = task.message else {
        return Err(SendError::NoDigests { kind: "alertmanager" });
    };
    let url = format!("{}/api/v2/alerts", task.secrets.url.trim_end_matches('/'));
    let request = Request::json(url, &json!([alert(notification, task.now)]));
    let request = match (&*task.settings.user, &*task.secrets.token) {
        ("", "") => request,
        ("", token) => request.with("authorization", format!("Bearer {token}")),
        (user, _) => {
            let pair = STANDARD.encode(format!("{user}:{}", task.secrets.password));
            request.with("authorization", format!("Basic {pair}"))
        }
    };
    Ok(vec![request])
}

fn alert(notification: &Notification, now: DateTime<Utc>) -> Value {
    // Alertmanager refuses an end before the beginning, and takes one in the future for none.
    let starts_at = notification.opened_at.to_utc().min(now);
    let ends_at = match notification.kind {
        Kind::Ended => notification.at.to_utc().clamp(starts_at, now),
        _ if notification.is_test => now + TEST_ENDS_AFTER,
        Kind::Opened | Kind::Worsened | Kind::Reminded => now + ENDS_WITHOUT_US_AFTER,
    };
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut alert = json!({
        "labels": labels(notification),
        "annotations": annotations(notification),
        "startsAt": time(starts_at),
        "endsAt": time(ends_at),
    });
    if let Some(link) = &notification.link {
        alert["generatorURL"] = json!(link);
    }
    alert
}

fn labels(notification: &Notification) -> Map<String, Value> {
    let name = if notification.is_test {
        "StreamgaugeTest"
    } else {
        "StreamgaugeAnomaly"
    };
    let labels = [
        ("alertname", Some(name)),
        ("series", notification.series.as_deref()),
        ("measure", notification.measure.as_deref()),
        ("detector", Some(&*notification.detector)),
        ("rule", notification.rule.as_deref()),
    ];
    let given = labels
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(label(value?)))));
    given.collect()
}

/// A label's value. Two that differ stay different when they are cut.
fn label(value: &str) -> String {
    if value.chars().count() <= LONGEST_LABEL {
        return value.to_owned();
    }
    let hash = Sha256::digest(value);
    let mark: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{mark}", text::cut(value, LONGEST_LABEL - mark.len()))
}

fn annotations(notification: &Notification) -> Map<String, Value> {
    let number = |number: Option<f64>| number.map(|number| number.to_string());
    let message = Message::Episode(notification.clone());
    let annotations = [
        ("summary", Some(text::title(&message))),
        ("description", Some(text::body(&message).join("\n"))),
        ("severity", Some(notification.severity.name().to_owned())),
        ("value", number(notification.value)),
        ("expected", number(notification.expected)),
        ("lower", number(notification.lower)),
        ("upper", number(notification.upper)),
        (
            "unit",
            Some(notification.unit.clone()).filter(|unit| !unit.is_empty()),
        ),
        ("cause", Some(notification.cause.clone())),
        ("episode", Some(notification.episode.clone())),
    ];
    let given = annotations
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(text::cut(&value?, LONGEST_ANNOTATION)))));
    given.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::fixture::{body, requests, settings};
    use crate::alerts::{ReceiverSettings, Severity};

    fn alertmanager() -> ReceiverSettings {
        settings(&[("kind", "alertmanager"), ("url", "http://127.0.0.1:9093/")])
    }

    #[test]
    fn what_fires_and_what_ends_have_the_same_labels_and_both_times() {
        let fires = body(&alertmanager(), &Message::Episode(opened()));
        assert_eq!(
            fires,
            json!([{
                "labels": { "alertname": "StreamgaugeAnomaly", "series": "boiler-7", "detector": "adaptive-band" },
                "annotations": {
                    "summary": "Warning: boiler-7",
                    "description": "93.5 °C is above the usual 60 to 80 °C.",
                    "severity": "warning",
                    "value": "93.5",
                    "expected": "70",
                    "lower": "60",
                    "upper": "80",
                    "unit": "°C",
                    "cause": "point",
                    "episode": "3f2a",
                },
                "startsAt": "2026-11-27T06:33:00.000Z",
                "endsAt": "2026-11-27T07:59:00.000Z",
                "generatorURL": "https://meters.example/boiler-7",
            }])
        );
        let ends = body(&alertmanager(), &Message::Episode(ended()));
        assert_eq!(ends[0]["labels"], fires[0]["labels"]);
        assert_eq!(ends[0]["startsAt"], fires[0]["startsAt"]);
        assert_eq!(ends[0]["endsAt"], "2026-11-27T06:58:00.000Z");
        let critical = Notification {
            severity: Severity::Critical,
            ..opened()
        };
        assert_eq!(
            body(&alertmanager(), &Message::Episode(critical))[0]["labels"],
            fires[0]["labels"]
        );
    }

    #[test]
    fn an_end_of_a_clock_that_is_ahead_is_now() {
        let ahead = TimeDelta::hours(2);
        let ended = Notification {
            opened_at: opened().at + ahead,
            at: ended().at + ahead,
            ..ended()
        };
        let alert = &body(&alertmanager(), &Message::Episode(ended))[0];
        assert_eq!(
            (&alert["startsAt"], &alert["endsAt"]),
            (
                &json!("2026-11-27T06:59:00.000Z"),
                &json!("2026-11-27T06:59:00.000Z")
            )
        );
    }

    #[test]
    fn long_keys_are_cut_and_stay_different() {
        let label_of = |end: &str| {
            let series = Some(format!("{}{end}", "ü".repeat(5_000)));
            body(
                &alertmanager(),
                &Message::Episode(Notification { series, ..opened() }),
            )[0]["labels"]["series"]
                .clone()
        };
        assert_ne!(label_of("1"), label_of("2"));
        assert_eq!(label_of("1").as_str().unwrap().chars().count(), LONGEST_LABEL);
    }

    #[test]
    fn credentials_go_into_the_header() {
        let header = |fields: &[(&str, &str)]| {
            let all = [
                &[("kind", "alertmanager"), ("url", "https://am.example/am")],
                fields,
            ]
            .concat();
            let request = requests(&settings(&all), &Message::Episode(opened()), None)
                .unwrap()
                .remove(0);
            assert_eq!(request.url, "https://am.example/am/api/v2/alerts");
            request.headers[1..].to_vec()
        };
        assert_eq!(header(&[]), []);
        assert_eq!(
            header(&[("token", "t")]),
            [("authorization", "Bearer t".to_owned())]
        );
        assert_eq!(
            header(&[("user", "u"), ("password", "p")]),
            [("authorization", "Basic dTpw".to_owned())]
        );
    }

    #[test]
    fn digests_are_not_for_it() {
        let answer = requests(&alertmanager(), &Message::Digest(storm([], 3)), None);
        assert!(matches!(answer, Err(SendError::NoDigests { .. })));
    }
}
