//! Microsoft Teams, by a workflow that posts a card. Its address may be at any host; the answer says that the workflow has
//! begun, and gives no id, so each message stands by itself.

use serde_json::{Value, json};

use super::{Request, Task};
use crate::alerts::{Message, text};

const CARD: &str = "application/vnd.microsoft.card.adaptive";
const LONGEST_TITLE: usize = 400;
const LONGEST_FACT: usize = 300;
const LONGEST_LINK: usize = 1_500;
/// Bytes of the lines, with what is around each of them: what comes of it all is less than the 28 kB that are allowed, which one
/// report counts in UTF-16.
const LONGEST_LINES: usize = 7_000;

pub(super) fn requests(task: &Task<'_>) -> Vec<Request> {
    let message = json!({
        "type": "message",
        "attachments": [{ "contentType": CARD, "contentUrl": null, "content": card(task.message) }],
    });
    vec![Request::json(&task.secrets.url, &message)]
}

fn card(message: &Message) -> Value {
    let title = short(&text::title(message), LONGEST_TITLE);
    let mut body = vec![paragraph(
        json!({ "type": "TextRun", "text": title, "weight": "Bolder", "size": "Medium" }),
    )];
    let lines = text::cut_lines(&text::body(message), LONGEST_LINES, 80, json_size);
    body.extend(
        lines
            .iter()
            .map(|line| paragraph(run(&short(line, LONGEST_LINES)))),
    );
    if let Message::Episode(notification) = message {
        let fact = |(name, value): (&str, String)| run(&short(&format!("{name}: {value}"), LONGEST_FACT));
        body.extend(
            text::facts(notification)
                .into_iter()
                .map(|found| paragraph(fact(found))),
        );
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "body": body,
        "msteams": { "width": "Full" },
    });
    if let Some(link) = text::link(message).filter(|link| link.len() <= LONGEST_LINK) {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Show the series", "url": link }]);
    }
    card
}

/// Text as it is: a `TextBlock` would take stars and brackets in a key for Markdown.
fn paragraph(run: Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": [run] })
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn short(text: &str, most: usize) -> String {
    text::cut_by(text, most, json_size)
}

/// The bytes of a character in JSON. Control characters are not in texts for people.
fn json_size(letter: char) -> usize {
    match letter {
        '"' | '\\' => 2,
        letter => letter.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::fixture::{body, settings};
    use crate::alerts::{Notification, ReceiverSettings};

    /// Bytes of a whole message.
    const LARGEST: usize = 13_500;

    fn teams() -> ReceiverSettings {
        settings(&[
            ("kind", "teams"),
            (
                "url",
                "https://x.environment.api.powerplatform.com:443/a?sig=hush",
            ),
        ])
    }

    #[test]
    fn a_card_says_what_happened() {
        let message = body(&teams(), &Message::Episode(ended()));
        assert_eq!(message["type"], "message");
        let card = &message["attachments"][0]["content"];
        let texts: Vec<&str> = card["body"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["inlines"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(
            texts,
            [
                "Over after 25m: boiler-7",
                "71 °C is usual again.",
                "Value: 71 °C",
                "Usual: 70 (60 to 80) °C",
                "Since: 2026-11-27 07:33:00 +01:00",
                "Until: 2026-11-27 07:58:00 +01:00",
                "Detector: adaptive-band",
                "Episode: 3f2a",
            ]
        );
        assert_eq!(card["actions"][0]["url"], "https://meters.example/boiler-7");
    }

    #[test]
    fn no_card_is_larger_than_a_workflow_takes() {
        let long = || Some("\"界".repeat(10_000));
        let large = Notification {
            series: long(),
            rule: long(),
            measure: long(),
            explanation: long().unwrap(),
            episode: long().unwrap(),
            ..opened()
        };
        for message in [
            Message::Episode(Notification {
                link: long(),
                ..large.clone()
            }),
            Message::Episode(Notification {
                link: Some("x".repeat(LONGEST_LINK)),
                ..large
            }),
            Message::Digest(storm((0..500).map(|number| format!("界-{number}")), 9)),
        ] {
            let bytes = body(&teams(), &message).to_string().len();
            assert!((5_000..=LARGEST).contains(&bytes), "{bytes}");
        }
    }
}
