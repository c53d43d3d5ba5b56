//! Where an available-now run ends.

use std::collections::BTreeMap;

use super::open_transactions::HeldBack;

/// Ends of the topic's partitions when the run began.
#[derive(Debug)]
pub struct Targets {
    ends: BTreeMap<i32, i64>,
    held_back: Vec<HeldBack>,
}

impl Targets {
    /// The ends of these ranges of first and next offsets, by partition.
    pub fn from_ranges(ranges: &BTreeMap<i32, (i64, i64)>) -> Self {
        // An empty partition is done whatever its offsets: there may be no record to get to its end by.
        let ends = ranges
            .iter()
            .filter(|(_, (low, high))| low < high)
            .map(|(&partition, &(_, high))| (partition, high));
        Targets {
            ends: ends.collect(),
            held_back: Vec::new(),
        }
    }

    /// The same, with what lies behind these ends in open transactions.
    pub(crate) fn with_held_back(self, held_back: Vec<HeldBack>) -> Self {
        Targets { held_back, ..self }
    }

    /// What lies behind the ends in open transactions.
    pub(crate) fn held_back(&self) -> &[HeldBack] {
        &self.held_back
    }

    /// The partitions that had records.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.ends.keys().copied()
    }

    /// The end of a partition, if it held records.
    pub(crate) fn end_of(&self, partition: i32) -> Option<i64> {
        self.ends.get(&partition).copied()
    }

    /// Whether all ends are reached.
    pub fn are_reached(&self, next_offset: impl Fn(i32) -> i64) -> bool {
        self.ends
            .iter()
            .all(|(&partition, &end)| next_offset(partition) >= end)
    }

    /// Whether the ends of these partitions, which one process has, are reached; not if none of them had records.
    pub(crate) fn are_reached_by(&self, next_offsets: &BTreeMap<i32, i64>) -> bool {
        self.partitions()
            .any(|partition| next_offsets.contains_key(&partition))
            && next_offsets
                .iter()
                .all(|(&partition, &next_offset)| self.end_of(partition).is_none_or(|end| next_offset >= end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_done_with_its_own_partitions_only() {
        let targets = Targets::from_ranges(&BTreeMap::from([(0, (0, 5)), (1, (2, 9)), (2, (7, 7))]));
        assert_eq!(targets.partitions().collect::<Vec<_>>(), [0, 1]);
        for (next_offsets, is_done_here, is_done) in [
            (vec![(0, 5)], true, false),
            (vec![(0, 4)], false, false),
            (vec![(0, 5), (1, 9), (2, 7)], true, true),
            (vec![(0, 6), (1, 8)], false, false),
            // It waits for what others have: nothing here is to be committed at once.
            (vec![(2, 7)], false, false),
            (vec![], false, false),
        ] {
            let next_offsets = BTreeMap::from_iter(next_offsets);
            assert_eq!(
                targets.are_reached_by(&next_offsets),
                is_done_here,
                "{next_offsets:?}"
            );
            let next_offset = |partition| next_offsets.get(&partition).copied().unwrap_or(0);
            assert_eq!(targets.are_reached(next_offset), is_done, "{next_offsets:?}");
        }
    }
}
