//! `[alert]` and `[[alert.receiver]]`: who is told, of what, and when.

mod check;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Hours, Severity};
use crate::detectors::pattern_matches;
use crate::settings::{duration, or_suffixed};
pub(super) use check::is_private_address;

/// The settings in `[alert]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    /// Empty: derived.
    pub group: String,
    /// Empty: derived; see `Settings::state_topic`.
    pub state_topic: String,
    /// Empty: that of the detection.
    pub time_zone: String,
    /// Empty: none.
    pub heartbeat_url: String,
    pub heartbeat_url_file: String,
    /// Empty: none.
    pub link: String,
    /// Empty: derived; see `Settings::feedback_topic`.
    pub feedback_topic: String,
    #[serde(rename = "receiver", deserialize_with = "named")]
    pub receivers: Vec<ReceiverSettings>,
}

/// The settings in an `[[alert.receiver]]`. It has those of every kind; the check of the settings refuses those of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct ReceiverSettings {
    pub name: String,
    /// Empty, or the name of a [`ReceiverKind`].
    pub kind: String,
    pub url: String,
    pub url_file: String,
    pub token: String,
    pub token_file: String,
    pub user: String,
    pub password: String,
    pub password_file: String,
    pub secret: String,
    pub secret_file: String,
    pub routing_key: String,
    pub routing_key_file: String,
    pub topic: String,
    pub topic_file: String,
    pub topic_arn: String,
    pub channel: String,
    pub server: String,
    pub tls: String,
    pub from: String,
    pub to: Vec<String>,
    pub ca_file: String,
    /// Patterns of keys.
    pub series: Vec<String>,
    /// Empty: all.
    pub detectors: Vec<String>,
    pub min_severity: Severity,
    /// Empty: always.
    pub hours: Hours,
    /// Empty: never.
    pub quiet: Hours,
    /// Empty: that of `[alert]`.
    pub time_zone: String,
    #[serde(with = "duration")]
    pub min_duration: Duration,
    /// 0: never.
    #[serde(with = "duration")]
    pub repeat: Duration,
    #[serde(with = "duration")]
    pub max_age: Duration,
    #[serde(with = "duration")]
    pub group_wait: Duration,
    /// 0: never.
    pub storm: usize,
}

/// The kinds of receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverKind {
    /// Prometheus Alertmanager, API v2.
    Alertmanager,
    /// PagerDuty, Events API v2.
    PagerDuty,
    /// Slack, by an incoming webhook or the Web API.
    Slack,
    /// Microsoft Teams, by a workflow.
    Teams,
    /// E-mail over SMTP.
    Email,
    /// An HTTP server of the user's, signed by Standard Webhooks.
    Webhook,
    /// AWS SNS.
    Sns,
    /// ntfy.
    Ntfy,
}

/// The settings of receivers that are secrets.
pub(crate) const SECRETS: [&str; 5] = ["token", "password", "secret", "routing_key", "topic"];
/// Those that may be, but for the host.
pub(crate) const SECRET_URLS: [&str; 1] = ["url"];

impl ReceiverKind {
    /// All of them, in the order of the reference.
    pub const ALL: [ReceiverKind; 8] = [
        ReceiverKind::Alertmanager,
        ReceiverKind::PagerDuty,
        ReceiverKind::Slack,
        ReceiverKind::Teams,
        ReceiverKind::Email,
        ReceiverKind::Webhook,
        ReceiverKind::Sns,
        ReceiverKind::Ntfy,
    ];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            ReceiverKind::Alertmanager => "alertmanager",
            ReceiverKind::PagerDuty => "pagerduty",
            ReceiverKind::Slack => "slack",
            ReceiverKind::Teams => "teams",
            ReceiverKind::Email => "email",
            ReceiverKind::Webhook => "webhook",
            ReceiverKind::Sns => "sns",
            ReceiverKind::Ntfy => "ntfy",
        }
    }
}

impl Settings {
    /// The topic of what was told to whom, beside that of the anomalies.
    pub(crate) fn state_topic(&self, anomaly_topic: &str) -> String {
        or_suffixed(&self.state_topic, anomaly_topic, ".alerts")
    }

    /// The receiver of this name.
    pub fn receiver(&self, name: &str) -> Option<&ReceiverSettings> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// The topic of what people say of the anomalies in `anomaly_topic`.
    pub fn feedback_topic(&self, anomaly_topic: &str) -> String {
        or_suffixed(&self.feedback_topic, anomaly_topic, ".feedback")
    }

    /// The zone of a receiver's hours, where the detection counts its days in `detection_zone`.
    pub fn zone_of(&self, receiver: &ReceiverSettings, detection_zone: Tz) -> Tz {
        // The check of the settings has refused unknown names.
        let named = [&receiver.time_zone, &self.time_zone];
        named
            .into_iter()
            .find_map(|name| name.parse().ok())
            .unwrap_or(detection_zone)
    }

    /// The page that shows a series since `opened_at`, if the settings name one.
    pub fn link_to(&self, series: &str, episode: &str, opened_at: DateTime<Utc>) -> Option<String> {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let link = self
            .link
            .replace("{from_ms}", &opened_at.timestamp_millis().to_string())
            .replace("{episode}", &escaped(episode))
            .replace("{series}", &escaped(series));
        (!link.is_empty()).then_some(link)
    }
}

impl ReceiverSettings {
    /// What it is, unless that is not one of the kinds.
    pub fn kind(&self) -> Option<ReceiverKind> {
        ReceiverKind::ALL
            .into_iter()
            .find(|kind| kind.name() == self.kind)
    }

    /// Whether its route takes an episode of this series and detector, as bad as this. The hours are not asked.
    pub fn takes(&self, series: &str, detector: &str, severity: Severity) -> bool {
        severity >= self.min_severity
            && self.series.iter().any(|pattern| pattern_matches(pattern, series))
            && (self.detectors.is_empty() || self.detectors.iter().any(|name| name == detector))
    }

    /// Whether its hours include this time.
    pub fn is_on_duty(&self, time: DateTime<Utc>, zone: Tz) -> bool {
        self.hours.is_empty() || self.hours.cover(time, zone)
    }
}

/// The receivers but for the nameless one in `default.toml`, which describes what each has.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ReceiverSettings>, D::Error> {
    let mut receivers = Vec::<ReceiverSettings>::deserialize(deserializer)?;
    receivers.retain(|receiver| !receiver.name.is_empty());
    Ok(receivers)
}
