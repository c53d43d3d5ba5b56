//! Slack: by an incoming webhook, which can only post; or by the Web API, with one message for each episode, which is edited
//! as the episode goes on, and whose thread has what happened to it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Receipt, Request, SendError, Task};
use crate::alerts::{Kind, Message, text};

const API: &str = "https://slack.com/api";
/// Characters of a section.
const LONGEST_SECTION: usize = 3_000;
const LONGEST_TITLE: usize = 300;
/// Characters of a field; a section has ten at most, and there are fewer facts.
const LONGEST_FIELD: usize = 400;
const LONGEST_LINK: usize = 1_000;

/// What the Web API says; its HTTP status is 200 even for errors.
#[derive(Debug, Deserialize)]
struct ApiAnswer {
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    channel: String,
}

/// Errors of the Web API after which the same request may be taken.
const BUSY: [&str; 8] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "accesslimited",
    "team_added_to_org",
];
/// The message cannot be edited: somebody has deleted it, or it is too old. Its thread is told nevertheless.
const NOT_EDITED: [&str; 3] = ["message_not_found", "cant_update_message", "edit_window_closed"];

pub(super) fn requests(task: &Task<'_>) -> Vec<Request> {
    let token = &*task.secrets.token;
    if token.is_empty() {
        return vec![Request::json(&task.secrets.url, &content(task.message))];
    }
    let api = match task.secrets.url.trim_end_matches('/') {
        "" => API,
        url => url,
    };
    let request = |method: &str, channel: &str, mut body: Value| {
        body["channel"] = json!(channel);
        Request {
            // Without a charset Slack answers with a warning.
            headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
            ..Request::json(format!("{api}/{method}"), &body)
        }
        .with("authorization", format!("Bearer {token}"))
    };
    let Some((channel, ts)) = place(task.earlier) else {
        let mut body = content(task.message);
        body["metadata"] = json!({
            "event_type": "streamgauge_alert",
            "event_payload": { "id": task.message.id() },
        });
        return vec![request("chat.postMessage", &task.settings.channel, body)];
    };
    // The edit first: it may be repeated, and a reply may not.
    let mut edit = content(task.message);
    edit["ts"] = json!(ts);
    let mut reply = json!({ "text": reply_text(task.message), "thread_ts": ts });
    // An edit alerts nobody, and a reply only those who follow the thread; an end shall alert nobody else.
    let is_end = matches!(task.message, Message::Episode(notification) if notification.kind == Kind::Ended);
    reply["reply_broadcast"] = json!(!is_end);
    vec![
        request("chat.update", channel, edit),
        request("chat.postMessage", channel, reply),
    ]
}

/// What an answer means. The reference stays that of the first message of the episode.
pub(super) fn receipt(answer: &Answer, before: Receipt, is_api: bool) -> Result<Receipt, SendError> {
    answer.accepted()?;
    if !is_api {
        return Ok(before);
    }
    let said: ApiAnswer = serde_json::from_str(&answer.body).map_err(|_| answer.refused())?;
    if !said.ok {
        let error = said.error.as_str();
        return match before.reference {
            Some(_) if NOT_EDITED.contains(&error) => Ok(before),
            _ if BUSY.contains(&error) => Err(answer.busy()),
            _ => Err(answer.refused()),
        };
    }
    if before.reference.is_some() {
        return Ok(before);
    }
    let reference = (!said.ts.is_empty()).then(|| format!("{}/{}", said.channel, said.ts));
    Ok(Receipt { reference })
}

/// Channel and time stamp of the episode's message.
fn place(earlier: Option<&Receipt>) -> Option<(&str, &str)> {
    earlier?.reference.as_deref()?.split_once('/')
}

/// The text for notifications, and the blocks that are shown in its place.
fn content(message: &Message) -> Value {
    let title = text::title(message);
    let shown_title = escaped(&title, LONGEST_TITLE);
    let mut section = format!("*{shown_title}*");
    let room = LONGEST_SECTION - LONGEST_TITLE - LONGEST_LINK - 100;
    let lines = text::cut_lines(&text::body(message), room, 1, escaped_size);
    for line in &lines {
        section.push('\n');
        section.push_str(&escaped(line, room));
    }
    if let Some(link) = text::link(message).map(|link| escaped(link, usize::MAX).replace('|', "%7C"))
        && link.chars().count() <= LONGEST_LINK
    {
        section.push_str(&format!("\n<{link}|Show the series>"));
    }
    let mut blocks = vec![json!({ "type": "section", "text": { "type": "mrkdwn", "text": section } })];
    if let Message::Episode(notification) = message {
        let field = |(name, value): (&str, String)| json!({ "type": "mrkdwn", "text": format!("*{name}*\n{}", escaped(&value, LONGEST_FIELD)) });
        let fields: Vec<Value> = text::facts(notification).into_iter().map(field).collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    json!({ "text": shown_title, "blocks": blocks })
}

fn reply_text(message: &Message) -> String {
    let lines = text::cut_lines(&text::body(message), 2_000, 1, escaped_size);
    let lines = lines.iter().map(|line| escaped(line, 2_000));
    let title = escaped(&text::title(message), LONGEST_TITLE);
    std::iter::once(title).chain(lines).collect::<Vec<_>>().join("\n")
}

/// How many characters one takes.
fn escaped_size(letter: char) -> usize {
    match letter {
        '&' => 5,
        '<' | '>' => 4,
        _ => 1,
    }
}

/// The text, cut, so that nothing in it is a mention or a link: these three are escaped, and nothing else.
fn escaped(text: &str, most: usize) -> String {
    let text = text::cut_by(text, most, escaped_size);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::fixture::{body, requests, settings};
    use crate::alerts::{Notification, ReceiverSettings};

    fn by_webhook() -> ReceiverSettings {
        settings(&[
            ("kind", "slack"),
            ("url", "https://hooks.slack.com/services/T/B/x"),
        ])
    }

    fn by_api() -> ReceiverSettings {
        settings(&[("kind", "slack"), ("token", "xoxb-1"), ("channel", "C0")])
    }

    fn answer(body: Value) -> Answer {
        Answer {
            host: "https://slack.com".to_owned(),
            status: 200,
            retry_after: None,
            body: body.to_string(),
        }
    }

    fn sent(
        receiver: &ReceiverSettings,
        message: Notification,
        earlier: Option<&Receipt>,
    ) -> Vec<(String, Value)> {
        let requests = requests(receiver, &Message::Episode(message), earlier).unwrap();
        requests
            .into_iter()
            .map(|request| (request.url, serde_json::from_str(&request.body).unwrap()))
            .collect()
    }

    #[test]
    fn a_webhook_is_told_in_blocks_and_in_text() {
        let content = body(&by_webhook(), &Message::Episode(opened()));
        assert_eq!(content["text"], "Warning: boiler-7");
        assert_eq!(
            content["blocks"][0]["text"]["text"],
            "*Warning: boiler-7*\n93.5 °C is above the usual 60 to 80 °C.\n<https://meters.example/boiler-7|Show the series>"
        );
        assert_eq!(content["blocks"][1]["fields"][0]["text"], "*Value*\n93.5 °C");
        assert!(content["metadata"].is_null() && content["channel"].is_null());
    }

    #[test]
    fn an_episode_is_one_message_that_is_edited_and_its_thread() {
        let first = sent(&by_api(), opened(), None);
        assert_eq!(first[0].0, "https://slack.com/api/chat.postMessage");
        assert_eq!(
            (
                &first[0].1["channel"],
                &first[0].1["metadata"]["event_payload"]["id"]
            ),
            (&json!("C0"), &json!(opened().id))
        );
        let said = answer(json!({ "ok": true, "channel": "C0123", "ts": "1503435956.000247" }));
        let receipt_of_first = receipt(&said, Receipt::default(), true).unwrap();
        assert_eq!(
            receipt_of_first.reference.as_deref(),
            Some("C0123/1503435956.000247")
        );

        let last = sent(&by_api(), ended(), Some(&receipt_of_first));
        assert_eq!(last[0].0, "https://slack.com/api/chat.update");
        assert_eq!(
            (&last[0].1["channel"], &last[0].1["ts"]),
            (&json!("C0123"), &json!("1503435956.000247"))
        );
        assert_eq!(last[0].1["text"], "Over after 25m: boiler-7");
        assert_eq!(last[1].0, "https://slack.com/api/chat.postMessage");
        assert_eq!(
            last[1].1,
            json!({
                "text": "Over after 25m: boiler-7\n71 °C is usual again.",
                "thread_ts": "1503435956.000247",
                "reply_broadcast": false,
                "channel": "C0123",
            })
        );
        let said = answer(json!({ "ok": true, "channel": "C0123", "ts": "9.9" }));
        assert_eq!(
            receipt(&said, receipt_of_first.clone(), true).unwrap(),
            receipt_of_first
        );
        let worse = sent(
            &by_api(),
            Notification {
                kind: Kind::Worsened,
                ..opened()
            },
            Some(&receipt_of_first),
        );
        assert_eq!(worse[1].1["reply_broadcast"], true);
    }

    #[test]
    fn errors_come_with_status_200() {
        let posted = Receipt {
            reference: Some("C/1".to_owned()),
        };
        let error = |name: &str, before: &Receipt| {
            receipt(
                &answer(json!({ "ok": false, "error": name })),
                before.clone(),
                true,
            )
        };
        for name in BUSY {
            assert!(
                error(name, &Receipt::default()).unwrap_err().is_transient(),
                "{name}"
            );
        }
        for name in [
            "invalid_auth",
            "channel_not_found",
            "not_in_channel",
            "msg_too_long",
            "message_not_found",
        ] {
            assert!(
                !error(name, &Receipt::default()).unwrap_err().is_transient(),
                "{name}"
            );
        }
        assert_eq!(error("message_not_found", &posted).unwrap(), posted);
        assert!(error("invalid_auth", &posted).is_err());
        let page = Answer {
            body: "<html>".to_owned(),
            ..answer(json!({}))
        };
        assert!(receipt(&page, Receipt::default(), true).is_err());
    }

    #[test]
    fn nothing_in_a_key_is_a_mention_and_no_limit_is_passed() {
        let content = body(
            &by_webhook(),
            &Message::Episode(Notification {
                series: Some("<!channel> & co".to_owned()),
                ..opened()
            }),
        );
        assert_eq!(content["text"], "Warning: &lt;!channel&gt; &amp; co");
        let long = || Some("<&ü".repeat(10_000));
        let large = Notification {
            series: long(),
            rule: long(),
            measure: long(),
            explanation: long().unwrap(),
            link: long(),
            ..opened()
        };
        let large_digest = storm((0..500).map(|number| format!("<{number}>&")), 9);
        for message in [Message::Episode(large), Message::Digest(large_digest)] {
            let content = body(&by_webhook(), &message);
            let mut total = 0;
            for block in content["blocks"].as_array().unwrap() {
                let text = block["text"]["text"].as_str().unwrap_or("").chars().count();
                assert!(text <= 3_000, "{text}");
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                assert!(fields.len() <= 10);
                let longest = fields
                    .iter()
                    .map(|field| field["text"].as_str().unwrap().chars().count());
                assert!(longest.clone().all(|length| length <= 2_000));
                total += text + longest.sum::<usize>();
            }
            assert!((1_000..12_000).contains(&total), "{total}");
        }
    }
}
