//! What a window adds up to: the absolute totals that a table row holds (invariant I3).

use std::cmp::Ordering;
use std::sync::Arc;

use super::ExactSum;

/// Totals of the readings of one key in one window. Merging is associative and commutative to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    pub count: u64,
    pub minimum: f64,
    pub maximum: f64,
    pub sum: ExactSum,
}

impl Totals {
    /// The totals of no reading.
    pub const fn empty() -> Self {
        Totals {
            count: 0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            sum: ExactSum::new(),
        }
    }

    /// Adds one reading's value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        self.sum.add(value);
    }

    /// Adds the readings of another.
    pub fn merge(&mut self, other: &Totals) {
        self.count += other.count;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.sum.merge(&other.sum);
    }

    /// The average: the rounded sum divided by the count.
    pub fn average(&self) -> f64 {
        self.sum.rounded() / self.count as f64
    }
}

/// A row of the table: the totals of one key in the window that starts at `start_ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub start_ms: i64,
    pub key: Arc<str>,
    pub totals: Totals,
}

impl Row {
    /// The order of rows in files: by window, then key.
    pub fn order(&self, other: &Row) -> Ordering {
        self.start_ms
            .cmp(&other.start_ms)
            .then_with(|| self.key.cmp(&other.key))
    }
}

/// Merges rows into one per (window, key) in [`Row::order`] (invariant I4).
pub fn merge_sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(Row::order);
    rows.dedup_by(|later, kept| {
        let same = later.order(kept) == Ordering::Equal;
        if same {
            kept.totals.merge(&later.totals);
        }
        same
    });
    rows
}
