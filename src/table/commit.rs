//! The commit protocol: a compare-and-swap on the table's version, as a state machine without I/O.
//!
//! The caller performs each [`Effect`] and reports its [`Event`]; between any two of them the process may die, and
//! nothing is lost or doubled, because the positions travel in the same log entry as the rows (invariant I2). A
//! failed append is *unknown* until the log says otherwise: the entry carries the commit's own id, so reading it
//! back tells whether a write that returned an error took effect after all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Batch, DataFile, Image, Layout};
use crate::decode::Counts;
use crate::reading::Position;
use crate::window::{Row, merge_sorted};

/// A log entry, as far as the protocol is concerned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The writer's own id of the commit; `None` in an entry somebody else wrote without one.
    pub id: Option<String>,
    pub added: Vec<DataFile>,
    pub removed: Vec<Arc<str>>,
    pub positions: Vec<(i32, Position)>,
    /// Whether rows change; a compaction only moves them.
    pub changes_rows: bool,
    /// What became of the records between the positions, for the table's history.
    pub counts: Counts,
    /// Why the table is no longer one this program may write (its schema, protocol or settings changed).
    pub incompatible: Option<String>,
}

/// A file to write: sorted rows of one bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    pub bucket: u32,
    pub rows: Vec<Row>,
    /// Whether it holds one open window, which the next commit will probably touch again.
    pub is_open: bool,
}

/// The last known version, and the rows of its open windows so that they need not be read back.
#[derive(Debug, Clone)]
pub struct Known {
    pub image: Image,
    pub rows: HashMap<Arc<str>, Arc<Vec<Row>>>,
}

impl Known {
    /// A version of which no rows are in memory.
    pub fn new(image: Image) -> Self {
        Known {
            image,
            rows: HashMap::new(),
        }
    }

    /// Takes in the log entry of the next version.
    pub fn apply(&mut self, entry: &Entry) {
        self.image.apply(entry);
        for path in &entry.removed {
            self.rows.remove(path);
        }
    }
}

/// What the caller must do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the rows of these live files.
    Read(Vec<Arc<str>>),
    /// Write these files. They are not part of the table until an entry names them.
    Write(Arc<Vec<NewFile>>),
    /// Create the log entry of this version, which must fail if there is one.
    Append { version: u64, entry: Arc<Entry> },
    /// Read the log entry of this version, if there is one.
    ReadEntry(u64),
    /// The commit is over.
    Finish(Outcome),
}

/// What came of an effect.
#[derive(Debug, Clone)]
pub enum Event {
    /// The rows of the files asked for.
    Read(Vec<(Arc<str>, Vec<Row>)>),
    /// A file asked for is gone: somebody replaced it in a version not seen yet.
    Gone,
    /// The files written, in the order given.
    Written(Vec<DataFile>),
    /// How the append went.
    Append(Appended),
    /// The entry asked for; `None` if the version does not exist yet.
    Entry(Option<Entry>),
}

/// How an append went, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Done,
    /// The version exists already; perhaps by an earlier attempt of our own.
    Refused,
    /// An error that does not tell whether the entry was created.
    Unknown,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is in the table, in this version.
    Committed { version: u64 },
    /// Another process committed a position of ours: what is pending was counted by it, and must be dropped here.
    PositionsMoved {
        partition: i32,
        expected: Position,
        found: Position,
    },
    /// A compaction's files were replaced by somebody faster; nothing is lost.
    Superseded,
    /// The table is no longer one this program may write.
    Incompatible(String),
}

/// What a commit is to achieve.
#[derive(Debug)]
enum Work {
    Upsert(Batch),
    Compact(Vec<Arc<str>>),
}

/// One commit on its way. Start it with [`upsert`](Self::upsert) or [`compact`](Self::compact).
#[derive(Debug)]
pub struct Commit {
    id: String,
    work: Work,
    layout: Layout,
    known: Known,
    replaced: Vec<Arc<str>>,
    files: Arc<Vec<NewFile>>,
    /// Built from `files`, once these are written.
    entry: Option<Arc<Entry>>,
}

impl Commit {
    /// A commit of a batch on top of the last known version, and the first effect to perform. `id` must be unique.
    pub fn upsert(id: String, batch: Batch, layout: Layout, known: Known) -> (Self, Effect) {
        Self::start(id, Work::Upsert(batch), layout, known)
    }

    /// A commit that moves the rows of some files into fewer, larger ones.
    pub fn compact(id: String, paths: Vec<Arc<str>>, layout: Layout, known: Known) -> (Self, Effect) {
        Self::start(id, Work::Compact(paths), layout, known)
    }

    fn start(id: String, work: Work, layout: Layout, known: Known) -> (Self, Effect) {
        let mut commit = Commit {
            id,
            work,
            layout,
            known,
            replaced: Vec::new(),
            files: Arc::default(),
            entry: None,
        };
        let first = commit.plan();
        (commit, first)
    }

    /// The last known version, to be handed to the next commit.
    pub fn into_known(self) -> Known {
        self.known
    }

    /// Takes in what came of the last effect and says what to do next.
    pub fn next(&mut self, event: Event) -> Effect {
        match event {
            Event::Read(files) => self.merge(files),
            Event::Written(written) => self.append(written),
            Event::Append(Appended::Done) => self.finish(),
            // Look who has the version. If nobody does, the plan is unchanged and the same entry is tried again:
            // should the first attempt land late after all, the second is refused and reads its own id.
            Event::Append(Appended::Refused | Appended::Unknown) | Event::Gone => self.read_next_entry(),
            Event::Entry(None) => self.plan(),
            Event::Entry(Some(entry)) if entry.id.as_ref() == Some(&self.id) => self.finish(),
            Event::Entry(Some(entry)) => self.take_in(&entry),
        }
    }

    fn read_next_entry(&self) -> Effect {
        Effect::ReadEntry(self.known.image.version + 1)
    }

    /// Another writer's entry has the version that was to be ours.
    fn take_in(&mut self, entry: &Entry) -> Effect {
        self.known.apply(entry);
        match &entry.incompatible {
            Some(reason) => Effect::Finish(Outcome::Incompatible(reason.clone())),
            None => self.read_next_entry(),
        }
    }

    /// Decides, on the last known version, which files the commit replaces.
    fn plan(&mut self) -> Effect {
        let replaced = match &self.work {
            Work::Upsert(batch) => {
                if let Some(moved) = moved_position(batch, &self.known.image) {
                    return Effect::Finish(moved);
                }
                files_to_replace(batch, &self.layout, &self.known.image)
            }
            Work::Compact(paths) => {
                if !paths.iter().all(|path| self.known.image.files.contains_key(path)) {
                    return Effect::Finish(Outcome::Superseded);
                }
                paths.clone()
            }
        };
        if let Some(entry) = &self.entry
            && self.replaced == replaced
        {
            return Effect::Append {
                version: self.known.image.version + 1,
                entry: Arc::clone(entry),
            };
        }
        self.replaced = replaced;
        self.entry = None;
        let unread: Vec<_> = self
            .replaced
            .iter()
            .filter(|path| !self.known.rows.contains_key(*path))
            .cloned()
            .collect();
        if unread.is_empty() {
            self.merge(Vec::new())
        } else {
            Effect::Read(unread)
        }
    }

    /// Adds the contributions to the rows of the files they replace.
    fn merge(&mut self, read: Vec<(Arc<str>, Vec<Row>)>) -> Effect {
        let mut rows: Vec<Row> = read.into_iter().flat_map(|(_, rows)| rows).collect();
        for known in self.replaced.iter().filter_map(|path| self.known.rows.get(path)) {
            rows.extend_from_slice(known);
        }
        let (touched, closed_before_ms) = match &self.work {
            Work::Upsert(batch) => {
                rows.extend_from_slice(&batch.rows);
                (
                    batch.rows.iter().map(|row| row.start_ms).collect(),
                    batch.closed_before_ms,
                )
            }
            Work::Compact(_) => (BTreeSet::new(), i64::MAX),
        };
        let windows = self.layout.windows;
        let is_open = |start_ms| touched.contains(&start_ms) && windows.end_of(start_ms) > closed_before_ms;
        self.files = Arc::new(self.layout.files(merge_sorted(rows), is_open));
        if self.files.is_empty() {
            self.append(Vec::new())
        } else {
            Effect::Write(Arc::clone(&self.files))
        }
    }

    fn append(&mut self, added: Vec<DataFile>) -> Effect {
        let mut entry = Entry {
            id: Some(self.id.clone()),
            added,
            removed: self.replaced.clone(),
            ..Entry::default()
        };
        if let Work::Upsert(batch) = &self.work {
            entry.positions = batch
                .positions
                .iter()
                .map(|change| (change.partition, change.to))
                .collect();
            entry.changes_rows = true;
            entry.counts = batch.counts.clone();
        }
        let entry = Arc::new(entry);
        self.entry = Some(Arc::clone(&entry));
        Effect::Append {
            version: self.known.image.version + 1,
            entry,
        }
    }

    fn finish(&mut self) -> Effect {
        if let Some(entry) = self.entry.take() {
            self.known.apply(&entry);
            self.remember_open_rows(&entry);
        }
        Effect::Finish(Outcome::Committed {
            version: self.known.image.version,
        })
    }

    /// Keeps the rows of open windows, which the next commit will probably touch, and forgets those of closed ones.
    fn remember_open_rows(&mut self, entry: &Entry) {
        let Work::Upsert(batch) = &self.work else { return };
        let files = std::mem::take(&mut self.files);
        for (file, added) in Arc::unwrap_or_clone(files).into_iter().zip(&entry.added) {
            if file.is_open {
                self.known
                    .rows
                    .insert(Arc::clone(&added.path), Arc::new(file.rows));
            }
        }
        let windows = self.layout.windows;
        self.known.rows.retain(|_, rows| {
            rows.first()
                .is_some_and(|row| windows.end_of(row.start_ms) > batch.closed_before_ms)
        });
    }
}

fn moved_position(batch: &Batch, image: &Image) -> Option<Outcome> {
    batch.positions.iter().find_map(|change| {
        let found = image.position(change.partition);
        (found != change.from).then_some(Outcome::PositionsMoved {
            partition: change.partition,
            expected: change.from,
            found,
        })
    })
}

/// The live files that may hold a row the batch contributes to, by path (I4: nothing is assumed absent).
fn files_to_replace(batch: &Batch, layout: &Layout, image: &Image) -> Vec<Arc<str>> {
    let touched: BTreeSet<(i64, u32)> = batch
        .rows
        .iter()
        .map(|row| (row.start_ms, layout.buckets.of(&row.key)))
        .collect();
    let mut paths = BTreeSet::new();
    for (start_ms, bucket) in touched {
        let files = image.files_around(start_ms).filter(|file| file.is_of(bucket));
        paths.extend(files.map(|file| Arc::clone(&file.path)));
    }
    paths.into_iter().collect()
}
