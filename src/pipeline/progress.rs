//! How far a run is, for those who show it.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::lag::Lag;
use super::open_transactions::HeldBack;

/// How far a run is: what every sink has, and what is its own.
#[derive(Debug, Clone, Default)]
pub struct Progress<P> {
    /// Records ingested, committed or not.
    pub ingested: u64,
    /// The assigned partitions.
    pub partitions: Vec<PartitionProgress>,
    /// Commits of the sink.
    pub commits: Commits,
    /// What an available-now run leaves unread because other producers' transactions are open.
    pub(crate) held_back: Vec<HeldBack>,
    /// Why the schema registry does not answer, while records wait for it.
    pub waits_for_schemas: Option<String>,
    /// The run was stopped before the group gave this process a partition.
    pub was_stopped_without_partitions: bool,
    /// What the sink counts itself.
    pub sink: P,
}

impl<P> Progress<P> {
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
    /// Of the topic of the readings.
    pub partition: i32,
    /// From what is committed to the partition's end.
    pub lag: Lag,
    /// In milliseconds since 1970; none before the first reading.
    pub watermark_ms: Option<i64>,
}

/// Records that are not committed yet, over all partitions; unknown while the end of one is.
pub(crate) fn lag_records(partitions: &[PartitionProgress]) -> Option<i64> {
    partitions.iter().map(|partition| partition.lag.records).sum()
}

/// Commits of one sink.
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
