//! Deletes files that the table no longer needs, and no others.
//!
//! A file is deleted if the log removed it or its name has this program's form directly in the table's folder,
//! if no version that can still be read names it, and if it is past its retention. Nothing is deleted through
//! a link, within another table, or by a path of a tampered log that leads elsewhere.
//!
//! A file that no version ever named may belong to a commit in progress, even of a process that has slept for
//! days. So a fence is committed before such a file is deleted: a commit that meets the fence writes its files
//! again.
//!
//! Every age is the difference of two times of the store's clock; a small object, written and removed, shows
//! the store's current time. So a machine with a wrong clock deletes nothing early. (On a local disk, the
//! store's clock is that of the machine with the disk.)

use std::collections::HashSet;
use std::path::{Path as FolderPath, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use deltalake::logstore::LogStore;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use uuid::Uuid;

use super::creation::{LOG_FOLDER, PASSING};
use super::file_names::{self, is_ours, unfinished};
use super::log_listing::{LogListing, kind_of};
use super::recover::{Depth, Recovered, Tombstone, list_log, replay_to};
use super::{Lake, LakeError};

/// The listing of the table's folder, and the store's current time.
#[derive(Debug)]
pub(super) struct Contents {
    files: Vec<ObjectMeta>,
    pub(super) now_ms: i64,
}

impl Contents {
    /// Lists the folder.
    pub(super) async fn look(log_store: &dyn LogStore) -> Result<Self, LakeError> {
        let store = log_store.object_store(None);
        let probe = Path::from(format!("{PASSING}{}", Uuid::new_v4()));
        let failed = |error| LakeError::from_store("learn the store's time", &error);
        store.put(&probe, "".into()).await.map_err(failed)?;
        let listed = store.list_with_delimiter(None).await;
        store.delete(&probe).await.map_err(failed)?;
        let mut files = listed.map_err(failed)?.objects;
        let index = files.iter().position(|file| file.location == probe);
        let Some(index) = index else {
            return Err(LakeError::Unavailable {
                action: "learn the store's time".to_owned(),
                reason: "it does not list the object that was just written".to_owned(),
            });
        };
        let now_ms = files.swap_remove(index).last_modified.timestamp_millis();
        Ok(Contents { files, now_ms })
    }
}

/// Candidates for deletion.
#[derive(Debug, Default)]
struct Expired {
    /// Data files, and probes of killed processes.
    objects: Vec<Path>,
    /// Whether one of them is a data file that no version ever named.
    has_unnamed: bool,
    /// Unfinished local writes of killed processes. Stores do not list these.
    leftovers: Vec<PathBuf>,
}

/// Deletes files past the retention. Returns their paths within the table; under `dry_run` it deletes nothing.
pub(super) async fn vacuum(
    lake: &Lake,
    contents: &Contents,
    retention: Duration,
    dry_run: bool,
) -> Result<Vec<String>, LakeError> {
    let log_store = lake.log_store().as_ref();
    let cutoff_ms = contents.now_ms.saturating_sub(retention.as_millis() as i64);
    let mut expired = expired(lake, contents, cutoff_ms).await?;
    if !expired.objects.is_empty() {
        // A commit in progress may have named one of these meanwhile.
        let mut cached = lake.reload().await?;
        if expired.has_unnamed && !dry_run {
            cached = lake.fence(cached).await?.cached;
        }
        let files = cached.snapshot.files;
        let live: HashSet<Path> = files
            .keys()
            .filter_map(|path| file_names::location(path).ok())
            .collect();
        expired.objects.retain(|location| !live.contains(location));
    }
    if !dry_run {
        delete(log_store, expired.objects.clone()).await?;
        for leftover in &expired.leftovers {
            std::fs::remove_file(leftover).or_else(|error| unless_gone(leftover, error))?;
        }
    }
    let objects = expired.objects.iter().map(Path::to_string);
    let leftovers = expired.leftovers.iter().filter_map(|path| {
        let folder = folder_of(log_store)?;
        Some(path.strip_prefix(folder).ok()?.to_string_lossy().into_owned())
    });
    let mut deleted: Vec<String> = objects.chain(leftovers).collect();
    deleted.sort_unstable();
    Ok(deleted)
}

async fn expired(lake: &Lake, contents: &Contents, cutoff_ms: i64) -> Result<Expired, LakeError> {
    let log_store = lake.log_store().as_ref();
    let log = list_log(log_store).await?;
    let kept = Kept::of(lake, &log, contents.now_ms, cutoff_ms).await?;
    let mut expired = Expired::default();
    for file in &contents.files {
        let name = file.location.as_ref();
        let is_removed = is_data_file(&file.location) && kept.is_removed(&file.location);
        let is_probe = name
            .strip_prefix(PASSING)
            .is_some_and(|id| Uuid::parse_str(id).is_ok());
        let is_candidate = is_probe || is_ours(name) || is_removed;
        if is_candidate
            && file.last_modified.timestamp_millis() <= cutoff_ms
            && !kept.has(&file.location)
            && !is_behind_a_link(log_store, &file.location)
        {
            expired.has_unnamed |= is_ours(name) && !is_removed;
            expired.objects.push(file.location.clone());
        }
    }
    // Another program wrote the files of subfolders, and the log removed them.
    for location in &kept.removed {
        if location.parts_count() > 1
            && is_data_file(location)
            && !kept.has(location)
            && !is_behind_a_link(log_store, location)
            && is_old(log_store, location, cutoff_ms).await?
            && !is_in_another_table(log_store, location).await?
        {
            expired.objects.push(location.clone());
        }
    }
    if let Some(folder) = folder_of(log_store) {
        expired.leftovers = leftovers(&folder, cutoff_ms);
    }
    Ok(expired)
}

/// The files to keep, and those the log removed.
struct Kept {
    locations: HashSet<Path>,
    removed: HashSet<Path>,
}

impl Kept {
    /// Keeps the files of the last version, those of the version that was last at the cutoff, and those
    /// removed since. A removal has the time of its entry. If only a checkpoint records it, the earlier of two
    /// times counts: its writer's, whose clock may be wrong, and that of the checkpoint's version. A wrong
    /// clock of the writer cannot affect files of the version at the cutoff.
    async fn of(lake: &Lake, log: &LogListing, now_ms: i64, cutoff_ms: i64) -> Result<Self, LakeError> {
        let last = log.last().unwrap_or_default();
        let current = rebuilt(lake, log, last).await?.ok_or_else(vanished)?;
        let past = past_version(lake, log, log.version_at(cutoff_ms, now_ms)).await?;
        let pasts = past.as_ref().map(|past| &past.tombstones);
        let mut kept = Kept {
            locations: HashSet::new(),
            removed: HashSet::new(),
        };
        let live = current.snapshot.files.keys();
        let live_then = past.iter().flat_map(|past| past.snapshot.files.keys());
        for path in live.chain(live_then) {
            kept.locations.extend(file_names::location(path).ok());
        }
        for (path, tombstone) in current.tombstones.iter().chain(pasts.into_iter().flatten()) {
            let Ok(location) = file_names::location(path) else {
                continue;
            };
            if removed_ms(*tombstone, log, now_ms) > cutoff_ms {
                kept.locations.insert(location);
            } else {
                kept.removed.insert(location);
            }
        }
        Ok(kept)
    }

    fn has(&self, location: &Path) -> bool {
        self.locations.contains(location)
    }

    fn is_removed(&self, location: &Path) -> bool {
        self.removed.contains(location)
    }
}

/// The latest time at which a file was removed, by the store's clock.
fn removed_ms(tombstone: Tombstone, log: &LogListing, now_ms: i64) -> i64 {
    let written_ms = log
        .written_ms(tombstone.version)
        .filter(|&written| written <= now_ms);
    let latest_ms = written_ms.unwrap_or(now_ms);
    match tombstone.is_exact && written_ms.is_some() {
        true => latest_ms,
        false => tombstone
            .deleted_ms
            .map_or(latest_ms, |said_ms| said_ms.min(latest_ms)),
    }
}

/// The version that was last at the cutoff, or the oldest that the log can still rebuild.
async fn past_version(
    lake: &Lake,
    log: &LogListing,
    wanted: Option<u64>,
) -> Result<Option<Recovered>, LakeError> {
    let first_entry = log.entries.first().copied().filter(|&version| version == 0);
    let checkpoints = log.checkpoints.keys().copied();
    let older = wanted.unwrap_or_default();
    let later = first_entry
        .into_iter()
        .chain(checkpoints)
        .filter(|&version| version >= older);
    for version in wanted.into_iter().chain(later) {
        match rebuilt(lake, log, version).await {
            Err(LakeError::Damaged { .. }) => {}
            found => return found?.ok_or_else(vanished).map(Some),
        }
    }
    Ok(None)
}

async fn rebuilt(lake: &Lake, log: &LogListing, version: u64) -> Result<Option<Recovered>, LakeError> {
    let log_store = lake.log_store().as_ref();
    replay_to(log_store, lake.definition(), log, version, Depth::WithTombstones).await
}

fn vanished() -> LakeError {
    LakeError::Unavailable {
        action: "read the log".to_owned(),
        reason: "entries disappeared meanwhile".to_owned(),
    }
}

/// Whether a path that the log removed may be a data file. No other file is deleted on the word of a log.
fn is_data_file(location: &Path) -> bool {
    location.as_ref().ends_with(".parquet")
        && !location.parts().any(|part| part.as_ref().starts_with(['_', '.']))
}

async fn is_old(log_store: &dyn LogStore, location: &Path, cutoff_ms: i64) -> Result<bool, LakeError> {
    match log_store.object_store(None).head(location).await {
        Ok(found) => Ok(found.last_modified.timestamp_millis() <= cutoff_ms),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(LakeError::from_store(format!("look at {location}"), &error)),
    }
}

/// Whether a folder on the path to a file is a table.
async fn is_in_another_table(log_store: &dyn LogStore, location: &Path) -> Result<bool, LakeError> {
    let store = log_store.object_store(None);
    let parts: Vec<_> = location.parts().collect();
    for length in 1..parts.len() {
        let folder = Path::from_iter(parts[..length].iter().cloned()).join(LOG_FOLDER);
        let first = store.list(Some(&folder)).next().await.transpose();
        let found = first.map_err(|error| LakeError::from_store(format!("look at {folder}"), &error))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The table's folder, if it is local.
fn folder_of(log_store: &dyn LogStore) -> Option<PathBuf> {
    log_store.root_url().to_file_path().ok()
}

/// Whether the file or a folder on its path is a link. Then it may belong to someone else.
fn is_behind_a_link(log_store: &dyn LogStore, location: &Path) -> bool {
    let Some(mut path) = folder_of(log_store) else {
        return false;
    };
    location.parts().any(|part| {
        path.push(part.as_ref());
        path.symlink_metadata().is_ok_and(|found| found.is_symlink())
    })
}

/// Unfinished files of killed processes, in the table's folder and in its log.
fn leftovers(folder: &FolderPath, cutoff_ms: i64) -> Vec<PathBuf> {
    let is_of_table = |name: &str| is_ours(name) || name.starts_with(PASSING);
    let is_of_log =
        |name: &str| kind_of(name).is_some() || name == "_last_checkpoint" || name.starts_with(PASSING);
    let mut found = old_unfinished(folder, cutoff_ms, is_of_table);
    let log = folder.join(LOG_FOLDER);
    if log.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        found.extend(old_unfinished(&log, cutoff_ms, is_of_log));
    }
    found
}

fn old_unfinished(folder: &FolderPath, cutoff_ms: i64, is_ours: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_left = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let is_named = name.to_str().and_then(unfinished).is_some_and(&is_ours);
        // Of the entry itself, not of a link's target.
        let found = entry.metadata().ok().filter(|found| found.is_file());
        let modified = found.and_then(|found| found.modified().ok());
        is_named
            && modified
                .is_some_and(|time| DateTime::<chrono::Utc>::from(time).timestamp_millis() <= cutoff_ms)
    };
    entries.filter(is_left).map(|entry| entry.path()).collect()
}

fn unless_gone(path: &FolderPath, error: std::io::Error) -> Result<(), LakeError> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(LakeError::Refused {
            action: format!("delete {}", path.display()),
            reason: error.to_string(),
        }),
    }
}

async fn delete(log_store: &dyn LogStore, locations: Vec<Path>) -> Result<(), LakeError> {
    let locations = futures::stream::iter(locations.into_iter().map(Ok)).boxed();
    let mut deleted = log_store.object_store(None).delete_stream(locations);
    while let Some(result) = deleted.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(LakeError::from_store("delete a replaced file", &error)),
        }
    }
    Ok(())
}
