//! What a window adds up to: the absolute totals that a table row holds (invariant I3).

use std::cmp::Ordering;
use std::sync::Arc;

use super::ExactSum;
use crate::reading::{SeriesKey, Value};

/// Totals of the samples of one key in one window. Merging is associative and commutative to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Samples, at least 1 in a row: a reading is one, unless it says that it is the mean of several.
    pub count: u64,
    /// Infinity without samples.
    pub minimum: f64,
    /// Negative infinity without samples.
    pub maximum: f64,
    /// Exact, whatever the order of additions.
    pub sum: ExactSum,
}

impl Totals {
    /// The totals of no sample.
    pub const fn empty() -> Self {
        Totals {
            count: 0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            sum: ExactSum::new(),
        }
    }

    /// Adds one reading's value: all samples of it, of which the mean alone can be the smallest or the largest.
    #[inline]
    pub fn add(&mut self, value: impl Into<Value>) {
        let value = value.into();
        self.count += value.count;
        self.minimum = self.minimum.min(value.mean);
        self.maximum = self.maximum.max(value.mean);
        self.sum.add(value.sum);
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

/// A row of the table or of a batch: totals of one series in the window that starts at `start_ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub start_ms: i64,
    /// The key and, in a table of several measures, the measure.
    pub series: SeriesKey<Arc<str>>,
    /// In the table absolute, of all samples of the window that were committed; in a batch what it adds to them.
    pub totals: Totals,
}

impl Row {
    /// The order of rows in files: by window, then series.
    pub fn order(&self, other: &Row) -> Ordering {
        self.start_ms
            .cmp(&other.start_ms)
            .then_with(|| self.series.cmp(&other.series))
    }
}

/// Merges rows into one per (window, series) in [`Row::order`] (invariant I4).
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
