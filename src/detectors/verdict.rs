//! The verdict of a detector on an observation.

use std::sync::Arc;

use super::Condition;
use super::Slot;

/// A detector's verdict on one observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The name of the model it comes from.
    pub detector: &'static str,
    /// How unusual it is, on the detector's own scale; higher is more so. Finite.
    pub score: f64,
    /// The score from which on, or above which, it is an anomaly.
    pub threshold: f64,
    /// Whether it is to be published. The end of a rule's condition is, although it scores 0.
    pub is_anomaly: bool,
    /// The usual value, if the detector has one.
    pub expected: Option<f64>,
    /// The bounds of usual values.
    /// The lower bound of usual values, if the detector has one.
    pub lower: Option<f64>,
    /// The upper bound of usual values, if the detector has one.
    pub upper: Option<f64>,
    /// The time of the week it was compared by.
    pub slot: Option<Slot>,
    /// How many earlier observations it was compared with.
    pub comparables: Option<u32>,
    /// The kind of deviation, for the message's explanation.
    pub cause: Cause,
}

/// The reason for a verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Too little has been seen to judge.
    Learning,
    /// Few random cuts isolate it from the earlier values of its slot.
    Isolated,
    /// The value lies where few earlier ones do.
    SparseRegion,
    /// The single value is out of the ordinary.
    Point,
    /// The values of the last hour together are out of the ordinary.
    Hour,
    /// The value is further out than any before it.
    Range,
    /// The value has not changed for unusually long.
    Stuck,
    /// A rule's condition began or ceased to hold.
    Rule {
        /// The condition as it is written.
        rule: Arc<str>,
        /// The same, parsed.
        condition: Condition,
        /// True where the condition begins to hold, false where it ends.
        holds: bool,
        /// The event time from which it holds: that of the first reading beyond a bound, of the last one before a
        /// silence, of the one that the value changed from.
        since_ms: i64,
    },
}

impl Cause {
    /// The name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Learning => "learning",
            Cause::Isolated => "isolated",
            Cause::SparseRegion => "sparse_region",
            Cause::Point => "point",
            Cause::Hour => "hour",
            Cause::Range => "range",
            Cause::Stuck => "stuck",
            Cause::Rule { holds: true, .. } => "rule_began",
            Cause::Rule { holds: false, .. } => "rule_ended",
        }
    }
}

impl Verdict {
    /// "Not enough seen yet": score 0, no anomaly.
    pub fn learning(detector: &'static str, threshold: f64) -> Self {
        Verdict {
            detector,
            score: 0.0,
            threshold,
            is_anomaly: false,
            expected: None,
            lower: None,
            upper: None,
            slot: None,
            comparables: None,
            cause: Cause::Learning,
        }
    }
}
