//! One condition over the readings of one series: whether it holds, and since when.

use std::sync::Arc;

use super::Condition;

use super::NAME;
use super::changes::Extremes;
use super::trend::Trend;
use crate::detectors::{Cause, Observation, StateError, StateReader, StateWriter, Verdict};

/// A condition and what is remembered for it.
#[derive(Debug)]
pub(super) struct ConditionState {
    text: Arc<str>,
    condition: Condition,
    /// While it holds: the event time that it counts from.
    holds_since_ms: Option<i64>,
    history: History,
}

#[derive(Debug)]
enum History {
    Beyond(Beyond),
    /// The newest reading's time is all it takes.
    Nothing,
    Extremes(Extremes),
    Trend(Trend),
}

/// The newest readings on one side of a bound.
#[derive(Debug, Default)]
struct Beyond {
    /// The first of the newest readings that are all beyond the bound.
    since_ms: Option<i64>,
    /// While the condition holds, the first of the newest readings that are all back beyond the bound that ends it.
    back_since_ms: Option<i64>,
}

impl ConditionState {
    pub(super) fn new(text: Arc<str>, condition: Condition) -> Self {
        let history = match condition {
            Condition::Above { .. } | Condition::Below { .. } => History::Beyond(Beyond::default()),
            Condition::Silent { .. } => History::Nothing,
            Condition::Changes { within_ms, .. } => History::Extremes(Extremes::new(within_ms)),
            Condition::Reaches {
                limit,
                within_ms,
                is_falling,
            } => History::Trend(Trend::new(limit, within_ms, is_falling)),
        };
        ConditionState {
            text,
            condition,
            holds_since_ms: None,
            history,
        }
    }

    /// Whether it watches this condition.
    pub(super) fn is_of(&self, condition: Condition) -> bool {
        self.condition == condition
    }

    /// The duration that it is about.
    pub(super) fn duration_ms(&self) -> i64 {
        match self.condition {
            Condition::Above { for_ms, .. }
            | Condition::Below { for_ms, .. }
            | Condition::Silent { for_ms } => for_ms,
            Condition::Changes { within_ms, .. } | Condition::Reaches { within_ms, .. } => within_ms,
        }
    }

    /// Ingests a reading that is not older than the one before it, which was at `newest_ms`.
    pub(super) fn observe(
        &mut self,
        observation: Observation,
        newest_ms: Option<i64>,
        verdicts: &mut Vec<Verdict>,
    ) {
        let Observation {
            event_time_ms, value, ..
        } = observation;
        let since_ms = match (self.condition, &mut self.history) {
            (Condition::Above { bound, for_ms, until }, History::Beyond(beyond)) => {
                let until = until.map(|until| (value < until.bound, until.for_ms));
                beyond.observe(event_time_ms, (value > bound, for_ms), until, self.holds_since_ms)
            }
            (Condition::Below { bound, for_ms, until }, History::Beyond(beyond)) => {
                let until = until.map(|until| (value > until.bound, until.for_ms));
                beyond.observe(event_time_ms, (value < bound, for_ms), until, self.holds_since_ms)
            }
            (Condition::Changes { by, .. }, History::Extremes(extremes)) => {
                extremes.observe(event_time_ms, value, by)
            }
            (_, History::Trend(trend)) => {
                let since_ms = self.holds_since_ms.unwrap_or(event_time_ms);
                let holds = trend.observe(event_time_ms, value, self.holds_since_ms.is_some());
                holds.then_some(since_ms)
            }
            _ => {
                // A silence that no deadline showed in its time is reported before its end.
                if let Some(newest_ms) = newest_ms {
                    self.elapse(newest_ms, event_time_ms, verdicts);
                }
                None
            }
        };
        self.update(since_ms, verdicts);
    }

    /// The event time at which a silence begins to hold, if it does not yet: the first millisecond at which there
    /// has been no reading for longer than its duration. Meters that report at the same moments, a duration apart,
    /// are not silent.
    pub(super) fn deadline_ms(&self, newest_ms: i64) -> Option<i64> {
        match self.condition {
            Condition::Silent { for_ms } if self.holds_since_ms.is_none() => {
                Some(newest_ms.saturating_add(for_ms).saturating_add(1))
            }
            _ => None,
        }
    }

    /// Notes that event time reached `time_ms` with no reading after `newest_ms`.
    pub(super) fn elapse(&mut self, newest_ms: i64, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        if self
            .deadline_ms(newest_ms)
            .is_some_and(|deadline| deadline <= time_ms)
        {
            self.update(Some(newest_ms), verdicts);
        }
    }

    /// Reports the condition if it begins to hold, counted from `since_ms`, or ceases to.
    fn update(&mut self, since_ms: Option<i64>, verdicts: &mut Vec<Verdict>) {
        match (self.holds_since_ms, since_ms) {
            (None, Some(since_ms)) => {
                self.holds_since_ms = Some(since_ms);
                verdicts.push(self.verdict(true, since_ms));
            }
            (Some(since_ms), None) => {
                self.holds_since_ms = None;
                verdicts.push(self.verdict(false, since_ms));
            }
            _ => {}
        }
    }

    /// A condition has no degrees: it scores 1 when it begins and 0 when it ends, and both are published.
    fn verdict(&self, holds: bool, since_ms: i64) -> Verdict {
        let (lower, upper) = match self.condition {
            Condition::Above { bound, .. } => (None, Some(bound)),
            Condition::Below { bound, .. } => (Some(bound), None),
            Condition::Reaches {
                limit, is_falling, ..
            } if is_falling => (Some(limit), None),
            Condition::Reaches { limit, .. } => (None, Some(limit)),
            Condition::Silent { .. } | Condition::Changes { .. } => (None, None),
        };
        Verdict {
            detector: NAME,
            score: if holds { 1.0 } else { 0.0 },
            threshold: 1.0,
            is_anomaly: true,
            expected: None,
            lower,
            upper,
            slot: None,
            comparables: None,
            cause: Cause::Rule {
                rule: self.text.clone(),
                condition: self.condition,
                holds,
                since_ms,
                forecast: match &self.history {
                    History::Trend(trend) if holds => trend.forecast(),
                    _ => None,
                },
            },
            is_calm: None,
            episode: None,
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        save_time(self.holds_since_ms, state);
        match &self.history {
            History::Beyond(beyond) => {
                save_time(beyond.since_ms, state);
                save_time(beyond.back_since_ms, state);
            }
            History::Nothing => {}
            History::Extremes(extremes) => extremes.save(state),
            History::Trend(trend) => trend.save(state),
        }
    }

    pub(super) fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.holds_since_ms = restore_time(state)?;
        match &mut self.history {
            History::Beyond(beyond) => {
                beyond.since_ms = restore_time(state)?;
                beyond.back_since_ms = restore_time(state)?;
            }
            History::Nothing => {}
            History::Extremes(extremes) => extremes.restore(state)?,
            History::Trend(trend) => trend.restore(state)?,
        }
        Ok(())
    }
}

impl Beyond {
    /// Ingests a reading: whether it is beyond the bound, and for how long readings must be; the same of the bound that ends
    /// the condition, if there is one. Returns since when the condition holds. `holds_since_ms` is what that was before.
    fn observe(
        &mut self,
        event_time_ms: i64,
        (is_beyond, for_ms): (bool, i64),
        until: Option<(bool, i64)>,
        holds_since_ms: Option<i64>,
    ) -> Option<i64> {
        let (Some(holds_since_ms), Some((is_back, back_for_ms))) = (holds_since_ms, until) else {
            return lasting(is_beyond, for_ms, event_time_ms, &mut self.since_ms);
        };
        if lasting(is_back, back_for_ms, event_time_ms, &mut self.back_since_ms).is_none() {
            return Some(holds_since_ms);
        }
        *self = Beyond::default();
        None
    }
}

/// Since when something has been so, once that has lasted.
fn lasting(is_so: bool, for_ms: i64, event_time_ms: i64, since_ms: &mut Option<i64>) -> Option<i64> {
    if !is_so {
        *since_ms = None;
        return None;
    }
    let since_ms = *since_ms.get_or_insert(event_time_ms);
    (event_time_ms.saturating_sub(since_ms) >= for_ms).then_some(since_ms)
}

/// Writes an optional time.
pub(super) fn save_time(time_ms: Option<i64>, state: &mut StateWriter) {
    state.u8(u8::from(time_ms.is_some()));
    if let Some(time_ms) = time_ms {
        state.i64(time_ms);
    }
}

/// Reads what [`save_time`] wrote.
pub(super) fn restore_time(state: &mut StateReader<'_>) -> Result<Option<i64>, StateError> {
    match state.u8()? {
        0 => Ok(None),
        1 => state.i64().map(Some),
        _ => Err(StateError::Impossible("flag")),
    }
}
