//! The episodes of one candidate against the answers.

use std::ops::Add;

use super::{Answer, AnswerKind, Share};
use crate::backtest::Episode;

/// How a candidate did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Score {
    /// Episodes that somebody would have been told of.
    pub alarms: u64,
    /// Confirmed faults that were told.
    pub kept: Share,
    /// False alarms that were not told.
    pub spared: Share,
    /// Missed faults that were told.
    pub found: Share,
}

impl Score {
    /// The score on one series, where nobody is told of an episode that is over within `least_duration_ms` of its opening.
    pub(crate) fn of(episodes: &[Episode], answers: &[Answer], least_duration_ms: i64) -> Self {
        let is_told = |episode: &&Episode| {
            let lasted_ms = |ended_at_ms: i64| ended_at_ms.saturating_sub(episode.opened_at_ms);
            episode
                .ended_at_ms
                .is_none_or(|ended_at_ms| lasted_ms(ended_at_ms) >= least_duration_ms)
        };
        let told: Vec<&Episode> = episodes.iter().filter(is_told).collect();
        let mut score = Score {
            alarms: told.len() as u64,
            ..Score::default()
        };
        for answer in answers {
            let (from_ms, to_ms) = answer.stretch_ms;
            let is_told = told
                .iter()
                .any(|episode| episode.since_ms <= to_ms && episode.until_ms >= from_ms);
            match answer.kind {
                AnswerKind::Confirmed => score.kept.note(is_told),
                AnswerKind::FalseAlarm => score.spared.note(!is_told),
                AnswerKind::Missed => score.found.note(is_told),
            }
        }
        score
    }
}

impl Add for Score {
    type Output = Score;

    fn add(self, other: Score) -> Score {
        Score {
            alarms: self.alarms + other.alarms,
            kept: self.kept + other.kept,
            spared: self.spared + other.spared,
            found: self.found + other.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(since_ms: i64, until_ms: i64) -> Episode {
        Episode {
            since_ms,
            until_ms,
            opened_at_ms: since_ms,
            ended_at_ms: Some(until_ms + 60),
        }
    }

    fn answer(kind: AnswerKind, from_ms: i64, to_ms: i64) -> Answer {
        Answer {
            series: None,
            file: String::new(),
            stretch_ms: (from_ms, to_ms),
            kind,
        }
    }

    #[test]
    fn an_answer_is_met_by_any_episode_that_overlaps_its_stretch() {
        let episodes = [episode(100, 200), episode(300, 300)];
        for (from_ms, to_ms, is_told) in [
            (0, 99, false),
            (0, 100, true),
            (120, 130, true),
            (200, 250, true),
            (201, 299, false),
            (300, 300, true),
            (90, 310, true),
            (301, 400, false),
        ] {
            let count = |counts: bool| Share {
                count: u64::from(counts),
                of: 1,
            };
            let score = |kind| Score::of(&episodes, &[answer(kind, from_ms, to_ms)], 0);
            let stretch = (from_ms, to_ms);
            assert_eq!(score(AnswerKind::Confirmed).kept, count(is_told), "{stretch:?}");
            assert_eq!(
                score(AnswerKind::FalseAlarm).spared,
                count(!is_told),
                "{stretch:?}"
            );
            assert_eq!(score(AnswerKind::Missed).found, count(is_told), "{stretch:?}");
        }
    }

    #[test]
    fn what_is_over_before_the_least_duration_is_not_told() {
        let open = Episode {
            ended_at_ms: None,
            ..episode(500, 510)
        };
        let episodes = [episode(100, 200), episode(300, 300), open];
        let answers = [
            answer(AnswerKind::Confirmed, 100, 200),
            answer(AnswerKind::FalseAlarm, 300, 300),
            answer(AnswerKind::Missed, 505, 900),
        ];
        let score = Score::of(&episodes, &answers, 100);
        let all = Share { count: 1, of: 1 };
        let expected = Score {
            alarms: 2,
            kept: all,
            spared: all,
            found: all,
        };
        assert_eq!(score, expected);
        assert_eq!(Score::of(&episodes, &answers, 0).alarms, 3);
        assert_eq!((score + score).kept, Share { count: 2, of: 2 });
    }
}
