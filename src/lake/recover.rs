//! Recovers the snapshot of a version: the newest sound checkpoint, then the entries after it.
//!
//! A checkpoint only abbreviates the entries before it. A torn one is skipped as long as an earlier one, or
//! the entries from the first on, lead to the same version.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use deltalake::logstore::LogStore;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracing::warn;

use super::actions::{MetadataAction, ProtocolAction, actions};
use super::location::{OpenMode, log_store};
use super::log::{EntryFormat, RESTORED};
use super::log_listing::Checkpoint;
pub(super) use super::log_listing::{LogListing, list_log};
use super::{Definition, LakeError, file_names};
use crate::clock;
use crate::lake::TableSettings;
use crate::table::{Entry, Moment, Snapshot};

/// A table recovered from its log.
#[derive(Debug)]
pub(super) struct Recovered {
    pub snapshot: Snapshot,
    /// The time at which the log was seen to end with this version, or shortly before.
    pub read_at: Moment,
    pub protocol: Option<ProtocolAction>,
    pub metadata: Option<MetadataAction>,
    /// Removed files by path; only under [`Depth::WithTombstones`].
    pub tombstones: HashMap<Arc<str>, Tombstone>,
    /// The live files before a RESTORE to an earlier version, until the rows are restored back.
    before_restore: Option<HashSet<Arc<str>>>,
}

/// The removal of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tombstone {
    /// The time by the clock of its writer.
    pub deleted_ms: Option<i64>,
    /// The version of the removal, or the last possible one.
    pub version: u64,
    /// Whether the version is exact: a checkpoint does not record it.
    pub is_exact: bool,
}

/// How much of the log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The contents of the last version.
    Live,
    /// Also the removed files.
    WithTombstones,
}

impl Depth {
    fn columns(self) -> &'static [&'static str] {
        match self {
            Depth::Live => &["txn", "add", "metaData", "protocol"],
            Depth::WithTombstones => &["txn", "add", "metaData", "protocol", "remove"],
        }
    }
}

/// Entries fetched in parallel: a remote store needs tens of milliseconds for each.
const CONCURRENT_READS: usize = 16;

/// How often to list the log again after clean-up removed files that were about to be read.
const MOST_LISTINGS: usize = 5;

/// Whether a log exists at the configured place. Creates nothing.
///
/// # Errors
/// Errors of the store.
pub(crate) async fn table_is_there(table: &TableSettings) -> Result<bool, LakeError> {
    let log_store = match log_store(table, OpenMode::MustExist).await {
        Err(LakeError::Missing(_)) => return Ok(false),
        log_store => log_store?,
    };
    let store = log_store.object_store(None);
    let first = store.list(Some(log_store.log_path())).next().await;
    match first {
        None | Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(LakeError::from_store("list the log", &error)),
    }
}

/// Replays the log. `None` if there is no table.
pub(super) async fn replay(
    log_store: &dyn LogStore,
    definition: &Definition,
) -> Result<Option<Recovered>, LakeError> {
    for _ in 0..MOST_LISTINGS {
        let read_at = clock::moment();
        let log = list_log(log_store).await?;
        let Some(last) = log.last() else {
            return Ok(None);
        };
        let Some(recovered) = replay_to(log_store, definition, &log, last, Depth::Live).await? else {
            continue;
        };
        // Without a newer checkpoint, clean-up has freed none of the versions read: no entry was a dead one that a sleeper
        // had appended to a freed number.
        if list_log(log_store).await?.newest_checkpoint() == log.newest_checkpoint() {
            return Ok(Some(Recovered { read_at, ..recovered }));
        }
    }
    Err(LakeError::Unavailable {
        action: "read the log".to_owned(),
        reason: "listed files keep disappearing".to_owned(),
    })
}

/// Replays the log up to a version; `None` if a listed file disappeared.
///
/// # Errors
/// [`LakeError::Damaged`] if neither a checkpoint nor the entries from the first on lead there.
pub(super) async fn replay_to(
    log_store: &dyn LogStore,
    definition: &Definition,
    log: &LogListing,
    version: u64,
    depth: Depth,
) -> Result<Option<Recovered>, LakeError> {
    let mut faults = Vec::new();
    for (base, checkpoint) in log.checkpoints_until(version) {
        if let Some(missing) = log.first_missing(base + 1, version) {
            faults.push(format!("entry {missing} is missing"));
            break;
        }
        match checkpoint_lines(log_store, &checkpoint, depth.columns()).await {
            Ok(Some(lines)) => {
                if !faults.is_empty() {
                    warn!(
                        "{}: going on from the checkpoint of version {base}; `streamgauge table repair` mends the log",
                        faults.join("; ")
                    );
                }
                return from_base(log_store, definition, Some((base, lines)), version).await;
            }
            Ok(None) => return Ok(None),
            Err(LakeError::Damaged { what, reason }) => faults.push(format!("{what} is damaged ({reason})")),
            Err(other) => return Err(other),
        }
    }
    match log.first_missing(0, version) {
        None => {
            if !faults.is_empty() {
                warn!(
                    "{}: going on from the log's entries; `streamgauge table repair` mends the log",
                    faults.join("; ")
                );
            }
            from_base(log_store, definition, None, version).await
        }
        Some(missing) => {
            if faults.is_empty() {
                faults.push(format!(
                    "entry {missing} is missing, and no checkpoint stands for it"
                ));
            }
            Err(LakeError::Damaged {
                what: "the log".to_owned(),
                reason: format!(
                    "{}; `streamgauge table repair --dry-run` says what is left of it",
                    faults.join("; ")
                ),
            })
        }
    }
}

/// Rebuilds the snapshot of a version from a checkpoint, or from nothing, and the entries after it.
async fn from_base(
    log_store: &dyn LogStore,
    definition: &Definition,
    base: Option<(u64, Bytes)>,
    version: u64,
) -> Result<Option<Recovered>, LakeError> {
    let format = EntryFormat { definition };
    let mut recovered = Recovered {
        snapshot: Snapshot::default(),
        read_at: clock::moment(),
        protocol: None,
        metadata: None,
        tombstones: HashMap::new(),
        before_restore: None,
    };
    let mut first = 0;
    if let Some((base, lines)) = base {
        recovered.ingest(&format, base, lines, false)?;
        first = base + 1;
    }
    let entries: Option<Vec<(u64, Bytes)>> = futures::stream::iter(first..=version)
        .map(async |version| {
            let bytes = entry_bytes(log_store, version).await?;
            Ok::<_, LakeError>(bytes.map(|bytes| (version, bytes)))
        })
        .buffered(CONCURRENT_READS)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .collect();
    let Some(entries) = entries else {
        return Ok(None);
    };
    for (version, bytes) in entries {
        recovered.ingest(&format, version, bytes, true)?;
    }
    recovered.snapshot.version = version;
    for path in recovered.snapshot.files.keys() {
        file_names::location(path).map_err(|outside| LakeError::Outside {
            table: log_store.root_url().to_string(),
            outside,
        })?;
    }
    Ok(Some(recovered))
}

impl Recovered {
    /// Checks that this program may write on top of the last version. Returns its metadata.
    ///
    /// # Errors
    /// [`LakeError::Incompatible`] with every mismatch.
    pub(super) fn check(&self, definition: &Definition, table: &str) -> Result<&MetadataAction, LakeError> {
        let checked = || {
            let protocol = self.protocol.as_ref().ok_or("its log has no protocol")?;
            let metadata = self.metadata.as_ref().ok_or("its log has no metadata")?;
            definition.check_protocol(protocol)?;
            definition.check_metadata(metadata)?;
            match self.before_restore {
                Some(_) => Err(RESTORED.to_owned()),
                None => Ok(metadata),
            }
        };
        checked().map_err(|mismatch: String| LakeError::Incompatible {
            table: table.to_owned(),
            mismatch,
        })
    }

    fn live_paths(&self) -> HashSet<Arc<str>> {
        self.snapshot.files.keys().cloned().collect()
    }

    fn ingest(
        &mut self,
        format: &EntryFormat<'_>,
        version: u64,
        lines: Bytes,
        is_entry: bool,
    ) -> Result<(), LakeError> {
        let mut entry = Entry::default();
        for action in actions(version, &lines) {
            let mut action = action?;
            // Only the last protocol and metadata count, so they are checked at the end.
            self.protocol = action.protocol.take().or(self.protocol.take());
            self.metadata = action.meta_data.take().or(self.metadata.take());
            if let Some(remove) = &action.remove {
                let tombstone = Tombstone {
                    deleted_ms: remove.deletion_timestamp,
                    version,
                    is_exact: is_entry,
                };
                self.tombstones.insert(remove.path.as_str().into(), tombstone);
            }
            if let Some(add) = &action.add {
                self.tombstones.remove(add.path.as_str());
            }
            format.ingest(action, &mut entry);
        }
        if entry.is_restore && self.before_restore.is_none() {
            self.before_restore = Some(self.live_paths());
        }
        self.snapshot.apply_actions(&entry);
        if self.before_restore.is_some() && self.before_restore == Some(self.live_paths()) {
            self.before_restore = None;
        }
        self.snapshot.entry_id = entry.id;
        Ok(())
    }
}

/// A version's entry; `None` if it does not exist.
pub(super) async fn entry_bytes(log_store: &dyn LogStore, version: u64) -> Result<Option<Bytes>, LakeError> {
    log_store
        .read_commit_entry(version)
        .await
        .map_err(|error| LakeError::from_delta(format!("read log entry {version}"), &error))
}

/// The actions of a checkpoint as JSON lines, so that the reader of entries reads them too; `None` if one of
/// its files does not exist. All parts together, because the two halves of a position may lie in different
/// parts.
///
/// # Errors
/// [`LakeError::Damaged`] if it is torn, empty or not a checkpoint.
pub(super) async fn checkpoint_lines(
    log_store: &dyn LogStore,
    checkpoint: &Checkpoint,
    columns: &'static [&'static str],
) -> Result<Option<Bytes>, LakeError> {
    let mut lines = Vec::new();
    for part in &checkpoint.parts {
        let Some(bytes) = get(log_store, part).await? else {
            return Ok(None);
        };
        let damaged = |reason: String| LakeError::Damaged {
            what: format!("the checkpoint {}", part.filename().unwrap_or_default()),
            reason,
        };
        // Inconsistent bytes may make the Parquet reader panic; in a separate task, that is an error.
        let read = tokio::task::spawn_blocking(move || json_lines(bytes, columns)).await;
        let part_lines = read
            .map_err(|error| damaged(error.to_string()))?
            .map_err(|error| damaged(error.to_string()))?;
        lines.extend_from_slice(&part_lines);
    }
    let has = |action: &[u8]| {
        lines
            .split(|&byte| byte == b'\n')
            .any(|line| line.starts_with(action))
    };
    if !has(b"{\"protocol\":") || !has(b"{\"metaData\":") {
        return Err(LakeError::Damaged {
            what: format!("the checkpoint {}", checkpoint.name()),
            reason: "it holds no protocol or no metadata".to_owned(),
        });
    }
    Ok(Some(lines.into()))
}

async fn get(log_store: &dyn LogStore, path: &Path) -> Result<Option<Bytes>, LakeError> {
    let read = async { log_store.object_store(None).get(path).await?.bytes().await }.await;
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(LakeError::from_store(format!("read {path}"), &error)),
    }
}

fn json_lines(bytes: Bytes, columns: &[&str]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let roots = builder.parquet_schema().root_schema().get_fields();
    let indices: Vec<usize> = (0..roots.len())
        .filter(|&index| columns.contains(&roots[index].name()))
        .collect();
    let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), indices);
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in builder.with_projection(mask).build()? {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}
