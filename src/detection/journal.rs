//! The answers of a partition, and their places in its order.
//!
//! What people say comes from another topic, and the order between two topics is not defined. So whoever holds a partition
//! gives each answer a place, before the next record that was not judged before, and the places are published together with
//! the anomalies. A replay takes the places from there (ADR 32): answers are as much a part of the partition's
//! order as its records are, and all that is found stays a function of that order (invariant I6).

use std::collections::{BTreeMap, VecDeque};

use crate::detectors::{Answer, Said};

/// An answer and its place in the order of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedAnswer {
    pub(crate) partition: i32,
    /// From 0, in the order in which the partition's answers are applied.
    pub(crate) number: u64,
    /// It is applied before the record at this offset, or the next one that there is.
    pub(crate) before_offset: i64,
    /// What it is about, as the message of feedback has it: a later answer of the same key takes its place.
    pub(crate) key: String,
    pub(crate) answer: Answer,
}

/// The answers of an assigned partition.
#[derive(Debug, Default)]
pub(super) struct Journal {
    next_number: u64,
    /// What is in force once all that has a place is applied.
    in_force: BTreeMap<String, Answer>,
    /// Those with a place that the state does not have yet, in their order.
    placed: VecDeque<PlacedAnswer>,
    /// Those without a place.
    waiting: VecDeque<(String, Answer)>,
    /// Those for which there was no series when they were heard.
    unmatched: Vec<(String, Answer)>,
}

impl Journal {
    /// The journal of a partition whose state has the answers below `state_offset`; `entries` may be in any order.
    pub(super) fn new(mut entries: Vec<PlacedAnswer>, state_offset: i64) -> Self {
        entries.sort_unstable_by_key(|entry| entry.number);
        let mut journal = Journal::default();
        for entry in entries {
            journal.next_number = entry.number + 1;
            journal.note(&entry.key, &entry.answer);
            if entry.before_offset >= state_offset {
                journal.placed.push_back(entry);
            }
        }
        journal
    }

    /// Whether there is nothing to apply, as almost always.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.placed.is_empty() && self.waiting.is_empty()
    }

    /// Waits with all that is said of the partition now, and was not when the last answer got a place. What is not said any
    /// more is withdrawn. `can_apply` says whether there is a series for it; what there is none for waits until it is
    /// [matched](Self::match_again) or heard again.
    pub(super) fn hear<'a>(
        &mut self,
        said: impl Iterator<Item = (&'a String, &'a Answer)>,
        can_apply: impl Fn(&Answer) -> bool,
    ) {
        let said: BTreeMap<&String, &Answer> = said.collect();
        self.waiting.clear();
        self.unmatched.clear();
        for (key, answer) in &self.in_force {
            if !said.contains_key(key) {
                let withdrawn = Answer {
                    said: Said::Withdrawn,
                    ..answer.clone()
                };
                self.waiting.push_back((key.clone(), withdrawn));
            }
        }
        for (key, answer) in said {
            if self.in_force.get(key) == Some(answer) {
                continue;
            }
            let heard = (key.clone(), answer.clone());
            if can_apply(answer) {
                self.waiting.push_back(heard);
            } else {
                self.unmatched.push(heard);
            }
        }
    }

    /// Waits with those that there is a series for by now, because a replay has brought the series back.
    pub(super) fn match_again(&mut self, can_apply: impl Fn(&Answer) -> bool) {
        let heard = std::mem::take(&mut self.unmatched);
        let (matched, unmatched) = heard.into_iter().partition(|(_, answer)| can_apply(answer));
        let matched: Vec<(String, Answer)> = matched;
        self.waiting.extend(matched);
        self.unmatched = unmatched;
    }

    /// The next answer to apply before the record at this offset, and whether it got its place by that.
    pub(super) fn next(
        &mut self,
        partition: i32,
        offset: i64,
        is_replayed: bool,
    ) -> Option<(PlacedAnswer, bool)> {
        if let Some(first) = self.placed.front() {
            // What has a place comes first, wherever that is: so the order of places is that of numbers.
            return if first.before_offset <= offset {
                self.placed.pop_front().map(|placed| (placed, false))
            } else {
                None
            };
        }
        if is_replayed {
            return None;
        }
        let (key, answer) = self.waiting.pop_front()?;
        self.note(&key, &answer);
        let placed = PlacedAnswer {
            partition,
            number: self.next_number,
            before_offset: offset,
            key,
            answer,
        };
        self.next_number += 1;
        Some((placed, true))
    }

    fn note(&mut self, key: &str, answer: &Answer) {
        if answer.said == Said::Withdrawn {
            self.in_force.remove(key);
        } else {
            self.in_force.insert(key.to_owned(), answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::{MessageId, Subject};

    fn answer(offset: i64, said: Said) -> (String, Answer) {
        let answer = Answer {
            about: Subject::Episode(MessageId { offset, index: 0 }),
            series: None,
            measure: None,
            said,
            by: None,
        };
        (format!("usage/0/{offset}/0"), answer)
    }

    fn hear(journal: &mut Journal, said: &[(String, Answer)]) {
        journal.hear(said.iter().map(|(key, answer)| (key, answer)), |_| true);
    }

    fn take(journal: &mut Journal, offset: i64, is_replayed: bool) -> Vec<(u64, Said, bool)> {
        let next = || journal.next(0, offset, is_replayed);
        std::iter::from_fn(next)
            .map(|(placed, is_new)| (placed.number, placed.answer.said, is_new))
            .collect()
    }

    #[test]
    fn what_is_said_gets_a_place_once_and_what_is_not_said_any_more_is_withdrawn() {
        let mut journal = Journal::default();
        let said = [answer(1, Said::Real)];
        hear(&mut journal, &said);
        assert!(
            take(&mut journal, 7, true).is_empty(),
            "not before what was judged"
        );
        assert_eq!(take(&mut journal, 8, false), [(0, Said::Real, true)]);
        hear(&mut journal, &said);
        assert!(journal.is_idle());
        let otherwise = [answer(1, Said::ExpectedInSlot { until_ms: None })];
        hear(&mut journal, &otherwise);
        assert_eq!(take(&mut journal, 9, false).len(), 1);
        hear(&mut journal, &[]);
        assert_eq!(take(&mut journal, 9, false), [(2, Said::Withdrawn, true)]);
        hear(&mut journal, &[]);
        assert!(journal.is_idle());
    }

    #[test]
    fn what_has_a_place_is_applied_there_and_only_what_the_state_lacks() {
        let placed = |number, before_offset, said| {
            let (key, answer) = answer(1, said);
            PlacedAnswer {
                partition: 0,
                number,
                before_offset,
                key,
                answer,
            }
        };
        let slot = Said::ExpectedInSlot { until_ms: None };
        let entries = vec![
            placed(1, 20, Said::Withdrawn),
            placed(0, 9, Said::Real),
            placed(2, 20, slot),
        ];
        let mut journal = Journal::new(entries, 10);
        hear(&mut journal, &[answer(1, slot), answer(2, Said::Real)]);
        assert!(take(&mut journal, 19, false).is_empty(), "the places are ahead");
        let expected = [
            (1, Said::Withdrawn, false),
            (2, slot, false),
            (3, Said::Real, true),
        ];
        assert_eq!(take(&mut journal, 21, false), expected);
        assert!(journal.is_idle());
    }

    #[test]
    fn an_answer_without_a_series_waits_until_it_is_heard_again() {
        let mut journal = Journal::default();
        let said = [answer(1, Said::Real)];
        journal.hear(said.iter().map(|(key, answer)| (key, answer)), |_| false);
        assert!(journal.is_idle());
        hear(&mut journal, &said);
        assert!(!journal.is_idle());
    }

    #[test]
    fn what_finds_no_series_is_matched_once_a_replay_has_brought_it_back() {
        let mut journal = Journal::default();
        let said = [answer(3, Said::Real), answer(5, Said::Real)];
        journal.hear(said.iter().map(|(key, answer)| (key, answer)), |_| false);
        assert!(journal.is_idle());
        let is_third =
            |answer: &Answer| matches!(answer.about, Subject::Episode(MessageId { offset: 3, .. }));
        journal.match_again(is_third);
        assert_eq!(take(&mut journal, 9, false), [(0, Said::Real, true)]);
        journal.match_again(|_| true);
        assert_eq!(take(&mut journal, 10, false), [(1, Said::Real, true)]);
        journal.match_again(|_| true);
        assert!(journal.is_idle());
    }
}
