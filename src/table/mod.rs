//! The table as the core sees it: the contents of a version, and the protocol that commits a batch as the next one.
//!
//! State is *the rows of the last version* ([`Snapshot`]) plus *pending contributions* (a [`Batch`]). A [`Commit`]
//! writes their sum as a compare-and-swap on the version: when another writer is faster, it applies that writer's
//! changes and adds the same contributions again.
//!
//! Absent from this room: Parquet, JSON, object stores, retries, time. A commit returns [`Effect`]s and receives
//! their results, so that tests can interrupt it between any two.

mod bucket;
mod cached_snapshot;
mod commit;
mod compaction;
mod counts;
mod layout;
mod liveness;
mod snapshot;

use std::sync::Arc;

use crate::reading::Position;
use crate::window::Row;

pub use bucket::{BucketHash, Buckets};
pub use cached_snapshot::{Anchor, CachedSnapshot, Moment, Proof};
pub use commit::{Appended, Commit, Effect, Entry, Event, NewFile, Outcome};
pub(crate) use compaction::choose as choose_compaction;
pub use counts::Counts;
pub use layout::Layout;
pub use liveness::{Liveness, Surroundings};
pub use snapshot::{DataFile, Snapshot};

/// Sealed contributions, to be committed together with the positions that cover them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// At most one per (window, series), sorted by [`Row::order`].
    pub rows: Vec<Row>,
    /// The partitions whose position moved.
    pub positions: Vec<PositionChange>,
    /// Windows that end at or before this (milliseconds since 1970) receive no more readings, as far as the batch
    /// knows, so they need no file of their own.
    pub closed_before_ms: i64,
    /// Outcomes of the records between the positions, for the log entry.
    pub counts: Counts,
    /// The topic of the records; `None` where Kafka has no topic ids.
    pub topic: Option<TopicClaim>,
}

/// The topic of a table's positions, by Kafka's topic id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMark {
    /// Kafka's id of the topic, as text.
    pub id: Arc<str>,
    /// The number of earlier topics of this name. The mark with the highest number counts.
    pub number: i64,
}

/// The topic of a batch's records. A table with positions of another topic refuses the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicClaim {
    /// Kafka's id of the topic, as text.
    pub id: Arc<str>,
    /// The topic it replaces, where `kafka.accept_gap` allows that.
    pub replaces: Option<Arc<str>>,
}

impl TopicMark {
    /// The later of two marks.
    pub fn newer(known: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (known, other) {
            (Some(known), Some(other)) if known.number > other.number => Some(known),
            (known, other) => other.or(known),
        }
    }
}

impl TopicClaim {
    /// A claim that replaces nothing.
    pub fn of(id: Arc<str>) -> Self {
        TopicClaim { id, replaces: None }
    }

    /// Whether a table with positions of this topic accepts the claim.
    fn is_of(&self, known: &TopicMark) -> bool {
        known.id == self.id || Some(&known.id) == self.replaces.as_ref()
    }

    /// The mark to write into the log; `None` if the log has it already.
    fn mark(&self, known: Option<&TopicMark>) -> Option<TopicMark> {
        match known {
            Some(mark) if mark.id == self.id => None,
            _ => Some(TopicMark {
                id: Arc::clone(&self.id),
                number: known.map_or(0, |mark| mark.number.saturating_add(1)),
            }),
        }
    }
}

/// A partition's move from one committed position to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionChange {
    /// Of the topic of the readings.
    pub partition: i32,
    /// The assignment of the partition under which the records were consumed.
    pub epoch: u64,
    /// The position that the table must have, or the batch is dropped.
    pub from: Position,
    /// The position once the batch is committed.
    pub to: Position,
}
