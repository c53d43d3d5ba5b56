//! From evidence to a score.

use super::super::{StateError, StateReader, StateWriter};
use super::saved::non_negative;

/// The score from which on, by default, a value is an anomaly.
pub(super) const ALARM: f64 = 7.0;
/// Evidence at which the hour alone is an anomaly: about 0.1 times in the 2016 steps of a week.
pub(super) const LIMIT: f64 = 4.2;
/// The same of a single value; a little more, since a heavy tail is never known exactly.
pub(super) const POINT_LIMIT: f64 = 4.5;
/// The same of an unchanged value; more, since runs are few and their lengths whole numbers.
pub(super) const STUCK_LIMIT: f64 = 5.5;
/// The sum of evidence that is an anomaly if an hour takes part: that of a product of independent probabilities
/// which is as rare as the limit is near 5; chosen on measurements.
const SUM_LIMIT: f64 = 4.1;
/// The same of an hour that says less than `CLEAR_HOUR`: in noise with a heavy tail, a far point beside an hour that just
/// begins to be unusual is a coincidence of every week.
const FAINT_SUM_LIMIT: f64 = 5.0;
const CLEAR_HOUR: f64 = 1.8;
/// The same without: a value far out is a new extreme as well, which is no second proof.
const POINT_SUM_LIMIT: f64 = 7.0;
/// The same of a series that seldom changes, where all views see the same few events.
const RESTING_SUM_LIMIT: f64 = 6.0;
/// What the largest of the twelve values of an hour has less than a single one: log10 of 12.
const RECENT_PENALTY: f64 = 1.08;
const HOUR_MS: i64 = 3_600_000;
/// After a report there is no other for half a day, unless there is twice the evidence.
const QUIET_MS: i64 = 12 * HOUR_MS;
const GROWTH: f64 = 2.0;
/// After an hour took part in an anomaly, the new level may stay: it is not reported again for a week.
const HOLD_MS: i64 = 7 * 24 * HOUR_MS;

/// The view that a score rests on most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    Point,
    Hour,
    Range,
    Stuck,
    Trend,
}

/// What the views say of one value: -log10 of its probability, scaled for the steps in a week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    pub point: f64,
    /// The most of `point` in the window of the hour.
    pub recent_point: f64,
    pub hour: f64,
    pub range: f64,
    pub stuck: f64,
    /// What the evidence was scaled by; the sum is not.
    pub weight: f64,
    /// Whether the series seldom changes.
    pub is_resting: bool,
}

impl Evidence {
    /// What the views say together, in the unit of scores, and which says most.
    fn sum(&self) -> (f64, Lead) {
        let (point, limit) = if self.hour > 0.0 {
            let recent = (self.recent_point - RECENT_PENALTY).max(self.point);
            let is_clear = self.hour >= CLEAR_HOUR;
            (recent, if is_clear { SUM_LIMIT } else { FAINT_SUM_LIMIT })
        } else {
            (self.point, POINT_SUM_LIMIT)
        };
        let limit = if self.is_resting { RESTING_SUM_LIMIT } else { limit };
        let cause = if self.range > self.hour.max(point) {
            Lead::Range
        } else if self.hour > point {
            Lead::Hour
        } else {
            Lead::Point
        };
        let sum = (self.hour + self.range + point) / self.weight;
        (ALARM * sum / limit, cause)
    }
}

/// What has been reported, and therefore is not reported again.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    threshold: f64,
    /// The last score that was not 0.
    reported: LastReport,
    /// The last one that reached the threshold.
    alarmed: LastReport,
    /// The hour's evidence at the last alarm in which it took part.
    held: LastReport,
}

/// When something was last reported, and how much evidence there was.
#[derive(Debug, Clone)]
struct LastReport {
    time_ms: i64,
    evidence: f64,
}

impl Decision {
    /// Nothing has been reported.
    pub(super) fn new(threshold: f64) -> Self {
        Decision {
            threshold,
            reported: LastReport::NEVER,
            alarmed: LastReport::NEVER,
            held: LastReport::NEVER,
        }
    }

    /// Forgets what was reported later than now, because that was another time's.
    pub(super) fn turn_back(&mut self, now_ms: i64) {
        for report in [&mut self.reported, &mut self.alarmed, &mut self.held] {
            if report.time_ms > now_ms {
                *report = LastReport::NEVER;
            }
        }
    }

    /// The score, and what it rests on. A trend has silenced itself and silences nothing, because no other view sees it. Else
    /// it is 0 below half of the threshold, and for half a day after a score unless
    /// there is twice the evidence; what is below the threshold silences nothing that is not.
    pub(super) fn decide(&mut self, views: &Evidence, slope_size: Option<f64>, now_ms: i64) -> (f64, Lead) {
        let (score, lead) = self.decide_views(views, now_ms);
        let trend = ALARM * slope_size.unwrap_or(0.0);
        if trend > 0.0 && score < self.threshold {
            (trend, Lead::Trend)
        } else {
            (score, lead)
        }
    }

    fn decide_views(&mut self, views: &Evidence, now_ms: i64) -> (f64, Lead) {
        let (mut score, mut lead) = views.sum();
        let hour = if self.held.allows(views.hour, now_ms, HOLD_MS) {
            views.hour
        } else {
            0.0
        };
        for (evidence, limit, view) in [
            (views.point, POINT_LIMIT, Lead::Point),
            (hour, LIMIT, Lead::Hour),
            (views.stuck, STUCK_LIMIT, Lead::Stuck),
        ] {
            if evidence >= limit && ALARM * evidence / limit > score {
                score = ALARM * evidence / limit;
                lead = view;
            }
        }
        let is_alarm = score >= self.threshold && self.alarmed.allows(score, now_ms, QUIET_MS);
        let is_reported = score >= self.threshold / 2.0 && self.reported.allows(score, now_ms, QUIET_MS);
        if !is_alarm && !is_reported {
            return (0.0, lead);
        }
        // Two memories: a score below the threshold silences scores like it, but no alarm.
        self.reported = LastReport {
            time_ms: now_ms,
            evidence: score,
        };
        if score >= self.threshold {
            self.alarmed = self.reported.clone();
            if views.hour > 0.0 {
                self.held = LastReport {
                    time_ms: now_ms,
                    evidence: views.hour,
                };
            }
        }
        (score, lead)
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        for report in [&self.reported, &self.alarmed, &self.held] {
            state.i64(report.time_ms);
            state.f64(report.evidence);
        }
    }

    pub(super) fn restore(threshold: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut report = || {
            Ok(LastReport {
                time_ms: state.i64()?,
                evidence: non_negative(state, "evidence")?,
            })
        };
        Ok(Decision {
            threshold,
            reported: report()?,
            alarmed: report()?,
            held: report()?,
        })
    }
}

impl LastReport {
    const NEVER: LastReport = LastReport {
        time_ms: i64::MIN,
        evidence: 0.0,
    };

    /// Whether enough time has passed, or there is enough more evidence, to report again.
    fn allows(&self, evidence: f64, now_ms: i64, quiet_ms: i64) -> bool {
        now_ms.saturating_sub(self.time_ms) >= quiet_ms || evidence >= GROWTH * self.evidence
    }
}
