//! How many records and readings went which way (invariant I1).

use std::collections::BTreeMap;

use crate::decode::Reason;

/// Records and their readings by what became of them; a log entry carries those between its positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub consumed: u64,
    /// Of the consumed records, those that were accepted as a whole: each holds one reading or more.
    pub accepted: u64,
    /// Of the consumed records, those that the settings pass over: they hold no reading, and that is no error.
    pub skipped: u64,
    /// Of the consumed records, the dead letters by reason: nothing in them counts.
    pub dead_lettered: BTreeMap<Reason, u64>,
    /// Readings of the accepted records.
    pub readings: u64,
    /// Of the readings, those that came in time.
    pub aggregated: u64,
    /// Of the late readings, those that went to the late topic.
    pub late_diverted: u64,
    /// Of the late readings, those that corrected their row.
    pub late_upserted: u64,
    /// Of the late readings, those that are only counted.
    pub late_dropped: u64,
}

impl Counts {
    /// Counts a record that is skipped.
    pub fn skip(&mut self) {
        self.consumed += 1;
        self.skipped += 1;
    }

    /// Counts a dead letter.
    pub fn dead_letter(&mut self, reason: Reason) {
        self.dead_letters(reason, 1);
    }

    /// Counts dead letters of one reason.
    pub fn dead_letters(&mut self, reason: Reason, count: u64) {
        *self.dead_lettered.entry(reason).or_default() += count;
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
        self.accepted += other.accepted;
        self.skipped += other.skipped;
        self.readings += other.readings;
        self.aggregated += other.aggregated;
        self.late_diverted += other.late_diverted;
        self.late_upserted += other.late_upserted;
        self.late_dropped += other.late_dropped;
        for (&reason, &count) in &other.dead_lettered {
            self.dead_letters(reason, count);
        }
    }

    /// I1: every record consumed is exactly one of accepted, dead-lettered and skipped, and every reading of an accepted record
    /// is exactly one of aggregated and late.
    pub fn are_conserved(&self) -> bool {
        self.consumed == self.accepted + self.dead() + self.skipped
            && self.readings == self.aggregated + self.late()
            && self.accepted <= self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let mut counts = Counts {
            consumed: 3,
            accepted: 2,
            readings: 9,
            aggregated: 6,
            late_diverted: 1,
            late_upserted: 1,
            late_dropped: 1,
            ..Counts::default()
        };
        counts.dead_letter(Reason::InvalidJson);
        counts.skip();
        counts
    }

    #[test]
    fn records_and_readings_are_conserved_each_by_themselves() {
        let mut sum = counts();
        sum.add(&counts());
        assert_eq!(
            (sum.consumed, sum.readings, sum.late(), sum.dead()),
            (8, 18, 6, 2)
        );
        assert!(sum.are_conserved());
        let losses: [fn(&mut Counts); 6] = [
            |counts| counts.skipped += 1,
            |counts| counts.consumed += 1,
            |counts| counts.readings += 1,
            |counts| counts.aggregated -= 1,
            |counts| counts.dead_letter(Reason::Empty),
            // A record that was accepted has a reading at least.
            |counts| {
                counts.accepted += 10;
                counts.consumed += 10;
            },
        ];
        for lose in losses {
            let mut counts = counts();
            lose(&mut counts);
            assert!(!counts.are_conserved(), "{counts:?}");
        }
    }
}
