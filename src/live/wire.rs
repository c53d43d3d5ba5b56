//! What the page is given, as JSON: times in milliseconds since 1970 UTC, what is not known as null.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::ring::Point;
use crate::reading::SeriesKey;

/// A series in the list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SeriesRow {
    #[serde(flatten)]
    pub series: SeriesName,
    pub newest_ms: Option<i64>,
    pub value: Option<f64>,
    pub score: Option<f64>,
    pub is_anomaly: bool,
    /// Its open episodes.
    pub open: usize,
    /// Event time of its newest anomaly.
    pub anomaly_ms: Option<i64>,
    /// Its newest values, oldest first.
    pub spark: Vec<f64>,
}

/// A series, by what identifies it.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct SeriesName {
    /// Null where the topic is read as one series.
    pub key: Option<Arc<str>>,
    pub measure: Option<Arc<str>>,
}

/// A page of the list.
#[derive(Debug, Serialize)]
pub(super) struct SeriesPage {
    pub total: usize,
    pub offset: usize,
    pub series: Vec<SeriesRow>,
}

/// Readings by column.
#[derive(Debug, Default, Serialize)]
pub(super) struct Columns {
    pub time: Vec<i64>,
    pub value: Vec<f64>,
    pub lower: Vec<Option<f64>>,
    pub upper: Vec<Option<f64>>,
    pub expected: Vec<Option<f64>>,
    pub score: Vec<Option<f64>>,
    pub is_anomaly: Vec<u8>,
}

/// The readings of a series in a stretch of time.
#[derive(Debug, Serialize)]
pub(super) struct History {
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    pub cursor: u64,
    pub is_thinned: bool,
    #[serde(flatten)]
    pub columns: Columns,
}

/// What came to a series since.
#[derive(Debug, Serialize)]
pub(super) struct NewPoints {
    #[serde(flatten)]
    pub series: SeriesName,
    pub first: u64,
    pub cursor: u64,
    #[serde(flatten)]
    pub columns: Columns,
}

/// What changed since a number of the view.
#[derive(Debug, Serialize)]
pub(super) struct Changes {
    pub boot: Arc<str>,
    pub seen: u64,
    pub points: Option<NewPoints>,
    pub resync: bool,
    pub series: Vec<SeriesRow>,
    pub series_total: usize,
    pub episodes: Vec<EpisodeRow>,
    pub health: HealthRow,
}

/// An episode, and what people say of it.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(super) struct EpisodeRow {
    pub id: Arc<str>,
    #[serde(flatten)]
    pub series: SeriesName,
    pub detector: String,
    pub cause: String,
    pub severity: String,
    pub since_ms: i64,
    pub until_ms: Option<i64>,
    pub newest_ms: i64,
    pub value: Option<f64>,
    pub expected: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub score: f64,
    pub threshold: f64,
    /// Of the first message.
    pub explanation: String,
    /// Of the newest.
    pub latest: String,
    /// Messages that are no end.
    pub anomalies: usize,
    pub said: Option<Said>,
    pub silence: Option<Silenced>,
}

/// Some episodes, newest first.
#[derive(Debug, Serialize)]
pub(super) struct EpisodePage {
    pub episodes: Vec<EpisodeRow>,
    /// Whether there are older ones.
    pub more: bool,
}

/// What was said of an episode last.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct Said {
    pub verdict: &'static str,
    pub scope: &'static str,
    pub until_ms: Option<i64>,
    pub by: Option<String>,
    pub note: Option<String>,
    pub at_ms: Option<i64>,
}

/// The silence that keeps an episode from being told.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct Silenced {
    pub id: String,
    pub pattern: String,
    pub until_ms: Option<i64>,
    pub by: Option<String>,
    pub why: String,
}

/// How everything is, in words and numbers.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(super) struct HealthRow {
    pub state: HealthState,
    pub sentence: String,
    pub series: usize,
    pub open_episodes: usize,
    pub readings_per_s: f64,
    /// Event time of the newest reading.
    pub newest_ms: Option<i64>,
    /// The score that makes an anomaly, once a reading was judged.
    pub threshold: Option<f64>,
    pub replica: ReplicaProgress,
    pub sinks: Vec<SinkRow>,
    /// Records since the history's begin, by reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
}

/// One word for how everything is.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum HealthState {
    Fine,
    Loading,
    Behind,
    Quiet,
    Broken,
}

/// How much of the history has been read, in records.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub(super) struct ReplicaProgress {
    pub read: u64,
    pub to_read: u64,
}

/// A sink of this process.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct SinkRow {
    pub name: &'static str,
    /// `ok`, or what is wrong.
    pub state: String,
    pub lag_records: Option<i64>,
    pub committed_ms: Option<i64>,
}

/// The newest records that are no readings, by reason.
#[derive(Debug, Serialize)]
pub(super) struct DeadLetters {
    /// Where all of them are.
    pub topic: String,
    pub reasons: Vec<DeadLetterReason>,
}

/// Records that are no readings for one reason.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeadLetterReason {
    pub reason: &'static str,
    pub count: u64,
    pub newest: Vec<DeadLetter>,
}

/// A record that is no reading.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct DeadLetter {
    /// Kafka's timestamp.
    pub at_ms: Option<i64>,
    pub partition: i32,
    pub offset: i64,
    pub detail: String,
    pub key: Option<String>,
    pub value: String,
}

impl SeriesName {
    pub(super) fn of(series: &SeriesKey<Arc<str>>) -> Self {
        SeriesName {
            key: Some(Arc::clone(&series.key)).filter(|key| !key.is_empty()),
            measure: series.measure.clone(),
        }
    }

    pub(super) fn to_key(&self) -> SeriesKey<Arc<str>> {
        SeriesKey {
            key: self.key.clone().unwrap_or_default(),
            measure: self.measure.clone(),
        }
    }
}

impl Columns {
    pub(super) fn of<'a>(points: impl IntoIterator<Item = &'a Point>) -> Self {
        let mut columns = Columns::default();
        for point in points {
            columns.time.push(point.time_ms);
            columns.value.push(point.value);
            columns.lower.push(known(point.lower));
            columns.upper.push(known(point.upper));
            columns.expected.push(known(point.expected));
            columns.score.push(known(f64::from(point.score)));
            columns.is_anomaly.push(u8::from(point.is_anomaly));
        }
        columns
    }
}

/// A number that JSON has.
pub(super) fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
