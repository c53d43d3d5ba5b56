//! What is to be sent and was not yet, of each receiver: a state machine without I/O.
//!
//! What a receiver hears of one episode is a [`Chain`]: messages in order, the next one only when the one before it has
//! arrived or was given up, and only what is committed is sent. So whoever takes a chain up after a crash may send a message again,
//! under the same id, but never one that a later message has followed. A message that cannot be sent now is tried again
//! later, while those of other episodes go on; a receiver that does not answer at all is left alone for longer each time, and no
//! other receiver waits for it.
//!
//! Absent from this room: what is to be told (`router`), requests (`receivers`), clocks, Kafka.

mod chain;
mod lane;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Message, Receipt, Receiver, SendError, Telling};
#[cfg(test)]
pub(crate) use chain::Pending;
use chain::{Chain, chain_of};
pub(crate) use chain::{ChainRecord, Told};
pub(crate) use lane::LaneCounts;
use lane::{Lane, OVERFLOW};

/// The memory of what is on its way to receivers.
#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: BTreeMap<String, Lane>,
    changed: BTreeSet<ChainKey>,
    /// The number of the seal that takes what changes now.
    seal: u64,
    /// Of the newest seal whose changes are committed.
    committed: u64,
}

/// Whose chain it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChainKey {
    /// Its owner's, of the topic of anomalies.
    pub partition: i32,
    pub receiver: String,
    /// An episode's id, or the kind of digests.
    pub chain: String,
}

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub chain: ChainKey,
    pub message: Message,
    /// What the receiver answered to the one before it.
    pub earlier: Option<Receipt>,
}

/// A message that will not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub receiver: String,
    /// The word that it is counted under.
    pub reason: &'static str,
    /// Of the message.
    pub id: String,
}

impl Outbox {
    /// An outbox to these receivers, with nothing in it.
    pub(crate) fn new<'a>(receivers: impl IntoIterator<Item = &'a Receiver>) -> Self {
        let lane = |receiver: &Receiver| (receiver.settings().name.clone(), Lane::new(receiver));
        Outbox {
            lanes: receivers.into_iter().map(lane).collect(),
            changed: BTreeSet::new(),
            seal: 1,
            committed: 0,
        }
    }

    /// Takes a message in. What had to go to make room for it is given up.
    pub(crate) fn push(&mut self, telling: Telling) -> Option<GivenUp> {
        let lane = self.lanes.get_mut(&telling.receiver)?;
        let key = ChainKey {
            partition: telling.partition,
            receiver: telling.receiver,
            chain: chain_of(&telling.message),
        };
        lane.push(&key, telling.message, telling.at, self.seal);
        self.changed.insert(key);
        let (overflowing, id) = lane.drop_overflow(self.seal)?;
        let receiver = overflowing.receiver.clone();
        self.changed.insert(overflowing);
        Some(GivenUp {
            receiver,
            reason: OVERFLOW,
            id,
        })
    }

    /// What is to be sent to a receiver now, if anything; it is on its way until [`finish`](Self::finish).
    pub(crate) fn next(&mut self, receiver: &str, now: DateTime<Utc>) -> Option<Attempt> {
        self.lanes.get_mut(receiver)?.next(self.committed, now)
    }

    /// Whether something is to be sent to a receiver now.
    pub(crate) fn is_due(&self, receiver: &str, now: DateTime<Utc>) -> bool {
        let due = self
            .lanes
            .get(receiver)
            .and_then(|lane| lane.due(self.committed, now));
        due.is_some_and(|(due, _)| due <= now)
    }

    /// Notes how an attempt ended.
    pub(crate) fn finish(
        &mut self,
        attempt: &Attempt,
        sent: Result<Receipt, &SendError>,
        now: DateTime<Utc>,
    ) -> Option<GivenUp> {
        let lane = self.lanes.get_mut(&attempt.chain.receiver)?;
        let (changed, given_up) = lane.finish(attempt, sent, self.seal, now);
        self.changed.extend(changed);
        given_up
    }

    /// What has changed since the last time: its record now, or `None` where there is nothing to know any more. It is sent once
    /// it is [`committed`](Self::committed).
    pub(crate) fn take_changes(&mut self) -> Vec<(ChainKey, Option<ChainRecord>)> {
        self.seal += 1;
        let changed = std::mem::take(&mut self.changed);
        let record = |key: ChainKey| {
            let chain = self.lanes.get(&key.receiver).and_then(|lane| lane.chain(&key));
            let record = chain.map(Chain::record);
            (key, record)
        };
        changed.into_iter().map(record).collect()
    }

    /// How many changes there are to take.
    pub(crate) fn change_count(&self) -> usize {
        self.changed.len()
    }

    /// Notes that what was taken last is committed.
    pub(crate) fn committed(&mut self) {
        self.committed = self.seal - 1;
        for lane in self.lanes.values_mut() {
            lane.look_again();
        }
    }

    /// Forgets what was over long ago. To be called now and then.
    pub(crate) fn forget(&mut self, now: DateTime<Utc>) {
        for lane in self.lanes.values_mut() {
            self.changed.extend(lane.forget(now));
        }
    }

    /// Takes a chain up.
    pub(crate) fn assign(&mut self, key: ChainKey, record: ChainRecord) {
        if let Some(lane) = self.lanes.get_mut(&key.receiver) {
            lane.assign(key, record);
        }
    }

    /// Forgets all that belongs to a partition.
    pub(crate) fn revoke(&mut self, partition: i32) {
        self.changed.retain(|key| key.partition != partition);
        for lane in self.lanes.values_mut() {
            lane.revoke(partition);
        }
    }

    /// Notes that the attempt on its way to a receiver was broken off: its outcome is not known.
    pub(crate) fn interrupt(&mut self, receiver: &str) {
        if let Some(lane) = self.lanes.get_mut(receiver) {
            lane.interrupt();
        }
    }

    /// What became of each receiver's messages.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, &LaneCounts)> {
        self.lanes.iter().map(|(name, lane)| (&**name, lane.counts()))
    }

    /// Messages that wait, of each receiver.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        self.lanes.iter().map(|(name, lane)| (&**name, lane.waiting()))
    }

    /// Since when each receiver that does not take its messages has been failing, and why.
    pub(crate) fn failing(&self) -> impl Iterator<Item = (&str, DateTime<Utc>, &'static str)> {
        self.lanes.iter().filter_map(|(name, lane)| {
            let (since, reason) = lane.failing()?;
            Some((&**name, since, reason))
        })
    }

    /// Whether some message waits that was not tried in vain.
    pub(crate) fn is_busy(&self) -> bool {
        self.lanes
            .values()
            .any(|lane| lane.failing().is_none() && lane.waiting() > 0)
    }
}
