//! How rows are laid out over files: an open window's rows of one bucket have a file of their own, so that a commit
//! rewrites only what it touches; everything else shares files of bounded size.

use std::collections::BTreeMap;

use super::{Buckets, NewFile};
use crate::window::{Row, Windows};

/// What decides the layout; kept in the table's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub windows: Windows,
    pub buckets: Buckets,
    /// A shared file holds at most this many rows.
    pub max_file_rows: usize,
}

impl Layout {
    /// Lays sorted rows out over new files. `is_open` tells whether a window (by start) gets a file of its own.
    pub fn files(&self, rows: Vec<Row>, is_open: impl Fn(i64) -> bool) -> Vec<NewFile> {
        let mut open: BTreeMap<(u32, i64), Vec<Row>> = BTreeMap::new();
        let mut shared: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
        for row in rows {
            let bucket = self.buckets.of(&row.key);
            if is_open(row.start_ms) {
                open.entry((bucket, row.start_ms)).or_default().push(row);
            } else {
                shared.entry(bucket).or_default().push(row);
            }
        }
        let own = open.into_iter().map(|((bucket, _), rows)| NewFile {
            bucket,
            rows,
            is_open: true,
        });
        let shared = shared.into_iter().flat_map(|(bucket, rows)| {
            split(rows, self.max_file_rows)
                .into_iter()
                .map(move |rows| NewFile {
                    bucket,
                    rows,
                    is_open: false,
                })
        });
        own.chain(shared).collect()
    }
}

/// Splits rows into runs of at most `max_rows`, all but the last one full.
fn split(mut rows: Vec<Row>, max_rows: usize) -> Vec<Vec<Row>> {
    let mut runs = Vec::new();
    while rows.len() > max_rows {
        let rest = rows.split_off(max_rows);
        runs.push(std::mem::replace(&mut rows, rest));
    }
    runs.push(rows);
    runs
}
