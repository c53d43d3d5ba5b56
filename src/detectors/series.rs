//! One series under all models of the settings.

use std::sync::Arc;

use super::answers::Answers;
use super::counter::{Change, Counter};
use super::episode::{CalmStretch, Episodes, MessageId, MessageIds};
use super::filter::Filter;
use super::{Answer, Cause, Detector, Lesson, Model, Notice, Observation, RULES, Subject};
use super::{StateError, StateReader, StateWriter, Verdict};

/// The detectors of one series, in the order of the models, its open episodes, and what it heeds of what people say.
#[derive(Debug)]
pub struct Series {
    detectors: Vec<Box<dyn Detector>>,
    filter: Filter,
    passed_over: u64,
    episodes: Episodes,
    /// `None` before the first anomaly, so that a series without any pays nothing.
    answers: Option<Box<Answers>>,
    /// Of a series whose values are totals that are to be judged by what they increase by.
    counter: Option<Counter>,
}

/// What became of an observation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// The value that was judged, of the observation or its increase; `None` if there was nothing to judge.
    pub judged: Option<f64>,
    /// Anomalies that the filter passed over.
    pub passed_over: u64,
}

impl Series {
    /// New detectors for a series of this key.
    pub fn new(models: &[Arc<dyn Model>], key: &str) -> Self {
        Series {
            detectors: models.iter().filter_map(|model| model.detector(key)).collect(),
            filter: Filter::default(),
            passed_over: 0,
            episodes: Episodes::default(),
            answers: None,
            counter: None,
        }
    }

    /// The same for a series of totals, which are judged by what they increase by.
    pub(crate) fn of_increments(models: &[Arc<dyn Model>], key: &str) -> Self {
        Series {
            counter: Some(Counter::default()),
            ..Series::new(models, key)
        }
    }

    /// The same series, with anomalies that a filter passes over.
    #[must_use]
    pub(crate) fn filtered(self, filter: Filter) -> Self {
        Series { filter, ..self }
    }

    /// Lets all detectors judge a reading; appends their verdicts, and the ends of episodes. `ids` are those of its record.
    #[inline]
    pub fn observe(
        &mut self,
        observation: Observation,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> Observed {
        let value = match &mut self.counter {
            None => observation.value,
            Some(counter) => {
                let change = counter.note(observation.event_time_ms, observation.value);
                match self.judge_change(change, &observation, ids, verdicts) {
                    Some(increase) => increase,
                    None => return Observed::default(),
                }
            }
        };
        let observation = Observation { value, ..observation };
        self.judge(observation, |detector| detector.calm(), ids, verdicts)
    }

    /// Reports what is wrong with a counter; returns the increase that is to be judged.
    fn judge_change(
        &mut self,
        change: Change,
        observation: &Observation,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> Option<f64> {
        let (cause, by) = match change {
            Change::Unknown => return None,
            Change::By(by) => return Some(by),
            Change::AfterGlitch { by, before, fell_to } => (Cause::Glitch { before, fell_to }, by),
            Change::Reset { before, fell_to } => (Cause::Reset { before, fell_to }, None),
        };
        // It belongs to the episodes of the detector that scores, because a rule's end with its condition.
        if let Some(detector) = self.detectors.first().filter(|first| first.name() != RULES) {
            let first = verdicts.len();
            verdicts.push(Verdict {
                score: 1.0,
                is_anomaly: true,
                cause,
                ..Verdict::learning(detector.name(), 1.0)
            });
            let calm = detector.calm();
            self.episodes.follow(0, observation, calm, ids, verdicts, first);
        }
        by
    }

    /// The same with the average of a window.
    pub(crate) fn observe_window(
        &mut self,
        observation: Observation,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) -> Observed {
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
    ) -> Observed {
        let mut passed_over = 0;
        for (place, detector) in (0..).zip(&mut self.detectors) {
            let first = verdicts.len();
            let holds = self
                .answers
                .as_mut()
                .is_some_and(|answers| answers.hold(place, observation.event_time_ms, &self.episodes));
            if holds {
                detector.observe_only(observation, verdicts);
            } else {
                detector.observe(observation, verdicts);
            }
            passed_over += self.filter.apply(observation.value, &mut verdicts[first..]);
            if let Some(answers) = &mut self.answers {
                answers.mark(place, &observation, &mut verdicts[first..]);
            }
            let is_anomaly = |verdict: &Verdict| verdict.is_anomaly;
            let has_anomaly = verdicts[first..].iter().any(is_anomaly);
            if !self.episodes.is_empty() || has_anomaly {
                let calm = calm(detector.as_ref());
                self.episodes
                    .follow(place, &observation, calm, ids, verdicts, first);
            }
            if has_anomaly {
                let answers = self.answers.get_or_insert_default();
                answers.remember(place, &observation, &verdicts[first..]);
            }
        }
        self.passed_over += passed_over;
        Observed {
            judged: Some(observation.value),
            passed_over,
        }
    }

    /// Heeds from now on what somebody says, `now_ms` in the event time of the series, in place of what was said before of
    /// the same. Returns whether that makes a difference.
    pub(crate) fn teach(&mut self, answer: &Answer, now_ms: i64) -> bool {
        let answers = self.answers.get_or_insert_default();
        let (lesson, mut is_changed) = answers.heed(answer, now_ms, &self.episodes);
        if let Subject::Episode(episode) = answer.about {
            for detector in &mut self.detectors {
                is_changed |= detector.teach(Lesson::Forget { episode });
            }
        }
        if let Some((place, lesson)) = lesson
            && let Some(detector) = self.detectors.get_mut(usize::from(place))
        {
            is_changed |= detector.teach(lesson);
        }
        is_changed
    }

    #[cfg(test)]
    pub(super) fn answers_for_tests(&self) -> Option<&Answers> {
        self.answers.as_deref()
    }

    /// Whether it can still be told something about an episode.
    pub(crate) fn knows(&self, episode: MessageId) -> bool {
        self.answers
            .as_ref()
            .is_some_and(|answers| answers.knows(episode))
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

    /// What a person should know of the series beside its anomalies: what its first detector says that says anything.
    pub(crate) fn notice(&self) -> Notice {
        let notices = self.detectors.iter().map(|detector| detector.notice());
        let mut notices = notices.filter(|notice| *notice != Notice::default());
        let notice = notices.next().unwrap_or_default();
        Notice {
            is_like_counter: notice.is_like_counter && self.counter.is_none(),
            ..notice
        }
    }

    /// How many values were outside a model's limits, since the series was made.
    pub(crate) fn clipped(&self) -> u64 {
        self.detectors.iter().map(|detector| detector.clipped()).sum()
    }

    /// How many anomalies the filter has passed over, since the series was made.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Writes the state of all detectors, the open episodes, and what is heeded.
    pub(crate) fn save(&self, state: &mut StateWriter) {
        if let Some(counter) = &self.counter {
            counter.save(state);
        }
        for detector in &self.detectors {
            detector.save(state);
        }
        self.episodes.save(state);
        state.u8(u8::from(self.answers.is_some()));
        if let Some(answers) = &self.answers {
            answers.save(state);
        }
    }

    /// Restores what `save` wrote under the same models and key.
    ///
    /// # Errors
    /// [`StateError`]; the series must not be used then.
    pub fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        if let Some(counter) = &mut self.counter {
            *counter = Counter::restore(state)?;
        }
        self.detectors
            .iter_mut()
            .try_for_each(|detector| detector.restore(state))?;
        self.episodes = Episodes::restore(self.detectors.len(), state)?;
        self.answers = match state.u8()? {
            0 => None,
            1 => Some(Box::new(Answers::restore(state)?)),
            _ => return Err(StateError::Impossible("flag")),
        };
        Ok(())
    }
}
