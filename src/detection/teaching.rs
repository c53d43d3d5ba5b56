//! Which series of a partition an answer is for.

use super::partition::Partition;
use crate::detectors::{Answer, MessageId, Subject};
use crate::reading::SeriesKey;

impl Partition {
    /// Applies an answer. Returns in how many series it makes a difference.
    pub(super) fn teach(&mut self, answer: &Answer) -> usize {
        let numbers = match answer.about {
            Subject::Episode(episode) => self.series_of(episode, answer),
            Subject::Stretch { .. } => self.roster.numbers_of(Some(key_of(answer))),
        };
        let mut taught = 0;
        for number in numbers {
            if let Some(series) = self.roster.get_mut(number) {
                let now_ms = series.newest_ms;
                taught += usize::from(series.detectors.teach(answer, now_ms));
            }
        }
        taught
    }

    /// Whether an answer finds a series here: that of an episode did when the episode opened.
    pub(super) fn can_teach(&self, answer: &Answer) -> bool {
        match answer.about {
            Subject::Episode(_) => true,
            Subject::Stretch { to_ms, .. } => {
                let is_ahead = self.largest_event_time_ms.is_none_or(|now_ms| now_ms <= to_ms);
                is_ahead && !self.roster.numbers_of(Some(key_of(answer))).is_empty()
            }
        }
    }

    /// The series that knows an episode: the one that the answer names, or else whichever does.
    fn series_of(&self, episode: MessageId, answer: &Answer) -> Vec<u32> {
        let knows = |number: &u32| {
            let series = self.roster.get(*number);
            series.is_some_and(|series| series.detectors.knows(episode))
        };
        let named = answer.series.as_deref().and_then(|key| {
            let measure = answer.measure.as_deref();
            self.roster.find(SeriesKey { key, measure })
        });
        match named.filter(knows) {
            Some(number) => vec![number],
            None => self.roster.numbers_of(None).into_iter().filter(knows).collect(),
        }
    }
}

/// The key of an answer's series; that of a topic that is read as one is empty.
fn key_of(answer: &Answer) -> &str {
    answer.series.as_deref().unwrap_or_default()
}
