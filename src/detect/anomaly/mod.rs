//! An anomaly as it is published: the JSON value, the CloudEvents headers, and a sentence that a person understands.

use std::sync::Arc;

use super::Verdict;

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
    pub value: f64,
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

/// What all messages of a run have in common.
#[derive(Debug, Clone)]
pub struct MessageContext {
    /// The topic of the readings.
    pub topic: String,
    /// The unit of the values; may be empty.
    pub unit: String,
}
