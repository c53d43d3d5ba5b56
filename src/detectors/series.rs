//! One series under all models of the settings.

use std::sync::Arc;

use super::episode::{CalmStretch, Episodes, MessageIds};
use super::filter::Filter;
use super::{Detector, Model, Observation, StateError, StateReader, StateWriter, Verdict};

/// The detectors of one series, in the order of the models, and its open episodes.
#[derive(Debug)]
pub struct Series {
    detectors: Vec<Box<dyn Detector>>,
    filter: Filter,
    passed_over: u64,
    episodes: Episodes,
}

impl Series {
    /// New detectors for a series of this key.
    pub fn new(models: &[Arc<dyn Model>], key: &str) -> Self {
        Series {
            detectors: models.iter().filter_map(|model| model.detector(key)).collect(),
            filter: Filter::default(),
            passed_over: 0,
            episodes: Episodes::default(),
        }
    }

    /// The same series, with anomalies that a filter passes over.
    #[must_use]
    pub(crate) fn filtered(self, filter: Filter) -> Self {
        Series { filter, ..self }
    }

    /// Lets all detectors judge a reading; appends their verdicts, and the ends of episodes. `ids` are those of its record.
    /// Returns how many anomalies the filter passed over.
    #[inline]
    pub fn observe(
        &mut self,
        observation: Observation,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> u64 {
        self.judge(observation, |detector| detector.calm(), ids, verdicts)
    }

    /// The same with the average of a window.
    pub(crate) fn observe_window(
        &mut self,
        observation: Observation,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> u64 {
        self.judge(
            observation,
            |detector| detector.calm().of_windows(),
            ids,
            verdicts,
        )
    }

    /// `calm` says what ends an episode of a detector.
    #[inline]
    fn judge(
        &mut self,
        observation: Observation,
        calm: impl Fn(&dyn Detector) -> CalmStretch,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> u64 {
        let mut passed_over = 0;
        for (place, detector) in (0..).zip(&mut self.detectors) {
            let first = verdicts.len();
            detector.observe(observation, verdicts);
            passed_over += self.filter.apply(observation.value, &mut verdicts[first..]);
            let is_anomaly = |verdict: &Verdict| verdict.is_anomaly;
            if !self.episodes.is_empty() || verdicts[first..].iter().any(is_anomaly) {
                let calm = calm(detector.as_ref());
                self.episodes
                    .follow(place, &observation, calm, ids, verdicts, first);
            }
        }
        self.passed_over += passed_over;
        passed_over
    }

    /// The event time at which [`elapse`](Self::elapse) must be called if nothing was observed before.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        self.detectors
            .iter()
            .filter_map(|detector| detector.deadline_ms())
            .min()
    }

    /// Notes that event time has reached `time_ms` in the series' partition, without an observation.
    pub fn elapse(&mut self, time_ms: i64, ids: &mut MessageIds, verdicts: &mut Vec<Verdict>) {
        for (place, detector) in (0..).zip(&mut self.detectors) {
            let first = verdicts.len();
            detector.elapse(time_ms, verdicts);
            self.episodes
                .follow_elapsed(place, time_ms, ids, &mut verdicts[first..]);
        }
    }

    /// Ends the open episodes, because the series is forgotten at the event time `time_ms`.
    pub(crate) fn forget(&mut self, time_ms: i64, ids: &mut MessageIds, verdicts: &mut Vec<Verdict>) {
        let names: Vec<&'static str> = self.detectors.iter().map(|detector| detector.name()).collect();
        self.episodes.forget(&names, time_ms, ids, verdicts);
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

    /// How many anomalies the filter has passed over, since the series was made.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Writes the state of all detectors, and the open episodes.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        for detector in &self.detectors {
            detector.save(state);
        }
        self.episodes.save(state);
    }

    /// Restores what `save` wrote under the same models and key.
    ///
    /// # Errors
    /// [`StateError`]; the series must not be used then.
    pub fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.detectors
            .iter_mut()
            .try_for_each(|detector| detector.restore(state))?;
        self.episodes = Episodes::restore(self.detectors.len(), state)?;
        Ok(())
    }
}
