//! What a version of the table holds, as told by its log: live files and positions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// Time between the starts of its first and last window; as long as can be where the log does not tell.
    fn span_ms(&self) -> i64 {
        self.last_start_ms.saturating_sub(self.first_start_ms)
    }

    /// Whether rows of this bucket may lie in the file.
    pub fn is_of(&self, bucket: u32) -> bool {
        self.bucket.is_none_or(|own| own == bucket)
    }
}

/// One version of the table. Its files change only by [`apply`](Self::apply) and
/// [`apply_actions`](Self::apply_actions), which keep them findable by window.
#[derive(Debug, Clone, Default)]
pub struct Image {
    pub version: u64,
    pub files: HashMap<Arc<str>, DataFile>,
    /// Positions of this pipeline, by partition.
    pub positions: BTreeMap<i32, Position>,
    /// Paths of the files by the start of their first window.
    by_start: BTreeSet<(i64, Arc<str>)>,
    /// No live file spans more between the starts of its first and its last window.
    longest_span_ms: i64,
}

impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        (self.version, &self.files, &self.positions) == (other.version, &other.files, &other.positions)
    }
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
            self.remove(path);
        }
        for file in &entry.added {
            self.remove(&file.path);
            self.longest_span_ms = self.longest_span_ms.max(file.span_ms());
            self.by_start
                .insert((file.first_start_ms, Arc::clone(&file.path)));
            self.files.insert(Arc::clone(&file.path), file.clone());
        }
        for &(partition, position) in &entry.positions {
            let known = self.positions.entry(partition).or_default();
            // An entry that moves only the offset leaves the largest event time as it was.
            known.next_offset = position.next_offset;
            known.largest_event_time_ms = position.largest_event_time_ms.or(known.largest_event_time_ms);
        }
    }

    fn remove(&mut self, path: &Arc<str>) {
        if let Some(file) = self.files.remove(path) {
            self.by_start.remove(&(file.first_start_ms, file.path));
        }
    }

    /// The live files that may hold rows of the window that starts at `start_ms`, whatever their bucket. Found without
    /// looking at the others, so that a commit costs the same however large the table is.
    pub fn files_around(&self, start_ms: i64) -> impl Iterator<Item = &DataFile> {
        let first = match self.longest_span_ms {
            i64::MAX => i64::MIN,
            span_ms => start_ms.saturating_sub(span_ms),
        };
        let last = start_ms.saturating_add(1);
        self.by_start
            .range((first, Arc::from(""))..(last, Arc::from("")))
            .filter_map(|(_, path)| self.files.get(path))
            .filter(move |file| (file.first_start_ms..=file.last_start_ms).contains(&start_ms))
    }

    /// The position to go on from; a partition the log does not know starts at zero.
    pub fn position(&self, partition: i32) -> Position {
        self.positions.get(&partition).copied().unwrap_or_default()
    }
}
