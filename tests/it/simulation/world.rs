//! Everything outside the processes: the log with its checkpoints and clean-up, the files, the topics of side outputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::PARTITIONS;
use crate::oracle::{Departed, Readings, Rows};
use streamgauge::table::{
    Anchor, Appended, CachedSnapshot, Counts, DataFile, Effect, Entry, Event, Liveness, Moment, NewFile,
    Proof, Snapshot, Surroundings,
};
use streamgauge::window::{Row, merge_sorted};

/// The id of the entry that made the table.
const CREATION: &str = "creation";

/// Guards that can be taken out of the protocol, to see that the simulation fails without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The look at the log after an append.
    Confirmation,
    /// Files are rewritten once a vacuum has begun.
    Fence,
    /// The check that entries of other writers were live.
    Anchor,
    /// The positions in entries of other writers.
    Positions,
    /// The records between a file of registers and the table's position.
    Replay,
}

pub struct World {
    pub readings: Readings,
    /// The entries in the log, orphans included.
    pub log: BTreeMap<u64, Entry>,
    checkpoints: BTreeMap<u64, Snapshot>,
    /// The version in `_last_checkpoint`, which a late writer may set back.
    hint: Option<u64>,
    /// The table as loaded by a process that is about to write a checkpoint.
    unwritten_checkpoint: Option<Snapshot>,
    pub files: HashMap<Arc<str>, Vec<Row>>,
    /// Files of registers, by partition and offset.
    pub register_files: [BTreeMap<i64, Vec<u8>>; PARTITIONS],
    /// The topics of side outputs, and the position that is committed with them.
    pub departed: Departed,
    pub side_positions: [i64; PARTITIONS],
    /// The sum of the counts in all entries that became a version, as `table history` shows them.
    pub counted: Counts,
    /// Which process Kafka's group coordinator holds to own each partition; others are fenced from topics of side outputs.
    pub owners: [usize; PARTITIONS],
    pub without: Option<Guard>,
    next_id: usize,
}

impl World {
    pub fn new(readings: Readings, owners: [usize; PARTITIONS], without: Option<Guard>) -> Self {
        let creation = Entry {
            id: Some(CREATION.to_owned()),
            ..Entry::default()
        };
        World {
            readings,
            log: BTreeMap::from([(0, creation)]),
            checkpoints: BTreeMap::new(),
            hint: None,
            unwritten_checkpoint: None,
            files: HashMap::new(),
            register_files: std::array::from_fn(|_| BTreeMap::new()),
            departed: Vec::new(),
            side_positions: [0; PARTITIONS],
            counted: Counts::default(),
            owners,
            without,
            next_id: 0,
        }
    }

    /// The last version, as a start finds it: the newest checkpoint and the entries that follow it.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self
            .checkpoints
            .last_key_value()
            .map(|(_, snapshot)| snapshot.clone())
            .unwrap_or_else(|| {
                let mut made = Snapshot::default();
                made.entry_id = Some(CREATION.to_owned());
                made
            });
        while let Some(entry) = self.log.get(&(snapshot.version + 1)) {
            snapshot.apply(entry);
        }
        snapshot
    }

    /// The last version. There is no clock here, so nothing can rest on one.
    pub fn loaded(&self) -> CachedSnapshot {
        CachedSnapshot::new(self.snapshot(), Moment::default())
    }

    /// Follows the log from a cached version as far as its entries go, though they may have been cleaned away.
    pub fn followed(&self, cached: Option<CachedSnapshot>) -> CachedSnapshot {
        let mut cached = cached.unwrap_or_else(|| self.loaded());
        while let Some(entry) = self.log.get(&(cached.snapshot.version + 1)) {
            cached.apply(entry);
        }
        match cached.proof() {
            Proof::Given => {}
            Proof::ByAnchor(anchor) if self.holds(anchor) => cached.anchor(),
            Proof::ByAnchor(_) | Proof::ByReload => return self.loaded(),
        }
        cached
    }

    fn holds(&self, anchor: &Anchor) -> bool {
        let found = self.log.get(&anchor.version);
        self.without == Some(Guard::Anchor)
            || found.is_some_and(|entry| entry.id.as_ref() == Some(&anchor.id))
    }

    pub fn fresh(&mut self, what: &str) -> String {
        self.next_id += 1;
        format!("{what}-{}", self.next_id)
    }

    /// The rows of the last version; fails if a row is there twice (I4), or a file is not.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for path in self.snapshot().files.keys() {
            let file = self
                .files
                .get(path)
                .unwrap_or_else(|| panic!("the live file {path} was deleted"));
            for row in file {
                let totals = &row.totals;
                let cells = (totals.count, totals.minimum, totals.maximum, totals.sum.rounded());
                let previous = rows.insert((row.start_ms, row.series.key.to_string()), cells);
                assert!(
                    previous.is_none(),
                    "I4: two rows of {} at {}",
                    row.series.key,
                    row.start_ms
                );
            }
        }
        rows
    }

    fn append(&mut self, version: u64, entry: &Entry) -> Appended {
        if self.log.contains_key(&version) {
            return Appended::Refused;
        }
        let next = self.snapshot().version + 1;
        assert!(version <= next, "a version was skipped");
        // Below the newest version an entry is dead: clean-up had freed its number.
        if version == next {
            self.counted.add(&entry.counts);
        }
        self.log.insert(version, entry.clone());
        self.rows();
        Appended::Done
    }

    /// Performs an effect of a commit; `unknown` makes an append report an error, done or not.
    pub fn perform(&mut self, effect: Effect, unknown: Option<bool>) -> Event {
        match effect {
            Effect::Read(paths) => paths
                .into_iter()
                .map(|path| Some((path.clone(), self.files.get(&path)?.clone())))
                .collect::<Option<_>>()
                .map_or(Event::Gone, Event::Read),
            Effect::Write(files) => Event::Written(files.iter().map(|file| self.write(file)).collect()),
            Effect::Append { version, entry } => match unknown {
                Some(takes_effect) => {
                    if takes_effect {
                        self.append(version, &entry);
                    }
                    Event::Append(Appended::Unknown)
                }
                None => Event::Append(self.append(version, &entry)),
            },
            Effect::ReadEntry(version) => Event::Entry(self.log.get(&version).cloned().map(|mut entry| {
                entry.is_fence &= self.without != Some(Guard::Fence);
                if self.without == Some(Guard::Positions) {
                    entry.positions.clear();
                }
                entry
            })),
            Effect::Confirm { version, previous_id } => {
                Event::Confirmed(self.liveness(version, previous_id.as_deref()))
            }
            Effect::Discard(version) => {
                self.log.remove(&version);
                Event::Discarded
            }
            Effect::FindAnchor(anchor) => Event::Anchored(self.holds(&anchor)),
            Effect::Reload => Event::Reloaded(self.loaded()),
            Effect::Finish(_) => unreachable!("a commit that is over asks for nothing"),
        }
    }

    fn write(&mut self, file: &NewFile) -> DataFile {
        let path = self.store(file.rows.clone());
        data_file(path, &file.rows, Some(file.bucket))
    }

    fn store(&mut self, rows: Vec<Row>) -> Arc<str> {
        let path: Arc<str> = self.fresh("file").into();
        self.files.insert(path.clone(), rows);
        path
    }

    fn liveness(&self, version: u64, previous_id: Option<&str>) -> Liveness {
        if self.without == Some(Guard::Confirmation) {
            return Liveness::Live;
        }
        let surroundings = Surroundings {
            previous: self.log.get(&(version - 1)).map(|entry| entry.id.clone()),
            hinted_checkpoint: self.hint,
        };
        surroundings.liveness(version, previous_id).unwrap_or_else(|| {
            let newest = self.checkpoints.last_key_value().map(|(&version, _)| version);
            let entries: Vec<u64> = self.log.keys().copied().collect();
            Liveness::listed(version, newest, &entries)
        })
    }

    /// Loads the table in order to write a checkpoint of it.
    pub fn begin_checkpoint(&mut self) {
        let snapshot = self.snapshot();
        if snapshot.version > 0 {
            self.unwritten_checkpoint = Some(snapshot);
        }
    }

    /// Writes the checkpoint, however long ago the table was loaded.
    pub fn write_checkpoint(&mut self) {
        if let Some(snapshot) = self.unwritten_checkpoint.take() {
            self.hint = Some(snapshot.version);
            self.checkpoints.insert(snapshot.version, snapshot);
        }
    }

    /// Deletes entries below a checkpoint, the oldest first; it may be interrupted.
    pub fn clean_up(&mut self, below: usize, count: usize) {
        let versions: Vec<u64> = self.checkpoints.keys().copied().collect();
        if versions.is_empty() {
            return;
        }
        let below = versions[below % versions.len()];
        let expired: Vec<u64> = self
            .log
            .range(..below)
            .map(|(&version, _)| version)
            .take(count)
            .collect();
        for version in expired {
            self.log.remove(&version);
            self.checkpoints.remove(&version);
        }
    }

    /// Another engine merges files: its entry has no id, its file no bucket.
    pub fn optimize(&mut self, pick: &[usize]) {
        let snapshot = self.snapshot();
        let mut paths: Vec<_> = snapshot.files.keys().cloned().collect();
        paths.sort();
        if paths.is_empty() {
            return;
        }
        let chosen: BTreeSet<_> = pick
            .iter()
            .map(|index| paths[index % paths.len()].clone())
            .collect();
        let rows = merge_sorted(chosen.iter().flat_map(|path| self.files[path].clone()).collect());
        let path = self.store(rows.clone());
        let entry = Entry {
            added: vec![data_file(path, &rows, None)],
            removed: chosen.into_iter().collect(),
            ..Entry::default()
        };
        self.append(snapshot.version + 1, &entry);
    }
}

fn data_file(path: Arc<str>, rows: &[Row], bucket: Option<u32>) -> DataFile {
    DataFile {
        path,
        size_bytes: 100,
        rows: rows.len() as u64,
        first_start_ms: rows.first().expect("a row").start_ms,
        last_start_ms: rows.last().expect("a row").start_ms,
        bucket,
    }
}
