//! Trying detectors on history: a recording → verdicts → a summary, the scores of NAB, and a report.
//!
//! [`Judge`] runs the models of the settings over the readings of a recording as the stream would, and keeps every
//! judgement. Pure: readings and settings in, values and texts out. Absent from this room: files, printing.

mod judge;
mod labels;
pub mod nab;
mod number;
mod report;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::detect::{Anomaly, Severity};

pub use judge::{Judge, Past};
pub use labels::{LabelError, Labels};
pub use number::{expectation, significant};
pub use report::{ReportFile, ReportHead, report};
pub use summary::Summary;

/// What was judged, and what it was judged to be: a reading, or the average of a closed window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedPoint {
    /// In milliseconds since 1970-01-01T00:00:00Z; for a window, its end.
    pub event_time_ms: i64,
    /// As written in the recording, in milliseconds since 1970-01-01T00:00:00 on the same clock.
    pub wall_time_ms: i64,
    pub value: f64,
    /// 0 where nothing was said; with rules alone, 1 where a condition began to hold.
    pub score: f64,
    pub threshold: f64,
    /// Whether it would have been published as an anomaly; the end of a rule's condition is none.
    pub is_anomaly: bool,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

/// An anomaly that would have been published.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// On the recording's own clock, in milliseconds since 1970-01-01T00:00:00.
    pub wall_time_ms: i64,
    pub anomaly: Anomaly,
}

impl Alert {
    /// Whether it tells of something wrong, and not that it has ended.
    pub fn is_alarm(&self) -> bool {
        self.anomaly.severity() != Severity::Cleared
    }
}

/// A series of a recording with all that was said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedSeries {
    /// Empty when the recording is read as one series.
    pub key: Arc<str>,
    /// In the order of the recording.
    pub points: Vec<JudgedPoint>,
    pub alerts: Vec<Alert>,
    /// Values beyond what the model can take, which were counted as the nearest that it can.
    pub clipped: u64,
}
