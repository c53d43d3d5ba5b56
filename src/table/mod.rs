//! The table as the core sees it: what a version holds, and the protocol that turns a batch into the next one.
//!
//! State is *the rows of the last known version* ([`Image`]) plus *pending contributions* (a [`Batch`]). A
//! [`Commit`] writes their sum as a compare-and-swap on the version: when another writer was faster it takes in what
//! that one changed and adds the same contributions again.
//!
//! Absent from this room: Parquet, JSON, object stores, retries, time. A commit asks for [`Effect`]s and is told
//! their outcome, so that tests can interrupt it between any two.

mod bucket;
mod commit;
mod compaction;
mod image;
mod layout;

use crate::decode::Counts;
use crate::reading::Position;
use crate::window::Row;

pub use bucket::Buckets;
pub use commit::{Appended, Commit, Effect, Entry, Event, Known, NewFile, Outcome};
pub use compaction::choose as choose_compaction;
pub use image::{DataFile, Image};
pub use layout::Layout;

/// Pending contributions, sealed to be committed together with the positions that cover them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// At most one per (window, key), sorted by [`Row::order`].
    pub rows: Vec<Row>,
    /// The partitions whose position moved.
    pub positions: Vec<PositionChange>,
    /// Windows that end at or before this (milliseconds since 1970) get no more readings, as far as the batch knows.
    /// They need no file of their own any more.
    pub closed_before_ms: i64,
    pub counts: Counts,
}

/// A partition's move from one committed position to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionChange {
    pub partition: i32,
    /// The assignment of the partition under which the records were consumed.
    pub epoch: u64,
    pub from: Position,
    pub to: Position,
}
