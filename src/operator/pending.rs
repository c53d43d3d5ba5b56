//! Pending contributions: the totals of what one partition brought since the last commit.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::window::{Row, Totals};

/// Totals by (window, key). A series' readings mostly fall into the window of its previous one, so each series
/// remembers its last row; only a change of window costs a second look-up.
#[derive(Debug, Default)]
pub struct Pending {
    rows: Vec<Row>,
    series_of_row: Vec<u32>,
    series: Vec<Series>,
    series_by_key: HashTable<u32>,
    row_by_window: HashTable<u32>,
}

#[derive(Debug)]
struct Series {
    key: Arc<str>,
    last_row: u32,
}

/// A fixed seed: nothing may depend on the order of a table, and this way a run is repeatable anyway.
const HASHER: FixedState = FixedState::with_seed(0x5eed);

impl Pending {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds one reading.
    #[inline]
    pub fn add(&mut self, start_ms: i64, key: &str, value: f64) {
        let row = match self.find_series(key) {
            Ok(series) => {
                let last_row = self.series[series as usize].last_row;
                if self.rows[last_row as usize].start_ms == start_ms {
                    last_row
                } else {
                    let row = self.find_or_add_row(start_ms, series);
                    self.series[series as usize].last_row = row;
                    row
                }
            }
            Err(hash) => self.add_series(hash, start_ms, key),
        };
        self.rows[row as usize].totals.add(value);
    }

    /// All rows, in no particular order.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// The series of a key, or the key's hash.
    #[inline]
    fn find_series(&self, key: &str) -> Result<u32, u64> {
        let hash = HASHER.hash_one(key);
        self.series_by_key
            .find(hash, |&series| &*self.series[series as usize].key == key)
            .copied()
            .ok_or(hash)
    }

    fn add_series(&mut self, hash: u64, start_ms: i64, key: &str) -> u32 {
        let series = self.series.len() as u32;
        self.series.push(Series {
            key: key.into(),
            last_row: 0,
        });
        let all = &self.series;
        self.series_by_key
            .insert_unique(hash, series, |&other| HASHER.hash_one(&*all[other as usize].key));
        let row = self.find_or_add_row(start_ms, series);
        self.series[series as usize].last_row = row;
        row
    }

    fn find_or_add_row(&mut self, start_ms: i64, series: u32) -> u32 {
        let Pending {
            rows,
            series_of_row,
            series: all,
            ..
        } = self;
        let entry = self.row_by_window.entry(
            HASHER.hash_one((start_ms, series)),
            |&row| rows[row as usize].start_ms == start_ms && series_of_row[row as usize] == series,
            |&row| HASHER.hash_one((rows[row as usize].start_ms, series_of_row[row as usize])),
        );
        match entry {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(vacant) => {
                let row = rows.len() as u32;
                vacant.insert(row);
                rows.push(Row {
                    start_ms,
                    key: Arc::clone(&all[series as usize].key),
                    totals: Totals::empty(),
                });
                series_of_row.push(series);
                row
            }
        }
    }
}
