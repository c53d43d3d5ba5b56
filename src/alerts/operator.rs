//! Who is told, and what is on its way: the router and the outbox behind one door, with one memory.
//!
//! The order that a caller must keep: what [`AlertOperator::seal`] gives is committed together with the positions of the records
//! that were taken in before; only then [`AlertOperator::committed`] lets it be sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::outbox::{Attempt, GivenUp, LaneCounts, Outbox};
use super::router::{Hush, Router, Telling, Transition};
use super::state::{StateKey, StateRecord};
use super::{Receipt, Receiver, SendError, Settings};
use crate::feedback::Opinions;

/// The alerts of one process.
#[derive(Debug)]
pub(crate) struct AlertOperator {
    router: Router,
    outbox: Outbox,
    /// When the router has something to do next.
    due: Option<DateTime<Utc>>,
    /// When the outbox is to forget what was over long ago.
    forget_at: Option<DateTime<Utc>>,
    given_up: Vec<GivenUp>,
}

const FORGET_INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Records that have changed; `None` where there is nothing to know any more.
pub(crate) type StateChanges = Vec<(StateKey, Option<StateRecord>)>;

impl AlertOperator {
    /// An operator that has heard of nothing yet. `zone` is that of the detection.
    ///
    /// # Errors
    /// [`SendError::Settings`] if a receiver is of no kind that there is.
    pub(crate) fn new(settings: &Settings, zone: Tz, receivers: &[Receiver]) -> Result<Self, SendError> {
        Ok(AlertOperator {
            router: Router::new(settings, zone)?,
            outbox: Outbox::new(receivers),
            due: None,
            forget_at: None,
            given_up: Vec::new(),
        })
    }

    /// Takes in what is said of an episode, at a time that is not before the last one.
    pub(crate) fn step(&mut self, transition: Transition, now: DateTime<Utc>) {
        let tellings = self.router.step(transition, now);
        self.push(tellings);
        self.due = self.router.due(now);
        self.tick(now);
    }

    /// Lets time go by up to `now`.
    pub(crate) fn tick(&mut self, now: DateTime<Utc>) {
        if self.due.is_some_and(|due| due <= now) {
            let tellings = self.router.tick(now);
            self.push(tellings);
            self.due = self.router.due(now);
        }
        if self.forget_at.is_none_or(|at| at <= now) {
            self.outbox.forget(now);
            self.forget_at = Some(now + FORGET_INTERVAL);
        }
    }

    fn push(&mut self, tellings: Vec<Telling>) {
        for telling in tellings {
            self.given_up.extend(self.outbox.push(telling));
        }
    }

    /// Heeds from now on what people say.
    pub(crate) fn heed(&mut self, opinions: Arc<Opinions>, now: DateTime<Utc>) {
        self.router.heed(opinions);
        self.due = Some(now);
        self.tick(now);
    }

    /// Episodes that receivers were not told of, and why.
    pub(crate) fn suppressed(&self) -> &BTreeMap<(String, Hush), u64> {
        self.router.suppressed()
    }

    /// What is to be sent to a receiver now, if anything; it is on its way until [`finish`](Self::finish) or
    /// [`interrupt`](Self::interrupt).
    pub(crate) fn next(&mut self, receiver: &str, now: DateTime<Utc>) -> Option<Attempt> {
        self.outbox.next(receiver, now)
    }

    /// Notes how an attempt ended.
    pub(crate) fn finish(
        &mut self,
        attempt: &Attempt,
        sent: Result<Receipt, &SendError>,
        now: DateTime<Utc>,
    ) {
        let given_up = self.outbox.finish(attempt, sent, now);
        self.given_up.extend(given_up);
    }

    /// Notes that the attempt on its way to a receiver was broken off: its outcome is not known.
    pub(crate) fn interrupt(&mut self, receiver: &str) {
        self.outbox.interrupt(receiver);
    }

    /// What has changed since the last seal.
    pub(crate) fn seal(&mut self) -> StateChanges {
        let router = self.router.take_changes().into_iter();
        let router = router.map(|(key, record)| (StateKey::Router(key), record.map(StateRecord::Router)));
        let outbox = self.outbox.take_changes().into_iter();
        let outbox = outbox.map(|(key, record)| (StateKey::Chain(key), record.map(StateRecord::Chain)));
        router.chain(outbox).collect()
    }

    /// How much there is to seal.
    pub(crate) fn change_count(&self) -> usize {
        self.router.change_count() + self.outbox.change_count()
    }

    /// Whether something is to be sent to a receiver now.
    pub(crate) fn is_due(&self, receiver: &str, now: DateTime<Utc>) -> bool {
        self.outbox.is_due(receiver, now)
    }

    /// Notes that what was sealed last is committed.
    pub(crate) fn committed(&mut self) {
        self.outbox.committed();
    }

    /// Takes a record up.
    pub(crate) fn assign(&mut self, key: StateKey, record: StateRecord, now: DateTime<Utc>) {
        match (key, record) {
            (StateKey::Router(key), StateRecord::Router(record)) => self.router.assign(key, record),
            (StateKey::Chain(key), StateRecord::Chain(record)) => self.outbox.assign(key, record),
            // Records are read by what their key says.
            (StateKey::Router(_), StateRecord::Chain(_)) | (StateKey::Chain(_), StateRecord::Router(_)) => {}
        }
        self.due = Some(now);
    }

    /// Forgets all that belongs to a partition.
    pub(crate) fn revoke(&mut self, partition: i32) {
        self.router.revoke(partition);
        self.outbox.revoke(partition);
    }

    /// Messages that were given up since the last time.
    pub(crate) fn take_given_up(&mut self) -> Vec<GivenUp> {
        std::mem::take(&mut self.given_up)
    }

    /// Episodes that are open.
    pub(crate) fn open_count(&self) -> usize {
        self.router.open_count()
    }

    /// What became of each receiver's messages, and how many wait.
    pub(crate) fn counts(&self) -> BTreeMap<String, (LaneCounts, usize)> {
        let waiting: BTreeMap<&str, usize> = self.outbox.waiting().collect();
        let counts = self.outbox.counts();
        counts
            .map(|(name, counts)| {
                let waiting = waiting.get(name).copied().unwrap_or_default();
                (name.to_owned(), (counts.clone(), waiting))
            })
            .collect()
    }

    /// Since when each receiver that does not take its messages has been failing, and why.
    pub(crate) fn failing(&self) -> impl Iterator<Item = (&str, DateTime<Utc>, &'static str)> {
        self.outbox.failing()
    }

    /// Whether some message waits that was not tried in vain.
    pub(crate) fn is_busy(&self) -> bool {
        self.outbox.is_busy()
    }
}

#[cfg(test)]
mod tests;
