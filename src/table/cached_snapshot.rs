//! A version of the table in memory, with the rows of its open windows.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Entry, Snapshot};
use crate::window::Row;

/// The last version seen, and the rows of its open windows, so that commits need not read them back.
#[derive(Debug, Clone)]
pub struct CachedSnapshot {
    /// Files and positions of that version.
    pub snapshot: Snapshot,
    /// Rows of live files, by the file's path; a file that is absent must be read.
    pub rows: HashMap<Arc<str>, Arc<Vec<Row>>>,
    /// When the log was last seen to end with this version. It belongs to the version, not to the process: another
    /// reader of the same log makes this version no younger.
    pub synced_at: Moment,
    /// The last entry that is certain to be part of the log.
    anchor: Option<Anchor>,
    /// Whether entries were applied since the anchor was last checked.
    has_followed: bool,
}

/// An entry of the log, by which a reader that followed the log checks that it read live entries.
///
/// Clean-up frees the oldest version numbers first, and a writer that slept may append a dead entry to a freed number,
/// where another sleeper takes it for a live one. As long as the anchor is still in the log, no later number was freed:
/// all entries read before the check were live. Without an id an entry cannot be distinguished from a dead one in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The version that the entry made.
    pub version: u64,
    /// The unique id of the entry.
    pub id: String,
}

/// How to make sure that a version came about by live entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    /// It is certain.
    Given,
    /// It is if the log still holds this entry.
    ByAnchor(&'a Anchor),
    /// No entry proves it: load the table.
    ByReload,
}

/// A moment by two clocks, in milliseconds. Neither suffices alone: the wall clock can be stepped, and the boot clock
/// may stop while a virtual machine is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since 1970.
    pub(crate) wall_ms: i64,
    /// Since the machine started, including suspended time.
    pub(crate) boot_ms: i64,
}

impl Moment {
    /// The longest time that may have passed since an earlier moment. A step of the wall clock counts in either
    /// direction, because it hides an unknown duration.
    pub(crate) fn longest_since_ms(self, earlier: Moment) -> i64 {
        let wall_ms = self.wall_ms.saturating_sub(earlier.wall_ms).saturating_abs();
        let boot_ms = self.boot_ms.saturating_sub(earlier.boot_ms).saturating_abs();
        wall_ms.max(boot_ms)
    }
}

impl CachedSnapshot {
    /// A version that was just loaded, without rows in memory.
    pub fn new(snapshot: Snapshot, synced_at: Moment) -> Self {
        let mut cached = CachedSnapshot {
            snapshot,
            rows: HashMap::new(),
            synced_at,
            anchor: None,
            has_followed: false,
        };
        cached.anchor();
        cached
    }

    /// The same version without rows in memory, for another reader of the log.
    #[must_use]
    pub(crate) fn without_rows(&self) -> Self {
        CachedSnapshot {
            snapshot: self.snapshot.clone(),
            rows: HashMap::new(),
            synced_at: self.synced_at,
            anchor: self.anchor.clone(),
            has_followed: self.has_followed,
        }
    }

    /// How to make sure that the entries applied so far were live.
    pub fn proof(&self) -> Proof<'_> {
        match &self.anchor {
            _ if !self.has_followed => Proof::Given,
            Some(anchor) => Proof::ByAnchor(anchor),
            None => Proof::ByReload,
        }
    }

    /// Notes that all entries applied so far are live. The last of them that has an id becomes the anchor.
    pub fn anchor(&mut self) {
        self.has_followed = false;
        if let Some(id) = self.snapshot.entry_id.clone() {
            let version = self.snapshot.version;
            self.anchor = Some(Anchor { version, id });
        }
    }

    /// Applies the log entry of the next version.
    pub fn apply(&mut self, entry: &Entry) {
        self.has_followed = true;
        self.snapshot.apply(entry);
        for path in &entry.removed {
            self.rows.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_two_clocks_counts_and_steps_count_in_both_directions() {
        let at = |wall_ms, boot_ms| Moment { wall_ms, boot_ms };
        let then = at(1_000_000, 500);
        assert_eq!(at(1_000_200, 700).longest_since_ms(then), 200);
        // A suspended machine whose wall clock is not set yet; a paused virtual machine.
        assert_eq!(at(1_000_010, 9_500).longest_since_ms(then), 9_000);
        assert_eq!(at(1_090_000, 510).longest_since_ms(then), 90_000);
        assert_eq!(at(910_000, 510).longest_since_ms(then), 90_000);
        assert_eq!(at(i64::MIN, 0).longest_since_ms(then), i64::MAX);
    }
}
