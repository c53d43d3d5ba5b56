//! What a receiver is told.

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A message to one receiver.
#[expect(clippy::large_enum_variant, reason = "nearly all messages are the larger one")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// Of one episode.
    Episode(Notification),
    /// Of several at once.
    Digest(Digest),
}

/// A transition of an episode, as one receiver is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// 32 hex digits, the same for every attempt to send it: [`notification_id`].
    pub id: String,
    /// What has happened to the episode.
    pub kind: Kind,
    /// The episode's id, the same for all of its messages.
    pub episode: String,
    /// The key of the series; `None` where the topic is read as one series.
    pub series: Option<String>,
    /// What was measured, where the series is identified by it, too.
    pub measure: Option<String>,
    /// The name of the detector.
    pub detector: String,
    /// The condition as it is written, if the detector is the rules.
    pub rule: Option<String>,
    /// The kind of deviation, by its name in the topic `anomaly`.
    pub cause: String,
    /// The worst so far.
    pub severity: Severity,
    /// The event time at which the episode began.
    pub opened_at: DateTime<FixedOffset>,
    /// The event time of this transition.
    pub at: DateTime<FixedOffset>,
    /// What was measured.
    pub value: Option<f64>,
    /// The usual value.
    pub expected: Option<f64>,
    /// The lower bound of usual values.
    pub lower: Option<f64>,
    /// The upper bound of usual values.
    pub upper: Option<f64>,
    /// Of the values; may be empty.
    pub unit: String,
    /// One sentence about what was seen and what was expected.
    pub explanation: String,
    /// A page that shows the series.
    pub link: Option<String>,
    /// Whether it is only a test of the receiver.
    pub is_test: bool,
}

/// What has happened to an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It began.
    Opened,
    /// It became worse.
    Worsened,
    /// It lasts, and the receiver is to be reminded of it.
    Reminded,
    /// It is over.
    Ended,
}

/// How bad an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Beyond the bound or threshold.
    Warning,
    /// Far beyond it.
    Critical,
}

/// Several episodes in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// 32 hex digits, the same for every attempt to send it: [`notification_id`].
    pub id: String,
    /// Why they come together.
    pub kind: DigestKind,
    /// One line: `212 series since 10:04`.
    pub title: String,
    /// The worst of them first.
    pub lines: Vec<Notification>,
    /// How many there are beside the lines.
    pub omitted: u64,
    /// The time at which it was put together.
    pub at: DateTime<FixedOffset>,
    /// Whether it is only a test of the receiver.
    pub is_test: bool,
}

/// The reason why episodes come in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestKind {
    /// Many opened at once.
    Storm,
    /// They opened in quiet hours.
    Quiet,
    /// They are old news: a backfill, a replay, or a long downtime.
    Old,
}

/// What a receiver answered, as far as later messages of the same episode need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where the message lies, in the receiver's own terms.
    pub reference: Option<String>,
}

impl Message {
    /// The same for every attempt to send it.
    pub fn id(&self) -> &str {
        match self {
            Message::Episode(notification) => &notification.id,
            Message::Digest(digest) => &digest.id,
        }
    }

    /// The worst of what it is about; a warning if that is nothing.
    pub fn severity(&self) -> Severity {
        match self {
            Message::Episode(notification) => notification.severity,
            Message::Digest(digest) => {
                let severities = digest.lines.iter().map(|line| line.severity);
                severities.max().unwrap_or(Severity::Warning)
            }
        }
    }
}

impl Kind {
    /// The name in messages to programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Opened => "opened",
            Kind::Worsened => "worsened",
            Kind::Reminded => "reminded",
            Kind::Ended => "ended",
        }
    }
}

impl Severity {
    /// The name in messages to programs.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl DigestKind {
    /// The name in messages to programs.
    pub fn name(self) -> &'static str {
        match self {
            DigestKind::Storm => "storm",
            DigestKind::Quiet => "quiet",
            DigestKind::Old => "old",
        }
    }
}

/// Bytes of a digest that make an id: 128 bits do not collide by chance.
const ID_BYTES: usize = 16;

/// The id of a notification: what `receiver` is told of a `subject`, an episode or a digest, at its `transition`, which
/// is counted from 0. It depends on nothing else, so that a receiver can drop what comes twice.
pub fn notification_id(receiver: &str, subject: &str, transition: u64) -> String {
    let mut hash = Sha256::new();
    for part in [receiver, subject] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(transition.to_le_bytes());
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(ID_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;

    /// An opening at 06:33 UTC on a Friday, on a wall clock of one hour later.
    pub(in crate::alerts) fn opened() -> Notification {
        let opened_at = DateTime::parse_from_rfc3339("2026-11-27T07:33:00+01:00").unwrap();
        Notification {
            id: notification_id("ops", "3f2a", 0),
            kind: Kind::Opened,
            episode: "3f2a".to_owned(),
            series: Some("boiler-7".to_owned()),
            measure: None,
            detector: "adaptive-band".to_owned(),
            rule: None,
            cause: "point".to_owned(),
            severity: Severity::Warning,
            opened_at,
            at: opened_at,
            value: Some(93.5),
            expected: Some(70.0),
            lower: Some(60.0),
            upper: Some(80.0),
            unit: "°C".to_owned(),
            explanation: "93.5 °C is above the usual 60 to 80 °C.".to_owned(),
            link: Some("https://meters.example/boiler-7".to_owned()),
            is_test: false,
        }
    }

    /// Its end, 25 minutes later.
    pub(in crate::alerts) fn ended() -> Notification {
        let opened = opened();
        Notification {
            id: notification_id("ops", "3f2a", 1),
            kind: Kind::Ended,
            at: opened.opened_at + chrono::TimeDelta::minutes(25),
            value: Some(71.0),
            explanation: "71 °C is usual again.".to_owned(),
            ..opened
        }
    }

    /// So many openings at once, of series with these names.
    pub(in crate::alerts) fn storm(names: impl IntoIterator<Item = String>, omitted: u64) -> Digest {
        let line = |series: String| Notification {
            series: Some(series),
            ..opened()
        };
        Digest {
            id: notification_id("ops", "storm", 0),
            kind: DigestKind::Storm,
            title: "212 series since 07:33".to_owned(),
            lines: names.into_iter().map(line).collect(),
            omitted,
            at: opened().at,
            is_test: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_each_of_its_parts_and_is_the_same_for_ever() {
        let id = notification_id("ops", "3f2a", 0);
        assert_eq!(id, "d09377383a2f28310728c71ac6c74241");
        for other in [
            notification_id("op", "s3f2a", 0),
            notification_id("ops", "3f2b", 0),
            notification_id("ops", "3f2a", 1),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn a_message_survives_being_stored() {
        for message in [
            Message::Episode(fixture::opened()),
            Message::Digest(fixture::storm(["a".to_owned()], 211)),
        ] {
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message, "{text}");
        }
    }
}
