//! How far behind its partitions a side is, in records and in time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::reading::RecordBlock;

/// What was taken in and is not committed yet, by partition.
#[derive(Debug, Default)]
pub struct Backlog {
    partitions: BTreeMap<i32, Waiting>,
}

/// The oldest records of a partition that wait.
#[derive(Debug, Default, Clone, Copy)]
struct Waiting {
    /// Taken in since the last commit began.
    pending: Option<Oldest>,
    /// In the commit on its way.
    sealed: Option<Oldest>,
    /// Everything that the partition held has been taken in.
    is_at_end: bool,
}

/// A record that was taken in and is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    /// Kafka's, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    pub taken_in_at: Instant,
}

/// How far a side is behind one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Records between what is committed and the partition's end, as far as that is known.
    pub records: Option<i64>,
    /// The first of those that have been taken in.
    pub oldest: Option<Oldest>,
}

impl Backlog {
    /// Notes a block that is taken in `now`.
    pub fn take_in(&mut self, block: &RecordBlock, now: Instant) {
        let Some(first) = (!block.is_empty()).then(|| block.record(0)) else {
            return;
        };
        let waiting = self.partitions.entry(block.partition).or_default();
        waiting.is_at_end = false;
        waiting.pending.get_or_insert(Oldest {
            timestamp_ms: first.timestamp_ms,
            taken_in_at: now,
        });
    }

    /// Notes that a partition holds nothing more at this moment.
    pub fn reach_end(&mut self, partition: i32) {
        self.partitions.entry(partition).or_default().is_at_end = true;
    }

    /// Notes that what was taken in so far is in the commit that begins.
    pub fn seal(&mut self) {
        for waiting in self.partitions.values_mut() {
            waiting.sealed = waiting.pending.take();
        }
    }

    /// Notes that the commit on its way is over.
    pub fn commit(&mut self) {
        for waiting in self.partitions.values_mut() {
            waiting.sealed = None;
        }
    }

    /// Forgets a partition that was given up or assigned anew.
    pub fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// How far behind a partition is, given the next offset to commit and the partition's end.
    pub fn lag(&self, partition: i32, next_offset: i64, end_offset: Option<i64>) -> Lag {
        let waiting = self.partitions.get(&partition).copied().unwrap_or_default();
        let oldest = waiting.sealed.or(waiting.pending);
        // A partition may end in markers of transactions, which nobody ever takes in.
        let records = if waiting.is_at_end && oldest.is_none() {
            Some(0)
        } else {
            end_offset.map(|end| (end - next_offset).max(0))
        };
        Lag { records, oldest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::reading::Record;

    fn block(offset: i64, timestamp_ms: i64) -> RecordBlock {
        let mut block = RecordBlock::new(3, 1);
        let record = Record {
            offset,
            timestamp_ms: Some(timestamp_ms),
            key: None,
            value: None,
        };
        block.push(record, None);
        block
    }

    /// Records behind, and the timestamp of the oldest one taken in.
    fn lag(backlog: &Backlog, next_offset: i64, end: Option<i64>) -> (Option<i64>, Option<i64>) {
        let lag = backlog.lag(3, next_offset, end);
        (lag.records, lag.oldest.and_then(|oldest| oldest.timestamp_ms))
    }

    #[test]
    fn what_is_not_committed_is_behind() {
        let mut backlog = Backlog::default();
        assert_eq!(lag(&backlog, 0, None), (None, None));
        assert_eq!(lag(&backlog, 0, Some(7)), (Some(7), None));
        backlog.take_in(&block(0, 1_000), clock::instant());
        backlog.take_in(&block(1, 2_000), clock::instant());
        assert_eq!(lag(&backlog, 0, Some(7)), (Some(7), Some(1_000)));
        backlog.seal();
        backlog.take_in(&block(2, 3_000), clock::instant());
        assert_eq!(lag(&backlog, 0, Some(7)), (Some(7), Some(1_000)));
        backlog.commit();
        assert_eq!(lag(&backlog, 2, Some(7)), (Some(5), Some(3_000)));
    }

    #[test]
    fn at_the_end_nothing_is_behind_whatever_the_offsets() {
        let mut backlog = Backlog::default();
        backlog.take_in(&block(5, 1_000), clock::instant());
        backlog.reach_end(3);
        assert_eq!(lag(&backlog, 5, Some(7)), (Some(2), Some(1_000)));
        backlog.seal();
        backlog.commit();
        // Offset 6 is the marker of a transaction.
        assert_eq!(lag(&backlog, 6, Some(7)), (Some(0), None));
        backlog.take_in(&block(7, 2_000), clock::instant());
        assert_eq!(lag(&backlog, 6, Some(8)), (Some(2), Some(2_000)));
        backlog.forget(3);
        assert_eq!(lag(&backlog, 6, Some(8)), (Some(2), None));
    }
}
