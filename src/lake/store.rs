//! The table in its store: opening it, following its log, and performing a commit's effects. How files are read and written is in
//! `data_files`, how the log is asked whether it is live in `live`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::actions::{CommitInfo, commit_info_of};
use super::attempts::Attempts;
use super::creation::Opened;
use super::location::{OpenMode, log_store};
use super::log::EntryFormat;
use super::notices::Notices;
use super::{Definition, LakeError, TableSettings, TableSpec, creation, definition, probe, recover};
use crate::clock;
use crate::table::{
    Appended, Batch, CachedSnapshot, Commit, Effect, Entry, Event, Liveness, Moment, Outcome, Proof,
};

/// A table that this program may write.
#[derive(Debug)]
pub struct Lake {
    log_store: LogStoreRef,
    pub(super) definition: Arc<Definition>,
    table_id: String,
    give_up_after: Duration,
    /// Clean-up may have removed entries after a version cached for longer than this.
    stale_after_ms: i64,
    pub(super) notices: Notices,
}

/// The end of a commit, and the version cached after it.
#[derive(Debug)]
pub struct CommitEnd {
    /// Whether the batch is in the table, and if not, why.
    pub outcome: Outcome,
    /// The table's last version as the commit has seen it; the next commit starts from it.
    pub cached: CachedSnapshot,
}

impl Lake {
    /// Opens the table of the settings and replays its log.
    ///
    /// # Errors
    /// [`LakeError::Incompatible`] if it is not a table of this pipeline, [`LakeError::Missing`] under
    /// [`OpenMode::MustExist`], and errors of the store.
    pub async fn open(spec: &TableSpec, mode: OpenMode) -> Result<(Self, CachedSnapshot), LakeError> {
        let definition = Arc::new(Definition::new(spec));
        let Opened {
            log_store,
            recovered,
            is_new,
        } = creation::open_or_make(&spec.table, &definition, mode).await?;
        let table_id = recovered.check(&definition, &spec.table.uri)?.id.clone();
        let lake = Lake {
            log_store,
            definition,
            table_id,
            give_up_after: spec.give_up_after,
            stale_after_ms: spec.maintenance.log_retention.as_millis() as i64 / 2,
            notices: Notices::new(),
        };
        if mode == OpenMode::Create && !is_new {
            lake.try_store(&spec.table).await?;
        }
        Ok((lake, CachedSnapshot::new(recovered.snapshot, recovered.read_at)))
    }

    /// Checks that the store creates a log entry only if it does not exist. Leaves nothing behind.
    ///
    /// # Errors
    /// [`LakeError::Unconditional`] if it overwrites one, and errors of the store.
    pub async fn try_store(&self, table: &TableSettings) -> Result<(), LakeError> {
        probe::try_table(self.log_store.as_ref(), table).await
    }

    /// Opens any table of this program. The topic, windows and columns come from the table and not from the
    /// settings.
    ///
    /// # Errors
    /// As [`Lake::open`] under [`OpenMode::MustExist`].
    pub async fn open_as_made(spec: &TableSpec) -> Result<(Self, CachedSnapshot, TableSpec), LakeError> {
        let log_store = log_store(&spec.table, OpenMode::MustExist).await?;
        let recovered = recover::replay(log_store.as_ref(), &Definition::new(spec)).await?;
        let Some(metadata) = recovered.and_then(|recovered| recovered.metadata) else {
            return Err(LakeError::Missing(spec.table.uri.clone()));
        };
        let as_made = definition::as_made(spec, &metadata).map_err(|mismatch| LakeError::Incompatible {
            table: spec.table.uri.clone(),
            mismatch,
        })?;
        let (lake, cached) = Self::open(&as_made, OpenMode::MustExist).await?;
        Ok((lake, cached, as_made))
    }

    /// The table's definition.
    pub(crate) fn definition(&self) -> &Definition {
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

    /// Brings a cached version up to date with the log.
    ///
    /// # Errors
    /// [`LakeError::Incompatible`] if another program changed the table's schema, protocol or properties, and errors
    /// of the store.
    pub async fn refresh(&self, mut cached: CachedSnapshot) -> Result<CachedSnapshot, LakeError> {
        if self.is_stale(cached.synced_at) {
            return self.reload().await;
        }
        let mut asked_at = clock::moment();
        while let Some(entry) = self.read_entry(cached.snapshot.version + 1).await? {
            cached.apply(&entry);
            if let Some(mismatch) = entry.incompatible {
                return Err(LakeError::Incompatible {
                    table: self.name(),
                    mismatch,
                });
            }
            asked_at = clock::moment();
        }
        match cached.proof() {
            Proof::Given => {}
            Proof::ByAnchor(anchor) if self.holds(anchor).await? => cached.anchor(),
            Proof::ByAnchor(_) | Proof::ByReload => return self.reload().await,
        }
        // A missing next entry is the end of the log only if clean-up cannot have removed it.
        if self.is_stale(cached.synced_at) {
            return self.reload().await;
        }
        cached.synced_at = asked_at;
        Ok(cached)
    }

    /// Commits a batch on top of the cached version.
    ///
    /// # Errors
    /// [`LakeError::GaveUp`] and refusals of the store. The next start finds in the log what had landed by then.
    pub async fn commit(&self, batch: Batch, cached: CachedSnapshot) -> Result<CommitEnd, LakeError> {
        let cached = if self.is_stale(cached.synced_at) {
            info!("the cached version is so old that log entries may be gone; reloading the table");
            self.reload().await?
        } else {
            cached
        };
        let synced_at = cached.synced_at;
        let (commit, effect) = Commit::upsert(self.new_id(), batch, self.definition.layout, cached);
        self.drive(commit, effect, synced_at).await
    }

    /// Merges the files at these paths.
    pub async fn compact(
        &self,
        paths: Vec<Arc<str>>,
        cached: CachedSnapshot,
    ) -> Result<CommitEnd, LakeError> {
        let synced_at = cached.synced_at;
        let (commit, effect) = Commit::compact(self.new_id(), paths, self.definition.layout, cached);
        self.drive(commit, effect, synced_at).await
    }

    /// Commits a fence: an entry that changes nothing. Commits in progress then write their files again, so
    /// that files without a version are garbage.
    pub async fn fence(&self, cached: CachedSnapshot) -> Result<CommitEnd, LakeError> {
        let synced_at = cached.synced_at;
        let (commit, effect) = Commit::fence(self.new_id(), self.definition.layout, cached);
        self.drive(commit, effect, synced_at).await
    }

    /// Performs a commit's effects until it ends.
    ///
    /// Only progress of the commit restarts the time to give up after. Reading that the log has no further
    /// entry is none: otherwise a store that refuses each append and answers each read would keep the commit
    /// forever.
    async fn drive(
        &self,
        mut commit: Commit,
        mut effect: Effect,
        mut synced_at: Moment,
    ) -> Result<CommitEnd, LakeError> {
        let mut stats = HashMap::new();
        let mut attempts = Attempts::new(self.give_up_after);
        let mut doubt = None;
        loop {
            if let Effect::Finish(outcome) = effect {
                let mut cached = commit.into_cached();
                cached.synced_at = synced_at;
                return Ok(CommitEnd { outcome, cached });
            }
            let asked_at = clock::moment();
            let event = match self.perform(&effect, synced_at, &mut stats, &mut doubt).await {
                Ok(event) => event,
                Err(error) => {
                    attempts.pause_after(error).await?;
                    continue;
                }
            };
            match &event {
                Event::Entry(None) => {
                    if let Some(error) = doubt.take() {
                        attempts.pause_after(error).await?;
                    }
                }
                Event::Reloaded(cached) => {
                    synced_at = cached.synced_at;
                    if let Some(error) = doubt.take() {
                        attempts.pause_after(error).await?;
                    }
                }
                Event::Confirmed(liveness) => match liveness {
                    Liveness::Live => synced_at = asked_at,
                    Liveness::Dead | Liveness::Passed => {
                        warn!(
                            "the log advanced while this process was idle or suspended; reloading the table"
                        );
                    }
                },
                Event::Append(_) | Event::Gone | Event::Discarded | Event::Anchored(_) => {}
                Event::Entry(Some(_)) | Event::Read(_) | Event::Written(_) => {
                    // Another writer's entry explains the refusal.
                    doubt = None;
                    attempts = Attempts::new(self.give_up_after);
                }
            }
            effect = commit.next(event);
        }
    }

    /// Performs an effect; `synced_at` is when the log was last seen to end at the cached version. An error that the log may
    /// yet explain goes to `doubt`.
    async fn perform(
        &self,
        effect: &Effect,
        synced_at: Moment,
        stats: &mut HashMap<Arc<str>, String>,
        doubt: &mut Option<LakeError>,
    ) -> Result<Event, LakeError> {
        match effect {
            Effect::Read(paths) => Ok(match self.read_files(paths).await? {
                Ok(files) => Event::Read(files),
                Err(path) => {
                    let path = path.to_string();
                    *doubt = Some(LakeError::FileGone { path });
                    Event::Gone
                }
            }),
            Effect::Write(files) => self.write_files(files, stats).await.map(Event::Written),
            Effect::Append { version, entry } => self.append(*version, entry, stats, doubt).await,
            Effect::ReadEntry(version) => self.read_entry(*version).await.map(Event::Entry),
            Effect::Discard(version) => self.discard(*version).await.map(|()| Event::Discarded),
            Effect::FindAnchor(anchor) => self.holds(anchor).await.map(Event::Anchored),
            Effect::Reload => self.reload().await.map(Event::Reloaded),
            Effect::Confirm { version, previous_id } => self
                .liveness(*version, previous_id.as_deref(), synced_at)
                .await
                .map(Event::Confirmed),
            // `drive` ends with it and performs nothing.
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
                let reason = "it says that the entry exists, and does not return it".to_owned();
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
        let bytes = recover::entry_bytes(self.log_store.as_ref(), version).await?;
        bytes
            .map(|bytes| {
                EntryFormat {
                    definition: &self.definition,
                }
                .read(version, &bytes)
            })
            .transpose()
    }

    /// The commit information of a version's entry; `None` if the entry does not exist.
    pub(crate) async fn commit_info(&self, version: u64) -> Result<Option<CommitInfo>, LakeError> {
        let bytes = recover::entry_bytes(self.log_store.as_ref(), version).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        commit_info_of(version, &bytes).map(Some)
    }

    /// Replays the log.
    pub async fn reload(&self) -> Result<CachedSnapshot, LakeError> {
        let recovered = recover::replay(self.log_store.as_ref(), &self.definition).await?;
        let recovered = recovered.ok_or_else(|| LakeError::Missing(self.name()))?;
        recovered.check(&self.definition, &self.name())?;
        Ok(CachedSnapshot::new(recovered.snapshot, recovered.read_at))
    }

    /// Whether clean-up may have passed this version. A hint that saves work: correctness rests on the check
    /// after the append.
    pub(super) fn is_stale(&self, synced_at: Moment) -> bool {
        clock::moment().longest_since_ms(synced_at) > self.stale_after_ms
    }

    pub(super) fn name(&self) -> String {
        self.log_store.root_url().to_string()
    }

    pub(super) fn new_id(&self) -> String {
        Uuid::new_v4().to_string()
    }
}
