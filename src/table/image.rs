//! What a version of the table holds, as told by its log: live files and positions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Entry;
use crate::reading::Position;

/// A live data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path within the table, as the log names it.
    pub path: Arc<str>,
    pub size_bytes: u64,
    pub rows: u64,
    /// Starts of the first and the last window in it, in milliseconds since 1970.
    pub first_start_ms: i64,
    pub last_start_ms: i64,
    /// The bucket all its rows belong to; `None` in a file somebody else wrote.
    pub bucket: Option<u32>,
}

impl DataFile {
    /// Whether rows of this bucket may lie in the file.
    pub fn is_of(&self, bucket: u32) -> bool {
        self.bucket.is_none_or(|own| own == bucket)
    }
}

/// One version of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub version: u64,
    pub files: HashMap<Arc<str>, DataFile>,
    /// Positions of this pipeline, by partition.
    pub positions: BTreeMap<i32, Position>,
}

impl Image {
    /// Takes in the log entry of the next version.
    pub fn apply(&mut self, entry: &Entry) {
        self.version += 1;
        self.apply_actions(entry);
    }

    /// Takes in a log entry or checkpoint without counting it as a version.
    pub fn apply_actions(&mut self, entry: &Entry) {
        for path in &entry.removed {
            self.files.remove(path);
        }
        for file in &entry.added {
            self.files.insert(Arc::clone(&file.path), file.clone());
        }
        for &(partition, position) in &entry.positions {
            let known = self.positions.entry(partition).or_default();
            // An entry that moves only the offset leaves the largest event time as it was.
            known.next_offset = position.next_offset;
            known.largest_event_time_ms = position.largest_event_time_ms.or(known.largest_event_time_ms);
        }
    }

    /// The position to go on from; a partition the log does not know starts at zero.
    pub fn position(&self, partition: i32) -> Position {
        self.positions.get(&partition).copied().unwrap_or_default()
    }
}
