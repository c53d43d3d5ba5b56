//! How far behind its partitions a sink is, in records and in time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::kafka::PartitionEnd;
use crate::reading::RecordBlock;

/// For the lag alone: since when each partition's oldest record waits to be committed. It holds no records.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    partitions: BTreeMap<i32, Waiting>,
}

/// The oldest records of a partition that wait.
#[derive(Debug, Default, Clone, Copy)]
struct Waiting {
    /// Taken in since the last commit began.
    pending: Option<Oldest>,
    /// In the commit on its way.
    sealed: Option<Oldest>,
    /// Everything that the partition held has been ingested.
    is_at_end: bool,
    /// Where it stands still although the partition goes on.
    stuck: Option<Stuck>,
}

/// A record that was ingested and is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    /// Kafka's, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// By this process' clock, when its block came.
    pub ingested_at: Instant,
}

/// How far a sink is behind one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Records between what is committed and the partition's end, as far as that is known.
    pub records: Option<i64>,
    /// The first of those that were ingested.
    pub oldest: Option<Oldest>,
    /// Where and since when it stands, although there is more.
    pub stuck: Option<Stuck>,
}

/// A position that has not moved since, although the partition's end is ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// Where it stands: the next record to read.
    pub offset: i64,
    /// The partition's end when that was noticed.
    pub end_offset: i64,
    /// When it was first seen there.
    pub since: Instant,
    /// The reason, as far as is known.
    pub cause: StuckCause,
}

/// Why a position does not move, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckCause {
    /// What lies there may be read, and does not come.
    Unread,
    /// A transaction of another producer is open from there on, and nothing behind its begin may be read.
    OpenTransaction,
}

/// How far a sink is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// The next offset to commit.
    pub committed: i64,
    /// The next offset to take in.
    pub ingested: i64,
}

impl Backlog {
    /// Notes a block that is ingested `now`.
    pub(super) fn note_block(&mut self, block: &RecordBlock, now: Instant) {
        let Some(first) = (!block.is_empty()).then(|| block.record(0)) else {
            return;
        };
        let waiting = self.partitions.entry(block.partition).or_default();
        waiting.is_at_end = false;
        waiting.pending.get_or_insert(Oldest {
            timestamp_ms: first.timestamp_ms,
            ingested_at: now,
        });
    }

    /// Notes that a partition holds nothing more at this moment.
    pub(super) fn note_end(&mut self, partition: i32) {
        self.partitions.entry(partition).or_default().is_at_end = true;
    }

    /// Notes that what was ingested so far is in the commit that begins.
    pub(super) fn note_sealed(&mut self) {
        for waiting in self.partitions.values_mut() {
            waiting.sealed = waiting.pending.take();
        }
    }

    /// Notes that the commit on its way is over.
    pub(super) fn note_committed(&mut self) {
        for waiting in self.partitions.values_mut() {
            waiting.sealed = None;
        }
    }

    /// Forgets a partition that was given up or assigned again.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Forgets all partitions.
    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }

    /// How far behind a partition is `now`, given how far it was read and its end.
    pub(super) fn lag(
        &mut self,
        partition: i32,
        reached: Reached,
        end: Option<PartitionEnd>,
        now: Instant,
    ) -> Lag {
        let waiting = self.partitions.entry(partition).or_default();
        let oldest = waiting.sealed.or(waiting.pending);
        // A partition may end in markers of transactions, which nobody ever takes in.
        let ahead = end.filter(|end| end.offset > end.reached_offset.max(reached.ingested));
        let held = end.filter(|end| ahead.is_none() && end.high_watermark > end.offset);
        let found = match (ahead, held) {
            (Some(end), _) => Some((reached.ingested, end.offset, StuckCause::Unread)),
            // The last stable offset is that of the first record of the oldest open transaction.
            (None, Some(end)) => Some((end.offset, end.high_watermark, StuckCause::OpenTransaction)),
            (None, None) => None,
        };
        let before = waiting.stuck;
        waiting.stuck = found.map(|(offset, end_offset, cause)| Stuck {
            offset,
            end_offset,
            since: before
                .filter(|stuck| (stuck.offset, stuck.cause) == (offset, cause))
                .map_or(now, |stuck| stuck.since),
            cause,
        });
        let records = if waiting.is_at_end && oldest.is_none() && ahead.is_none() {
            Some(held.map_or(0, |end| end.high_watermark.saturating_sub(end.offset)))
        } else {
            end.map(|end| end.high_watermark.saturating_sub(reached.committed).max(0))
        };
        Lag {
            records,
            oldest,
            stuck: waiting.stuck,
        }
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
            headers: &[],
        };
        block.push(record, None);
        block
    }

    /// Records behind, and the timestamp of the oldest one ingested.
    fn lag(backlog: &mut Backlog, next_offset: i64, end: Option<i64>) -> (Option<i64>, Option<i64>) {
        let reached = Reached {
            committed: next_offset,
            ingested: next_offset,
        };
        let end = end.map(|offset| PartitionEnd {
            offset,
            high_watermark: offset,
            reached_offset: 7,
        });
        let lag = backlog.lag(3, reached, end, clock::instant());
        (lag.records, lag.oldest.and_then(|oldest| oldest.timestamp_ms))
    }

    #[test]
    fn what_is_not_committed_is_behind() {
        let mut backlog = Backlog::default();
        assert_eq!(lag(&mut backlog, 0, None), (None, None));
        assert_eq!(lag(&mut backlog, 0, Some(7)), (Some(7), None));
        backlog.note_block(&block(0, 1_000), clock::instant());
        backlog.note_block(&block(1, 2_000), clock::instant());
        assert_eq!(lag(&mut backlog, 0, Some(7)), (Some(7), Some(1_000)));
        backlog.note_sealed();
        backlog.note_block(&block(2, 3_000), clock::instant());
        assert_eq!(lag(&mut backlog, 0, Some(7)), (Some(7), Some(1_000)));
        backlog.note_committed();
        assert_eq!(lag(&mut backlog, 2, Some(7)), (Some(5), Some(3_000)));
    }

    #[test]
    fn at_the_end_nothing_is_behind_whatever_the_offsets() {
        let mut backlog = Backlog::default();
        backlog.note_block(&block(5, 1_000), clock::instant());
        backlog.note_end(3);
        assert_eq!(lag(&mut backlog, 5, Some(7)), (Some(2), Some(1_000)));
        backlog.note_sealed();
        backlog.note_committed();
        // Offset 6 is the marker of a transaction.
        assert_eq!(lag(&mut backlog, 6, Some(7)), (Some(0), None));
        backlog.note_block(&block(7, 2_000), clock::instant());
        assert_eq!(lag(&mut backlog, 6, Some(8)), (Some(2), Some(2_000)));
        backlog.forget(3);
        assert_eq!(lag(&mut backlog, 6, Some(8)), (Some(2), None));
    }

    #[test]
    fn a_position_that_does_not_move_towards_the_end_is_stuck() {
        let start = clock::instant();
        let at = |seconds| start + std::time::Duration::from_secs(seconds);
        let mut backlog = Backlog::default();
        let mut stuck = |ingested, offset, reached_offset, seconds| {
            let reached = Reached {
                committed: 0,
                ingested,
            };
            let end = PartitionEnd {
                offset,
                high_watermark: offset,
                reached_offset,
            };
            let lag = backlog.lag(3, reached, Some(end), at(seconds));
            lag.stuck
                .map(|stuck| (stuck.offset, stuck.end_offset, stuck.since))
        };
        assert_eq!(stuck(1, 4, -1001, 0), Some((1, 4, at(0))));
        assert_eq!(stuck(1, 9, -1001, 50), Some((1, 9, at(0))));
        assert_eq!(stuck(2, 9, -1001, 51), Some((2, 9, at(51))));
        assert_eq!(stuck(9, 9, -1001, 60), None);
        // Hours later there is one more, and then a marker that nobody takes in.
        assert_eq!(stuck(9, 10, 9, 9_000), Some((9, 10, at(9_000))));
        assert_eq!(stuck(9, 10, 10, 9_001), None);
    }

    #[test]
    fn what_comes_after_the_end_was_reached_is_behind() {
        let mut backlog = Backlog::default();
        backlog.note_end(3);
        assert_eq!(lag(&mut backlog, 7, Some(7)), (Some(0), None));
        assert_eq!(lag(&mut backlog, 7, Some(9)), (Some(2), None));
    }

    #[test]
    fn an_open_transaction_holds_a_position_at_the_stable_end() {
        let start = clock::instant();
        let at = |seconds| start + std::time::Duration::from_secs(seconds);
        let mut backlog = Backlog::default();
        let mut lag = |ingested, stable, high_watermark, seconds| {
            let reached = Reached {
                committed: ingested,
                ingested,
            };
            let end = PartitionEnd {
                offset: stable,
                high_watermark,
                reached_offset: stable,
            };
            backlog.note_end(3);
            let lag = backlog.lag(3, reached, Some(end), at(seconds));
            let stuck = lag.stuck.map(|stuck| {
                assert_eq!(stuck.cause, StuckCause::OpenTransaction);
                (stuck.offset, stuck.end_offset, stuck.since)
            });
            (lag.records, stuck)
        };
        assert_eq!(lag(10, 10, 10, 0), (Some(0), None));
        assert_eq!(lag(10, 10, 11, 1), (Some(1), Some((10, 11, at(1)))));
        assert_eq!(lag(10, 10, 31, 50), (Some(21), Some((10, 31, at(1)))));
        // Behind a marker, which nobody takes in, the next transaction is open.
        assert_eq!(lag(31, 32, 40, 60), (Some(8), Some((32, 40, at(60)))));
        assert_eq!(lag(40, 41, 41, 70), (Some(0), None));
    }
}
