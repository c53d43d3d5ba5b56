//! A webhook signed by Standard Webhooks 1.0.0: the receiver can check who sent it, and drop what comes twice by its id.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Request, SendError, Task};
use crate::alerts::{Message, Notification, text};

/// Bytes of a body; the specification wants less than 20 kB.
const LARGEST_BODY: usize = 19_000;
/// Bytes of a text in it: of these there are less than ten.
const LONGEST_TEXT: usize = 1_500;
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets that may be in use at once, while one is replaced.
const MOST_KEYS: usize = 4;

/// The keys of a `secret`; `None` if it is none.
pub(in crate::alerts) fn keys(secret: &str) -> Option<Vec<Vec<u8>>> {
    let key = |text: &str| {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        KEY_BYTES.contains(&bytes.len()).then_some(bytes)
    };
    let keys: Vec<_> = secret.split_whitespace().map(key).collect::<Option<_>>()?;
    (1..=MOST_KEYS).contains(&keys.len()).then_some(keys)
}

pub(super) fn requests(task: &Task<'_>) -> Result<Vec<Request>, SendError> {
    let keys = keys(&task.secrets.secret).ok_or_else(|| SendError::Settings {
        cause: "the secret is not \"whsec_\" and 24 to 64 bytes in base64".to_owned(),
    })?;
    let request = Request::json(&task.secrets.url, &body(task.message));
    let id = task.message.id();
    let seconds = task.now.timestamp();
    let signatures = keys
        .iter()
        .map(|key| signature(key, &format!("{id}.{seconds}.{}", request.body)));
    let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
    let request = request
        .with("webhook-id", id)
        .with("webhook-timestamp", seconds.to_string())
        .with("webhook-signature", signatures.join(" "));
    Ok(vec![match &*task.secrets.token {
        "" => request,
        token => request.with("authorization", format!("Bearer {token}")),
    }])
}

fn signature(key: &[u8], signed: &str) -> Result<String, SendError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| SendError::Settings {
        cause: error.to_string(),
    })?;
    mac.update(signed.as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

fn body(message: &Message) -> Value {
    match message {
        Message::Episode(notification) => json!({
            "type": format!("anomaly.{}", notification.kind.name()),
            "timestamp": notification.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "data": data(notification, &text::title(message)),
        }),
        Message::Digest(digest) => {
            let mut lines: Vec<Value> = Vec::new();
            let mut bytes = 2 * LONGEST_TEXT;
            for line in &digest.lines {
                let line = data(line, &text::title(&Message::Episode(line.clone())));
                bytes += line.to_string().len() + 1;
                if bytes > LARGEST_BODY {
                    break;
                }
                lines.push(line);
            }
            let omitted = digest.omitted + (digest.lines.len() - lines.len()) as u64;
            json!({
                "type": format!("anomalies.{}", digest.kind.name()),
                "timestamp": digest.at.to_rfc3339_opts(SecondsFormat::Millis, true),
                "data": {
                    "title": text::cut_bytes(&text::title(message), LONGEST_TEXT),
                    "episodes": lines,
                    "omitted": omitted,
                    "test": digest.is_test,
                },
            })
        }
    }
}

/// An episode as a program wants it.
fn data(notification: &Notification, title: &str) -> Value {
    let short = |text: &str| cut_json(text, LONGEST_TEXT);
    json!({
        "episode": short(&notification.episode),
        "state": notification.kind.name(),
        "series": notification.series.as_deref().map(short),
        "measure": notification.measure.as_deref().map(short),
        "detector": notification.detector,
        "rule": notification.rule.as_deref().map(short),
        "cause": notification.cause,
        "severity": notification.severity.name(),
        "opened_at": notification.opened_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "at": notification.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "value": notification.value,
        "expected": notification.expected,
        "lower": notification.lower,
        "upper": notification.upper,
        "unit": short(&notification.unit),
        "title": short(title),
        "explanation": short(&notification.explanation),
        "link": notification.link.as_deref().filter(|link| link.len() <= LONGEST_TEXT),
        "test": notification.is_test,
    })
}

/// The text, cut to so many bytes of JSON, where a character may take six.
fn cut_json(text: &str, most: usize) -> String {
    text::cut_by(text, most, |letter| match letter {
        '"' | '\\' => 2,
        letter if letter.is_ascii_control() => 6,
        letter => letter.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::ReceiverSettings;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::fixture::{body, requests, settings};

    /// The secret in the specification's example.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhook(secret: &str) -> ReceiverSettings {
        settings(&[
            ("kind", "webhook"),
            ("url", "https://hook.example/a"),
            ("secret", secret),
        ])
    }

    #[test]
    fn the_signature_is_that_of_the_specifications_example() {
        let body = r#"{"test": 2432232314}"#;
        let signed = format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{body}");
        let key = &keys(SECRET).unwrap()[0];
        assert_eq!(
            signature(key, &signed).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_secret_signs_while_one_is_replaced() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let message = Message::Episode(opened());
        let signatures = |secret: &str| {
            let request = requests(&webhook(secret), &message, None).unwrap().remove(0);
            let headers: Vec<_> = request.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                headers[1..],
                ["webhook-id", "webhook-timestamp", "webhook-signature"]
            );
            assert_eq!(request.headers[1].1, opened().id);
            assert_eq!(request.headers[2].1, "1795762740");
            request.headers[3].1.clone()
        };
        let both = signatures(&format!("{SECRET} {other}"));
        assert_eq!(both, format!("{} {}", signatures(SECRET), signatures(&other)));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for secret in [
            "",
            "hush",
            "whsec_",
            "whsec_aGk=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw x",
        ] {
            assert_eq!(keys(secret), None, "{secret}");
        }
    }

    #[test]
    fn a_program_gets_what_happened() {
        let sent = body(&webhook(SECRET), &Message::Episode(ended()));
        assert_eq!(
            (&sent["type"], &sent["timestamp"]),
            (&json!("anomaly.ended"), &json!("2026-11-27T07:58:00.000+01:00"))
        );
        let data = &sent["data"];
        assert_eq!(
            [
                &data["episode"],
                &data["series"],
                &data["value"],
                &data["title"],
                &data["test"]
            ],
            [
                &json!("3f2a"),
                &json!("boiler-7"),
                &json!(71.0),
                &json!("Over after 25m: boiler-7"),
                &json!(false)
            ]
        );
    }

    #[test]
    fn no_message_is_larger_than_receivers_take() {
        let long = || Some("\u{1}\"ü".repeat(10_000));
        let large = Notification {
            series: long(),
            measure: long(),
            rule: long(),
            link: long(),
            explanation: long().unwrap(),
            ..opened()
        };
        let whole = body(&webhook(SECRET), &Message::Episode(large.clone())).to_string();
        assert!((2_000..20_000).contains(&whole.len()), "{}", whole.len());
        let mut digest = storm((0..1_000).map(|number| format!("boiler-{number}")), 5);
        let sent = body(&webhook(SECRET), &Message::Digest(digest.clone()));
        assert!(sent.to_string().len() < 20_000);
        let kept = sent["data"]["episodes"].as_array().unwrap().len() as u64;
        assert!(kept > 20);
        assert_eq!(sent["data"]["omitted"], 1_005 - kept);
        digest.lines = vec![large];
        assert!(body(&webhook(SECRET), &Message::Digest(digest)).to_string().len() < 20_000);
    }
}
