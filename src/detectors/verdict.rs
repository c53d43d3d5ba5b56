//! The verdict of a detector on an observation.

use std::sync::Arc;

use super::Slot;
use super::{Condition, EndReason, EpisodeStep, Forecast, Severity};

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
    /// Whether it speaks for the end of an episode: the value is as usual. `None` if it says nothing either way.
    pub is_calm: Option<bool>,
    /// The place in its episode, which the [`Series`](super::Series) finds; none of what is no anomaly.
    pub episode: Option<EpisodeStep>,
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
    Hour {
        /// How long that hour is: longer where readings are far apart.
        span_ms: i64,
        /// A reading before this one that gave it away.
        earlier: Option<Earlier>,
    },
    /// The value is further out than those before it.
    Range {
        /// The extreme of all values before; `None` if there was one as far out.
        record_before: Option<f64>,
    },
    /// The value has not changed for unusually long.
    Stuck {
        /// For how long, in event time.
        lasted_ms: i64,
        /// For how long at most a value did not change before.
        longest_before_ms: i64,
    },
    /// The means of days change the same way, day by day.
    Trend {
        /// The change from a day to the next.
        per_day: f64,
        /// The days that it has gone on for.
        days: u32,
    },
    /// The counter fell below its last total and came back within a few readings.
    Glitch {
        /// The last total before.
        before: f64,
        /// The first total below it.
        fell_to: f64,
    },
    /// The counter fell below its last total and counts from there.
    Reset {
        /// The last total before.
        before: f64,
        /// The first total below it.
        fell_to: f64,
    },
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
        /// Of a condition about a limit that lies ahead, where it begins: when that is reached.
        forecast: Option<Forecast>,
    },
    /// It is out of the ordinary, and somebody has said to expect it.
    Expected {
        /// Who, if that is said.
        by: Option<Arc<str>>,
        /// What it rests on.
        cause: Box<Cause>,
    },
    /// An episode is over without a condition that ended.
    Ended {
        /// Why.
        reason: EndReason,
        /// Of the episode of a rule, the condition as it is written.
        rule: Option<Arc<str>>,
    },
}

/// A reading before the one that is judged, and the usual values then.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Earlier {
    /// On the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00.
    pub local_time_ms: i64,
    /// What was read.
    pub value: f64,
    /// The lower bound of usual values.
    pub lower: f64,
    /// The upper bound of usual values.
    pub upper: f64,
}

impl Earlier {
    /// Whether it was beyond the bounds.
    pub(crate) fn is_beyond(&self) -> bool {
        !(self.lower..=self.upper).contains(&self.value)
    }
}

impl Cause {
    /// The name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Learning => "learning",
            Cause::Isolated => "isolated",
            Cause::SparseRegion => "sparse_region",
            Cause::Point => "point",
            Cause::Hour { .. } => "hour",
            Cause::Range { .. } => "range",
            Cause::Stuck { .. } => "stuck",
            Cause::Trend { .. } => "trend",
            Cause::Glitch { .. } => "glitch",
            Cause::Reset { .. } => "reset",
            Cause::Rule { holds: true, .. } => "rule_began",
            Cause::Rule { holds: false, .. } => "rule_ended",
            Cause::Expected { cause, .. } => cause.name(),
            Cause::Ended { reason, .. } => reason.name(),
        }
    }

    /// Whether it is about a value that has not changed.
    pub(super) fn is_stuck(&self) -> bool {
        match self {
            Cause::Expected { cause, .. } => cause.is_stuck(),
            cause => matches!(cause, Cause::Stuck { .. }),
        }
    }

    /// Whether it says that something is over.
    pub fn is_end(&self) -> bool {
        matches!(self, Cause::Rule { holds: false, .. } | Cause::Ended { .. })
    }

    /// The condition that it is about, as it is written.
    pub fn rule(&self) -> Option<&Arc<str>> {
        match self {
            Cause::Rule { rule, .. } => Some(rule),
            Cause::Ended { rule, .. } => rule.as_ref(),
            _ => None,
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
            is_calm: None,
            episode: None,
        }
    }

    /// How far out it is, of an observation with this value:
    ///
    /// - what somebody has said to expect is expected;
    /// - the end of a rule's condition or of an episode is cleared; the beginning of a condition is a warning, since a
    ///   condition has no degrees;
    /// - with a band of some width, a value that is further beyond it than it is wide is critical;
    /// - else a score that is more than half of the way from the threshold to the largest possible one is. That is
    ///   1 for a threshold below 1; a larger threshold is of a scale without end, and twice of it is taken.
    pub(crate) fn severity(&self, value: Option<f64>) -> Severity {
        let is_critical = match (&self.cause, value, self.lower, self.upper) {
            (cause, ..) if cause.is_end() => return Severity::Cleared,
            (Cause::Expected { .. }, ..) => return Severity::Expected,
            (Cause::Rule { .. }, ..) => false,
            (_, Some(value), Some(lower), Some(upper)) if lower < upper => {
                let width = upper - lower;
                value - upper > width || lower - value > width
            }
            _ if self.threshold < 1.0 => self.score > self.threshold.midpoint(1.0),
            _ => self.score > 2.0 * self.threshold,
        };
        if is_critical {
            Severity::Critical
        } else {
            Severity::Warning
        }
    }
}
