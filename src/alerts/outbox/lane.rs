//! The chains of one receiver, and how it fares.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::chain::{Chain, ChainRecord, Resend};
use super::{Attempt, ChainKey, GivenUp};
use crate::alerts::{Kind, Message, Notification, Receipt, Receiver, SendError};

/// A message is tried for so long.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// Messages that may wait for a receiver.
const MOST_WAITING: usize = 10_000;
/// Episodes that are over of which it is known that the receiver was told.
const MOST_KEPT: usize = 1_000;
/// Why those are given up that there is no room for.
pub(super) const OVERFLOW: &str = "overflow";

/// One receiver.
#[derive(Debug)]
pub(super) struct Lane {
    receiver: String,
    chains: BTreeMap<(i32, String), Chain>,
    resend: Option<Resend>,
    /// It keeps the state of each episode itself.
    keeps_state: bool,
    is_sending: bool,
    /// Failures in a row, when they began, and the last one's reason.
    failures: u32,
    failing: Option<(DateTime<Utc>, &'static str)>,
    paused_until: Option<DateTime<Utc>>,
    /// Nothing is due before, unless something changes.
    idle_until: Option<DateTime<Utc>>,
    waiting: usize,
    counts: LaneCounts,
}

/// What became of the messages to one receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneCounts {
    /// Those that arrived, each once.
    pub sent: u64,
    /// Attempts in vain, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Those that were given up, by reason.
    pub given_up: BTreeMap<&'static str, u64>,
    /// Those that something newer of the same episode took the place of.
    pub left_out: u64,
}

impl Lane {
    pub(super) fn new(receiver: &Receiver) -> Self {
        let resend = receiver.resend_interval().zip(receiver.resend_end_for());
        Lane {
            receiver: receiver.settings().name.clone(),
            chains: BTreeMap::new(),
            resend: resend.map(|(interval, end_for)| Resend {
                interval: span(interval),
                end_for: span(end_for),
            }),
            keeps_state: !receiver.takes_digests(),
            is_sending: false,
            failures: 0,
            failing: None,
            paused_until: None,
            idle_until: None,
            waiting: 0,
            counts: LaneCounts::default(),
        }
    }

    pub(super) fn chain(&self, key: &ChainKey) -> Option<&Chain> {
        self.chains.get(&(key.partition, key.chain.clone()))
    }

    pub(super) fn counts(&self) -> &LaneCounts {
        &self.counts
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn failing(&self) -> Option<(DateTime<Utc>, &'static str)> {
        self.failing
    }

    /// Notes that something may be due now.
    pub(super) fn look_again(&mut self) {
        self.idle_until = None;
    }

    pub(super) fn push(&mut self, key: &ChainKey, message: Message, at: DateTime<Utc>, seal: u64) {
        let place = (key.partition, key.chain.clone());
        let chain = self.chains.entry(place).or_insert_with(Chain::new);
        let left_out = chain.push(message, at);
        chain.changed_in = seal;
        self.counts.left_out += left_out as u64;
        self.waiting = (self.waiting + 1).saturating_sub(left_out);
    }

    /// Gives up what waits longest if too much waits; says what that was.
    pub(super) fn drop_overflow(&mut self, seal: u64) -> Option<(ChainKey, String)> {
        if self.waiting <= MOST_WAITING {
            return None;
        }
        let oldest = self
            .chains
            .iter()
            .filter_map(|(place, chain)| Some((chain.waits_since()?, place)));
        let place = oldest.min()?.1.clone();
        let chain = self.chains.get_mut(&place)?;
        let message = chain.give_up_first()?;
        chain.changed_in = seal;
        *self.counts.given_up.entry(OVERFLOW).or_default() += 1;
        self.count_waiting();
        Some((self.key(place), message.id().to_owned()))
    }

    /// The first that is to be sent, and when; nothing while something is on its way or the receiver is left alone.
    pub(super) fn due(&self, committed: u64, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &(i32, String))> {
        let is_early = |time: Option<DateTime<Utc>>| time.is_some_and(|time| now < time);
        if self.is_sending || is_early(self.paused_until) || is_early(self.idle_until) {
            return None;
        }
        let due = self.chains.iter().filter_map(|(place, chain)| {
            let due = chain.due(self.resend)?;
            (chain.changed_in <= committed).then_some((due, place))
        });
        due.min()
    }

    /// What is to be sent now, if anything.
    pub(super) fn next(&mut self, committed: u64, now: DateTime<Utc>) -> Option<Attempt> {
        let (due, place) = self.due(committed, now)?;
        let place = place.clone();
        if due > now {
            self.idle_until = Some(due);
            return None;
        }
        let chain = self.chains.get_mut(&place)?;
        // The record follows with the message's own.
        self.counts.left_out += chain.leave_out_stale(self.keeps_state, now) as u64;
        self.count_waiting();
        let attempt = self.chains.get(&place)?.attempt(self.key(place))?;
        self.is_sending = true;
        Some(attempt)
    }

    /// Notes how an attempt ended; gives the chains that have changed.
    pub(super) fn finish(
        &mut self,
        attempt: &Attempt,
        sent: Result<Receipt, &SendError>,
        seal: u64,
        now: DateTime<Utc>,
    ) -> (Vec<ChainKey>, Option<GivenUp>) {
        self.is_sending = false;
        self.idle_until = None;
        let found = match sent {
            Ok(receipt) => (self.arrive(attempt, receipt, now), None),
            Err(error) => self.fail(attempt, error, now),
        };
        for key in &found.0 {
            let place = (key.partition, key.chain.clone());
            let Some(chain) = self.chains.get_mut(&place) else {
                continue;
            };
            chain.changed_in = seal;
            if chain.kept_until().is_some_and(|until| until <= now) {
                self.chains.remove(&place);
            }
        }
        self.count_waiting();
        found
    }

    /// Forgets what was over long ago, and the oldest of too much that is over.
    pub(super) fn forget(&mut self, now: DateTime<Utc>) -> Vec<ChainKey> {
        let kept = self
            .chains
            .iter()
            .filter_map(|(place, chain)| Some((chain.kept_until()?, place)));
        let mut kept: Vec<_> = kept.collect();
        kept.sort();
        let too_many = kept.len().saturating_sub(MOST_KEPT);
        let gone = kept.iter().enumerate();
        let gone = gone.filter(|(number, (until, _))| *number < too_many || *until <= now);
        let gone: Vec<(i32, String)> = gone.map(|(_, (_, place))| (*place).clone()).collect();
        for place in &gone {
            self.chains.remove(place);
        }
        gone.into_iter().map(|place| self.key(place)).collect()
    }

    fn arrive(&mut self, attempt: &Attempt, receipt: Receipt, now: DateTime<Utc>) -> Vec<ChainKey> {
        self.failures = 0;
        self.failing = None;
        self.paused_until = None;
        let place = (attempt.chain.partition, attempt.chain.chain.clone());
        let Some(chain) = self.chains.get_mut(&place) else {
            return Vec::new();
        };
        let is_new = chain.arrive(&attempt.message, receipt, now);
        self.counts.sent += u64::from(is_new);
        let mut changed = Vec::new();
        if is_new {
            changed.push(attempt.chain.clone());
        }
        changed.extend(self.forget_ends_before(&attempt.message, now));
        changed
    }

    /// Forgets ends that are still sent again, of the same alert: the new message would be taken for over, too.
    fn forget_ends_before(&mut self, message: &Message, now: DateTime<Utc>) -> Vec<ChainKey> {
        let Message::Episode(newer) = message else {
            return Vec::new();
        };
        let Some(resend) = self.resend.filter(|_| newer.kind != Kind::Ended) else {
            return Vec::new();
        };
        let is_before = |_: &(i32, String), chain: &mut Chain| {
            chain.is_echoing(resend, now) && chain.told_end().is_some_and(|end| is_same_alert(end, newer))
        };
        let gone: Vec<_> = self
            .chains
            .extract_if(.., is_before)
            .map(|(place, _)| place)
            .collect();
        gone.into_iter().map(|place| self.key(place)).collect()
    }

    fn fail(
        &mut self,
        attempt: &Attempt,
        error: &SendError,
        now: DateTime<Utc>,
    ) -> (Vec<ChainKey>, Option<GivenUp>) {
        let reason = error.reason();
        *self.counts.failed.entry(reason).or_default() += 1;
        let place = (attempt.chain.partition, attempt.chain.chain.clone());
        let chain = self.chains.get_mut(&place);
        let is_late = chain
            .as_ref()
            .and_then(|chain| chain.waits_since())
            .is_some_and(|since| now - since >= GIVE_UP_AFTER);
        if error.is_transient() {
            self.failures += 1;
            self.paused_until = Some(now + error.retry_after().map_or(pause(self.failures), span));
        }
        self.failing = Some((self.failing.map_or(now, |(since, _)| since), reason));
        let Some(chain) = chain else {
            return (Vec::new(), None);
        };
        if error.is_transient() && !is_late {
            chain.postpone(pause, now);
            return (Vec::new(), None);
        }
        if !chain.give_up(&attempt.message) {
            // What was told before is not told again.
            chain.postpone(pause, now);
            return (Vec::new(), None);
        }
        *self.counts.given_up.entry(reason).or_default() += 1;
        let given_up = GivenUp {
            receiver: self.receiver.clone(),
            reason,
            id: attempt.message.id().to_owned(),
        };
        (vec![attempt.chain.clone()], Some(given_up))
    }

    pub(super) fn assign(&mut self, key: ChainKey, record: ChainRecord) {
        let chain = Chain::of(record);
        self.chains.insert((key.partition, key.chain), chain);
        self.idle_until = None;
        self.count_waiting();
    }

    /// Forgets the chains of a partition.
    pub(super) fn revoke(&mut self, partition: i32) {
        self.chains.retain(|(of, _), _| *of != partition);
        self.count_waiting();
    }

    /// Notes that the attempt on its way was broken off.
    pub(super) fn interrupt(&mut self) {
        self.is_sending = false;
    }

    fn key(&self, (partition, chain): (i32, String)) -> ChainKey {
        ChainKey {
            partition,
            receiver: self.receiver.clone(),
            chain,
        }
    }

    fn count_waiting(&mut self) {
        self.waiting = self.chains.values().map(Chain::waiting).sum();
    }
}

/// Whether two episodes are one alert to a receiver that knows no episodes.
fn is_same_alert(one: &Notification, other: &Notification) -> bool {
    let identity = |of: &Notification| {
        (
            of.series.clone(),
            of.measure.clone(),
            of.detector.clone(),
            of.rule.clone(),
        )
    };
    identity(one) == identity(other)
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> TimeDelta {
    let doubled = FIRST_PAUSE_MS << failures.saturating_sub(1).min(20);
    TimeDelta::milliseconds(doubled).min(LONGEST_PAUSE)
}

/// Receivers ask for an hour at most.
fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
