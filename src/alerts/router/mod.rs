//! Who is told of an episode, and when: a state machine of one router.
//!
//! [`Router::step`] takes in what the topic of anomalies says of an episode, [`Router::tick`] lets time go by; both say what is
//! to be sent to whom. What a receiver hears of an episode is in order, and never an opening after its end:
//!
//! - an opening waits for `group_wait` and `min_duration`, and in quiet hours for their end, unless it is critical. What is over
//!   before that is not told;
//! - what opened together goes out together; more than `storm` within five minutes as one message, and one more when all of
//!   them are over;
//! - what is told is told again when it becomes more severe, as a reminder while it is critical, and when it is over;
//! - what opened longer ago than `max_age` comes in one digest, if at all.
//!
//! Absent from this room: clocks, Kafka, sending, and memory of what was sent.

mod desk;
mod transition;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Message, Notification, Receiver, SendError, Settings};
use desk::Desk;
pub(crate) use transition::Transition;

/// The router's memory: which episodes are open, and who was told of each.
#[derive(Debug)]
pub(crate) struct Router {
    desks: Vec<Desk>,
    /// By id: what was last heard of it.
    open: BTreeMap<String, Notification>,
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Telling {
    /// The name of the receiver.
    pub receiver: String,
    /// When it was decided.
    pub at: DateTime<Utc>,
    pub message: Message,
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
        })
    }

    /// Takes in what is said of an episode, at a time that is not before the last one.
    pub(crate) fn step(&mut self, transition: Transition, now: DateTime<Utc>) -> Vec<Telling> {
        let Transition { is_end, notification } = transition;
        let episode = notification.episode.clone();
        let mut tellings = Vec::new();
        if is_end {
            self.open.remove(&episode);
            for desk in &mut self.desks {
                desk.end(&notification, now, &mut tellings);
            }
            return tellings;
        }
        let known = self.open.get(&episode);
        let worst = known.map_or(notification.severity, |known| {
            known.severity.max(notification.severity)
        });
        let notification = Notification {
            severity: worst,
            opened_at: known.map_or(notification.opened_at, |known| known.opened_at),
            ..notification
        };
        for desk in &mut self.desks {
            desk.anomaly(&notification, known.is_none(), now, &mut tellings);
        }
        self.open.insert(episode, notification);
        tellings
    }

    /// Sends what is due at this time, which is not before the last one.
    pub(crate) fn tick(&mut self, now: DateTime<Utc>) -> Vec<Telling> {
        let mut tellings = Vec::new();
        for desk in &mut self.desks {
            desk.tick(&self.open, now, &mut tellings);
        }
        tellings
    }

    /// When [`tick`](Self::tick) has something to do next, as far as it is known at `now`.
    pub(crate) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.desks
            .iter()
            .filter_map(|desk| desk.due(&self.open, now))
            .min()
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
