//! Keeps the table small and fast: compacts closed windows, checkpoints the log, cleans up expired log entries
//! and vacuums replaced files. All of it is safe while writers run, because a compaction is an ordinary commit
//! and the rest only touches files that no version refers to.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::repair;
use super::vacuum::{self, Contents};
use super::{Lake, LakeError, MaintenanceSettings, log_expiry};
use crate::clock;
use crate::reading::Position;
use crate::table::{CachedSnapshot, Outcome, choose_compaction};

/// Maintenance of one table, with its own cached version.
#[derive(Debug)]
pub struct Maintenance {
    lake: Arc<Lake>,
    settings: MaintenanceSettings,
    allowed_delay_ms: i64,
    cached: Option<CachedSnapshot>,
    checkpointed_version: u64,
    /// The positions at the last round: a partition that has not moved since keeps no window open.
    positions: Vec<(i32, Position)>,
}

/// The work of a round; under a dry run, the work to do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Data files that a compaction replaces.
    pub files_merged: usize,
    /// Data files that take their place.
    pub files_written: usize,
    /// Paths within the table of data files past their retention.
    pub files_deleted: Vec<String>,
    /// Log entries and checkpoints below the oldest version that is kept.
    pub log_entries_deleted: usize,
    /// The version that a checkpoint was made of; `None` if none was due.
    pub checkpoint_version: Option<u64>,
}

impl Maintenance {
    /// Maintenance that continues from a cached version.
    pub fn new(
        lake: Arc<Lake>,
        settings: MaintenanceSettings,
        allowed_delay_ms: i64,
        cached: CachedSnapshot,
    ) -> Self {
        Maintenance {
            lake,
            settings,
            allowed_delay_ms,
            cached: Some(cached),
            checkpointed_version: 0,
            positions: Vec::new(),
        }
    }

    /// Maintains the table until it is dropped. A failure is logged and retried in the next round: nothing
    /// depends on it.
    pub async fn run(mut self) {
        let mut rounds = tokio::time::interval(self.settings.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rounds.tick().await;
        let mut cleaned_up_at = clock::instant();
        loop {
            rounds.tick().await;
            if let Err(error) = self.round().await {
                warn!(%error, "maintenance failed; it will retry");
            }
            if clock::instant().duration_since(cleaned_up_at) >= self.settings.cleanup_interval {
                cleaned_up_at = clock::instant();
                if let Err(error) = self.clean_up(false).await {
                    warn!(%error, "clean-up failed; it will retry");
                }
            }
        }
    }

    /// Compacts closed windows and makes a checkpoint if one is due, also where a file cannot be merged.
    ///
    /// # Errors
    /// The first failure; the rest of the round is done.
    pub async fn round(&mut self) -> Result<MaintenanceReport, LakeError> {
        let compacted = self.compact(false).await;
        let cached = self.refreshed().await?;
        let version = cached.snapshot.version;
        self.cached = Some(cached);
        let is_due = version >= self.checkpointed_version + self.settings.checkpoint_commits;
        if is_due {
            self.checkpoint().await?;
        }
        let mut report = compacted?;
        report.checkpoint_version = is_due.then_some(version);
        Ok(report)
    }

    /// Merges small files of closed windows; under `dry_run` only reports.
    ///
    /// # Errors
    /// The first failure; the files of other windows are merged.
    pub async fn compact(&mut self, dry_run: bool) -> Result<MaintenanceReport, LakeError> {
        let mut cached = self.refreshed().await?;
        let closed_before_ms = self.closed_before_ms(&cached);
        let sets = choose_compaction(
            &cached.snapshot,
            &self.lake.definition().layout,
            closed_before_ms,
            self.settings.compact_files,
            self.settings.target_file_bytes,
        );
        let mut report = MaintenanceReport::default();
        let mut failure = None;
        for set in sets {
            let merged = set.len();
            if !dry_run {
                let committed = match self.lake.compact(set, cached).await {
                    Ok(committed) => committed,
                    Err(error) => {
                        failure = failure.or(Some(error));
                        cached = self.lake.reload().await?;
                        continue;
                    }
                };
                cached = committed.cached;
                let Outcome::Committed { version } = committed.outcome else {
                    // A writer was faster. The next round looks again.
                    continue;
                };
                debug!(version, merged, "compacted");
            }
            report.files_merged += merged;
            report.files_written += 1;
        }
        if report.files_merged > 0 && !dry_run {
            info!(
                merged = report.files_merged,
                into = report.files_written,
                "compacted closed windows"
            );
        }
        self.cached = Some(cached);
        failure.map_or(Ok(report), Err)
    }

    /// Makes a checkpoint of the last version. If a damaged checkpoint or a wrong hint prevents it, repairs
    /// the log first.
    pub async fn checkpoint(&mut self) -> Result<(), LakeError> {
        let made = repair::make_checkpoint(self.lake.log_store()).await;
        self.checkpointed_version = match made {
            Ok(version) => version,
            Err(error) => {
                let report = repair::repair_log(self.lake.log_store(), false).await?;
                if report.deleted.is_empty() {
                    return Err(error);
                }
                for (file, fault) in &report.deleted {
                    warn!(%file, %fault, "deleted a faulty log file that prevented a checkpoint");
                }
                report.version
            }
        };
        debug!(
            version = self.checkpointed_version,
            "made a checkpoint of the log"
        );
        Ok(())
    }

    /// Deletes log entries and replaced files past their retention.
    pub async fn clean_up(&mut self, dry_run: bool) -> Result<MaintenanceReport, LakeError> {
        let mut report = MaintenanceReport::default();
        let log_store = self.lake.log_store().as_ref();
        let contents = Contents::look(log_store).await?;
        // Files first: the log entries name the removed ones.
        report.files_deleted =
            vacuum::vacuum(&self.lake, &contents, self.settings.vacuum_retention, dry_run).await?;
        if !dry_run {
            // By the setting and not by the table's property, which has the setting's value at creation:
            // writers rely on the log for as long as the setting says.
            report.log_entries_deleted =
                log_expiry::expire(log_store, contents.now_ms, self.settings.log_retention).await?;
        }
        if !dry_run && report != MaintenanceReport::default() {
            let (files, log_entries) = (report.files_deleted.len(), report.log_entries_deleted);
            info!(files, log_entries, "deleted files past their retention");
        }
        Ok(report)
    }

    async fn refreshed(&mut self) -> Result<CachedSnapshot, LakeError> {
        let cached = match self.cached.take() {
            Some(cached) => cached,
            None => self.lake.reload().await?,
        };
        self.lake.refresh(cached).await
    }

    /// Windows that ended before this receive no more readings, judging by the partitions that still move. A
    /// wrong guess costs one more rewrite.
    fn closed_before_ms(&mut self, cached: &CachedSnapshot) -> i64 {
        let positions: Vec<(i32, Position)> = cached
            .snapshot
            .positions
            .iter()
            .map(|(&partition, &position)| (partition, position))
            .collect();
        let moved = positions
            .iter()
            .filter(|position| !self.positions.contains(position));
        let oldest = moved
            .filter_map(|(_, position)| position.largest_event_time_ms)
            .min();
        let newest = positions
            .iter()
            .filter_map(|(_, position)| position.largest_event_time_ms)
            .max();
        self.positions = positions;
        oldest
            .or(newest)
            .map_or(i64::MIN, |time_ms| time_ms.saturating_sub(self.allowed_delay_ms))
    }
}
