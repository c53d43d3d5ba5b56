//! What a series heeds of what people say of it: episodes that are not learnt from, stretches that were announced, times of
//! the week at which something is expected. And what it keeps of its last episodes, so that an answer finds them.
//!
//! An answer is applied between two records of the partition, at a place that is written down, so all of this is a
//! function of the records and the places (invariant I6). What runs out does so by event time.

mod exception;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::episode::Episodes;
use super::{
    Answer, Cause, Causes, DAY_MS, Lesson, MessageId, Observation, Said, StateError, StateReader,
    StateWriter, Subject, Verdict,
};
use exception::Exception;

/// Episodes that are kept, the newest of a series.
const MOST_TOLD: usize = 8;
/// Stretches, episodes and exceptions that a series heeds; more would be a flood, which must not take the memory.
const MOST_HEEDED: usize = 16;

/// How long a fault is not learned from. What lasts longer is how things are now, whatever it was called.
const FAULT_LASTS_MS: i64 = 28 * DAY_MS;

/// What a series heeds, and what it keeps to understand answers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answers {
    /// The oldest first.
    told: Vec<Told>,
    stretches: Vec<Stretch>,
    faults: Vec<Fault>,
    exceptions: Vec<Exception>,
}

/// What is kept of an episode.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    detector: u8,
    episode: MessageId,
    causes: Causes,
    /// The largest distances from what was expected, at least up to the band's edge on that side; 0 if there was none.
    above: f64,
    below: f64,
    /// Of its first anomaly, on the wall clock.
    local_time_ms: i64,
}

/// A stretch that is known to be unusual.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    from_ms: i64,
    to_ms: i64,
    by: Option<Arc<str>>,
}

/// An episode that is a fault: while it is open, its detector does not learn.
#[derive(Debug, Clone, PartialEq)]
struct Fault {
    detector: u8,
    episode: MessageId,
    until_ms: i64,
}

impl Answers {
    /// Whether a detector must not learn from what is seen at this event time.
    pub(super) fn hold(&mut self, detector: u8, time_ms: i64, episodes: &Episodes) -> bool {
        // What is over is never open again.
        self.faults
            .retain(|fault| episodes.is_open(fault.episode) && time_ms < fault.until_ms);
        self.stretch_at(time_ms).is_some() || self.faults.iter().any(|fault| fault.detector == detector)
    }

    fn stretch_at(&self, time_ms: i64) -> Option<&Stretch> {
        let has = |stretch: &&Stretch| (stretch.from_ms..=stretch.to_ms).contains(&time_ms);
        self.stretches.iter().find(has)
    }

    /// Marks the anomalies of a detector that somebody has said to expect; conditions of rules are what somebody has said
    /// to be told of, so they stay as they are.
    pub(super) fn mark(&mut self, detector: u8, observation: &Observation, verdicts: &mut [Verdict]) {
        if self.stretches.is_empty() && self.exceptions.is_empty() {
            return;
        }
        for verdict in verdicts {
            if !verdict.is_anomaly || verdict.cause.rule().is_some() {
                continue;
            }
            let announced = self.stretch_at(observation.event_time_ms);
            let marked_by = announced.map(|stretch| stretch.by.clone()).or_else(|| {
                let fitting = |exception: &&mut Exception| exception.fits(detector, observation, verdict);
                let exception = self.exceptions.iter_mut().find(fitting)?;
                exception.renew(observation.event_time_ms);
                Some(exception.by.clone())
            });
            if let Some(by) = marked_by {
                let cause = Box::new(std::mem::replace(&mut verdict.cause, Cause::Learning));
                verdict.cause = Cause::Expected { by, cause };
            }
        }
    }

    /// Keeps what is needed of anomalies that have a place in an episode.
    pub(super) fn remember(&mut self, detector: u8, observation: &Observation, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let causes = Causes::of(&verdict.cause);
            let (true, Some(step)) = (causes != Causes::default(), verdict.episode) else {
                continue;
            };
            let known = self.told.iter_mut().find(|told| told.episode == step.opened);
            if let Some(told) = known {
                told.note(causes, observation, verdict);
                continue;
            }
            if self.told.len() == MOST_TOLD {
                self.told.remove(0);
            }
            let mut told = Told {
                detector,
                episode: step.opened,
                causes,
                above: 0.0,
                below: 0.0,
                local_time_ms: observation.local_time_ms,
            };
            told.note(causes, observation, verdict);
            self.told.push(told);
        }
    }

    /// Whether an episode is among those that are kept, or that something is heeded of.
    pub(super) fn knows(&self, episode: MessageId) -> bool {
        self.told.iter().any(|told| told.episode == episode)
            || self.faults.iter().any(|fault| fault.episode == episode)
            || self
                .exceptions
                .iter()
                .any(|exception| exception.episode == episode)
    }

    /// Heeds an answer from now on, `now_ms` in the event time of the series, in place of what was said before of the same.
    /// What its detector has to learn is returned beside its place, and whether anything is otherwise than before.
    pub(super) fn heed(
        &mut self,
        answer: &Answer,
        now_ms: i64,
        episodes: &Episodes,
    ) -> (Option<(u8, Lesson)>, bool) {
        let mut is_changed = self.withdraw(answer.about);
        self.exceptions.retain(|exception| exception.lasts(now_ms));
        // No reading comes any more that is worth it.
        self.stretches
            .retain(|stretch| stretch.to_ms.saturating_add(DAY_MS) >= now_ms);
        let by: Option<Arc<str>> = answer.by.as_deref().map(Arc::from);
        let episode = match answer.about {
            Subject::Stretch { from_ms, to_ms } => {
                if answer.said == Said::Expected && self.stretches.len() < MOST_HEEDED {
                    self.stretches.push(Stretch { from_ms, to_ms, by });
                    is_changed = true;
                }
                return (None, is_changed);
            }
            Subject::Episode(episode) => episode,
        };
        let Some(told) = self.told.iter().find(|told| told.episode == episode) else {
            return (None, is_changed);
        };
        let mut lesson = None;
        match answer.said {
            Said::Real if episodes.is_open(episode) && self.faults.len() < MOST_HEEDED => {
                self.faults.push(Fault {
                    detector: told.detector,
                    episode,
                    until_ms: now_ms.saturating_add(FAULT_LASTS_MS),
                });
                is_changed = true;
            }
            Said::ExpectedInSlot { until_ms } if self.exceptions.len() < MOST_HEEDED => {
                let exception = Exception::new(told, until_ms, now_ms, by);
                is_changed |= exception.is_some();
                self.exceptions.extend(exception);
            }
            Said::ExpectedInSeries { until_ms } => {
                let causes = told.causes;
                let needed = Lesson::NeedMore {
                    episode,
                    causes,
                    until_ms,
                };
                lesson = Some((told.detector, needed));
            }
            Said::Real | Said::ExpectedInSlot { .. } | Said::Expected | Said::Withdrawn => {}
        }
        (lesson, is_changed)
    }

    /// Returns whether anything was heeded of this.
    fn withdraw(&mut self, about: Subject) -> bool {
        let before = self.heeded();
        match about {
            Subject::Stretch { from_ms, to_ms } => self
                .stretches
                .retain(|stretch| (stretch.from_ms, stretch.to_ms) != (from_ms, to_ms)),
            Subject::Episode(episode) => {
                self.faults.retain(|fault| fault.episode != episode);
                self.exceptions.retain(|exception| exception.episode != episode);
            }
        }
        self.heeded() < before
    }

    fn heeded(&self) -> usize {
        self.stretches.len() + self.faults.len() + self.exceptions.len()
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u8(self.told.len() as u8);
        for told in &self.told {
            state.u8(told.detector);
            told.episode.save(state);
            state.u16(told.causes.bits());
            state.f64(told.above);
            state.f64(told.below);
            state.i64(told.local_time_ms);
        }
        state.u8(self.stretches.len() as u8);
        for stretch in &self.stretches {
            state.i64(stretch.from_ms);
            state.i64(stretch.to_ms);
            save_name(stretch.by.as_deref(), state);
        }
        state.u8(self.faults.len() as u8);
        for fault in &self.faults {
            state.u8(fault.detector);
            fault.episode.save(state);
            state.i64(fault.until_ms);
        }
        state.u8(self.exceptions.len() as u8);
        for exception in &self.exceptions {
            exception.save(state);
        }
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let told = restore_list(MOST_TOLD, state, |state| {
            Ok(Told {
                detector: state.u8()?,
                episode: MessageId::restore(state)?,
                causes: Causes::from_bits(state.u16()?),
                above: state.f64()?,
                below: state.f64()?,
                local_time_ms: state.i64()?,
            })
        })?;
        let stretches = restore_list(MOST_HEEDED, state, |state| {
            Ok(Stretch {
                from_ms: state.i64()?,
                to_ms: state.i64()?,
                by: restore_name(state)?,
            })
        })?;
        let faults = restore_list(MOST_HEEDED, state, |state| {
            Ok(Fault {
                detector: state.u8()?,
                episode: MessageId::restore(state)?,
                until_ms: state.i64()?,
            })
        })?;
        let exceptions = restore_list(MOST_HEEDED, state, Exception::restore)?;
        Ok(Answers {
            told,
            stretches,
            faults,
            exceptions,
        })
    }
}

impl Told {
    /// Notes another anomaly of the episode.
    fn note(&mut self, causes: Causes, observation: &Observation, verdict: &Verdict) {
        self.causes = self.causes.and(causes);
        let Some(expected) = verdict.expected else {
            return;
        };
        let distance = (observation.value - expected).clamp(-f64::MAX, f64::MAX);
        let edge = |bound: Option<f64>| bound.map_or(0.0, |bound| (bound - expected).abs().min(f64::MAX));
        if distance > 0.0 {
            self.above = self.above.max(distance).max(edge(verdict.upper));
        } else {
            self.below = self.below.max(-distance).max(edge(verdict.lower));
        }
    }
}

fn restore_list<T>(
    most: usize,
    state: &mut StateReader<'_>,
    mut restore: impl FnMut(&mut StateReader<'_>) -> Result<T, StateError>,
) -> Result<Vec<T>, StateError> {
    let count = usize::from(state.u8()?);
    if count > most {
        return Err(StateError::Impossible("count of answers"));
    }
    (0..count).map(|_| restore(state)).collect()
}

/// Writes who said something; nobody is an empty text.
fn save_name(name: Option<&str>, state: &mut StateWriter) {
    state.text(name.unwrap_or_default());
}

fn restore_name(state: &mut StateReader<'_>) -> Result<Option<Arc<str>>, StateError> {
    Ok(Some(state.text()?).filter(|text| !text.is_empty()).map(Arc::from))
}
