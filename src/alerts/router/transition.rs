//! What the topic of anomalies says of an episode, in the words of notifications.

use chrono::DateTime;

use crate::alerts::{Kind, Notification, Settings, Severity};
use crate::detectors::{self, Anomaly, MessageContext};

/// A message of an episode.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transition {
    /// Whether the episode is over.
    pub is_end: bool,
    /// Without the id, which depends on who is told.
    pub notification: Notification,
}

impl Transition {
    /// What an anomaly says of its episode; `settings` have the page that messages link to.
    pub(crate) fn of(anomaly: &Anomaly, context: &MessageContext, settings: &Settings) -> Self {
        let (step, verdict) = (&anomaly.episode, &anomaly.verdict);
        let is_end = verdict.cause.is_end();
        let message_at = anomaly.local_time();
        let at = |time_ms: i64| {
            let utc = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
            utc.with_timezone(message_at.offset())
        };
        let opened_at = at(step.since_ms);
        let episode = context.id(anomaly.partition, step.opened);
        let link = settings.link_to(&anomaly.key, &episode, opened_at.to_utc());
        let notification = Notification {
            id: String::new(),
            kind: if is_end { Kind::Ended } else { Kind::Opened },
            episode,
            series: Some(anomaly.key.to_string()).filter(|key| !key.is_empty()),
            measure: anomaly.measure.as_deref().map(str::to_owned),
            detector: verdict.detector.to_owned(),
            rule: verdict.cause.rule().map(|rule| rule.to_string()),
            cause: verdict.cause.name().to_owned(),
            severity: match anomaly.severity() {
                detectors::Severity::Critical => Severity::Critical,
                detectors::Severity::Cleared | detectors::Severity::Warning => Severity::Warning,
            },
            opened_at,
            at: step.until_ms.map_or(message_at, at),
            value: anomaly.value,
            expected: verdict.expected,
            lower: verdict.lower,
            upper: verdict.upper,
            unit: context.unit.clone(),
            explanation: anomaly.explanation(&context.unit),
            link,
            is_test: false,
        };
        Transition { is_end, notification }
    }
}
