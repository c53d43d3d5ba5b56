//! Partitions that cannot pass the batch at their next offset.

use std::time::{Duration, Instant};

use super::probe::Undecodable;

/// The pause between two inspections of a held partition.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The inspections before a partition is given up, however short the patience.
const MIN_INSPECTIONS: u32 = 3;

/// A partition that is held at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    pub partition: i32,
    pub epoch: u64,
    /// The first offset that cannot be read.
    pub offset: i64,
    pub found: Undecodable,
    /// True if only the batch's checksum reveals the damage.
    pub by_sum: bool,
    since: Instant,
    inspections: u32,
    next_inspection: Instant,
}

/// The place at which a partition is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldAt {
    pub partition: i32,
    pub epoch: u64,
    pub offset: i64,
}

impl Stuck {
    /// A partition that was found stuck `now`.
    pub(super) fn new(held: HeldAt, found: Undecodable, by_sum: bool, now: Instant) -> Self {
        let HeldAt {
            partition,
            epoch,
            offset,
        } = held;
        Stuck {
            partition,
            epoch,
            offset,
            found,
            by_sum,
            since: now,
            inspections: 1,
            next_inspection: now + RETRY_PAUSE,
        }
    }

    /// True if the next inspection is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_inspection
    }

    /// Notes an inspection without an answer.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.next_inspection = now + RETRY_PAUSE;
    }

    /// Notes an inspection with the same result.
    pub(super) fn note_inspection(&mut self, now: Instant) {
        self.inspections += 1;
        self.postpone(now);
    }

    /// True if waiting longer will not help.
    pub(super) fn is_hopeless(&self, patience: Duration, now: Instant) -> bool {
        self.inspections >= MIN_INSPECTIONS && now.saturating_duration_since(self.since) >= patience
    }
}

/// How far a partition has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub partition: i32,
    pub epoch: u64,
    /// The offset of the next record.
    pub next_offset: i64,
    /// The time of the last record, end of partition, or inspection of its silence.
    pub moved_at: Instant,
    /// True if every record of the partition has arrived.
    pub is_at_end: bool,
}

impl Progress {
    /// True if the partition has records that have not arrived for a while.
    pub(super) fn is_silent(&self, end: Option<i64>, now: Instant) -> bool {
        !self.is_at_end
            && end.is_some_and(|end| self.next_offset < end)
            && now.saturating_duration_since(self.moved_at) >= SILENCE
    }
}

/// Available records arrive sooner than this, unless something is wrong.
const SILENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn found() -> Undecodable {
        Undecodable {
            cause: "no zstd".to_owned(),
            batch: Some(7),
        }
    }

    #[test]
    fn a_partition_is_hopeless_after_the_patience_and_three_inspections() {
        let start = clock::instant();
        let held = HeldAt {
            partition: 0,
            epoch: 1,
            offset: 7,
        };
        let mut stuck = Stuck::new(held, found(), false, start);
        let (patience, later) = (Duration::from_secs(3), start + Duration::from_secs(10));
        assert!(!stuck.is_hopeless(patience, later), "inspected once");
        stuck.note_inspection(start);
        stuck.note_inspection(start);
        assert!(!stuck.is_hopeless(patience, start + Duration::from_secs(2)));
        assert!(stuck.is_hopeless(patience, later));
        assert!(!stuck.is_due(start) && stuck.is_due(start + RETRY_PAUSE));
    }

    #[test]
    fn a_partition_is_silent_if_its_records_do_not_arrive() {
        let start = clock::instant();
        let progress = Progress {
            partition: 0,
            epoch: 1,
            next_offset: 5,
            moved_at: start,
            is_at_end: false,
        };
        assert!(progress.is_silent(Some(6), start + SILENCE));
        assert!(!progress.is_silent(Some(6), start));
        assert!(!progress.is_silent(Some(5), start + SILENCE));
        assert!(!progress.is_silent(None, start + SILENCE));
        let at_end = Progress {
            is_at_end: true,
            ..progress
        };
        assert!(
            !at_end.is_silent(Some(6), start + SILENCE),
            "markers of transactions"
        );
    }
}
