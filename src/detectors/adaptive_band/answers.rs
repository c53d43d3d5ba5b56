//! What people say of alarms, as far as it changes what an alarm needs; the rest of it is heeded by the series.

use super::super::{Cause, Causes, Lesson, MessageId, Observation};
use super::super::{StateError, StateReader, StateWriter, Verdict};
use super::learnt::Learnt;

/// How much more of the score is needed for each answer, and at most. The score is in decimal digits of evidence, of which
/// it stretches 4.4 to the default threshold of 7: so an answer halves the alarms that there are by chance, and four, the
/// most, leave a twentieth of them. It is no share of the threshold: a doubt is worth as much whatever the threshold is.
const MORE: f64 = 0.5;
const MOST_MORE: f64 = 2.0;
/// Answers that count at a time; the oldest gives way.
const MOST_NEEDS: usize = 16;

/// The causes that need more evidence than usual. Each answer ends by itself at its time, which people have to give; so
/// nothing has to fade.
#[derive(Debug, Default)]
pub(super) struct Patience {
    needs: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    episode: MessageId,
    causes: Causes,
    until_ms: i64,
}

impl Patience {
    /// Heeds a lesson; returns whether it makes a difference.
    pub(super) fn heed(&mut self, lesson: Lesson) -> bool {
        match lesson {
            Lesson::Forget { episode } => {
                let before = self.needs.len();
                self.needs.retain(|need| need.episode != episode);
                self.needs.len() < before
            }
            Lesson::NeedMore {
                episode,
                causes,
                until_ms,
            } => {
                if self.needs.len() == MOST_NEEDS {
                    self.needs.remove(0);
                }
                self.needs.push(Need {
                    episode,
                    causes,
                    until_ms,
                });
                true
            }
        }
    }

    /// How much more than the threshold is needed.
    fn more(&self, cause: &Cause, now_ms: i64) -> f64 {
        let causes = Causes::of(cause);
        let counts = |need: &&Need| now_ms < need.until_ms && need.causes.meets(causes);
        let count = self.needs.iter().filter(counts).count();
        (MORE * count as f64).min(MOST_MORE)
    }

    /// Judges a value and learns from it. An alarm that is not enough is none: it silences no later one.
    pub(super) fn judge(&self, learnt: &mut Learnt, observation: &Observation, threshold: f64) -> Verdict {
        if self.needs.is_empty() {
            return learnt.observe(observation, threshold);
        }
        let reported = learnt.reported();
        let mut verdict = learnt.observe(observation, threshold);
        verdict.threshold += self.more(&verdict.cause, observation.event_time_ms);
        if verdict.is_anomaly && verdict.score < verdict.threshold {
            verdict.is_anomaly = false;
            learnt.take_reported(reported, verdict.cause.is_stuck());
        }
        verdict
    }

    /// Judges a value as if it had not come, but for what has been reported: that is not reported again.
    pub(super) fn judge_aside(
        &self,
        learnt: &mut Learnt,
        observation: &Observation,
        threshold: f64,
    ) -> Verdict {
        let mut aside = learnt.clone();
        let verdict = self.judge(&mut aside, observation, threshold);
        learnt.take_reported(aside.reported(), verdict.is_anomaly && verdict.cause.is_stuck());
        verdict
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u8(self.needs.len() as u8);
        for need in &self.needs {
            need.episode.save(state);
            state.u16(need.causes.bits());
            state.i64(need.until_ms);
        }
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let count = usize::from(state.u8()?);
        if count > MOST_NEEDS {
            return Err(StateError::Impossible("count of answers"));
        }
        let need = |_| {
            Ok(Need {
                episode: MessageId::restore(state)?,
                causes: Causes::from_bits(state.u16()?),
                until_ms: state.i64()?,
            })
        };
        Ok(Patience {
            needs: (0..count).map(need).collect::<Result<_, StateError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{MessageIds, Series};
    use super::super::{AdaptiveBand, NAME};
    use super::*;
    use crate::detectors::{Answer, Said, Subject, Threshold};

    const STEP_MS: i64 = 900_000;
    const READINGS: i64 = 4_000;

    /// A reading of a plain load: noise, with a spike of some size now and then.
    fn observation(number: i64) -> Observation {
        let noise = (number * 7_919 % 101) as f64 / 101.0;
        let spike = if number > 500 && number % 97 == 0 {
            (number % 13) as f64
        } else {
            0.0
        };
        Observation {
            event_time_ms: number * STEP_MS,
            local_time_ms: number * STEP_MS,
            value: 50.0 + noise + spike,
        }
    }

    /// All verdicts of the detector, with an answer to the first of its alarms.
    fn verdicts(said: Option<Said>) -> Vec<Verdict> {
        let mut series = Series::new(&[Arc::new(AdaptiveBand::new(Threshold::Auto))], "");
        let (mut all, mut is_answered) = (Vec::new(), false);
        for number in 0..READINGS {
            let mut verdicts = Vec::new();
            let mut ids = MessageIds::of_record(number);
            series.observe(observation(number), &mut ids, &mut verdicts);
            let verdict = verdicts.swap_remove(0);
            if verdict.is_anomaly && !is_answered {
                is_answered = true;
                let episode = verdict.episode.unwrap().opened;
                let answer = said.map(|said| Answer {
                    about: Subject::Episode(episode),
                    series: None,
                    measure: None,
                    said,
                    by: None,
                });
                let now_ms = number * STEP_MS;
                assert!(answer.is_none_or(|answer| series.teach(&answer, now_ms)));
            }
            all.push(verdict);
        }
        all
    }

    #[test]
    fn what_spoke_needs_more_evidence_until_the_end() {
        let plain = verdicts(None);
        let until_ms = 3_000 * STEP_MS;
        let patient = verdicts(Some(Said::ExpectedInSeries { until_ms }));
        let first = plain.iter().position(|verdict| verdict.is_anomaly).unwrap();
        let causes = Causes::of(&plain[first].cause);
        for (number, verdict) in (0..).zip(&patient) {
            let needs_more =
                number > first && (number as i64) < 3_000 && causes.meets(Causes::of(&verdict.cause));
            assert_eq!(verdict.threshold, if needs_more { 7.5 } else { 7.0 }, "{number}");
            assert_eq!(
                verdict.is_anomaly,
                verdict.score >= verdict.threshold && verdict.score > 0.0
            );
        }
        let count = |verdicts: &[Verdict]| verdicts.iter().filter(|verdict| verdict.is_anomaly).count();
        assert!(count(&patient) <= count(&plain));
    }

    #[test]
    fn answers_add_up_to_two_and_each_can_be_forgotten() {
        let mut patience = Patience::default();
        let episode = |offset| MessageId { offset, index: 0 };
        for offset in 0..40 {
            patience.heed(Lesson::NeedMore {
                episode: episode(offset),
                causes: Causes::of(&Cause::Point),
                until_ms: 10 + offset,
            });
        }
        assert_eq!(patience.more(&Cause::Point, 0), MOST_MORE);
        assert_eq!(patience.more(&Cause::Isolated, 0), 0.0);
        assert_eq!(
            patience.more(&Cause::Point, 48),
            MORE,
            "all but the last are over"
        );
        assert!(patience.heed(Lesson::Forget { episode: episode(39) }));
        assert!(!patience.heed(Lesson::Forget { episode: episode(39) }));
        assert_eq!(patience.more(&Cause::Point, 48), 0.0);
    }

    #[test]
    fn a_value_that_is_judged_aside_leaves_nothing_behind() {
        let mut learnt = Learnt::new(50.0, 0, 7.0);
        let patience = Patience::default();
        for number in 0..500 {
            patience.judge(&mut learnt, &observation(number), 7.0);
        }
        let state = |learnt: &Learnt| {
            let mut state = StateWriter::default();
            learnt.save(&mut state);
            state.finish()
        };
        let before = state(&learnt);
        let usual = patience.judge_aside(&mut learnt, &observation(500), 7.0);
        assert_eq!((usual.detector, usual.score), (NAME, 0.0));
        assert_eq!(state(&learnt), before);
        let outage = Observation {
            value: 0.0,
            ..observation(501)
        };
        let first = patience.judge_aside(&mut learnt, &outage, 7.0);
        assert!(first.is_anomaly);
        let again = patience.judge_aside(
            &mut learnt,
            &Observation {
                value: 0.0,
                ..observation(502)
            },
            7.0,
        );
        assert!(!again.is_anomaly, "it was reported");
        let expected = |verdict: &Verdict| verdict.expected.unwrap();
        assert!(
            (expected(&again) - expected(&first)).abs() < 0.5,
            "nothing of it was learned"
        );
    }
}
