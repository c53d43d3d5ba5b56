//! Trying detectors on history: a recording → verdicts → a summary, the scores of NAB, and a report.
//!
//! [`Judge`] runs the models of the settings over the readings of a recording as the stream would, and keeps every
//! judgment, or the episodes alone; [`tuning`] compares the episodes of several settings with what people said. Pure:
//! readings and settings in, values and texts out. Absent from this room: files, printing.

mod episodes;
mod judge;
mod labels;
pub(crate) mod nab;
mod number;
mod report;
mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod tuning;

use std::sync::Arc;

use crate::detectors::{Anomaly, Notice, Phase, Severity};

pub(crate) use episodes::Episode;
pub(crate) use judge::{HistoricReading, Judge};
pub(crate) use labels::Labels;
pub(crate) use number::{expectation, significant};
pub(crate) use report::{ReportFile, ReportHead, report};
pub(crate) use summary::Summary;

/// A judged value: a reading, or the average of a closed window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct JudgedPoint {
    /// In milliseconds since 1970-01-01T00:00:00Z; for a window, its end.
    pub event_time_ms: i64,
    /// As written in the recording, in milliseconds since 1970-01-01T00:00:00 on the same clock.
    pub wall_time_ms: i64,
    pub value: f64,
    /// 0 where the detector had nothing to say; with rules alone, 1 where a condition began to hold.
    pub score: f64,
    pub threshold: f64,
    /// Whether it would have been published as an anomaly. The end of an episode does not count.
    pub is_anomaly: bool,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

/// An anomaly that would have been published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alert {
    /// On the recording's own clock, in milliseconds since 1970-01-01T00:00:00.
    pub wall_time_ms: i64,
    pub anomaly: Anomaly,
}

impl Alert {
    /// Whether it reports something wrong, rather than its end.
    pub(crate) fn is_alarm(&self) -> bool {
        self.anomaly.severity() != Severity::Cleared
    }

    /// Whether it opens an episode.
    pub(crate) fn opens(&self) -> bool {
        self.anomaly.episode.phase == Phase::Opened
    }
}

/// A series of a recording with all its judgments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JudgedSeries {
    /// Empty when the recording is read as one series.
    pub key: Arc<str>,
    /// In the order of the recording.
    pub points: Vec<JudgedPoint>,
    pub alerts: Vec<Alert>,
    /// When the first reading was judged, on the recording's own clock; `None` if the detector has not learnt enough.
    pub judged_from_ms: Option<i64>,
    /// What the detector says of the series at its end.
    pub notice: Notice,
    /// Values outside the model's limits, which counted as the nearest value inside.
    pub clipped: u64,
    /// Anomalies that `detect.direction` and `detect.least_change` pass over.
    pub passed_over: u64,
}
