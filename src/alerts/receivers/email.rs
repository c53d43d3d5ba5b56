//! E-mail: the mail of a message. All mails of an episode refer to one id, which makes them a conversation, and a mail has
//! the notification's own, by which most mailboxes drop what comes twice.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use sha2::{Digest, Sha256};

use super::{SendError, Task};
use crate::alerts::{Kind, Message, text};

/// Characters; the line is folded.
const LONGEST_SUBJECT: usize = 200;
/// Bytes of the lines.
const LONGEST_TEXT: usize = 100_000;
/// Bytes of one of them.
const LONGEST_LINE: usize = 4_000;
/// The name beside the sender's address.
const SENDER: &str = "streamgauge";

/// The mail of a message.
///
/// # Errors
/// [`SendError::Settings`] if the addresses are none.
pub(super) fn mail(task: &Task<'_>) -> Result<lettre::Message, SendError> {
    let unusable = |cause: String| SendError::Settings { cause };
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| unusable(format!("{text:?}: {error}")))
    };
    let from = address(&task.settings.from)?;
    let domain = from.domain().to_owned();
    let mut builder = lettre::Message::builder()
        .message_id(Some(format!("<{}@{domain}>", task.message.id())))
        .date(
            DateTime::<Utc>::from_timestamp(task.now.timestamp(), 0)
                .unwrap_or(task.now)
                .into(),
        )
        .subject(text::cut(&text::title(task.message), LONGEST_SUBJECT))
        .header(AutoSubmitted)
        .from(Mailbox::new(Some(SENDER.to_owned()), from));
    for to in &task.settings.to {
        builder = builder.to(Mailbox::new(None, address(to)?));
    }
    if let Message::Episode(notification) = task.message {
        let hash: String = Sha256::digest(&notification.episode)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let conversation = format!("<episode-{hash}@{domain}>");
        if notification.kind != Kind::Opened {
            builder = builder.in_reply_to(conversation.clone());
        }
        builder = builder.references(conversation);
    }
    let parts = MultiPart::alternative_plain_html(plain(task.message), html(task.message));
    builder
        .multipart(parts)
        .map_err(|error| unusable(error.to_string()))
}

/// Answers of absence and the like are not sent to such mails.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn lines(message: &Message) -> Vec<String> {
    let lines: Vec<String> = text::body(message)
        .iter()
        .map(|line| text::cut_bytes(line, LONGEST_LINE))
        .collect();
    text::cut_lines(&lines, LONGEST_TEXT, 2, char::len_utf8)
}

fn facts(message: &Message) -> Vec<(&'static str, String)> {
    let Message::Episode(notification) = message else {
        return Vec::new();
    };
    let facts = text::facts(notification).into_iter();
    facts
        .map(|(name, value)| (name, text::cut_bytes(&value, LONGEST_LINE)))
        .collect()
}

fn plain(message: &Message) -> String {
    let mut plain = text::cut_bytes(&text::title(message), LONGEST_LINE);
    for line in lines(message) {
        plain += &format!("\n\n{line}");
    }
    let facts = facts(message);
    if !facts.is_empty() {
        plain.push('\n');
    }
    for (name, value) in facts {
        plain += &format!("\n{:<10}{value}", format!("{name}:"));
    }
    if let Some(link) = text::link(message) {
        plain += &format!("\n\n{link}");
    }
    plain + "\n"
}

fn html(message: &Message) -> String {
    let mut html = format!(
        "<p><b>{}</b></p>",
        escaped(&text::cut_bytes(&text::title(message), LONGEST_LINE))
    );
    for line in lines(message) {
        html += &format!("\n<p>{}</p>", escaped(&line));
    }
    let rows = facts(message).into_iter();
    let rows: String = rows
        .map(|(name, value)| format!("\n<tr><td>{name}&emsp;</td><td>{}</td></tr>", escaped(&value)))
        .collect();
    if !rows.is_empty() {
        html += &format!("\n<table>{rows}\n</table>");
    }
    // The settings' check has seen to the scheme of it.
    if let Some(link) = text::link(message) {
        html += &format!("\n<p><a href=\"{}\">Show the series</a></p>", escaped(link));
    }
    html + "\n"
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::notification::fixture::{ended, opened, storm};
    use crate::alerts::receivers::Secrets;
    use crate::alerts::receivers::fixture::settings;
    use crate::alerts::{Notification, ReceiverSettings};

    fn written(message: &Message) -> String {
        let settings: ReceiverSettings = settings(&[
            ("kind", "email"),
            ("server", "smtp.example.com:587"),
            ("from", "meters@example.com"),
            ("to", "a@example.com, b@example.org"),
        ]);
        let secrets = Secrets::default();
        let task = Task {
            settings: &settings,
            secrets: &secrets,
            message,
            earlier: None,
            now: ended().at.to_utc(),
        };
        String::from_utf8(mail(&task).unwrap().formatted()).unwrap()
    }

    #[test]
    fn mails_of_an_episode_are_a_conversation() {
        let first = written(&Message::Episode(opened()));
        let conversation = first
            .lines()
            .find_map(|line| line.strip_prefix("References: "))
            .unwrap()
            .to_owned();
        for line in [
            format!("Message-ID: <{}@example.com>", opened().id),
            "Date: Fri, 27 Nov 2026 06:58:00 +0000".to_owned(),
            "Subject: Warning: boiler-7".to_owned(),
            "Auto-Submitted: auto-generated".to_owned(),
            "From: streamgauge <meters@example.com>".to_owned(),
            "To: a@example.com, b@example.org".to_owned(),
        ] {
            assert!(first.contains(&format!("{line}\r\n")), "{line} in {first}");
        }
        assert!(!first.contains("In-Reply-To"));
        let last = written(&Message::Episode(ended()));
        assert!(
            last.contains(&format!("In-Reply-To: {conversation}\r\n")),
            "{last}"
        );
        assert!(!last.contains(&opened().id));
        assert!(!written(&Message::Digest(storm([], 3))).contains("References"));
    }

    #[test]
    fn it_is_there_as_text_and_as_html() {
        assert_eq!(
            plain(&Message::Episode(ended())),
            "Over after 25m: boiler-7\n\n71 °C is usual again.\n\nValue:    71 °C\nUsual:    70 (60 to 80) °C\n\
             Since:    2026-11-27 07:33:00 +01:00\nUntil:    2026-11-27 07:58:00 +01:00\nDetector: adaptive-band\n\
             Episode:  3f2a\n\nhttps://meters.example/boiler-7\n"
        );
        let html = html(&Message::Episode(Notification {
            series: Some("<b>\"&".to_owned()),
            ..ended()
        }));
        assert!(
            html.starts_with("<p><b>Over after 25m: &lt;b&gt;&quot;&amp;</b></p>\n"),
            "{html}"
        );
    }

    #[test]
    fn nothing_in_a_key_is_a_header_and_no_mail_is_endless() {
        let sent = written(&Message::Episode(Notification {
            series: Some("a\r\nBcc: x@example.com".to_owned()),
            ..opened()
        }));
        assert!(!sent.contains("\nBcc:"), "{sent}");
        let long = || Some("界".repeat(1_000_000));
        let large = Notification {
            series: long(),
            explanation: long().unwrap(),
            rule: long(),
            ..opened()
        };
        for message in [
            Message::Episode(large),
            Message::Digest(storm((0..100_000).map(|number| number.to_string()), 9)),
        ] {
            assert!(written(&message).len() < 1_000_000);
        }
    }
}
