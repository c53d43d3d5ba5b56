//! What people say, as far as detectors learn from it.

use serde::{Deserialize, Serialize};

use super::{Cause, MessageId};

/// Something that somebody says of an episode, or of a stretch of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it is said of.
    pub about: Subject,
    /// The key of the series, empty where the topic is read as one; `None` if it is not said.
    pub series: Option<String>,
    /// What was measured, if that is said.
    pub measure: Option<String>,
    /// What is said.
    pub said: Said,
    /// Who says it.
    pub by: Option<String>,
}

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The episode that this message of its partition opened.
    Episode(MessageId),
    /// Event times, both included.
    Stretch {
        /// The first one.
        from_ms: i64,
        /// The last one.
        to_ms: i64,
    },
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A stretch is known to be unusual, as maintenance is.
    Expected,
    /// An episode comes at its time of the week.
    ExpectedInSlot {
        /// At most until this event time.
        until_ms: Option<i64>,
    },
    /// The detector is too nervous in this series.
    ExpectedInSeries {
        /// Until this event time.
        until_ms: i64,
    },
    /// An episode is a fault.
    Real,
    /// What was said before does not count.
    Withdrawn,
}

/// What is taught to a detector about an episode of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// The causes that it named need more evidence until this event time.
    NeedMore {
        /// The episode.
        episode: MessageId,
        /// What it rested on.
        causes: Causes,
        /// In milliseconds since 1970-01-01T00:00:00Z.
        until_ms: i64,
    },
    /// What was taught about this episode does not count any more.
    Forget {
        /// The episode.
        episode: MessageId,
    },
}

/// A set of causes by which detectors that learn speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Causes {
    bits: u16,
}

impl Causes {
    /// The value has not changed for long.
    pub(super) const STUCK: Causes = Causes { bits: 1 << 3 };

    /// The set of one cause; empty for one that is not learnt, as a rule's.
    pub fn of(cause: &Cause) -> Self {
        let bits = match cause {
            Cause::Point => 1,
            Cause::Hour { .. } => 1 << 1,
            Cause::Range { .. } => 1 << 2,
            Cause::Stuck { .. } => return Causes::STUCK,
            Cause::Isolated => 1 << 4,
            Cause::SparseRegion => 1 << 5,
            Cause::Trend { .. } => 1 << 6,
            Cause::Glitch { .. } => 1 << 7,
            Cause::Reset { .. } => 1 << 8,
            Cause::Expected { cause, .. } => return Causes::of(cause),
            Cause::Learning | Cause::Rule { .. } | Cause::Ended { .. } => 0,
        };
        Causes { bits }
    }

    /// Both sets together.
    #[must_use]
    pub fn and(self, other: Causes) -> Self {
        Causes {
            bits: self.bits | other.bits,
        }
    }

    /// Whether they have a cause in common.
    pub fn meets(self, other: Causes) -> bool {
        self.bits & other.bits != 0
    }

    /// As a state has it.
    pub(super) fn bits(self) -> u16 {
        self.bits
    }

    /// From a state.
    pub(super) fn from_bits(bits: u16) -> Self {
        Causes { bits }
    }
}
