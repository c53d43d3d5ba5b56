//! Episodes: which anomalies of a series belong together, and when it is over.
//!
//! An episode opens with an anomaly. Later anomalies of the same detector, or of the same rule, belong to it until it ends.
//! A rule's episode ends with its condition. A detector that judges value by value has no such end, so its episode ends
//!
//! - after a calm stretch ([`CalmStretch`]): enough readings in a row that the detector finds usual, over an hour of event time;
//!   or, where all of its anomalies were of an unchanged value, with the first reading that changed and is usual;
//! - once a week has gone by without another anomaly: whatever the level is now, it has become usual;
//! - with its series, if that is forgotten.
//!
//! It never ends because the series is silent: no reading is no sign that all is well. A reading that is older than the newest
//! one ends nothing. All of that is a function of the readings before it (invariant I6), so whoever judges a record again
//! finds the same episodes with the same ids.

mod open;
#[cfg(test)]
mod tests;

pub(super) use open::Episodes;

use serde::{Deserialize, Serialize};

use super::{StateError, StateReader, StateWriter};

/// A message of the topic of anomalies, among those of its partition: the record that gave rise to it, and its place among
/// the messages of that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// Of the record.
    pub offset: i64,
    /// From 0.
    pub index: u32,
}

impl MessageId {
    pub(super) fn save(self, state: &mut StateWriter) {
        state.i64(self.offset);
        state.u32(self.index);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(MessageId {
            offset: state.i64()?,
            index: state.u32()?,
        })
    }
}

/// Gives out the ids of a record's messages, in the order of their verdicts.
#[derive(Debug, Clone)]
pub struct MessageIds {
    next: MessageId,
}

impl MessageIds {
    /// The ids of the record at this offset.
    pub fn of_record(offset: i64) -> Self {
        MessageIds {
            next: MessageId { offset, index: 0 },
        }
    }

    fn take(&mut self) -> MessageId {
        let id = self.next;
        self.next.index += 1;
        id
    }
}

/// A message's place in its episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeStep {
    /// The message itself.
    pub message: MessageId,
    /// The message that the episode opened with. Its id is the episode's.
    pub opened: MessageId,
    /// What the message says of the episode.
    pub phase: Phase,
    /// The event time that it counts from: that of its first anomaly; of a rule, that from which the condition holds.
    pub since_ms: i64,
    /// Of an end, the event time from which all was as usual again.
    pub until_ms: Option<i64>,
}

#[cfg(test)]
impl EpisodeStep {
    /// The first message of the record at this offset opens an episode.
    pub(crate) fn opening(offset: i64, since_ms: i64) -> Self {
        let message = MessageId { offset, index: 0 };
        EpisodeStep {
            message,
            opened: message,
            phase: Phase::Opened,
            since_ms,
            until_ms: None,
        }
    }
}

impl EpisodeStep {
    /// Of an end, how long the episode lasted, in event time.
    pub(crate) fn lasted_ms(&self) -> Option<i64> {
        let until_ms = self.until_ms?;
        Some(until_ms.saturating_sub(self.since_ms).max(0))
    }
}

/// What a message says of its episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It begins.
    Opened,
    /// It has become worse: more severe, or with twice the score of its worst anomaly.
    Worsened,
    /// Another anomaly that is no worse.
    Continued,
    /// It is over.
    Ended,
}

impl Phase {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Opened => "opened",
            Phase::Worsened => "worsened",
            Phase::Continued => "continued",
            Phase::Ended => "ended",
        }
    }
}

/// Why an episode is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The readings have been as usual for long enough.
    BackToUsual,
    /// There was no other anomaly for a week, so what is seen now is usual.
    BecameUsual,
    /// The series has had no reading for so long that it is forgotten.
    SeriesForgotten,
}

impl EndReason {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::BackToUsual => "back_to_usual",
            EndReason::BecameUsual => "became_usual",
            EndReason::SeriesForgotten => "series_forgotten",
        }
    }
}

/// What ends an episode of a detector that judges value by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalmStretch {
    /// Readings in a row that the detector finds usual.
    pub(crate) readings: u32,
    /// From the first of them to the last, in event time.
    pub(crate) ms: i64,
    /// How far from the expected value they may be, as a share of how far the worst anomaly beyond the band was. A band that
    /// has become wide by what it saw holds a value that is still out of the ordinary.
    pub(crate) distance: f64,
}

impl CalmStretch {
    /// So many readings over an hour.
    pub(crate) const fn of_readings(readings: u32) -> Self {
        CalmStretch {
            readings,
            ms: 3_600_000,
            distance: f64::INFINITY,
        }
    }

    /// The same of averages of windows, each of which stands for many readings.
    #[must_use]
    pub(crate) fn of_windows(self) -> Self {
        CalmStretch {
            readings: 2,
            ms: 0,
            ..self
        }
    }
}
