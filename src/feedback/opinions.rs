//! All that is said now: messages folded, the newest of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::message::{About, Feedback, Opinion, Scope, Silence, Verdict};
use super::parse::{MalformedMessage, parse};
use crate::detectors::pattern_matches;

/// What is kept of messages at most, in memory; beyond it what was said longest ago is forgotten.
const MOST_BYTES: usize = 32 * 1_048_576;
/// What a message takes beside its key and value.
const OVERHEAD_BYTES: usize = 512;

/// What people say, as far as the topic has been read.
///
/// It depends on nothing but the newest message of each key, so that a compacted topic gives the same as a whole one.
#[derive(Debug, Clone, Default)]
pub struct Opinions {
    by_key: BTreeMap<String, Arc<Kept>>,
    /// Keys by when they were said last.
    in_order: BTreeMap<u64, String>,
    /// Keys of the feedback by which all episodes of a series are expected.
    expected_series: BTreeMap<Option<String>, BTreeSet<String>>,
    silences: BTreeSet<String>,
    bytes: usize,
    messages: u64,
    malformed: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Kept {
    opinion: Opinion,
    sequence: u64,
    bytes: usize,
}

/// How episodes were judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Episodes that were faults.
    pub real: u64,
    /// Episodes that nobody needed to be told of.
    pub expected: u64,
}

impl Judged {
    /// The share of the judged episodes that were faults; `None` if there are none.
    pub fn precision(self) -> Option<f64> {
        let judged = self.real + self.expected;
        (judged > 0).then(|| self.real as f64 / judged as f64)
    }
}

impl Opinions {
    /// Takes in the next message of the topic. One without a value takes back what its key said.
    ///
    /// # Errors
    /// [`MalformedMessage`] if it says nothing. It takes the place of what its key said before nevertheless: the topic
    /// itself will forget that.
    pub fn fold(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), MalformedMessage> {
        self.messages += 1;
        if let Ok(key) = std::str::from_utf8(key) {
            self.remove(key);
        }
        let Some(value) = value else {
            return Ok(());
        };
        let opinion = parse(key, value).inspect_err(|_| self.malformed += 1)?;
        let is_withdrawn = matches!(&opinion, Opinion::Feedback(said) if said.verdict == Verdict::Withdrawn);
        if !is_withdrawn {
            self.insert(opinion, key.len() + value.len() + OVERHEAD_BYTES);
        }
        Ok(())
    }

    fn insert(&mut self, opinion: Opinion, bytes: usize) {
        let key = opinion.key();
        match &opinion {
            Opinion::Silence(_) => {
                self.silences.insert(key.clone());
            }
            Opinion::Feedback(feedback) => {
                if let Some(series) = expected_series(feedback) {
                    let keys = self.expected_series.entry(series.clone()).or_default();
                    keys.insert(key.clone());
                }
            }
        }
        let sequence = self.messages;
        self.in_order.insert(sequence, key.clone());
        self.bytes += bytes;
        let kept = Kept {
            opinion,
            sequence,
            bytes,
        };
        self.by_key.insert(key, Arc::new(kept));
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.in_order.pop_first() else {
                break;
            };
            self.remove(&oldest);
            self.forgotten += 1;
        }
    }

    fn remove(&mut self, key: &str) {
        let Some(kept) = self.by_key.remove(key) else {
            return;
        };
        self.bytes -= kept.bytes;
        self.in_order.remove(&kept.sequence);
        self.silences.remove(key);
        let Opinion::Feedback(feedback) = &kept.opinion else {
            return;
        };
        if let Some(series) = expected_series(feedback)
            && let Some(keys) = self.expected_series.get_mut(series)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.expected_series.remove(series);
            }
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether an episode is closed for telling: it was said to be expected itself, or all episodes of its series are at
    /// this time. `series` is `None` where the topic is read as one series.
    pub fn is_expected(&self, episode: &str, series: Option<&str>, now: DateTime<Utc>) -> bool {
        self.expectation_of(episode, series, now).is_some()
    }

    /// The feedback by which an episode [is expected](Self::is_expected).
    pub fn expectation_of(
        &self,
        episode: &str,
        series: Option<&str>,
        now: DateTime<Utc>,
    ) -> Option<&Feedback> {
        let itself = self
            .said_of(episode)
            .filter(|feedback| feedback.verdict == Verdict::Expected);
        let is_on = |key: &&String| self.expectation_end(key).is_some_and(|end| now < end);
        itself.or_else(|| {
            let of_series = self.expected_series.get(&series.map(str::to_owned))?;
            of_series.iter().find(is_on).and_then(|key| self.said_of(key))
        })
    }

    fn expectation_end(&self, key: &str) -> Option<DateTime<Utc>> {
        self.said_of(key)?.until
    }

    /// What was said last of an episode itself, if anything was; it may be withdrawn.
    pub fn said_of(&self, episode: &str) -> Option<&Feedback> {
        match &self.by_key.get(episode)?.opinion {
            Opinion::Feedback(feedback) => Some(feedback),
            Opinion::Silence(_) => None,
        }
    }

    /// The silence that keeps an episode of this series from being told now. `is_open` says of an episode whether it is
    /// not over; it is asked of those that end a silence, but for this one.
    pub fn silence_of(
        &self,
        series: Option<&str>,
        episode: &str,
        now: DateTime<Utc>,
        is_open: impl Fn(&str) -> bool,
    ) -> Option<&Silence> {
        let lasts = |silence: &Silence| match silence.until_resolved.as_deref() {
            None => true,
            Some(resolved) => resolved == episode || is_open(resolved),
        };
        self.silences().find(|silence| {
            silence.is_on(now)
                && pattern_matches(&silence.pattern, series.unwrap_or_default())
                && lasts(silence)
        })
    }

    /// The first time after `now` at which a silence or an expectation begins or ends by itself.
    pub fn next_change(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let of_silences = self
            .silences()
            .flat_map(|silence| [silence.begin, silence.until])
            .flatten();
        let of_series = self.expected_series.values().flatten();
        let ends = of_series.filter_map(|key| self.expectation_end(key));
        of_silences.chain(ends).filter(|time| *time > now).min()
    }

    /// All silences, be their time over or not, by id.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        let keys = self.silences.iter();
        keys.filter_map(|key| match &self.by_key.get(key)?.opinion {
            Opinion::Silence(silence) => Some(silence),
            Opinion::Feedback(_) => None,
        })
    }

    /// All feedback, by key.
    pub fn feedback(&self) -> impl Iterator<Item = &Feedback> {
        self.by_key.values().filter_map(|kept| match &kept.opinion {
            Opinion::Feedback(feedback) => Some(feedback),
            Opinion::Silence(_) => None,
        })
    }

    /// How the episodes of each detector were judged; `None` is for those whose detector is not said.
    pub fn judged(&self) -> BTreeMap<Option<&str>, Judged> {
        let mut judged: BTreeMap<Option<&str>, Judged> = BTreeMap::new();
        for feedback in self.feedback() {
            let About::Episode { detector, .. } = &feedback.about else {
                continue;
            };
            let counts = judged.entry(detector.as_deref()).or_default();
            match feedback.verdict {
                Verdict::Real => counts.real += 1,
                Verdict::Expected => counts.expected += 1,
                Verdict::Missed | Verdict::Withdrawn => {}
            }
        }
        judged
    }

    /// How all episodes were judged.
    pub fn judged_overall(&self) -> Judged {
        let of_detectors = self.judged();
        of_detectors.values().fold(Judged::default(), |sum, one| Judged {
            real: sum.real + one.real,
            expected: sum.expected + one.expected,
        })
    }

    /// Stretches in which something was missed.
    pub fn missed(&self) -> u64 {
        let missed = self
            .feedback()
            .filter(|feedback| feedback.verdict == Verdict::Missed);
        missed.count() as u64
    }

    /// Messages so far that said nothing.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// What was said longest ago and had no place any more.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The series whose episodes are all expected by this feedback, if it reaches so far.
fn expected_series(feedback: &Feedback) -> Option<&Option<String>> {
    match &feedback.about {
        About::Episode { series, .. }
            if feedback.scope == Scope::Series && feedback.verdict == Verdict::Expected =>
        {
            series.as_ref()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
