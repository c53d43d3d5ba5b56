//! An anomaly as it is published: the JSON value, the CloudEvents headers, and a sentence that a person understands.
//!
//! `docs/anomalies.md` describes a message to its consumers, and `docs/anomaly.schema.json` is the value's schema.

mod explanation;
mod headers;
mod numbers;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::json;

use super::Condition;
use super::{Cause, EpisodeStep, MessageId, Verdict};

pub(crate) use explanation::duration as duration_text;
pub use headers::MessageContext;
pub(crate) use numbers::Rounding;

/// A verdict that is to be published, and what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Of the record that caused it.
    pub partition: i32,
    /// Which of that record's messages it is, and what it says of which episode.
    pub episode: EpisodeStep,
    /// The series; empty when the topic is read as one series.
    pub key: Arc<str>,
    /// What was measured, where the series is identified by it, too.
    pub measure: Option<Arc<str>>,
    /// In milliseconds since 1970-01-01T00:00:00Z.
    pub event_time_ms: i64,
    /// The same on the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00.
    pub local_time_ms: i64,
    /// What was judged; `None` for what was found without an observation, by [`elapse`](super::Detector::elapse).
    pub value: Option<f64>,
    /// The detector's judgment, and its reasons.
    pub verdict: Verdict,
}

/// How far out an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that was wrong has ended.
    Cleared,
    /// Out of the ordinary, and somebody has said to expect it.
    Expected,
    /// Beyond the bound or threshold.
    Warning,
    /// Far beyond it.
    Critical,
}

impl Severity {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::Cleared => "cleared",
            Severity::Expected => "expected",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// The fields of a message's value, but for the one that holds the judged value: the settings name that.
pub(crate) const FIXED_FIELDS: [&str; 19] = [
    "ts",
    "key",
    "detector",
    "cause",
    "score",
    "threshold",
    "expected",
    "lower",
    "upper",
    "slot",
    "comparables",
    "severity",
    "explanation",
    "episode",
    "phase",
    "since",
    "until",
    "measure",
    "trend",
];

impl Anomaly {
    /// The message's value: one JSON object. Numbers are the shortest text that reads back as the same double.
    pub fn json(&self, context: &MessageContext) -> String {
        let (verdict, episode) = (&self.verdict, &self.episode);
        let at = |time_ms| self.local(time_ms).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let mut message = json!({
            "ts": at(self.event_time_ms),
            (context.value_name.as_str()): self.observed(),
            "key": self.key(),
            "detector": verdict.detector,
            "cause": verdict.cause.name(),
            "score": verdict.score,
            "threshold": verdict.threshold,
            "expected": verdict.expected,
            "lower": verdict.lower,
            "upper": verdict.upper,
            "slot": verdict.slot.map(|slot| slot.to_string()),
            "comparables": verdict.comparables,
            "severity": self.severity().name(),
            "explanation": self.explanation(&context.unit),
            "episode": context.id(self.partition, episode.opened),
            "phase": episode.phase.name(),
            "since": at(episode.since_ms),
            "until": episode.until_ms.map(at),
        });
        if let Some(measure) = &self.measure {
            message["measure"] = json!(measure);
        }
        if let Cause::Rule {
            forecast: Some(forecast),
            ..
        } = &verdict.cause
        {
            let ahead = |ms: i64| at(self.event_time_ms.saturating_add(ms));
            message["trend"] = json!({
                "per_day": forecast.per_day,
                "early": ahead(forecast.early_ms),
                "likely": ahead(forecast.likely_ms),
                "late": forecast.late_ms.map(ahead),
            });
        }
        message.to_string()
    }

    /// The message's key: the series, so that the messages of a series stay in order.
    pub fn message_key(&self) -> Option<&[u8]> {
        self.key().map(str::as_bytes)
    }

    /// One sentence about what was seen and what was expected. `unit` is that of the values, or empty.
    pub fn explanation(&self, unit: &str) -> String {
        explanation::explanation(self, unit)
    }

    /// How far out it is.
    pub(crate) fn severity(&self) -> Severity {
        self.verdict.severity(self.observed())
    }

    /// The same anomaly with its key and measure cut, if one of them is long.
    pub(crate) fn with_short_key(&self) -> Option<Anomaly> {
        let is_long = |text: &str| text.len() > SHORT_KEY_CHARACTERS * 4;
        let measure = self.measure.as_deref();
        (is_long(&self.key) || measure.is_some_and(is_long)).then(|| Anomaly {
            key: short_key(&self.key).into(),
            measure: measure.map(|measure| short_key(measure).into()),
            ..self.clone()
        })
    }

    fn key(&self) -> Option<&str> {
        Some(&*self.key).filter(|key| !key.is_empty())
    }

    /// The value that it is about. The beginning of a silence has none, even if only its end shows it.
    pub(crate) fn observed(&self) -> Option<f64> {
        match self.verdict.cause {
            Cause::Rule {
                condition: Condition::Silent { .. },
                holds: true,
                ..
            } => None,
            _ => self.value,
        }
    }

    /// The offset of the configured zone from UTC at the event time. One from before the zones had whole minutes is cut to
    /// them, because RFC 3339 has no seconds in offsets; instants stay the same.
    fn zone(&self) -> Option<FixedOffset> {
        let offset_minutes = self.local_time_ms.saturating_sub(self.event_time_ms) / 60_000;
        i32::try_from(offset_minutes)
            .ok()
            .and_then(|minutes| FixedOffset::east_opt(minutes.checked_mul(60)?))
    }

    /// An instant at that offset.
    fn local(&self, time_ms: i64) -> DateTime<FixedOffset> {
        let utc = utc(time_ms);
        match self.zone() {
            Some(zone) => utc.with_timezone(&zone),
            None => utc.fixed_offset(),
        }
    }

    /// The event time in the configured zone.
    pub(crate) fn local_time(&self) -> DateTime<FixedOffset> {
        self.local(self.event_time_ms)
    }
}

fn utc(time_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time_ms).unwrap_or_default()
}

/// The part of a key that a person reads.
const SHORT_KEY_CHARACTERS: usize = 100;

/// A key, cut if it is longer than a person reads.
fn short_key(key: &str) -> Cow<'_, str> {
    match key.char_indices().nth(SHORT_KEY_CHARACTERS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &key[..end])),
        None => Cow::Borrowed(key),
    }
}
