//! Repairs a log: compares its checkpoints and the hint with its entries, and deletes those that are wrong.
//!
//! Checkpoints and the hint only abbreviate entries. So deleting one loses nothing as long as the entries, or
//! another checkpoint and the entries after it, lead to the last version. Otherwise nothing is touched.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deltalake::DeltaTable;
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::checkpoints;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::Deserialize;

use super::LakeError;
use super::actions::{MetadataAction, ProtocolAction, actions};
use super::location::{OpenMode, log_store};
use super::log_listing::{Checkpoint, LogListing};
use super::recover::{checkpoint_lines, entry_bytes, list_log};
use crate::lake::TableSettings;

/// The file that names the newest checkpoint (Delta protocol).
const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// The faults found in a log, and the repairs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// The last version of the log.
    pub version: u64,
    /// Checkpoints that agree with the log.
    pub sound_checkpoints: usize,
    /// The deleted files of the log, each with its fault; under a dry run, those to delete.
    pub deleted: Vec<(String, String)>,
    /// The version of the new checkpoint; under a dry run, of the one to make.
    pub checkpoint_version: Option<u64>,
}

/// The full state at a version, of all programs.
#[derive(Debug, Default, Clone)]
struct State {
    protocol: Option<ProtocolAction>,
    metadata: Option<MetadataAction>,
    files: BTreeMap<String, i64>,
    transactions: BTreeMap<String, i64>,
}

/// Repairs the log of the configured table; under `dry_run` only reports its faults.
///
/// # Errors
/// [`LakeError::Missing`] if there is no table, [`LakeError::Incompatible`] if it is not one of ours, and
/// [`LakeError::Damaged`] if nothing leads to the last version; then nothing is changed.
pub async fn repair(table: &TableSettings, dry_run: bool) -> Result<RepairReport, LakeError> {
    let log_store = log_store(table, OpenMode::MustExist).await?;
    repair_log(&log_store, dry_run).await
}

/// A quick check of the newest checkpoint and the hint, for a caller that could not open the table.
pub(crate) async fn apparent_damage(log_store: &LogStoreRef) -> Result<Option<String>, LakeError> {
    let log = list_log(log_store.as_ref()).await?;
    let versions = log.checkpoints.keys().copied().collect();
    if let Some(fault) = fault_of_hint(log_store, &versions).await? {
        return Ok(Some(format!("the log's {LAST_CHECKPOINT} is damaged: {fault}")));
    }
    let newest = log.checkpoints_until(u64::MAX).into_iter().next();
    let Some((_, newest)) = newest else {
        return Ok(None);
    };
    match read(log_store, &newest).await {
        Err(damaged @ LakeError::Damaged { .. }) => Ok(Some(damaged.to_string())),
        read => read.map(|_| None),
    }
}

/// Verifies the log and, unless it is a dry run, deletes wrong files and makes a new checkpoint.
///
/// # Errors
/// [`LakeError::Damaged`] if nothing leads to the last version; then nothing is changed.
pub(super) async fn repair_log(log_store: &LogStoreRef, dry_run: bool) -> Result<RepairReport, LakeError> {
    let log = list_log(log_store.as_ref()).await?;
    let Some(last) = log.last() else {
        return Err(LakeError::Missing(log_store.root_url().to_string()));
    };
    let found = examine(log_store, &log, last).await?;
    let mut report = RepairReport {
        version: last,
        sound_checkpoints: found.sound.len(),
        ..RepairReport::default()
    };
    let mut files: Vec<Path> = Vec::new();
    for (checkpoint, fault) in &found.bad {
        report.deleted.push((checkpoint.name().to_owned(), fault.clone()));
        files.extend(checkpoint.parts.iter().cloned());
    }
    if let Some(fault) = fault_of_hint(log_store, &found.sound).await? {
        report.deleted.push((LAST_CHECKPOINT.to_owned(), fault));
        // First, so that no reader follows it to a deleted checkpoint.
        files.insert(0, log_store.log_path().clone().join(LAST_CHECKPOINT));
    }
    let is_to_be_made = !report.deleted.is_empty() && !found.sound.contains(&last);
    report.checkpoint_version = is_to_be_made.then_some(last);
    if dry_run {
        return Ok(report);
    }
    let store = log_store.object_store(None);
    for file in &files {
        match store.delete(file).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(LakeError::from_store(format!("delete {file}"), &error)),
        }
    }
    if is_to_be_made {
        let version = make_checkpoint(log_store).await?;
        verify(log_store, version).await?;
        report.checkpoint_version = Some(version);
    }
    Ok(report)
}

/// Makes a checkpoint of the last version. Returns the version.
pub(super) async fn make_checkpoint(log_store: &LogStoreRef) -> Result<u64, LakeError> {
    let mut table = DeltaTable::new(LogStoreRef::clone(log_store));
    table
        .load()
        .await
        .map_err(|error| LakeError::from_delta("load the table", &error))?;
    checkpoints::create_checkpoint(&table, None)
        .await
        .map_err(|error| LakeError::from_delta("make a checkpoint", &error))?;
    Ok(table.version().unwrap_or_default())
}

/// Compares a new checkpoint with the log before anything rests on it.
async fn verify(log_store: &LogStoreRef, version: u64) -> Result<(), LakeError> {
    let log = list_log(log_store.as_ref()).await?;
    let last = log.last().unwrap_or(version);
    let found = examine(log_store, &log, last).await?;
    match found.bad.first() {
        None => Ok(()),
        Some((checkpoint, fault)) => Err(LakeError::Damaged {
            what: format!("the new checkpoint {}", checkpoint.name()),
            reason: fault.clone(),
        }),
    }
}

/// Checkpoints by soundness.
#[derive(Debug, Default)]
struct Examined {
    sound: BTreeSet<u64>,
    bad: Vec<(Checkpoint, String)>,
}

/// Replays the log from its first entry or first sound checkpoint to its last version, and compares each checkpoint.
async fn examine(log_store: &LogStoreRef, log: &LogListing, last: u64) -> Result<Examined, LakeError> {
    let mut found = Examined::default();
    let mut faults = Vec::new();
    // The state at a version, and whether it includes the very first entry.
    let mut followed: Option<(u64, State)> = None;
    let mut is_from_start = false;
    let versions: BTreeSet<u64> = log
        .entries
        .iter()
        .chain(log.checkpoints.keys())
        .copied()
        .collect();
    let entries: BTreeSet<u64> = log.entries.iter().copied().collect();
    let fetched = futures::stream::iter(versions).map(|version| {
        let is_entry = entries.contains(&version);
        async move {
            let bytes = match is_entry {
                true => entry_bytes(log_store.as_ref(), version).await?,
                false => None,
            };
            Ok::<_, LakeError>((version, bytes))
        }
    });
    let mut fetched = std::pin::pin!(fetched.buffered(CONCURRENT_READS));
    while let Some(next) = fetched.next().await {
        let (version, bytes) = next?;
        followed = match follow(followed, version, bytes) {
            Ok(state) => state,
            Err(error) => {
                faults.push(error.to_string());
                None
            }
        };
        is_from_start = followed.is_some() && (is_from_start || version == 0);
        for checkpoint in log.checkpoints.get(&version).into_iter().flatten() {
            let state = match read(log_store, checkpoint).await {
                Ok(state) => state,
                Err(LakeError::Damaged { what, reason }) => {
                    faults.push(format!("{what} is damaged ({reason})"));
                    found
                        .bad
                        .push((checkpoint.clone(), format!("it is damaged: {reason}")));
                    continue;
                }
                Err(other) => return Err(other),
            };
            match followed
                .as_ref()
                .and_then(|(_, known)| known.contradiction(&state))
            {
                None => {
                    found.sound.insert(version);
                    followed = Some((version, state));
                }
                Some(fault) if is_from_start => found.bad.push((checkpoint.clone(), fault)),
                Some(fault) => {
                    return Err(unrepairable(format!(
                        "its checkpoint of version {version} contradicts an earlier one ({fault}), and the entries that \
                         would show which is right are gone"
                    )));
                }
            }
        }
    }
    match followed {
        Some((version, state)) if version == last => {
            if state.pipeline().is_none() {
                return Err(LakeError::Incompatible {
                    table: log_store.root_url().to_string(),
                    mismatch: "streamgauge.pipeline is missing from its properties (was it made by another program?)"
                        .to_owned(),
                });
            }
            Ok(found)
        }
        _ => {
            let base = found.sound.last().map_or(0, |version| version + 1);
            faults.extend(
                log.first_missing(base, last)
                    .map(|version| format!("entry {version} is missing")),
            );
            Err(unrepairable(faults.join("; ")))
        }
    }
}

const CONCURRENT_READS: usize = 16;

/// Applies the entry of a version. Without it, or without the previous version, the state is unknown.
fn follow(
    followed: Option<(u64, State)>,
    version: u64,
    bytes: Option<Bytes>,
) -> Result<Option<(u64, State)>, LakeError> {
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let mut state = match followed {
        _ if version == 0 => State::default(),
        Some((before, state)) if before + 1 == version => state,
        _ => return Ok(None),
    };
    state.ingest(version, &bytes)?;
    Ok(Some((version, state)))
}

fn unrepairable(reason: String) -> LakeError {
    LakeError::Damaged {
        what: "the log".to_owned(),
        reason: format!(
            "{reason}; it cannot be rebuilt from what is left, so nothing was changed. Restore its folder from a backup or the \
             bucket's versions, or make a new table and read the topic again"
        ),
    }
}

async fn read(log_store: &LogStoreRef, checkpoint: &Checkpoint) -> Result<State, LakeError> {
    // Every column that Delta readers read.
    const COLUMNS: [&str; 7] = [
        "txn",
        "add",
        "remove",
        "metaData",
        "protocol",
        "domainMetadata",
        "sidecar",
    ];
    let damaged = |reason: String| LakeError::Damaged {
        what: format!("the checkpoint {}", checkpoint.name()),
        reason,
    };
    let lines = checkpoint_lines(log_store.as_ref(), checkpoint, &COLUMNS).await?;
    let lines = lines.ok_or_else(|| damaged("it is gone".to_owned()))?;
    let mut state = State::default();
    state
        .ingest(0, &lines)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(state)
}

impl State {
    fn ingest(&mut self, version: u64, lines: &[u8]) -> Result<(), LakeError> {
        for action in actions(version, lines) {
            let action = action?;
            self.protocol = action.protocol.or(self.protocol.take());
            self.metadata = action.meta_data.or(self.metadata.take());
            if let Some(remove) = action.remove {
                self.files.remove(&remove.path);
            }
            if let Some(add) = action.add {
                self.files.insert(add.path, add.size);
            }
            if let Some(txn) = action.txn {
                self.transactions.insert(txn.app_id, txn.version);
            }
        }
        Ok(())
    }

    /// The pipeline of the table, if it is one of this program's.
    fn pipeline(&self) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        metadata.configuration.get("streamgauge.pipeline")?.as_deref()
    }

    /// The first contradiction between a checkpoint and the log, if there is one.
    fn contradiction(&self, checkpoint: &State) -> Option<String> {
        let missing = self
            .files
            .keys()
            .filter(|path| !checkpoint.files.contains_key(*path))
            .count();
        let extra = checkpoint
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path))
            .count();
        if missing + extra > 0 {
            return Some(format!(
                "it lacks {missing} of the files that the log names, and has {extra} that the log does not"
            ));
        }
        if let Some((path, _)) = self
            .files
            .iter()
            .find(|(path, size)| checkpoint.files.get(*path) != Some(size))
        {
            return Some(format!("it gives {path} another size than the log"));
        }
        // Positions never expire; transactions of other programs may have.
        let pipeline = self.pipeline().map(|name| format!("{name}/"));
        for (id, version) in &self.transactions {
            let found = checkpoint.transactions.get(id);
            let is_ours = pipeline.as_ref().is_some_and(|pipeline| id.starts_with(pipeline));
            if found.map_or(is_ours, |found| found != version) {
                return Some(format!("it does not have the position {id} of the log"));
            }
        }
        if checkpoint
            .transactions
            .keys()
            .any(|id| !self.transactions.contains_key(id))
        {
            return Some("it has positions that the log does not".to_owned());
        }
        let identity = |state: &State| {
            let metadata = state.metadata.as_ref()?;
            let protocol = state.protocol.as_ref()?;
            Some((
                (
                    metadata.id.clone(),
                    metadata.schema_string.clone(),
                    metadata.configuration.clone(),
                ),
                (protocol.min_reader_version, protocol.min_writer_version),
            ))
        };
        (identity(self) != identity(checkpoint))
            .then(|| "it is of another table, or of other properties".to_owned())
    }
}

/// The fault of the hint at the newest checkpoint, if it has one. Delta readers look for that checkpoint only.
async fn fault_of_hint(log_store: &LogStoreRef, sound: &BTreeSet<u64>) -> Result<Option<String>, LakeError> {
    #[derive(Deserialize)]
    struct Hint {
        version: u64,
    }
    let path = log_store.log_path().clone().join(LAST_CHECKPOINT);
    let read = async { log_store.object_store(None).get(&path).await?.bytes().await }.await;
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(LakeError::from_store(format!("read {path}"), &error)),
    };
    Ok(match serde_json::from_slice::<Hint>(&bytes) {
        Err(error) => Some(format!("it cannot be read: {error}")),
        Ok(hint) if sound.contains(&hint.version) => None,
        Ok(hint) => Some(format!(
            "it names version {}, of which there is no sound checkpoint",
            hint.version
        )),
    })
}
