//! What a detector says about an observation.

use std::sync::Arc;

use super::Slot;
use crate::config::Condition;

/// A detector's judgement of one observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The name of the model it comes from.
    pub detector: &'static str,
    /// How unusual it is, on the detector's own scale; higher is more so. Finite.
    pub score: f64,
    /// The score from which on, or above which, it is an anomaly.
    pub threshold: f64,
    /// Whether it is to be published. That is also so for the end of a rule's condition, which scores 0.
    pub is_anomaly: bool,
    /// What would have been usual, if the detector has a notion of it.
    pub expected: Option<f64>,
    /// Bounds of what would not have been remarkable.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// The time of the week it was compared by.
    pub slot: Option<Slot>,
    /// How many earlier observations it was compared with.
    pub comparables: Option<u32>,
    pub cause: Cause,
}

/// What the judgement rests on.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Too little has been seen to judge.
    Learning,
    /// Few random cuts isolate it from the earlier values of its slot.
    Isolated,
    /// It fell where few earlier values did.
    SparseRegion,
    /// The single value is out of the ordinary.
    Point,
    /// The values of the last hour together are.
    Hour,
    /// It is further out than anything so far.
    Range,
    /// The value has not changed for unusually long.
    Stuck,
    /// A rule's condition began to hold, or no longer does.
    Rule {
        /// The condition as it is written.
        rule: Arc<str>,
        condition: Condition,
        holds: bool,
        /// The event time that it counts from: of the first reading beyond a bound, of the last one before a
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
