//! The table in its store: opening it, following its log, and performing a commit's effects.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::attempts::Attempts;
use super::location::{OpenMode, log_store};
use super::log::{self, CommitInfo, EntryFormat, data_path};
use super::{Definition, LakeError, recover, rows};
use crate::clock;
use crate::config::Config;
use crate::table::{Appended, Batch, Commit, DataFile, Effect, Entry, Event, Known, NewFile, Outcome};
use crate::window::Row;

/// A table that this program may write.
#[derive(Debug)]
pub struct Lake {
    log_store: LogStoreRef,
    definition: Arc<Definition>,
    table_id: String,
    give_up_after: Duration,
    /// An image older than this may have lost log entries to cleanup, and is loaded anew.
    stale_after_ms: i64,
    synced_at_ms: AtomicI64,
}

/// How a commit ended, and the version known after it.
#[derive(Debug)]
pub struct Committed {
    pub outcome: Outcome,
    pub known: Known,
}

const CONCURRENT_FILES: usize = 8;

impl Lake {
    /// Opens the table of the settings and replays its log.
    ///
    /// # Errors
    /// [`LakeError::Incompatible`] if it is not a table of this pipeline, [`LakeError::Missing`] under
    /// [`OpenMode::MustExist`], and what the store says.
    pub async fn open(config: &Config, mode: OpenMode) -> Result<(Self, Known), LakeError> {
        let log_store = log_store(config, mode).await?;
        let definition = Arc::new(Definition::new(config));
        let recovered = match recover::replay(log_store.as_ref(), &definition).await? {
            Some(recovered) => recovered,
            None if mode == OpenMode::MustExist => return Err(LakeError::Missing(config.table.uri.clone())),
            None => {
                create(&log_store, &definition).await?;
                // Somebody else may have been faster; what counts is what the log says now.
                recover::replay(log_store.as_ref(), &definition)
                    .await?
                    .ok_or_else(|| LakeError::Missing(config.table.uri.clone()))?
            }
        };
        let incompatible = |mismatch| LakeError::Incompatible {
            table: config.table.uri.clone(),
            mismatch,
        };
        let protocol = recovered
            .protocol
            .ok_or_else(|| incompatible("its log has no protocol".to_owned()))?;
        let metadata = recovered
            .metadata
            .ok_or_else(|| incompatible("its log has no metadata".to_owned()))?;
        definition.check_protocol(&protocol).map_err(incompatible)?;
        definition.check_metadata(&metadata).map_err(incompatible)?;
        let lake = Lake {
            log_store,
            definition,
            table_id: metadata.id,
            give_up_after: config.commit.give_up_after,
            stale_after_ms: config.maintenance.log_retention.as_millis() as i64 / 2,
            synced_at_ms: AtomicI64::new(clock::now_ms()),
        };
        Ok((lake, Known::new(recovered.image)))
    }

    /// Opens a table of ours whatever the settings say of its topic, windows and columns; the answer has the
    /// settings that it was made with.
    ///
    /// # Errors
    /// As [`Lake::open`] under [`OpenMode::MustExist`].
    pub async fn open_as_made(config: &Config) -> Result<(Self, Known, Config), LakeError> {
        let log_store = log_store(config, OpenMode::MustExist).await?;
        let recovered = recover::replay(log_store.as_ref(), &Definition::new(config)).await?;
        let Some(metadata) = recovered.and_then(|recovered| recovered.metadata) else {
            return Err(LakeError::Missing(config.table.uri.clone()));
        };
        let mut as_made = config.clone();
        Definition::adopt(&mut as_made, &metadata).map_err(|mismatch| LakeError::Incompatible {
            table: config.table.uri.clone(),
            mismatch,
        })?;
        let (lake, known) = Self::open(&as_made, OpenMode::MustExist).await?;
        Ok((lake, known, as_made))
    }

    /// What the table is like.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The table's own id, from its metadata.
    pub fn table_id(&self) -> &str {
        &self.table_id
    }

    /// The store and log, for readers and maintenance.
    pub fn log_store(&self) -> &LogStoreRef {
        &self.log_store
    }

    /// Brings a known version up to date with the log.
    ///
    /// # Errors
    /// [`LakeError::Incompatible`] if somebody changed the table into another, and what the store says.
    pub async fn refresh(&self, mut known: Known) -> Result<Known, LakeError> {
        if self.is_stale() {
            return self.reload().await;
        }
        while let Some(entry) = self.read_entry(known.image.version + 1).await? {
            known.apply(&entry);
            if let Some(mismatch) = entry.incompatible {
                return Err(LakeError::Incompatible {
                    table: self.name(),
                    mismatch,
                });
            }
        }
        self.note_synced();
        Ok(known)
    }

    /// Commits a batch on top of the last known version.
    ///
    /// # Errors
    /// [`LakeError::GaveUp`] and refusals of the store. What had landed by then is found in the log by the next start.
    pub async fn commit(&self, batch: Batch, known: Known) -> Result<Committed, LakeError> {
        let known = if self.is_stale() {
            info!("the known version is so old that log entries may be gone: loading the table anew");
            self.reload().await?
        } else {
            known
        };
        let (commit, effect) = Commit::upsert(self.new_id(), batch, self.definition.layout, known);
        self.drive(commit, effect).await
    }

    /// Merges the files at these paths.
    pub async fn compact(&self, paths: Vec<Arc<str>>, known: Known) -> Result<Committed, LakeError> {
        let (commit, effect) = Commit::compact(self.new_id(), paths, self.definition.layout, known);
        self.drive(commit, effect).await
    }

    /// Performs a commit's effects until it is over.
    ///
    /// Only what brings the commit forward renews the time to give up after. That the log has no entry after the
    /// last one does not: a store that refuses each append and answers each look into the log would never be given up.
    async fn drive(&self, mut commit: Commit, mut effect: Effect) -> Result<Committed, LakeError> {
        let mut stats = HashMap::new();
        let mut attempts = Attempts::new(self.give_up_after);
        let mut doubt = None;
        loop {
            if let Effect::Finish(outcome) = effect {
                self.note_synced();
                return Ok(Committed {
                    outcome,
                    known: commit.into_known(),
                });
            }
            let event = match self.perform(&effect, &mut stats, &mut doubt).await {
                Ok(event) => event,
                Err(error) => {
                    attempts.pause_after(error).await?;
                    continue;
                }
            };
            match event {
                Event::Entry(None) => {
                    if let Some(error) = doubt.take() {
                        attempts.pause_after(error).await?;
                    }
                }
                Event::Append(_) | Event::Gone => {}
                Event::Entry(Some(_)) | Event::Read(_) | Event::Written(_) => {
                    // Somebody else's entry explains why ours was refused.
                    doubt = None;
                    attempts = Attempts::new(self.give_up_after);
                }
            }
            effect = commit.next(event);
        }
    }

    /// Performs an effect. What may be wrong with the store, should the log not explain the event, goes to `doubt`.
    async fn perform(
        &self,
        effect: &Effect,
        stats: &mut HashMap<Arc<str>, String>,
        doubt: &mut Option<LakeError>,
    ) -> Result<Event, LakeError> {
        match effect {
            Effect::Read(paths) => {
                let event = self.read_files(paths).await?;
                if matches!(event, Event::Gone) {
                    *doubt = Some(LakeError::Unavailable {
                        action: "read the rows to add to".to_owned(),
                        reason: "a data file that the last version names is gone".to_owned(),
                    });
                }
                Ok(event)
            }
            Effect::Write(files) => self.write_files(files, stats).await.map(Event::Written),
            Effect::Append { version, entry } => self.append(*version, entry, stats, doubt).await,
            Effect::ReadEntry(version) => self.read_entry(*version).await.map(Event::Entry),
            Effect::Finish(_) => Ok(Event::Entry(None)),
        }
    }

    async fn append(
        &self,
        version: u64,
        entry: &Entry,
        stats: &HashMap<Arc<str>, String>,
        doubt: &mut Option<LakeError>,
    ) -> Result<Event, LakeError> {
        let format = EntryFormat {
            definition: &self.definition,
        };
        let bytes = format.write(entry, clock::now_ms(), |path| stats.get(path).cloned())?;
        let written = self
            .log_store
            .write_commit_entry(version, CommitOrBytes::LogBytes(bytes.into()), Uuid::nil())
            .await;
        let action = format!("write log entry {version}");
        let (appended, error) = match written {
            Ok(()) => return Ok(Event::Append(Appended::Done)),
            Err(TransactionError::VersionAlreadyExists(_)) => {
                let reason = "it says that there is one, and shows none".to_owned();
                (Appended::Refused, LakeError::Unavailable { action, reason })
            }
            Err(TransactionError::ObjectStore { source }) => {
                (Appended::Unknown, LakeError::from_store(action, &source))
            }
            Err(other) => {
                let reason = other.to_string();
                (Appended::Unknown, LakeError::Unavailable { action, reason })
            }
        };
        debug!(version, ?appended, %error, "append");
        if !error.is_transient() {
            return Err(error);
        }
        *doubt = Some(error);
        Ok(Event::Append(appended))
    }

    async fn read_entry(&self, version: u64) -> Result<Option<Entry>, LakeError> {
        let bytes = self
            .log_store
            .read_commit_entry(version)
            .await
            .map_err(|error| LakeError::from_delta(format!("read log entry {version}"), &error))?;
        bytes
            .map(|bytes| {
                EntryFormat {
                    definition: &self.definition,
                }
                .read(version, &bytes)
            })
            .transpose()
    }

    /// What a version's entry says about itself; `None` if there is no such entry (any more).
    pub async fn commit_info(&self, version: u64) -> Result<Option<CommitInfo>, LakeError> {
        let bytes = self
            .log_store
            .read_commit_entry(version)
            .await
            .map_err(|error| LakeError::from_delta(format!("read log entry {version}"), &error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        log::commit_info_of(version, &bytes).map(Some)
    }

    async fn read_files(&self, paths: &[Arc<str>]) -> Result<Event, LakeError> {
        let read = futures::stream::iter(paths.iter().cloned())
            .map(|path| async move {
                self.read_file(&path)
                    .await
                    .map(|rows| rows.map(|rows| (path, rows)))
            })
            .buffered(CONCURRENT_FILES)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(read
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map_or(Event::Gone, Event::Read))
    }

    /// The rows of a file; `None` if it is gone.
    async fn read_file(&self, path: &str) -> Result<Option<Vec<Row>>, LakeError> {
        let failed = |error| LakeError::from_store(format!("read {path}"), &error);
        let store = self.log_store.object_store(None);
        // The log writes paths as URLs do.
        let location = Path::from_url_path(path).map_err(|error| failed(error.into()))?;
        let found = match store.get(&location).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = found.bytes().await.map_err(failed)?;
        let (rows, lacks_residuals) = rows::decode(&self.definition, path, bytes)?;
        if lacks_residuals {
            warn!(
                path,
                "another program rewrote this file: what its sums were rounded by is lost"
            );
        }
        Ok(Some(rows))
    }

    async fn write_files(
        &self,
        files: &Arc<Vec<NewFile>>,
        stats: &mut HashMap<Arc<str>, String>,
    ) -> Result<Vec<DataFile>, LakeError> {
        let id = self.new_id();
        let written: Vec<(DataFile, String)> = futures::stream::iter(0..files.len())
            .map(|number| {
                self.write_file(
                    Arc::clone(files),
                    number,
                    data_path(&id, number, files[number].bucket),
                )
            })
            .buffered(CONCURRENT_FILES)
            .try_collect()
            .await?;
        let mut added = Vec::with_capacity(written.len());
        for (file, file_stats) in written {
            stats.insert(Arc::clone(&file.path), file_stats);
            added.push(file);
        }
        Ok(added)
    }

    async fn write_file(
        &self,
        files: Arc<Vec<NewFile>>,
        number: usize,
        path: Arc<str>,
    ) -> Result<(DataFile, String), LakeError> {
        let definition = Arc::clone(&self.definition);
        let encode = move || -> Result<(Bytes, DataFile, String), LakeError> {
            let file = &files[number];
            let bytes = rows::encode(&definition, &file.rows)?;
            let start = |row: Option<&Row>| row.map_or(0, |row| row.start_ms);
            let data_file = DataFile {
                path,
                size_bytes: bytes.len() as u64,
                rows: file.rows.len() as u64,
                first_start_ms: start(file.rows.first()),
                last_start_ms: start(file.rows.last()),
                bucket: Some(file.bucket),
            };
            Ok((bytes, data_file, rows::stats(&definition, &file.rows)))
        };
        let failed = |error: tokio::task::JoinError| LakeError::Damaged {
            what: "a new data file".to_owned(),
            reason: error.to_string(),
        };
        let (bytes, file, stats) = tokio::task::spawn_blocking(encode).await.map_err(failed)??;
        self.log_store
            .object_store(None)
            .put(&Path::from(&*file.path), bytes.into())
            .await
            .map_err(|error| LakeError::from_store(format!("write {}", file.path), &error))?;
        Ok((file, stats))
    }

    /// Replays the log anew.
    pub async fn reload(&self) -> Result<Known, LakeError> {
        let recovered = recover::replay(self.log_store.as_ref(), &self.definition).await?;
        self.note_synced();
        recovered
            .map(|recovered| Known::new(recovered.image))
            .ok_or_else(|| LakeError::Missing(self.name()))
    }

    fn is_stale(&self) -> bool {
        clock::now_ms() - self.synced_at_ms.load(Ordering::Relaxed) > self.stale_after_ms
    }

    fn note_synced(&self) {
        self.synced_at_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    fn name(&self) -> String {
        self.log_store.root_url().to_string()
    }

    fn new_id(&self) -> String {
        Uuid::new_v4().to_string()
    }
}

async fn create(log_store: &LogStoreRef, definition: &Definition) -> Result<(), LakeError> {
    let id = Uuid::new_v4().to_string();
    let entry = EntryFormat { definition }.creation(&id, clock::now_ms())?;
    match log_store
        .write_commit_entry(0, CommitOrBytes::LogBytes(entry.into()), Uuid::nil())
        .await
    {
        Ok(()) => {
            info!(table = %log_store.root_url(), "made the table");
            Ok(())
        }
        Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        Err(TransactionError::ObjectStore { source }) => {
            Err(LakeError::from_store("make the table", &source))
        }
        Err(other) => Err(LakeError::Unavailable {
            action: "make the table".to_owned(),
            reason: other.to_string(),
        }),
    }
}
