//! Pending contributions: the totals of what one partition brought since the last commit.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::reading::SeriesKey;
use crate::window::{Row, Totals};

/// Totals by (window, series). A series' readings mostly fall into the window of its previous one, so each series
/// remembers its last row; only a change of window costs a second look-up.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: Vec<Row>,
    series_of_row: Vec<u32>,
    series: Vec<Series>,
    by_key: HashTable<u32>,
    row_by_window: HashTable<u32>,
    key_bytes: usize,
}

/// The reading would need a row that may not be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAdmitted;

#[derive(Debug)]
struct Series {
    key: SeriesKey<Arc<str>>,
    last_row: u32,
}

/// A fixed seed: nothing may depend on the order of a table, and this way a run is repeatable anyway.
const HASHER: FixedState = FixedState::with_seed(0x5eed);

impl Pending {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the keys of the series that wait.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// The totals of a row. For one that is not here yet, `admit` is asked with the [`hash`](Self::hash) of the series; where
    /// it says no, there is none.
    #[inline]
    pub(super) fn totals(
        &mut self,
        start_ms: i64,
        key: SeriesKey<&str>,
        admit: impl FnOnce(u64) -> bool,
    ) -> Result<&mut Totals, NotAdmitted> {
        let hash = Self::hash(key);
        let series = self.find_series(hash, key);
        let row = match series {
            Some(series) => {
                let last_row = self.series[series as usize].last_row;
                if self.rows[last_row as usize].start_ms == start_ms {
                    last_row
                } else {
                    let row = match self.find_row(start_ms, series) {
                        Some(row) => row,
                        None if admit(hash) => self.add_row(start_ms, series),
                        None => return Err(NotAdmitted),
                    };
                    self.series[series as usize].last_row = row;
                    row
                }
            }
            None if admit(hash) => {
                let series = self.add_series(hash, key);
                let row = self.add_row(start_ms, series);
                self.series[series as usize].last_row = row;
                row
            }
            None => return Err(NotAdmitted),
        };
        Ok(&mut self.rows[row as usize].totals)
    }

    /// Whether a window of a series is here.
    pub(super) fn has_row(&self, start_ms: i64, key: SeriesKey<&str>) -> bool {
        let series = self.find_series(Self::hash(key), key);
        series.is_some_and(|series| self.find_row(start_ms, series).is_some())
    }

    /// The form in which a series is looked up.
    #[inline]
    pub(super) fn hash(key: SeriesKey<&str>) -> u64 {
        key.hash_by(&HASHER)
    }

    /// All rows, in no particular order.
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    #[inline]
    fn find_series(&self, hash: u64, key: SeriesKey<&str>) -> Option<u32> {
        let is_it = |&series: &u32| self.series[series as usize].key.as_str() == key;
        self.by_key.find(hash, is_it).copied()
    }

    fn add_series(&mut self, hash: u64, key: SeriesKey<&str>) -> u32 {
        let series = self.series.len() as u32;
        self.key_bytes += key.byte_count();
        self.series.push(Series {
            key: key.to_shared(),
            last_row: 0,
        });
        let all = &self.series;
        self.by_key.insert_unique(hash, series, |&other| {
            Self::hash(all[other as usize].key.as_str())
        });
        series
    }

    fn find_row(&self, start_ms: i64, series: u32) -> Option<u32> {
        let is_it = |&row: &u32| {
            self.rows[row as usize].start_ms == start_ms && self.series_of_row[row as usize] == series
        };
        self.row_by_window
            .find(HASHER.hash_one((start_ms, series)), is_it)
            .copied()
    }

    fn add_row(&mut self, start_ms: i64, series: u32) -> u32 {
        let row = self.rows.len() as u32;
        self.rows.push(Row {
            start_ms,
            series: self.series[series as usize].key.clone(),
            totals: Totals::empty(),
        });
        self.series_of_row.push(series);
        let (rows, series_of_row) = (&self.rows, &self.series_of_row);
        self.row_by_window
            .insert_unique(HASHER.hash_one((start_ms, series)), row, |&row| {
                HASHER.hash_one((rows[row as usize].start_ms, series_of_row[row as usize]))
            });
        row
    }
}
