//! PagerDuty, Events API v2: one incident for each episode, opened and resolved under the episode's id.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Request, SendError, Task};
use crate::alerts::{Kind, Message, Notification, text};

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
const LONGEST_KEY: usize = 255;
const LONGEST_SUMMARY: usize = 1_024;
/// Of every other text; an event may have 512 kB.
const LONGEST_TEXT: usize = 4_000;

pub(super) fn requests(task: &Task<'_>) -> Result<Vec<Request>, SendError> {
    let Message::Episode(notification) = task.message else {
        return Err(SendError::NoDigests { kind: "pagerduty" });
    };
    let url = match &*task.secrets.url {
        "" => URL,
        url => url,
    };
    let mut event = json!({
        "routing_key": task.secrets.routing_key,
        "event_action": "resolve",
        "dedup_key": key(&notification.episode),
    });
    if notification.kind != Kind::Ended {
        event["event_action"] = json!("trigger");
        event["payload"] = payload(notification);
        event["client"] = json!("streamgauge");
        if let Some(link) = &notification.link {
            event["client_url"] = json!(link);
            event["links"] = json!([{ "href": link, "text": "Show the series" }]);
        }
    }
    Ok(vec![Request::json(url, &event)])
}

/// The id of an episode, as short as PagerDuty takes it.
fn key(episode: &str) -> String {
    if episode.chars().count() <= LONGEST_KEY {
        return episode.to_owned();
    }
    Sha256::digest(episode)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn payload(notification: &Notification) -> Value {
    let short = |text: &str| text::cut(text, LONGEST_TEXT);
    let message = Message::Episode(notification.clone());
    let summary = format!("{}: {}", text::title(&message), text::body(&message).join(" "));
    let mut payload = json!({
        "summary": text::cut(&summary, LONGEST_SUMMARY),
        "source": short(&text::subject(notification)),
        "severity": notification.severity.name(),
        "timestamp": notification.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "group": short(&notification.detector),
        "class": short(&notification.cause),
    });
    if let Some(measure) = &notification.measure {
        payload["component"] = json!(short(measure));
    }
    let details = text::facts(notification)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(short(&value))));
    payload["custom_details"] = Value::Object(details.collect::<Map<_, _>>());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::ReceiverSettings;
    use crate::alerts::notification::fixture::{ended, opened};
    use crate::alerts::receivers::fixture::{body, requests, settings};

    fn pagerduty() -> ReceiverSettings {
        settings(&[
            ("kind", "pagerduty"),
            ("routing_key", "0123456789abcdef0123456789abcdef"),
        ])
    }

    #[test]
    fn an_episode_is_triggered_and_resolved_under_one_key() {
        let trigger = body(&pagerduty(), &Message::Episode(opened()));
        assert_eq!(
            trigger,
            json!({
                "routing_key": "0123456789abcdef0123456789abcdef",
                "event_action": "trigger",
                "dedup_key": "3f2a",
                "payload": {
                    "summary": "Warning: boiler-7: 93.5 °C is above the usual 60 to 80 °C.",
                    "source": "boiler-7",
                    "severity": "warning",
                    "timestamp": "2026-11-27T07:33:00.000+01:00",
                    "group": "adaptive-band",
                    "class": "point",
                    "custom_details": {
                        "Value": "93.5 °C",
                        "Usual": "70 (60 to 80) °C",
                        "Since": "2026-11-27 07:33:00 +01:00",
                        "Detector": "adaptive-band",
                        "Episode": "3f2a",
                    },
                },
                "client": "streamgauge",
                "client_url": "https://meters.example/boiler-7",
                "links": [{ "href": "https://meters.example/boiler-7", "text": "Show the series" }],
            })
        );
        assert_eq!(
            body(&pagerduty(), &Message::Episode(ended())),
            json!({
                "routing_key": "0123456789abcdef0123456789abcdef",
                "event_action": "resolve",
                "dedup_key": "3f2a",
            })
        );
        let url = &requests(&pagerduty(), &Message::Episode(opened()), None).unwrap()[0].url;
        assert_eq!(url, URL);
    }

    #[test]
    fn its_limits_are_kept() {
        let long = "ü".repeat(300_000);
        let large = Notification {
            episode: long.clone(),
            series: Some(long.clone()),
            measure: Some(long.clone()),
            rule: Some(long.clone()),
            explanation: long,
            ..opened()
        };
        let trigger = body(&pagerduty(), &Message::Episode(large.clone()));
        assert!(trigger.to_string().len() < 512 * 1024);
        assert_eq!(
            trigger["payload"]["summary"].as_str().unwrap().chars().count(),
            1_024
        );
        assert_eq!(trigger["dedup_key"].as_str().unwrap().len(), 64);
        let resolve = body(
            &pagerduty(),
            &Message::Episode(Notification {
                kind: Kind::Ended,
                ..large
            }),
        );
        assert_eq!(resolve["dedup_key"], trigger["dedup_key"]);
    }
}
