//! Deletes log entries that are past their retention and covered by a sound checkpoint.

use std::time::Duration;

use deltalake::logstore::LogStore;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tracing::debug;

use super::LakeError;
use super::log_listing::LogListing;
use super::recover::{checkpoint_lines, list_log};

/// Every column that any program's replay needs.
const ALL: [&str; 5] = ["txn", "add", "remove", "metaData", "protocol"];

/// Deletes entries past the retention at a time of the store's clock. Returns the number of deleted files.
///
/// It deletes the oldest first, one by one, so that an interruption leaves an unbroken log, and a writer that
/// finds a freed version number finds the previous one freed, too.
pub(super) async fn expire(
    log_store: &dyn LogStore,
    now_ms: i64,
    retention: Duration,
) -> Result<usize, LakeError> {
    let log = list_log(log_store).await?;
    let cutoff_ms = now_ms.saturating_sub(retention.as_millis() as i64);
    let Some(base) = base(log_store, &log, cutoff_ms, now_ms).await? else {
        return Ok(0);
    };
    let entries = log.entries.iter().take_while(|&&version| version < base);
    let entries = entries.map(|version| log_store.log_path().clone().join(format!("{version:020}.json")));
    let checkpoints = log.checkpoints.range(..base).flat_map(|(_, all)| all);
    let parts = checkpoints.flat_map(|checkpoint| checkpoint.parts.iter().cloned());
    let expired: Vec<Path> = entries.chain(parts).collect();
    let store = log_store.object_store(None);
    for file in &expired {
        match store.delete(file).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(LakeError::from_store(format!("delete {file}"), &error)),
        }
    }
    Ok(expired.len())
}

/// The newest checkpoint from which every version since the cutoff can be rebuilt, if it makes any entry superfluous.
async fn base(
    log_store: &dyn LogStore,
    log: &LogListing,
    cutoff_ms: i64,
    now_ms: i64,
) -> Result<Option<u64>, LakeError> {
    let Some(wanted) = log.version_at(cutoff_ms, now_ms) else {
        return Ok(None);
    };
    let last = log.last().unwrap_or(wanted);
    for (version, checkpoint) in log.checkpoints_until(wanted) {
        let is_first = log.entries.first().is_none_or(|&first| first >= version)
            && log
                .checkpoints
                .first_key_value()
                .is_none_or(|(&first, _)| first >= version);
        if is_first || log.first_missing(version + 1, last).is_some() {
            return Ok(None);
        }
        // Read it completely before deleting the entries that it covers.
        match checkpoint_lines(log_store, &checkpoint, &ALL).await {
            Ok(Some(_)) => return Ok(Some(version)),
            Ok(None) => return Ok(None),
            Err(LakeError::Damaged { what, reason }) => {
                debug!(%what, %reason, "checkpoint cannot serve as the base of a clean-up")
            }
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}
