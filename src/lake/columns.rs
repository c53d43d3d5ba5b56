//! The columns of a table, and what of a row's totals is in each.

use super::settings::TableSettings;
use crate::decode::ValueKind;
use crate::window::Totals;

/// The columns' names, in the table's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Text; null where readings have no key.
    pub key: String,
    /// Of a table that holds several measures in long format.
    pub measure: Option<String>,
    /// A timestamp: the window's first moment.
    pub start: String,
    /// A timestamp: the first moment after the window.
    pub end: String,
    /// What the window adds up to.
    pub values: ValueColumns,
    /// A 64-bit integer: readings in the window.
    pub count: String,
}

/// The columns' names of what a window adds up to. All are doubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueColumns {
    /// Of values of the moment.
    Gauge {
        /// Rounded once from the exact sum.
        average: String,
        /// The smallest.
        minimum: String,
        /// The largest.
        maximum: String,
        /// The exact sum, rounded. What rounding takes is in the hidden column.
        sum: String,
    },
    /// Of registers.
    Counter {
        /// The exact sum of the steps that end in the window, rounded. What rounding takes is in the hidden column.
        increase: String,
    },
}

/// What a row has in a column.
pub(super) type Cell = fn(&Totals) -> f64;

impl Columns {
    /// Those of the settings, for a table of values of this kind.
    pub(super) fn new(table: &TableSettings, kind: ValueKind) -> Self {
        Columns {
            key: table.key_column.clone(),
            measure: Some(table.measure_column.clone()).filter(|name| !name.is_empty()),
            start: table.start_column.clone(),
            end: table.end_column.clone(),
            values: ValueColumns::new(table, kind),
            count: table.count_column.clone(),
        }
    }
}

impl ValueColumns {
    fn new(table: &TableSettings, kind: ValueKind) -> Self {
        match kind {
            ValueKind::Gauge => ValueColumns::Gauge {
                average: table.average_column.clone(),
                minimum: table.minimum_column.clone(),
                maximum: table.maximum_column.clone(),
                sum: table.sum_column.clone(),
            },
            ValueKind::Counter => ValueColumns::Counter {
                increase: table.increase_column.clone(),
            },
        }
    }

    /// The names in the table's order, each with what a row has there.
    pub(super) fn cells(&self) -> Vec<(&String, Cell)> {
        let rounded_sum = |totals: &Totals| totals.sum.rounded();
        match self {
            ValueColumns::Gauge {
                average,
                minimum,
                maximum,
                sum,
            } => vec![
                (average, Totals::average),
                (minimum, |totals| totals.minimum),
                (maximum, |totals| totals.maximum),
                (sum, rounded_sum),
            ],
            ValueColumns::Counter { increase } => vec![(increase, rounded_sum)],
        }
    }

    /// The column that holds the exact sum, rounded.
    pub(super) fn sum(&self) -> &String {
        match self {
            ValueColumns::Gauge { sum, .. } => sum,
            ValueColumns::Counter { increase } => increase,
        }
    }

    /// The columns of the smallest and the largest value, in a table that has them.
    pub(super) fn extremes(&self) -> Option<[&String; 2]> {
        match self {
            ValueColumns::Gauge { minimum, maximum, .. } => Some([minimum, maximum]),
            ValueColumns::Counter { .. } => None,
        }
    }
}
