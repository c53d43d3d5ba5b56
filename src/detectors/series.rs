//! One series under all models of the settings.

use std::sync::Arc;

use super::{Detector, Model, Observation, StateError, StateReader, StateWriter, Verdict};

/// The detectors of one series, in the order of the models.
#[derive(Debug)]
pub struct Series {
    detectors: Vec<Box<dyn Detector>>,
}

impl Series {
    /// New detectors for a series of this key.
    pub fn new(models: &[Arc<dyn Model>], key: &str) -> Self {
        Series {
            detectors: models.iter().filter_map(|model| model.detector(key)).collect(),
        }
    }

    /// Lets all detectors judge an observation; appends their verdicts.
    pub fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        for detector in &mut self.detectors {
            detector.observe(observation, verdicts);
        }
    }

    /// The event time at which [`elapse`](Self::elapse) must be called if nothing was observed before.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        self.detectors
            .iter()
            .filter_map(|detector| detector.deadline_ms())
            .min()
    }

    /// Notes that event time has reached `time_ms` in the series' partition, without an observation.
    pub fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        for detector in &mut self.detectors {
            detector.elapse(time_ms, verdicts);
        }
    }

    /// How long the series is worth remembering after its last reading. Never becomes shorter.
    pub(crate) fn memory_ms(&self) -> i64 {
        let memories = self.detectors.iter().map(|detector| detector.memory_ms());
        memories.max().unwrap_or(0)
    }

    /// How many values were outside a model's limits, since the series was made.
    pub(crate) fn clipped(&self) -> u64 {
        self.detectors.iter().map(|detector| detector.clipped()).sum()
    }

    /// Writes the state of all detectors.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        for detector in &self.detectors {
            detector.save(state);
        }
    }

    /// Restores what `save` wrote under the same models and key.
    ///
    /// # Errors
    /// [`StateError`]; the series must not be used then.
    pub fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.detectors
            .iter_mut()
            .try_for_each(|detector| detector.restore(state))
    }
}
