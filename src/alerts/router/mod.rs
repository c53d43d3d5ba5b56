//! Who is told of an episode, and when: a state machine of one router.
//!
//! [`Router::step`] takes in what the topic of anomalies says of an episode, [`Router::tick`] lets time go by; both say what is
//! to be sent to whom. What a receiver hears of an episode is in order, and never an opening after its end:
//!
//! - an opening waits for `min_duration`, and in quiet hours for their end, unless it is critical. What is over before that is
//!   not told;
//! - what opens within `group_wait` of another waits until that has passed, and goes out together; more than `storm` within
//!   five minutes as one message, and one more when all of them are over;
//! - what is told is told again when it becomes more severe, as a reminder while it is critical, and when it is over;
//! - what comes later than `max_age` comes in one digest, if at all;
//! - what people say is heeded: silenced series wait, and an episode that was expected is closed.
//!
//! Its memory belongs to the partitions of the topic: [`Router::take_changes`] gives it as records, [`Router::assign`] takes
//! them up again, in this process or in another.
//!
//! Absent from this room: clocks, Kafka, sending, and memory of what was sent.

mod desk;
mod hush;
mod memory;
mod share;
mod transition;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Message, Notification, Receiver, SendError, Settings};
use crate::feedback::Opinions;
use desk::Desk;
pub(crate) use desk::Standing;
pub(crate) use hush::Hush;
use hush::View;
pub(crate) use memory::{RouterKey, RouterRecord};
pub(crate) use transition::Transition;

/// The router's memory: which episodes are open, and who was told of each.
#[derive(Debug)]
pub(crate) struct Router {
    desks: Vec<Desk>,
    /// By id.
    open: BTreeMap<String, OpenEpisode>,
    changed: BTreeSet<RouterKey>,
    /// What people say of episodes.
    opinions: Arc<Opinions>,
    suppressed: BTreeMap<(String, Hush), u64>,
}

/// The cause that the end of an episode is told with which somebody has said to be expected.
pub(in crate::alerts) const EXPECTED: &str = "expected";

/// What was last heard of an open episode.
#[derive(Debug, Clone, PartialEq)]
struct OpenEpisode {
    partition: i32,
    notification: Notification,
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Telling {
    /// The name of the receiver.
    pub receiver: String,
    /// Whose owner sends it: the partition of an episode that it is about.
    pub partition: i32,
    /// When it was decided.
    pub at: DateTime<Utc>,
    pub message: Message,
}

/// What desks decide at a moment.
#[derive(Debug)]
struct Decisions {
    now: DateTime<Utc>,
    tellings: Vec<Telling>,
    /// What they know otherwise than before.
    changed: BTreeSet<RouterKey>,
    /// Receivers that were not told of an episode, and why.
    suppressed: Vec<(String, Hush)>,
}

impl Decisions {
    fn at(now: DateTime<Utc>) -> Self {
        Decisions {
            now,
            tellings: Vec::new(),
            changed: BTreeSet::new(),
            suppressed: Vec::new(),
        }
    }

    fn suppress(&mut self, receiver: &str, hush: Hush) {
        self.suppressed.push((receiver.to_owned(), hush));
    }
}

impl Router {
    /// A router to the receivers of the settings that has heard of nothing yet. `zone` is that of the detection.
    ///
    /// # Errors
    /// [`SendError::Settings`] if a receiver is of no kind that there is.
    pub(crate) fn new(settings: &Settings, zone: Tz) -> Result<Self, SendError> {
        let desk = |receiver| {
            let takes_digests = Receiver::new(receiver)?.takes_digests();
            Ok(Desk::new(
                receiver,
                settings.zone_of(receiver, zone),
                takes_digests,
            ))
        };
        Ok(Router {
            desks: settings.receivers.iter().map(desk).collect::<Result<_, _>>()?,
            open: BTreeMap::new(),
            changed: BTreeSet::new(),
            opinions: Arc::default(),
            suppressed: BTreeMap::new(),
        })
    }

    /// Takes in what is said of an episode, at a time that is not before the last one.
    pub(crate) fn step(&mut self, transition: Transition, now: DateTime<Utc>) -> Vec<Telling> {
        let Transition {
            partition,
            is_end,
            is_expected,
            notification,
        } = transition;
        if is_expected {
            return Vec::new();
        }
        let episode = notification.episode.clone();
        let mut decisions = Decisions::at(now);
        let known = self.open.get(&episode);
        if !is_end || known.is_some() {
            decisions.changed.insert(RouterKey::episode(partition, &episode));
        }
        if is_end {
            self.open.remove(&episode);
            let view = View {
                open: &self.open,
                opinions: &self.opinions,
            };
            for desk in &mut self.desks {
                desk.end(partition, &notification, view, &mut decisions);
            }
            return self.note(decisions);
        }
        let worst = known.map_or(notification.severity, |known| {
            known.notification.severity.max(notification.severity)
        });
        let opened_at = known.map_or(notification.opened_at, |known| known.notification.opened_at);
        let heard = OpenEpisode {
            partition,
            notification: Notification {
                severity: worst,
                opened_at,
                ..notification
            },
        };
        for desk in &mut self.desks {
            desk.anomaly(&heard, known.is_none(), &mut decisions);
        }
        self.open.insert(episode, heard);
        let view = View {
            open: &self.open,
            opinions: &self.opinions,
        };
        for desk in &mut self.desks {
            desk.tell_again(view, &mut decisions);
        }
        self.note(decisions)
    }

    /// Sends what is due at this time, which is not before the last one.
    pub(crate) fn tick(&mut self, now: DateTime<Utc>) -> Vec<Telling> {
        let mut decisions = Decisions::at(now);
        let view = View {
            open: &self.open,
            opinions: &self.opinions,
        };
        for desk in &mut self.desks {
            desk.tick(view, &mut decisions);
        }
        self.note(decisions)
    }

    fn note(&mut self, decisions: Decisions) -> Vec<Telling> {
        self.changed.extend(decisions.changed);
        for key in decisions.suppressed {
            *self.suppressed.entry(key).or_default() += 1;
        }
        decisions.tellings
    }

    /// Heeds from now on what people say.
    pub(crate) fn heed(&mut self, opinions: Arc<Opinions>) {
        self.opinions = opinions;
    }

    /// Episodes that receivers were not told of, and why.
    pub(crate) fn suppressed(&self) -> &BTreeMap<(String, Hush), u64> {
        &self.suppressed
    }

    /// When [`tick`](Self::tick) has something to do next, as far as it is known at `now`.
    pub(crate) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let view = View {
            open: &self.open,
            opinions: &self.opinions,
        };
        let of_desks = self.desks.iter().filter_map(|desk| desk.due(view, now));
        of_desks.chain(self.opinions.next_change(now)).min()
    }

    /// Episodes that are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Tells of a whole history, as if everything had come at its own time, and time went by up to the last of it.
    pub(crate) fn replay(
        mut self,
        history: impl IntoIterator<Item = (DateTime<Utc>, Transition)>,
    ) -> Vec<Telling> {
        let mut tellings = Vec::new();
        let mut now = DateTime::<Utc>::MIN_UTC;
        for (at, transition) in history {
            let until = at.max(now);
            while let Some(due) = self.due(now).filter(|due| *due <= until) {
                // After a tick nothing is due before a later time.
                now = due.max(now);
                tellings.extend(self.tick(now));
            }
            now = until;
            tellings.extend(self.step(transition, now));
        }
        tellings.extend(self.tick(now));
        tellings
    }
}
