//! How many records went which way (invariant I1).

use std::collections::BTreeMap;

use super::Reason;

/// Records by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub consumed: u64,
    pub aggregated: u64,
    pub late_diverted: u64,
    pub late_upserted: u64,
    pub late_dropped: u64,
    /// Dead letters by reason.
    pub dead_lettered: BTreeMap<Reason, u64>,
}

impl Counts {
    /// Counts a dead letter.
    pub fn dead_letter(&mut self, reason: Reason) {
        *self.dead_lettered.entry(reason).or_default() += 1;
    }

    /// Late readings, whatever became of them.
    pub fn late(&self) -> u64 {
        self.late_diverted + self.late_upserted + self.late_dropped
    }

    /// Dead letters of all reasons.
    pub fn dead(&self) -> u64 {
        self.dead_lettered.values().sum()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Counts) {
        self.consumed += other.consumed;
        self.aggregated += other.aggregated;
        self.late_diverted += other.late_diverted;
        self.late_upserted += other.late_upserted;
        self.late_dropped += other.late_dropped;
        for (&reason, &count) in &other.dead_lettered {
            *self.dead_lettered.entry(reason).or_default() += count;
        }
    }

    /// I1: every record consumed is exactly one of aggregated, late, dead-lettered.
    pub fn are_conserved(&self) -> bool {
        self.consumed == self.aggregated + self.late() + self.dead()
    }
}
