//! One series under all models of the settings.

use std::sync::Arc;

use super::{Detector, Model, Observation, StateError, StateReader, StateWriter, Verdict};

/// The detectors of one series, in the order of the models.
#[derive(Debug)]
pub struct Series {
    detectors: Vec<Box<dyn Detector>>,
}

impl Series {
    /// Detectors for a series of this key that have seen nothing yet.
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
    pub fn deadline_ms(&self) -> Option<i64> {
        self.detectors
            .iter()
            .filter_map(|detector| detector.deadline_ms())
            .min()
    }

    /// Takes note that event time has reached `time_ms` in the series' partition, without an observation.
    pub fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        for detector in &mut self.detectors {
            detector.elapse(time_ms, verdicts);
        }
    }

    /// How many values were beyond what a model can take, since the series was made.
    pub fn clipped(&self) -> u64 {
        self.detectors.iter().map(|detector| detector.clipped()).sum()
    }

    /// Writes the state of all detectors.
    pub fn save(&self, state: &mut StateWriter) {
        for detector in &self.detectors {
            detector.save(state);
        }
    }

    /// Takes over what [`save`](Self::save) wrote, under the same models and key.
    ///
    /// # Errors
    /// [`StateError`]; the series is then of no use.
    pub fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.detectors
            .iter_mut()
            .try_for_each(|detector| detector.restore(state))
    }
}
