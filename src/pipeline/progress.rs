//! What a run has come to, for whoever shows it.

use crate::decode::Counts;

/// A run so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Records whose fate is committed.
    pub counts: Counts,
    /// Records taken in, committed or not.
    pub taken_in: u64,
    /// The newest watermark of the assigned partitions, in milliseconds since 1970.
    pub watermark_ms: Option<i64>,
    /// Records between the position and the end of the assigned partitions.
    pub lag_records: Option<i64>,
    /// The last version committed.
    pub version: Option<u64>,
    /// Assigned partitions.
    pub partitions: usize,
}
