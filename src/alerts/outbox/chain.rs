//! What one receiver hears of one episode.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Attempt, ChainKey};
use crate::alerts::{Kind, Message, Notification, Receipt};

/// What waits for so long is left out where something newer of its episode waits, too.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(10);
/// Messages of one chain that may wait: an opening, some reminders, an end; or digests.
const MOST_PENDING: usize = 10;
/// How long it is known who was told of what is over.
const KEPT_FOR: TimeDelta = TimeDelta::days(7);

/// Messages of one episode to one receiver; digests of a kind are a chain, too.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pending: VecDeque<Pending>,
    told: Option<Told>,
    /// The end, if that was given up.
    given_up: Option<Pending>,
    /// The seal that has its last change.
    pub changed_in: u64,
    /// Attempts in vain with the first that waits.
    failures: u32,
    retry_at: Option<DateTime<Utc>>,
    /// When the newest message was last sent, for receivers that forget it.
    resent_at: Option<DateTime<Utc>>,
}

/// What is kept of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChainRecord {
    /// In order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// The end, if that was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Box<Pending>>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub message: Message,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

/// The newest message that has arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub message: Message,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// When the first message of the chain did.
    pub first_at: DateTime<Utc>,
    pub receipt: Receipt,
}

/// How often a receiver is told again what it forgets, and for how long of an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resend {
    pub interval: TimeDelta,
    pub end_for: TimeDelta,
}

/// The chain that a message belongs to.
pub(super) fn chain_of(message: &Message) -> String {
    match message {
        Message::Episode(notification) => notification.episode.clone(),
        Message::Digest(digest) => format!("digest/{}", digest.kind.name()),
    }
}

impl Chain {
    pub(super) fn new() -> Self {
        let nothing = ChainRecord {
            pending: Vec::new(),
            told: None,
            given_up: None,
        };
        Chain::of(nothing)
    }

    /// A chain that is taken up.
    pub(super) fn of(record: ChainRecord) -> Self {
        Chain {
            pending: record.pending.into(),
            told: record.told,
            given_up: record.given_up.map(|pending| *pending),
            changed_in: 0,
            failures: 0,
            retry_at: None,
            resent_at: None,
        }
    }

    pub(super) fn record(&self) -> ChainRecord {
        ChainRecord {
            pending: self.pending.iter().cloned().collect(),
            told: self.told.clone(),
            given_up: self.given_up.clone().map(Box::new),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// When the oldest that waits was decided.
    pub(super) fn waits_since(&self) -> Option<DateTime<Utc>> {
        self.pending.front().map(|pending| pending.at)
    }

    /// Adds a message; gives how many were left out for it.
    pub(super) fn push(&mut self, message: Message, at: DateTime<Utc>) -> usize {
        self.pending.push_back(Pending { message, at });
        let mut left_out = 0;
        while self.pending.len() > MOST_PENDING {
            self.pending.pop_front();
            left_out += 1;
        }
        left_out
    }

    /// When the first that waits is to be sent, or what was told again.
    pub(super) fn due(&self, resend: Option<Resend>) -> Option<DateTime<Utc>> {
        if let Some(first) = self.pending.front() {
            return Some(self.retry_at.unwrap_or(first.at));
        }
        let (told, resend) = (self.told.as_ref()?, resend?);
        let again_at = self.resent_at.unwrap_or(told.at) + resend.interval;
        let is_wanted =
            !self.is_over() || (self.told_end().is_some() && again_at <= told.at + resend.end_for);
        is_wanted.then_some(again_at)
    }

    /// Leaves out what nobody needs to hear any more; gives how many that were.
    pub(super) fn leave_out_stale(&mut self, keeps_state: bool, now: DateTime<Utc>) -> usize {
        let (Some(first), Some(last)) = (self.pending.front(), self.pending.back()) else {
            return 0;
        };
        // Who keeps the state of episodes need not be woken for one that is over.
        let is_over = keeps_state && kind(&last.message) == Some(Kind::Ended);
        let is_stale = kind(&last.message).is_some() && now - first.at > STALE_AFTER;
        let mut left_out = 0;
        while (is_over || is_stale) && self.pending.len() > 1 {
            self.pending.pop_front();
            self.forget_failures();
            left_out += 1;
        }
        left_out
    }

    /// What is to be sent: the first that waits, else what was told.
    pub(super) fn attempt(&self, key: ChainKey) -> Option<Attempt> {
        let first = self.pending.front().map(|pending| &pending.message);
        let message = first.or_else(|| self.told.as_ref().map(|told| &told.message))?;
        let earlier = self.told.as_ref().filter(|_| kind(message).is_some());
        Some(Attempt {
            chain: key,
            message: message.clone(),
            earlier: earlier.map(|told| told.receipt.clone()),
        })
    }

    /// Notes that a message has arrived. The answer is whether the record has changed.
    pub(super) fn arrive(&mut self, message: &Message, receipt: Receipt, now: DateTime<Utc>) -> bool {
        self.resent_at = Some(now);
        self.forget_failures();
        if self.is_first(message) {
            self.pending.pop_front();
            self.told = Some(Told {
                message: message.clone(),
                at: now,
                first_at: self.told.as_ref().map_or(now, |told| told.first_at),
                receipt,
            });
            return true;
        }
        false
    }

    /// Notes that a message did not arrive, and is to be tried again after a pause.
    pub(super) fn postpone(&mut self, pause: impl Fn(u32) -> TimeDelta, now: DateTime<Utc>) {
        self.failures += 1;
        self.retry_at = Some(now + pause(self.failures));
        self.resent_at = Some(now);
    }

    /// Gives the first that waits up, if it is this one.
    pub(super) fn give_up(&mut self, message: &Message) -> bool {
        let is_first = self.is_first(message);
        if is_first {
            self.give_up_first();
        }
        is_first
    }

    /// Gives up what waits longest.
    pub(super) fn give_up_first(&mut self) -> Option<Message> {
        self.forget_failures();
        let first = self.pending.pop_front()?;
        let message = first.message.clone();
        // Nothing comes after an end: what was told before is not to be told again.
        if kind(&message) == Some(Kind::Ended) {
            self.given_up = Some(first);
        }
        Some(message)
    }

    /// Whether nothing more is to come: nothing waits, and what was told last was the end, or a digest, or the end was given up.
    pub(super) fn is_over(&self) -> bool {
        let is_last = |told: &Told| matches!(kind(&told.message), None | Some(Kind::Ended));
        self.pending.is_empty() && (self.given_up.is_some() || self.told.as_ref().is_none_or(is_last))
    }

    /// Until when it is kept, if it is over.
    pub(super) fn kept_until(&self) -> Option<DateTime<Utc>> {
        let told_at = self.told.as_ref().map(|told| told.at);
        let given_up_at = self.given_up.as_ref().map(|pending| pending.at);
        let last = told_at.max(given_up_at);
        let kept_until = last.map_or(DateTime::UNIX_EPOCH, |last| last + KEPT_FOR);
        self.is_over().then_some(kept_until)
    }

    /// Whether its end is still sent again.
    pub(super) fn is_echoing(&self, resend: Resend, now: DateTime<Utc>) -> bool {
        self.is_over()
            && self
                .told
                .as_ref()
                .is_some_and(|told| now - told.at <= resend.end_for)
    }

    /// What was told, if that was the end.
    pub(super) fn told_end(&self) -> Option<&Notification> {
        match &self.told.as_ref()?.message {
            Message::Episode(notification) if notification.kind == Kind::Ended => Some(notification),
            _ => None,
        }
    }

    fn is_first(&self, message: &Message) -> bool {
        let first = self.pending.front();
        first.is_some_and(|pending| pending.message.id() == message.id())
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }
}

/// What has happened to the episode of a message.
fn kind(message: &Message) -> Option<Kind> {
    match message {
        Message::Episode(notification) => Some(notification.kind),
        Message::Digest(_) => None,
    }
}
