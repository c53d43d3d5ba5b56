//! From evidence to a verdict.

use super::super::{Cause, StateError, StateReader, StateWriter};
use super::saved::size;

pub const ALARM: f64 = 7.0;
pub const LIMIT: f64 = 4.2;
pub const STUCK_LIMIT: f64 = 5.5;
const QUIET: u64 = 144;
const GROWTH: f64 = 2.0;
const HOLD: u64 = 2016;
const WARM_UP: u64 = 300;

/// What the views say of one value.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    pub point: f64,
    pub recent_point: f64,
    pub hour: f64,
    pub range: f64,
    pub stuck: f64,
}

#[derive(Debug, Clone)]
pub struct Decision {
    told: Mute,
    alarmed: Mute,
    held_since: Option<u64>,
    held_evidence: f64,
}

/// Says nothing for a while after it has said something, unless there is much more to say.
#[derive(Debug, Clone)]
struct Mute {
    floor: f64,
    last: Option<u64>,
    evidence: f64,
}

impl Mute {
    fn new(floor: f64) -> Self {
        Mute {
            floor,
            last: None,
            evidence: 0.0,
        }
    }

    fn pass(&mut self, evidence: f64, now: u64) -> bool {
        let quiet = self.last.is_none_or(|last| now.saturating_sub(last) >= QUIET);
        if evidence < self.floor || !(quiet || evidence >= GROWTH * self.evidence) {
            return false;
        }
        self.last = Some(now);
        self.evidence = evidence;
        true
    }
}

/// What is decided.
#[derive(Debug, Clone)]
pub struct Decided {
    pub score: f64,
    pub is_anomaly: bool,
    pub cause: Cause,
}

impl Decision {
    pub fn new() -> Self {
        Decision {
            told: Mute::new(ALARM / 2.0),
            alarmed: Mute::new(ALARM),
            held_since: None,
            held_evidence: 0.0,
        }
    }

    pub fn decide(&mut self, views: &Evidence, count: u64) -> Decided {
        let now = count + 1;
        let point = if views.hour > 0.0 {
            views.recent_point
        } else {
            views.point
        };
        let mut total = views.hour + views.range + point;
        let held = self
            .held_since
            .is_some_and(|since| count.saturating_sub(since) <= HOLD)
            && views.hour <= GROWTH * self.held_evidence;
        for (evidence, limit, on) in [
            (views.point, LIMIT, true),
            (views.hour, LIMIT, !held),
            (views.stuck, STUCK_LIMIT, true),
        ] {
            if on && evidence >= limit {
                total = total.max(ALARM * evidence / limit);
            }
        }
        if count < 20 {
            total = 0.0;
        }
        let score = if self.told.pass(total, now) { total } else { 0.0 };
        let is_anomaly = count >= WARM_UP && self.alarmed.pass(total, now);
        if is_anomaly && views.hour > 0.0 {
            self.held_since = Some(count);
            self.held_evidence = views.hour;
        }
        Decided {
            score,
            is_anomaly,
            cause: Cause::Point,
        }
    }
}

impl Mute {
    fn save(&self, state: &mut StateWriter) {
        state.u64(self.last.unwrap_or(0));
        state.f64(self.evidence);
    }

    fn restore(floor: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let last = state.u64()?;
        Ok(Mute {
            floor,
            last: (last > 0).then_some(last),
            evidence: size(state, "evidence")?,
        })
    }
}

impl Decision {
    pub fn save(&self, state: &mut StateWriter) {
        self.told.save(state);
        self.alarmed.save(state);
        state.u64(self.held_since.unwrap_or(0));
        state.f64(self.held_evidence);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let told = Mute::restore(ALARM / 2.0, state)?;
        let alarmed = Mute::restore(ALARM, state)?;
        let held_since = state.u64()?;
        Ok(Decision {
            told,
            alarmed,
            held_since: (held_since > 0).then_some(held_since),
            held_evidence: size(state, "evidence")?,
        })
    }
}
