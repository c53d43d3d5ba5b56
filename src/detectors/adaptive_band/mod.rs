//! The default detector: a band around what is expected, both learnt from the series itself.
//!
//! What is expected is mixed from the recent past and from the usual values of the time of the day and of the week.
//! How far values are from it is judged by four views ([`views`]), each of which learns how likely such a distance
//! is ([`tail`]); what they say together becomes the score ([`decision`]). Nothing but what was seen before a value
//! judges it, and every reading costs the same.

mod answers;
mod decision;
mod expectation;
mod fit;
mod learnt;
mod pace;
mod present;
mod range;
mod resolution;
mod saved;
mod scale;
mod season;
mod settings;
mod stuck;
mod tail;
mod trend;
mod views;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;

use super::{
    CalmStretch, Detector, LEARNING_MEMORY_MS, Lesson, MEMORY_MS, Model, Notice, Observation, StateError,
    StateReader, StateWriter, Threshold, Verdict,
};
use answers::Patience;
use learnt::{LARGEST, Learnt, WARM_UP_MS};
use saved::time;

pub(super) use settings::Settings;

/// The name in settings and messages.
pub(super) const NAME: &str = "adaptive-band";

/// The model: it has no settings but the threshold, and learns all else from each series.
/// docs/detectors/adaptive-band.md describes the method and how well it does.
#[derive(Debug)]
pub struct AdaptiveBand {
    threshold: f64,
}

impl AdaptiveBand {
    /// A model that alarms from this evidence on, in decimal digits; 7 by itself.
    pub fn new(threshold: Threshold) -> Self {
        AdaptiveBand {
            threshold: threshold.or(decision::ALARM),
        }
    }
}

impl Model for AdaptiveBand {
    fn name(&self) -> &'static str {
        NAME
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Band {
            threshold: self.threshold,
            knowledge: Knowledge::First(Vec::new()),
            patience: Patience::default(),
        }))
    }
}

#[derive(Debug)]
struct Band {
    threshold: f64,
    knowledge: Knowledge,
    patience: Patience,
}

/// What is known of a series.
#[derive(Debug)]
enum Knowledge {
    /// Its first readings, from which the rest is computed again at each. They take a hundredth of the memory of what
    /// is learnt from them, so that series that come once, of which a careless sender makes many, cost next to nothing.
    First(Vec<Observation>),
    Learnt(Box<Learnt>),
}

/// Readings that are kept as they are.
const FIRST_READINGS: usize = 8;

/// Readings within the band that end an episode.
const CALM: CalmStretch = CalmStretch {
    distance: 0.5,
    ..CalmStretch::of_readings(12)
};

/// Stands in a state in the place of the count of first readings.
const LEARNT: u8 = 255;

impl Detector for Band {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let readings = match &mut self.knowledge {
            Knowledge::Learnt(learnt) => {
                verdicts.push(self.patience.judge(learnt, &observation, self.threshold));
                return;
            }
            Knowledge::First(readings) => readings,
        };
        let first = readings.first().unwrap_or(&observation);
        let first_value = first.value.clamp(-LARGEST, LARGEST);
        let mut learnt = Learnt::new(first_value, first.event_time_ms, self.threshold);
        for reading in readings.iter() {
            learnt.observe(reading, self.threshold);
        }
        verdicts.push(learnt.observe(&observation, self.threshold));
        if readings.len() == FIRST_READINGS {
            self.knowledge = Knowledge::Learnt(Box::new(learnt));
        } else {
            if readings.len() == readings.capacity() {
                readings.reserve_exact(readings.len().max(1));
            }
            readings.push(observation);
        }
    }

    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        verdicts.push(match &mut self.knowledge {
            Knowledge::Learnt(learnt) => self.patience.judge_aside(learnt, &observation, self.threshold),
            Knowledge::First(_) => Verdict::learning(NAME, self.threshold),
        });
    }

    fn teach(&mut self, lesson: Lesson) -> bool {
        self.patience.heed(lesson)
    }

    fn calm(&self) -> CalmStretch {
        CALM
    }

    fn memory_ms(&self) -> i64 {
        match &self.knowledge {
            Knowledge::Learnt(learnt) if learnt.judges() => MEMORY_MS,
            _ => LEARNING_MEMORY_MS,
        }
    }

    fn notice(&self) -> Notice {
        match &self.knowledge {
            Knowledge::Learnt(learnt) => learnt.notice(),
            Knowledge::First(readings) => Notice {
                learning_until_ms: readings
                    .first()
                    .map(|first| first.event_time_ms.saturating_add(WARM_UP_MS)),
                ..Notice::default()
            },
        }
    }

    fn save(&self, state: &mut StateWriter) {
        self.patience.save(state);
        match &self.knowledge {
            Knowledge::First(readings) => {
                state.u8(readings.len() as u8);
                for reading in readings {
                    state.i64(reading.event_time_ms);
                    state.i64(reading.local_time_ms);
                    state.f64(reading.value);
                }
            }
            Knowledge::Learnt(learnt) => {
                state.u8(LEARNT);
                learnt.save(state);
            }
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.patience = Patience::restore(state)?;
        self.knowledge = match state.u8()? {
            LEARNT => Knowledge::Learnt(Box::new(Learnt::restore(self.threshold, state)?)),
            count if usize::from(count) <= FIRST_READINGS => {
                let mut readings = Vec::with_capacity(count.into());
                for _ in 0..count {
                    readings.push(Observation {
                        event_time_ms: time(state)?,
                        local_time_ms: time(state)?,
                        value: state.finite("reading")?,
                    });
                }
                Knowledge::First(readings)
            }
            _ => return Err(StateError::Impossible("count of first readings")),
        };
        Ok(())
    }
}
