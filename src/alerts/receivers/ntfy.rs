//! ntfy: a message to a topic, as JSON, because headers carry no UTF-8 safely.

use serde_json::json;

use super::{Request, Task};
use crate::alerts::{Kind, Message, Severity, text};

const SERVER: &str = "https://ntfy.sh";
/// Bytes; a longer message would become a file.
const LONGEST_MESSAGE: usize = 4_000;
const LONGEST_TITLE: usize = 250;
const LONGEST_LINK: usize = 1_500;

pub(super) fn requests(task: &Task<'_>) -> Vec<Request> {
    let server = match task.secrets.url.trim_end_matches('/') {
        "" => SERVER,
        url => url,
    };
    let (priority, tag) = urgency(task.message);
    let mut lines = text::body(task.message);
    if let Message::Episode(notification) = task.message {
        lines.extend(
            text::facts(notification)
                .iter()
                .map(|(name, value)| format!("{name}: {}", text::cut_bytes(value, 300))),
        );
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|line| text::cut_bytes(line, LONGEST_MESSAGE / 3))
        .collect();
    let message = text::cut_lines(&lines, LONGEST_MESSAGE, 1, char::len_utf8).join("\n");
    let mut body = json!({
        "topic": task.secrets.topic,
        "title": text::cut_bytes(&text::title(task.message), LONGEST_TITLE),
        "message": message,
        "priority": priority,
        "tags": [tag],
    });
    if let Some(link) = text::link(task.message).filter(|link| link.len() <= LONGEST_LINK) {
        body["click"] = json!(link);
    }
    let request = Request::json(format!("{server}/"), &body);
    vec![match &*task.secrets.token {
        "" => request,
        token => request.with("authorization", format!("Bearer {token}")),
    }]
}

/// The priority, which decides how loud a phone is, and the name of a symbol.
fn urgency(message: &Message) -> (u8, &'static str) {
    match message {
        Message::Episode(notification) if notification.kind == Kind::Ended => (2, "white_check_mark"),
        Message::Digest(_) => (3, "warning"),
        _ if message.severity() == Severity::Critical => (5, "rotating_light"),
        _ => (3, "warning"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::fixture::{body, requests, settings};
    use crate::alerts::{Notification, ReceiverSettings};

    fn ntfy() -> ReceiverSettings {
        settings(&[("kind", "ntfy"), ("topic", "meters"), ("token", "tk_1")])
    }

    #[test]
    fn a_phone_shows_what_happened() {
        assert_eq!(
            body(&ntfy(), &Message::Episode(opened())),
            json!({
                "topic": "meters",
                "title": "Warning: boiler-7",
                "message": "93.5 °C is above the usual 60 to 80 °C.\nValue: 93.5 °C\nUsual: 70 (60 to 80) °C\n\
                            Since: 2026-11-27 07:33:00 +01:00\nDetector: adaptive-band\nEpisode: 3f2a",
                "priority": 3,
                "tags": ["warning"],
                "click": "https://meters.example/boiler-7",
            })
        );
        let request = requests(&ntfy(), &Message::Episode(opened()), None)
            .unwrap()
            .remove(0);
        assert_eq!(request.url, "https://ntfy.sh/");
        assert_eq!(request.headers[1], ("authorization", "Bearer tk_1".to_owned()));
        assert_eq!(body(&ntfy(), &Message::Episode(ended()))["priority"], 2);
        let critical = Notification {
            severity: Severity::Critical,
            ..opened()
        };
        assert_eq!(body(&ntfy(), &Message::Episode(critical))["priority"], 5);
    }

    #[test]
    fn no_message_becomes_a_file() {
        let long = || Some("界".repeat(10_000));
        let large = Notification {
            series: long(),
            rule: long(),
            explanation: long().unwrap(),
            link: long(),
            ..opened()
        };
        for message in [
            Message::Episode(large),
            Message::Digest(storm((0..500).map(|number| format!("界-{number}")), 9)),
        ] {
            let body = body(&ntfy(), &message);
            let length = |field: &str| body[field].as_str().unwrap().len();
            assert!(
                (1_500..=4_096).contains(&length("message")),
                "{}",
                length("message")
            );
            assert!(length("title") <= 1_024);
        }
    }
}
