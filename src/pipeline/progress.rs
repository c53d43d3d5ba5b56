//! What a run has come to, for whoever shows it.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::backlog::Lag;
use crate::decode::Counts;

/// The table's side of a run so far.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Records whose fate is committed.
    pub counts: Counts,
    /// Records taken in, committed or not.
    pub taken_in: u64,
    /// Rows that wait to be written.
    pub pending_rows: usize,
    /// The last version committed.
    pub version: Option<u64>,
    /// Files of that version.
    pub files: Option<usize>,
    pub commits: Commits,
    /// The assigned partitions.
    pub partitions: Vec<PartitionProgress>,
}

impl Progress {
    /// The newest watermark of the assigned partitions, in milliseconds since 1970.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.partitions
            .iter()
            .filter_map(|partition| partition.watermark_ms)
            .max()
    }
}

/// How far one partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionProgress {
    pub partition: i32,
    pub lag: Lag,
    /// In milliseconds since 1970; none before the first reading.
    pub watermark_ms: Option<i64>,
}

/// Records that are not committed yet, over all partitions; unknown while the end of one is.
pub fn lag_records(partitions: &[PartitionProgress]) -> Option<i64> {
    partitions.iter().map(|partition| partition.lag.records).sum()
}

/// Commits of one side: of versions of the table, or of transactions with anomalies.
#[derive(Debug, Clone)]
pub struct Commits {
    /// How long each took, in seconds.
    pub durations: Histogram,
    /// Those that another process's came before.
    pub overtaken: u64,
    /// When the last one ended, in milliseconds since 1970.
    pub last_ms: Option<i64>,
}

impl Default for Commits {
    fn default() -> Self {
        /// In seconds: from a transaction on a quick broker to a store that is hardly there.
        const BUCKETS: [f64; 12] = [
            0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
        ];
        Commits {
            durations: Histogram::new(BUCKETS),
            overtaken: 0,
            last_ms: None,
        }
    }
}

impl Commits {
    /// Notes a commit that took this long and ended `now_ms`.
    pub fn note(&mut self, took: Duration, now_ms: i64) {
        self.durations.observe(took.as_secs_f64());
        self.last_ms = Some(now_ms);
    }
}
