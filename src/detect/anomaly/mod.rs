//! An anomaly as it is published: the JSON value, the CloudEvents headers, and a sentence that a person understands.
//!
//! `docs/anomalies.md` tells consumers what is in a message, and `docs/anomaly.schema.json` is the value's schema.

mod explanation;
mod headers;
mod numbers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::json;

use super::{Cause, Verdict};
use crate::config::Condition;

pub use headers::MessageContext;

/// A verdict that is to be published, and what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Where the record came from that gave rise to it.
    pub partition: i32,
    pub offset: i64,
    /// Its place among the anomalies of that record, from 0.
    pub index: u32,
    /// The series; empty when the topic is read as one series.
    pub key: Arc<str>,
    /// In milliseconds since 1970-01-01T00:00:00Z.
    pub event_time_ms: i64,
    /// The same on the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00.
    pub local_time_ms: i64,
    /// What was judged; `None` for what was found without an observation, by [`elapse`](super::Detector::elapse).
    pub value: Option<f64>,
    pub verdict: Verdict,
}

/// How far out an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that was wrong has ended.
    Cleared,
    Warning,
    Critical,
}

impl Severity {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Cleared => "cleared",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl Anomaly {
    /// The message's value: one JSON object. Numbers are the shortest text that reads back as the same double.
    pub fn json(&self, context: &MessageContext) -> String {
        let verdict = &self.verdict;
        let message = json!({
            "ts": self.local_time().to_rfc3339_opts(SecondsFormat::AutoSi, true),
            "usage": self.observed(),
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
        });
        message.to_string()
    }

    /// The message's key: the series, so that what is told about one stays in order.
    pub fn message_key(&self) -> Option<&[u8]> {
        self.key().map(str::as_bytes)
    }

    /// One sentence about what was seen and what was expected. `unit` is that of the values, or empty.
    pub fn explanation(&self, unit: &str) -> String {
        explanation::explanation(self, unit)
    }

    /// How far out it is:
    ///
    /// - the end of a rule's condition is cleared, its beginning a warning: a condition has no degrees;
    /// - with a band of some width, a value that is further beyond it than it is wide is critical;
    /// - else a score that is more than half of the way from the threshold to the largest possible one is. That is
    ///   1 for a threshold below 1; a larger threshold is of a scale without end, and twice of it is taken.
    pub fn severity(&self) -> Severity {
        let verdict = &self.verdict;
        let is_critical = match (&verdict.cause, self.observed(), verdict.lower, verdict.upper) {
            (Cause::Rule { holds: false, .. }, ..) => return Severity::Cleared,
            (Cause::Rule { .. }, ..) => false,
            (_, Some(value), Some(lower), Some(upper)) if lower < upper => {
                let width = upper - lower;
                value - upper > width || lower - value > width
            }
            _ if verdict.threshold < 1.0 => verdict.score > verdict.threshold.midpoint(1.0),
            _ => verdict.score > 2.0 * verdict.threshold,
        };
        if is_critical {
            Severity::Critical
        } else {
            Severity::Warning
        }
    }

    fn key(&self) -> Option<&str> {
        Some(&*self.key).filter(|key| !key.is_empty())
    }

    /// The value that it is about. The beginning of a silence is about none, even if only its end shows it.
    fn observed(&self) -> Option<f64> {
        match self.verdict.cause {
            Cause::Rule {
                condition: Condition::Silent { .. },
                holds: true,
                ..
            } => None,
            _ => self.value,
        }
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.event_time_ms).unwrap_or_default()
    }

    /// The event time in the configured zone. An offset from before the zones had whole minutes is cut to them, as
    /// RFC 3339 knows no other; the instant stays the same.
    pub fn local_time(&self) -> DateTime<FixedOffset> {
        let offset_minutes = self.local_time_ms.saturating_sub(self.event_time_ms) / 60_000;
        let zone = i32::try_from(offset_minutes)
            .ok()
            .and_then(|minutes| FixedOffset::east_opt(minutes.checked_mul(60)?));
        match zone {
            Some(zone) => self.utc().with_timezone(&zone),
            None => self.utc().fixed_offset(),
        }
    }
}
