//! What people say now, as detectors learn from it.

use std::collections::BTreeMap;

use super::{About, Feedback, Opinions, Scope, Verdict};
use crate::detectors::{Answer, MessageId, Said, Subject};

/// The answers that change how readings are judged, by what they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// Of episodes, by the partition of their readings, which is in their id.
    of_episodes: BTreeMap<i32, BTreeMap<String, Answer>>,
    /// Of stretches of series, which may be in any partition.
    of_stretches: BTreeMap<String, Answer>,
}

impl Answers {
    /// Those about the readings in this topic. Feedback that only says who is to be told is none, nor is what is said of a
    /// stretch afterwards.
    pub(crate) fn new(opinions: &Opinions, topic: &str) -> Self {
        let mut answers = Answers::default();
        for feedback in opinions.feedback() {
            let Some((partition, answer)) = answer_of(feedback, topic) else {
                continue;
            };
            let of_its_kind = match partition {
                Some(partition) => answers.of_episodes.entry(partition).or_default(),
                None => &mut answers.of_stretches,
            };
            of_its_kind.insert(feedback.about.key(), answer);
        }
        answers
    }

    /// Whether nothing is said that changes how readings are judged.
    pub(crate) fn is_empty(&self) -> bool {
        self.of_episodes.is_empty() && self.of_stretches.is_empty()
    }

    /// Those that a partition may be meant by, with the keys of their messages.
    pub(crate) fn of_partition(&self, partition: i32) -> impl Iterator<Item = (&String, &Answer)> {
        let of_episodes = self.of_episodes.get(&partition).into_iter().flatten();
        of_episodes.chain(&self.of_stretches)
    }
}

/// The answer, and the partition of its episode.
fn answer_of(feedback: &Feedback, topic: &str) -> Option<(Option<i32>, Answer)> {
    let until_ms = feedback.until.map(|until| until.timestamp_millis());
    let by = feedback.by.clone();
    match &feedback.about {
        About::Episode {
            id, series, measure, ..
        } => {
            let said = match (feedback.verdict, feedback.scope, until_ms) {
                (Verdict::Real, ..) => Said::Real,
                (Verdict::Expected, Scope::Slot, until_ms) => Said::ExpectedInSlot { until_ms },
                (Verdict::Expected, Scope::Series, Some(until_ms)) => Said::ExpectedInSeries { until_ms },
                _ => return None,
            };
            let (partition, message) = episode_of(id, topic)?;
            let answer = Answer {
                about: Subject::Episode(message),
                series: series.clone().map(Option::unwrap_or_default),
                measure: measure.clone(),
                said,
                by,
            };
            Some((Some(partition), answer))
        }
        About::Span { series, from, to } if feedback.verdict == Verdict::Expected => {
            let answer = Answer {
                about: Subject::Stretch {
                    from_ms: from.timestamp_millis(),
                    to_ms: to.timestamp_millis(),
                },
                series: Some(series.clone().unwrap_or_default()),
                measure: None,
                said: Said::Expected,
                by,
            };
            Some((None, answer))
        }
        About::Span { .. } => None,
    }
}

/// The partition and the message of an episode's id, if it is one of this topic.
fn episode_of(id: &str, topic: &str) -> Option<(i32, MessageId)> {
    let mut parts = id.strip_prefix(topic)?.strip_prefix('/')?.split('/');
    let partition = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let index = parts.next()?.parse().ok()?;
    parts
        .next()
        .is_none()
        .then_some((partition, MessageId { offset, index }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answers(messages: &[(&str, Value)]) -> Answers {
        let mut opinions = Opinions::default();
        for (key, value) in messages {
            let value = value.to_string();
            opinions.fold(key.as_bytes(), Some(value.as_bytes())).unwrap();
        }
        Answers::new(&opinions, "usage")
    }

    fn said(answers: &Answers, partition: i32) -> Vec<(&str, Said)> {
        answers
            .of_partition(partition)
            .map(|(key, answer)| (key.as_str(), answer.said))
            .collect()
    }

    #[test]
    fn an_answer_goes_to_the_partition_of_its_episode_and_a_stretch_to_all() {
        let stretch = "2026-11-27T08:00:00Z/2026-11-27T09:00:00Z/boiler-7";
        let found = answers(&[
            (
                "usage/3/7/1",
                json!({"about": {"episode": "usage/3/7/1", "series": null}, "verdict": "real"}),
            ),
            (
                "usage/2/8/0",
                json!({"about": {"episode": "usage/2/8/0"}, "verdict": "expected", "scope": "slot"}),
            ),
            (
                "other/3/7/1",
                json!({"about": {"episode": "other/3/7/1"}, "verdict": "real"}),
            ),
            (
                "usage/3/9/0",
                json!({"about": {"episode": "usage/3/9/0"}, "verdict": "expected"}),
            ),
            (
                "usage/3/99999999999999999999/0",
                json!({"about": {"episode": "usage/3/99999999999999999999/0"}, "verdict": "real"}),
            ),
            (
                stretch,
                json!({
                    "about": {"series": "boiler-7", "from": "2026-11-27T08:00:00Z", "to": "2026-11-27T09:00:00Z"},
                    "verdict": "expected",
                }),
            ),
        ]);
        assert_eq!(
            said(&found, 3),
            [("usage/3/7/1", Said::Real), (stretch, Said::Expected)]
        );
        let slot = Said::ExpectedInSlot { until_ms: None };
        assert_eq!(
            said(&found, 2),
            [("usage/2/8/0", slot), (stretch, Said::Expected)]
        );
        let (_, real) = found.of_partition(3).next().unwrap();
        assert_eq!(
            real.series.as_deref(),
            Some(""),
            "the topic is read as one series"
        );
    }

    #[test]
    fn who_is_told_changes_no_judgment() {
        let missed = "2026-11-27T08:00:00Z/2026-11-27T09:00:00Z/boiler-7";
        let found = answers(&[
            (
                "usage/3/9/0",
                json!({"about": {"episode": "usage/3/9/0"}, "verdict": "expected"}),
            ),
            (
                missed,
                json!({
                    "about": {"series": "boiler-7", "from": "2026-11-27T08:00:00Z", "to": "2026-11-27T09:00:00Z"},
                    "verdict": "missed",
                }),
            ),
        ]);
        assert!(found.is_empty());
    }
}
