//! What keeps the table small and quick without anybody's help: compaction of closed windows, checkpoints of the
//! log, cleanup of expired log entries, vacuum of replaced files. All of it is safe beside running writers, because
//! a compaction is a commit like any other and the rest only touches what no version refers to.

use std::sync::Arc;

use chrono::Duration;
use deltalake::DeltaTable;
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::checkpoints;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::{Lake, LakeError};
use crate::clock;
use crate::config::MaintenanceConfig;
use crate::reading::Position;
use crate::table::{Known, Outcome, choose_compaction};

/// Maintenance of one table, with a version of its own that it follows the log with.
#[derive(Debug)]
pub struct Maintenance {
    lake: Arc<Lake>,
    settings: MaintenanceConfig,
    allowed_delay_ms: i64,
    known: Option<Known>,
    checkpointed_version: u64,
    /// Positions as of the last round: a partition that did not move since holds nothing open.
    positions: Vec<(i32, Position)>,
}

/// What a round did, or under a dry run would do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MaintenanceReport {
    pub files_merged: usize,
    pub files_written: usize,
    pub files_deleted: Vec<String>,
    pub log_entries_deleted: usize,
    pub checkpoint_version: Option<u64>,
}

impl Maintenance {
    /// Maintenance that goes on from a known version.
    pub fn new(lake: Arc<Lake>, settings: MaintenanceConfig, allowed_delay_ms: i64, known: Known) -> Self {
        Maintenance {
            lake,
            settings,
            allowed_delay_ms,
            known: Some(known),
            checkpointed_version: 0,
            positions: Vec::new(),
        }
    }

    /// Keeps the table healthy until it is dropped. What fails is logged and tried again at the next round: nothing
    /// depends on it.
    pub async fn run(mut self) {
        let mut rounds = tokio::time::interval(self.settings.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rounds.tick().await;
        let mut cleaned_up_at = clock::instant();
        loop {
            rounds.tick().await;
            if let Err(error) = self.round().await {
                warn!(%error, "maintenance failed; trying again in a while");
            }
            if clock::instant().duration_since(cleaned_up_at) >= self.settings.cleanup_interval {
                cleaned_up_at = clock::instant();
                if let Err(error) = self.clean_up(false).await {
                    warn!(%error, "cleaning up failed; trying again in a while");
                }
            }
        }
    }

    /// Compacts closed windows and makes a checkpoint if one is due.
    pub async fn round(&mut self) -> Result<MaintenanceReport, LakeError> {
        let mut report = self.compact(false).await?;
        let version = self.known.as_ref().map_or(0, |known| known.image.version);
        if version >= self.checkpointed_version + self.settings.checkpoint_commits {
            self.checkpoint().await?;
            report.checkpoint_version = Some(version);
        }
        Ok(report)
    }

    /// Merges small files of closed windows; under `dry_run` only says what it would merge.
    pub async fn compact(&mut self, dry_run: bool) -> Result<MaintenanceReport, LakeError> {
        let mut known = self.refreshed().await?;
        let closed_before_ms = self.closed_before_ms(&known);
        let sets = choose_compaction(
            &known.image,
            &self.lake.definition().layout,
            closed_before_ms,
            self.settings.compact_files,
            self.settings.target_file_bytes,
        );
        let mut report = MaintenanceReport::default();
        for set in sets {
            let merged = set.len();
            if !dry_run {
                let committed = self.lake.compact(set, known).await?;
                known = committed.known;
                match committed.outcome {
                    Outcome::Committed { version } => debug!(version, merged, "compacted"),
                    // A writer was faster. The next round looks again.
                    _ => continue,
                }
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
        self.known = Some(known);
        Ok(report)
    }

    /// Makes a checkpoint of the log's last version.
    pub async fn checkpoint(&mut self) -> Result<(), LakeError> {
        let table = self.loaded_table().await?;
        let failed = |error| LakeError::from_delta("make a checkpoint", &error);
        checkpoints::create_checkpoint(&table, None)
            .await
            .map_err(failed)?;
        self.checkpointed_version = table.version().unwrap_or_default();
        debug!(
            version = self.checkpointed_version,
            "made a checkpoint of the log"
        );
        Ok(())
    }

    /// Deletes log entries and replaced files that are past their retention.
    pub async fn clean_up(&mut self, dry_run: bool) -> Result<MaintenanceReport, LakeError> {
        let mut report = MaintenanceReport::default();
        let table = self.loaded_table().await?;
        if !dry_run {
            let failed = |error| LakeError::from_delta("clean up the log", &error);
            // By the setting rather than the table's property, which is as the setting was when the table was made:
            // writers trust the log for as long as the setting says.
            let cutoff_ms = clock::now_ms() - self.settings.log_retention.as_millis() as i64;
            let version = table.version().unwrap_or_default();
            let log_store = self.lake.log_store().as_ref();
            report.log_entries_deleted =
                checkpoints::cleanup_expired_logs_for(version, log_store, cutoff_ms, None)
                    .await
                    .map_err(failed)?;
        }
        let failed = |error| LakeError::from_delta("vacuum", &error);
        let retention = Duration::from_std(self.settings.vacuum_retention).unwrap_or(Duration::days(1));
        let (_, metrics) = table
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            // Full, because a commit that lost a race leaves files that no log entry ever names.
            .with_mode(VacuumMode::Full)
            .with_dry_run(dry_run)
            .await
            .map_err(failed)?;
        report.files_deleted = metrics.files_deleted;
        if !dry_run && report != MaintenanceReport::default() {
            let (files, log_entries) = (report.files_deleted.len(), report.log_entries_deleted);
            info!(files, log_entries, "deleted what was past its retention");
        }
        Ok(report)
    }

    async fn loaded_table(&self) -> Result<DeltaTable, LakeError> {
        let mut table = DeltaTable::new(Arc::clone(self.lake.log_store()));
        table
            .load()
            .await
            .map_err(|error| LakeError::from_delta("load the table", &error))?;
        Ok(table)
    }

    async fn refreshed(&mut self) -> Result<Known, LakeError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => self.lake.reload().await?,
        };
        self.lake.refresh(known).await
    }

    /// Windows that ended before this get no more readings, as far as the partitions that still move tell. A wrong
    /// guess costs one more rewrite, nothing else.
    fn closed_before_ms(&mut self, known: &Known) -> i64 {
        let positions: Vec<(i32, Position)> = known
            .image
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
