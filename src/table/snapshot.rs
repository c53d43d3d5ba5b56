//! The contents of a version, replayed from the log: live files and positions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Entry, TopicMark};
use crate::reading::Position;

/// A live data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The path within the table, as written in the log.
    pub path: Arc<str>,
    /// Of the whole Parquet file.
    pub size_bytes: u64,
    /// 0 where the log has no statistics.
    pub rows: u64,
    /// The starts of its first and last window, in milliseconds since 1970.
    pub first_start_ms: i64,
    /// Inclusive, in milliseconds since 1970.
    pub last_start_ms: i64,
    /// The bucket of all its rows; `None` in a file of another writer.
    pub bucket: Option<u32>,
}

impl DataFile {
    /// The time between the starts of its first and last window; the maximum if the file has no statistics.
    fn span_ms(&self) -> i64 {
        self.last_start_ms.saturating_sub(self.first_start_ms)
    }

    /// Whether the file may hold rows of this bucket.
    pub(crate) fn is_of(&self, bucket: u32) -> bool {
        self.bucket.is_none_or(|own| own == bucket)
    }
}

/// One version of the table. Only [`apply`](Self::apply) and `apply_actions` change its files:
/// they maintain the index by window.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The number of the log entry; 0 is the table's creation.
    pub version: u64,
    /// The id of the entry that made the version, where it is known.
    pub entry_id: Option<String>,
    /// The live files by their path within the table.
    pub files: HashMap<Arc<str>, DataFile>,
    /// Positions of this pipeline, by partition.
    pub positions: BTreeMap<i32, Position>,
    /// The topic of the positions; `None` if the log names none.
    pub topic: Option<TopicMark>,
    /// The files' paths by the start of their first window.
    by_start: BTreeSet<(i64, Arc<str>)>,
    /// The longest span of a live file.
    longest_span_ms: i64,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        (self.version, &self.files, &self.positions, &self.topic)
            == (other.version, &other.files, &other.positions, &other.topic)
    }
}

impl Snapshot {
    /// Applies the log entry of the next version.
    pub fn apply(&mut self, entry: &Entry) {
        self.version += 1;
        self.entry_id.clone_from(&entry.id);
        self.apply_actions(entry);
    }

    /// Applies a log entry or checkpoint without counting it as a version.
    pub(crate) fn apply_actions(&mut self, entry: &Entry) {
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
            // An entry without an event time leaves the earlier one.
            known.next_offset = position.next_offset;
            known.largest_event_time_ms = position.largest_event_time_ms.or(known.largest_event_time_ms);
        }
        self.topic = TopicMark::newer(self.topic.take(), entry.topic.clone());
    }

    fn remove(&mut self, path: &Arc<str>) {
        if let Some(file) = self.files.remove(path) {
            self.by_start.remove(&(file.first_start_ms, file.path));
        }
    }

    /// The live files of any bucket that may hold rows of the window that starts at `start_ms`. The index finds them
    /// without a scan, so that the cost of a commit does not grow with the table.
    pub(crate) fn files_around(&self, start_ms: i64) -> impl Iterator<Item = &DataFile> {
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

    /// The position to continue from; zero for a partition without one.
    pub fn position(&self, partition: i32) -> Position {
        self.positions.get(&partition).copied().unwrap_or_default()
    }
}
