//! What PagerDuty, Slack, Teams and ntfy say of a request, by their published schemas and limits. Each rule answers as they
//! do: an error for a request that they would not take.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fake::{Asked, Reply};

/// The first thing that is wrong.
type Checked = Result<(), String>;

fn hold(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn characters(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn only(value: &Value, known: &[&str]) -> Checked {
    let unknown = value
        .as_object()
        .ok_or("not an object")?
        .keys()
        .find(|key| !known.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("unknown field {key}")))
}

fn is_json(asked: &Asked) -> Checked {
    hold(
        asked.header("content-type").starts_with("application/json"),
        "content-type",
    )?;
    hold(
        asked.header("user-agent").starts_with("streamgauge/"),
        "user-agent",
    )
}

/// Events API v2.
pub fn pagerduty(asked: &Asked) -> Reply {
    let check = || {
        is_json(asked)?;
        hold(asked.body.len() <= 512 * 1024, "too large")?;
        let event: Value = serde_json::from_str(&asked.body).map_err(|error| error.to_string())?;
        only(
            &event,
            &[
                "routing_key",
                "event_action",
                "dedup_key",
                "payload",
                "images",
                "links",
                "client",
                "client_url",
            ],
        )?;
        hold(characters(&event["routing_key"]) == 32, "routing_key")?;
        hold((1..=255).contains(&characters(&event["dedup_key"])), "dedup_key")?;
        if event["event_action"] == "resolve" {
            return hold(event["payload"].is_null(), "payload of a resolve");
        }
        hold(event["event_action"] == "trigger", "event_action")?;
        let payload = &event["payload"];
        only(
            payload,
            &[
                "summary",
                "source",
                "severity",
                "timestamp",
                "component",
                "group",
                "class",
                "custom_details",
            ],
        )?;
        hold((1..=1_024).contains(&characters(&payload["summary"])), "summary")?;
        hold(characters(&payload["source"]) > 0, "source")?;
        let severities = ["critical", "error", "warning", "info"];
        hold(
            payload["severity"]
                .as_str()
                .is_some_and(|severity| severities.contains(&severity)),
            "severity",
        )?;
        let time = payload["timestamp"].as_str().unwrap_or("");
        hold(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "timestamp")?;
        hold(payload["custom_details"].is_object(), "custom_details")
    };
    match check() {
        Ok(()) => {
            let key = asked.json()["dedup_key"].clone();
            Reply::new(
                202,
                json!({ "status": "success", "message": "Event processed", "dedup_key": key }).to_string(),
            )
        }
        Err(wrong) => Reply::new(
            400,
            json!({ "status": "invalid event", "errors": [wrong] }).to_string(),
        ),
    }
}

/// The blocks of a message, and its text.
fn slack_content(message: &Value) -> Checked {
    hold((1..=4_000).contains(&characters(&message["text"])), "no_text")?;
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    hold(blocks.len() <= 50, "too many blocks")?;
    let mut total = 0;
    for block in &blocks {
        only(block, &["type", "text", "fields", "block_id"])?;
        hold(block["type"] == "section", "type of block")?;
        let fields = block["fields"].as_array().cloned().unwrap_or_default();
        hold(fields.len() <= 10, "fields")?;
        let texts = std::iter::once((&block["text"], 3_000)).chain(fields.iter().map(|field| (field, 2_000)));
        for (text, most) in texts.filter(|(text, _)| !text.is_null()) {
            hold(text["type"] == "mrkdwn", "type of text")?;
            hold((1..=most).contains(&characters(&text["text"])), "length of text")?;
            total += characters(&text["text"]);
        }
    }
    hold(total <= 13_200, "msg_blocks_too_long")?;
    // Only our own link may have a bracket.
    let brackets = message.to_string().matches('<').count();
    hold(brackets <= 1 && !message.to_string().contains("<!"), "a mention")
}

/// An incoming webhook.
pub fn slack_webhook(asked: &Asked) -> Reply {
    let check = || {
        is_json(asked)?;
        let message: Value = serde_json::from_str(&asked.body).map_err(|error| error.to_string())?;
        only(&message, &["text", "blocks"])?;
        slack_content(&message)
    };
    match check() {
        Ok(()) => Reply::new(200, "ok"),
        Err(wrong) => Reply::new(400, format!("invalid_payload: {wrong}")),
    }
}

/// The two methods of the Web API; a status of 200 even for errors.
pub fn slack_api(asked: &Asked) -> Reply {
    let check = || -> Result<Value, String> {
        is_json(asked)?;
        hold(asked.header("authorization") == "Bearer xoxb-1", "invalid_auth")?;
        let message: Value = serde_json::from_str(&asked.body).map_err(|error| error.to_string())?;
        slack_content(&message)?;
        match asked.path.as_str() {
            "/api/chat.postMessage" => {
                only(
                    &message,
                    &[
                        "channel",
                        "text",
                        "blocks",
                        "metadata",
                        "thread_ts",
                        "reply_broadcast",
                    ],
                )?;
                let channels = ["C0", "C0123456789"];
                hold(
                    message["channel"]
                        .as_str()
                        .is_some_and(|channel| channels.contains(&channel)),
                    "channel_not_found",
                )?;
                let ts = if message["thread_ts"].is_null() {
                    "1503435956.000247"
                } else {
                    "1503435957.000248"
                };
                Ok(json!({ "ok": true, "channel": "C0123456789", "ts": ts }))
            }
            "/api/chat.update" => {
                only(&message, &["channel", "text", "blocks", "ts"])?;
                hold(message["channel"] == "C0123456789", "channel_not_found")?;
                hold(message["ts"] == "1503435956.000247", "message_not_found")?;
                Ok(json!({ "ok": true, "channel": "C0123456789", "ts": "1503435956.000247" }))
            }
            _ => Err("unknown_method".to_owned()),
        }
    };
    let said = check().unwrap_or_else(|wrong| json!({ "ok": false, "error": wrong }));
    Reply::new(200, said.to_string())
}

/// A workflow of Teams: it takes nearly everything, and shows nothing if the card is wrong.
pub fn teams(asked: &Asked) -> Reply {
    let check = || {
        is_json(asked)?;
        hold(
            asked.body.len() <= 28_000 && asked.body.encode_utf16().count() <= 14_000,
            "too large",
        )?;
        let message: Value = serde_json::from_str(&asked.body).map_err(|error| error.to_string())?;
        only(&message, &["type", "attachments"])?;
        let attachment = &message["attachments"][0];
        only(attachment, &["contentType", "contentUrl", "content"])?;
        hold(
            attachment["contentType"] == "application/vnd.microsoft.card.adaptive",
            "contentType",
        )?;
        let card = &attachment["content"];
        only(
            card,
            &[
                "$schema",
                "type",
                "version",
                "fallbackText",
                "body",
                "actions",
                "msteams",
            ],
        )?;
        hold(
            card["type"] == "AdaptiveCard" && card["version"] == "1.4",
            "type of card",
        )?;
        for block in card["body"].as_array().ok_or("body")? {
            only(block, &["type", "inlines"])?;
            hold(block["type"] == "RichTextBlock", "type of block")?;
            for run in block["inlines"].as_array().ok_or("inlines")? {
                only(run, &["type", "text", "weight", "size"])?;
                hold(run["type"] == "TextRun" && characters(&run["text"]) > 0, "text")?;
            }
        }
        let actions = card["actions"].as_array().cloned().unwrap_or_default();
        let is_link = |action: &Value| {
            action["type"] == "Action.OpenUrl" && action["url"].is_string() && action["title"].is_string()
        };
        hold(actions.iter().all(is_link), "actions")
    };
    match check() {
        Ok(()) => Reply::new(202, ""),
        Err(wrong) => Reply::new(400, wrong),
    }
}

/// ntfy's JSON.
pub fn ntfy(asked: &Asked) -> Reply {
    let check = || {
        is_json(asked)?;
        hold(asked.path == "/", "path")?;
        let message: Value = serde_json::from_str(&asked.body).map_err(|error| error.to_string())?;
        only(
            &message,
            &["topic", "title", "message", "priority", "tags", "click"],
        )?;
        hold(message["topic"] == "meters", "topic")?;
        let bytes = |field: &str| message[field].as_str().map_or(0, str::len);
        hold((1..=4_096).contains(&bytes("message")), "message")?;
        hold((1..=1_024).contains(&bytes("title")), "title")?;
        hold(
            message["priority"]
                .as_u64()
                .is_some_and(|priority| (1..=5).contains(&priority)),
            "priority",
        )?;
        let tags: BTreeSet<&str> = message["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        hold(tags.iter().map(|tag| tag.len()).sum::<usize>() <= 512, "tags")
    };
    match check() {
        Ok(()) => Reply::new(200, r#"{"id":"hwQ2YpKdmg","event":"message"}"#),
        Err(wrong) => Reply::new(400, wrong),
    }
}
