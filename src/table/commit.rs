//! The commit protocol: a compare-and-swap on the table's version, as a state machine without I/O.
//!
//! The caller performs each [`Effect`] and reports its [`Event`]. Between any two of them the process may die or
//! sleep, and nothing is lost or doubled, because the positions travel in the same log entry as the rows (invariant
//! I2). The protocol trusts neither result of an append:
//!
//! - *An error* leaves the outcome unknown until the log decides: the entry carries the commit's own id, so reading
//!   it back shows whether a write that returned an error took effect.
//! - *Success* may be void: log clean-up frees version numbers below a checkpoint, and an append to a freed number
//!   succeeds without becoming part of the table. So the protocol asks, after the append, whether the log is live at
//!   that version (invariant I11). If the answer is uncertain, it reloads the table and lets the positions decide:
//!   they cover the rows, no matter which writer committed them.
//!
//! Nor does it trust entries of others that it reads on the way: another sleeper may have left them where clean-up had freed
//! a number. Before it plans on top of them, an entry from before them, the *anchor*, must still be in the log (ADR 20).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    Anchor, Batch, CachedSnapshot, Counts, DataFile, Layout, Liveness, PositionChange, Proof, Snapshot,
    TopicMark,
};
use crate::reading::Position;
use crate::window::{Row, merge_sorted};

/// The part of a log entry that the protocol uses.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The commit's unique id, chosen by its writer; `None` if another writer left it out.
    pub id: Option<String>,
    /// New live files, with their statistics.
    pub added: Vec<DataFile>,
    /// Paths of files that are no longer live.
    pub removed: Vec<Arc<str>>,
    /// New positions by partition; partitions that did not move are left out.
    pub positions: Vec<(i32, Position)>,
    /// The topic of the positions from this version on, if the entry names one.
    pub topic: Option<TopicMark>,
    /// Whether rows change. A compaction only moves them.
    pub changes_rows: bool,
    /// Outcomes of the records between the positions, for the table's history.
    pub counts: Counts,
    /// Why this program may no longer write the table: its schema, protocol or properties changed.
    pub incompatible: Option<String>,
    /// Whether a vacuum may from now on delete files that no version has named. A commit that has written files and
    /// not appended them yet must write them again.
    pub is_fence: bool,
    /// Whether the rows were restored to an earlier version. The positions are not.
    pub is_restore: bool,
}

/// A file to write: sorted rows of one bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// The bucket of all its rows, which becomes part of the file's name.
    pub bucket: u32,
    /// Sorted by [`Row::order`].
    pub rows: Vec<Row>,
    /// Whether the file holds one open window, which the next commit will probably touch again.
    pub is_open: bool,
}

/// The next action of the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the rows of these live files.
    Read(Vec<Arc<str>>),
    /// Write these files. They become part of the table when an entry names them.
    Write(Arc<Vec<NewFile>>),
    /// Create the log entry of this version; it must fail if the entry exists.
    Append {
        /// One above the last version that the commit knows.
        version: u64,
        /// Shared, because an append may be repeated.
        entry: Arc<Entry>,
    },
    /// Read the log entry of this version, if it exists.
    ReadEntry(u64),
    /// Check that the log is live at this version, which holds our entry: the previous entry exists, has this id
    /// (where one is known), and no checkpoint has passed the version.
    Confirm {
        /// The version of our entry.
        version: u64,
        /// The id of the entry before it; `None` where its writer left it out.
        previous_id: Option<String>,
    },
    /// Delete our entry of this version: it is not part of the table.
    Discard(u64),
    /// Check that the log still holds this entry, which proves that the entries read since were live.
    FindAnchor(Anchor),
    /// Reload the table from its log.
    Reload,
    /// The commit is over.
    Finish(Outcome),
}

/// The result of an effect.
#[derive(Debug, Clone)]
pub enum Event {
    /// The rows of the requested files.
    Read(Vec<(Arc<str>, Vec<Row>)>),
    /// A requested file no longer exists: a version not yet seen replaced it.
    Gone,
    /// The written files, in the requested order.
    Written(Vec<DataFile>),
    /// The result of the append.
    Append(Appended),
    /// The requested entry; `None` if the version does not exist.
    Entry(Option<Entry>),
    /// Whether the appended entry is part of the table.
    Confirmed(Liveness),
    /// Whether the log still holds the anchor.
    Anchored(bool),
    /// Our dead entry is deleted, or was gone already.
    Discarded,
    /// The table's last version, with the time of the read.
    Reloaded(CachedSnapshot),
}

/// The result of an append, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The entry was created.
    Done,
    /// The version exists already, perhaps from an earlier attempt of ours.
    Refused,
    /// An error that leaves open whether the entry was created.
    Unknown,
}

/// The end of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The table holds the batch since this version.
    Committed {
        /// At or below the table's last version.
        version: u64,
    },
    /// Another process committed one of our positions and so counted our pending records: drop them.
    PositionsMoved {
        /// The first partition whose position does not fit.
        partition: i32,
        /// The position that the batch starts from.
        expected: Position,
        /// The position that the table has.
        found: Position,
    },
    /// The table's positions belong to another topic of the same name: the topic was deleted and recreated.
    TopicReplaced {
        /// Kafka's id of the batch's topic.
        expected: Arc<str>,
        /// Kafka's id of the table's topic.
        found: Arc<str>,
    },
    /// A faster writer replaced the compaction's files; nothing is lost.
    Superseded,
    /// This program may no longer write the table, for this reason.
    Incompatible(String),
}

/// The purpose of a commit.
#[derive(Debug)]
enum Work {
    Upsert(Batch),
    Compact(Vec<Arc<str>>),
    Fence,
}

/// One commit in progress. Start it with [`upsert`](Self::upsert), [`compact`](Self::compact) or
/// [`fence`](Self::fence).
#[derive(Debug)]
pub struct Commit {
    id: String,
    work: Work,
    layout: Layout,
    cached: CachedSnapshot,
    replaced: Vec<Arc<str>>,
    files: Arc<Vec<NewFile>>,
    /// Built from `files` once they are written.
    entry: Option<Arc<Entry>>,
    /// The version that held our entry when a checkpoint passed it.
    passed: Option<u64>,
}

impl Commit {
    /// Starts to commit a batch on top of the cached version. Returns the first effect. `id` must be unique.
    pub fn upsert(id: String, batch: Batch, layout: Layout, cached: CachedSnapshot) -> (Self, Effect) {
        Self::start(id, Work::Upsert(batch), layout, cached)
    }

    /// Starts to merge some files into fewer, larger ones.
    pub fn compact(
        id: String,
        paths: Vec<Arc<str>>,
        layout: Layout,
        cached: CachedSnapshot,
    ) -> (Self, Effect) {
        Self::start(id, Work::Compact(paths), layout, cached)
    }

    /// Starts a commit that changes nothing but stops concurrent ones: a commit that finds the fence in its way
    /// writes its files again before it retries. After the fence's version, files that no version up to it names are
    /// garbage.
    pub fn fence(id: String, layout: Layout, cached: CachedSnapshot) -> (Self, Effect) {
        Self::start(id, Work::Fence, layout, cached)
    }

    fn start(id: String, work: Work, layout: Layout, cached: CachedSnapshot) -> (Self, Effect) {
        let mut commit = Commit {
            id,
            work,
            layout,
            cached,
            replaced: Vec::new(),
            files: Arc::default(),
            entry: None,
            passed: None,
        };
        let first = commit.plan();
        (commit, first)
    }

    /// The last version seen, for the next commit.
    pub fn into_cached(self) -> CachedSnapshot {
        self.cached
    }

    /// Handles the result of the last effect and returns the next effect.
    pub fn next(&mut self, event: Event) -> Effect {
        match event {
            Event::Read(files) => self.merge(files),
            Event::Written(written) => self.name_files(written),
            Event::Append(Appended::Done) => self.confirm(),
            // Read the version's entry. If it does not exist, the plan is unchanged and the same entry is appended
            // again: should the first attempt land late, the second is refused and finds its own id.
            Event::Append(Appended::Refused | Appended::Unknown) => self.read_next_entry(),
            Event::Entry(None) => self.check_anchor(),
            Event::Anchored(true) => {
                self.cached.anchor();
                self.plan()
            }
            Event::Entry(Some(entry)) if entry.id.as_ref() == Some(&self.id) => self.confirm(),
            Event::Entry(Some(entry)) => self.apply(&entry),
            Event::Confirmed(Liveness::Live) => self.finish(),
            Event::Confirmed(Liveness::Dead) => Effect::Discard(self.next_version()),
            Event::Confirmed(Liveness::Passed) => {
                self.passed = Some(self.next_version());
                Effect::Reload
            }
            // The cached version is so old that a vacuum deleted its files, and perhaps clean-up the entries that say
            // so.
            Event::Gone | Event::Discarded | Event::Anchored(false) => Effect::Reload,
            Event::Reloaded(cached) => self.start_over(cached),
        }
    }

    fn next_version(&self) -> u64 {
        self.cached.snapshot.version + 1
    }

    fn read_next_entry(&self) -> Effect {
        Effect::ReadEntry(self.next_version())
    }

    /// Plans again after the last entry of the log. Entries of other writers count only if they are live: another sleeper
    /// may have left a dead one on a version number that clean-up had freed.
    fn check_anchor(&mut self) -> Effect {
        match self.cached.proof() {
            Proof::Given => self.plan(),
            Proof::ByAnchor(anchor) => Effect::FindAnchor(anchor.clone()),
            Proof::ByReload => Effect::Reload,
        }
    }

    fn confirm(&self) -> Effect {
        Effect::Confirm {
            version: self.next_version(),
            previous_id: self.cached.snapshot.entry_id.clone(),
        }
    }

    /// Continues from the reloaded table. A vacuum may have deleted the files written so far.
    fn start_over(&mut self, cached: CachedSnapshot) -> Effect {
        self.cached = cached;
        self.entry = None;
        let Some(version) = self.passed.take() else {
            return self.plan();
        };
        if self.is_accounted_for() {
            return Effect::Finish(Outcome::Committed {
                version: self.cached.snapshot.version,
            });
        }
        if self.has_changed_nothing() {
            // If our entry stayed and the checkpoint were lost, a reader would take it for the entry that clean-up
            // removed from this version.
            return Effect::Discard(version);
        }
        self.plan()
    }

    /// Whether the table is at the batch's target positions. Then the rows hold its records (I2).
    fn is_accounted_for(&self) -> bool {
        match &self.work {
            Work::Upsert(batch) => {
                let snapshot = &self.cached.snapshot;
                let is_at = |change: &PositionChange| snapshot.position(change.partition) == change.to;
                replaced_topic(batch, snapshot).is_none() && batch.positions.iter().all(is_at)
            }
            Work::Compact(_) | Work::Fence => false,
        }
    }

    /// Whether the table is still in the state before the commit. Then our entry is not part of it.
    fn has_changed_nothing(&self) -> bool {
        match &self.work {
            Work::Upsert(batch) => moved_position(batch, &self.cached.snapshot).is_none(),
            Work::Compact(paths) => self.holds_all(paths),
            Work::Fence => false,
        }
    }

    fn holds_all(&self, paths: &[Arc<str>]) -> bool {
        paths
            .iter()
            .all(|path| self.cached.snapshot.files.contains_key(path))
    }

    /// Applies the entry of another writer that took the next version.
    fn apply(&mut self, entry: &Entry) -> Effect {
        self.cached.apply(entry);
        if entry.is_fence {
            self.entry = None;
        }
        match &entry.incompatible {
            Some(reason) => Effect::Finish(Outcome::Incompatible(reason.clone())),
            None => self.read_next_entry(),
        }
    }

    /// Decides, on the last version seen, which files the commit replaces.
    ///
    /// It runs again after each entry of another writer. Where that changed none of the files to replace, the written
    /// files are still right, and the same entry goes to the next version without reading or writing anything.
    fn plan(&mut self) -> Effect {
        let replaced = match &self.work {
            Work::Upsert(batch) => {
                let moved = replaced_topic(batch, &self.cached.snapshot)
                    .or_else(|| moved_position(batch, &self.cached.snapshot));
                if let Some(moved) = moved {
                    return Effect::Finish(moved);
                }
                files_to_replace(batch, &self.layout, &self.cached.snapshot)
            }
            Work::Compact(paths) => {
                if !self.holds_all(paths) {
                    return Effect::Finish(Outcome::Superseded);
                }
                paths.clone()
            }
            Work::Fence => Vec::new(),
        };
        if let Some(entry) = &self.entry
            && self.replaced == replaced
        {
            return Effect::Append {
                version: self.next_version(),
                entry: Arc::clone(entry),
            };
        }
        self.replaced = replaced;
        self.entry = None;
        let unread: Vec<_> = self
            .replaced
            .iter()
            .filter(|path| !self.cached.rows.contains_key(*path))
            .cloned()
            .collect();
        if unread.is_empty() {
            self.merge(Vec::new())
        } else {
            Effect::Read(unread)
        }
    }

    /// Adds the contributions to the rows of the replaced files.
    ///
    /// The rows come from the files and not from an earlier attempt, so another writer's contributions to the same
    /// windows are kept, and ours are added once.
    fn merge(&mut self, read: Vec<(Arc<str>, Vec<Row>)>) -> Effect {
        let mut rows: Vec<Row> = read.into_iter().flat_map(|(_, rows)| rows).collect();
        for cached in self.replaced.iter().filter_map(|path| self.cached.rows.get(path)) {
            rows.extend_from_slice(cached);
        }
        let (touched, closed_before_ms) = match &self.work {
            Work::Upsert(batch) => {
                rows.extend_from_slice(&batch.rows);
                (
                    batch.rows.iter().map(|row| row.start_ms).collect(),
                    batch.closed_before_ms,
                )
            }
            Work::Compact(_) | Work::Fence => (BTreeSet::new(), i64::MAX),
        };
        let windows = self.layout.windows;
        let is_open = |start_ms| touched.contains(&start_ms) && windows.end_of(start_ms) > closed_before_ms;
        self.files = Arc::new(self.layout.files(merge_sorted(rows), is_open));
        if self.files.is_empty() {
            self.name_files(Vec::new())
        } else {
            Effect::Write(Arc::clone(&self.files))
        }
    }

    /// Names the written files in an entry, with the positions and counts of the batch.
    fn name_files(&mut self, added: Vec<DataFile>) -> Effect {
        let mut entry = Entry {
            id: Some(self.id.clone()),
            added,
            removed: self.replaced.clone(),
            is_fence: matches!(self.work, Work::Fence),
            ..Entry::default()
        };
        if let Work::Upsert(batch) = &self.work {
            entry.positions = batch
                .positions
                .iter()
                .map(|change| (change.partition, change.to))
                .collect();
            let cached = self.cached.snapshot.topic.as_ref();
            entry.topic = batch.topic.as_ref().and_then(|claim| claim.mark(cached));
            entry.changes_rows = true;
            entry.counts = batch.counts.clone();
        }
        let entry = Arc::new(entry);
        self.entry = Some(Arc::clone(&entry));
        Effect::Append {
            version: self.next_version(),
            entry,
        }
    }

    /// Takes the version of our entry, which is part of the table, for the cached one.
    fn finish(&mut self) -> Effect {
        if let Some(entry) = self.entry.take() {
            self.cached.apply(&entry);
            self.cached.anchor();
            self.remember_open_rows(&entry);
        }
        Effect::Finish(Outcome::Committed {
            version: self.cached.snapshot.version,
        })
    }

    /// Caches the rows of open windows, which the next commit will probably touch, and drops those of closed ones.
    fn remember_open_rows(&mut self, entry: &Entry) {
        let Work::Upsert(batch) = &self.work else { return };
        let files = std::mem::take(&mut self.files);
        for (file, added) in Arc::unwrap_or_clone(files).into_iter().zip(&entry.added) {
            if file.is_open {
                self.cached
                    .rows
                    .insert(Arc::clone(&added.path), Arc::new(file.rows));
            }
        }
        let windows = self.layout.windows;
        self.cached.rows.retain(|_, rows| {
            rows.first()
                .is_some_and(|row| windows.end_of(row.start_ms) > batch.closed_before_ms)
        });
    }
}

fn replaced_topic(batch: &Batch, snapshot: &Snapshot) -> Option<Outcome> {
    let (claim, mark) = (batch.topic.as_ref()?, snapshot.topic.as_ref()?);
    (!claim.is_of(mark)).then(|| Outcome::TopicReplaced {
        expected: Arc::clone(&claim.id),
        found: Arc::clone(&mark.id),
    })
}

fn moved_position(batch: &Batch, snapshot: &Snapshot) -> Option<Outcome> {
    batch.positions.iter().find_map(|change| {
        let found = snapshot.position(change.partition);
        (found != change.from).then_some(Outcome::PositionsMoved {
            partition: change.partition,
            expected: change.from,
            found,
        })
    })
}

/// The live files that may hold a row of the batch, by path. A file without statistics may hold any (I4).
fn files_to_replace(batch: &Batch, layout: &Layout, snapshot: &Snapshot) -> Vec<Arc<str>> {
    let touched: BTreeSet<(i64, u32)> = batch
        .rows
        .iter()
        .map(|row| (row.start_ms, layout.buckets.of(&row.series.key)))
        .collect();
    let mut paths = BTreeSet::new();
    for (start_ms, bucket) in touched {
        let files = snapshot.files_around(start_ms).filter(|file| file.is_of(bucket));
        paths.extend(files.map(|file| Arc::clone(&file.path)));
    }
    paths.into_iter().collect()
}
