//! Lays rows out over files. An open window's rows of one bucket have a file of their own, so that a commit rewrites
//! only what it touches; all other rows share files. Rows and bytes of keys in a file are bounded, so that producers,
//! who choose the keys, do not choose the size of a file.

use std::collections::BTreeMap;

use super::{Buckets, NewFile};
use crate::window::{Row, Windows};

/// The parameters of the layout, kept in the table's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The windows whose starts decide which rows share a file.
    pub windows: Windows,
    /// Rows of different buckets never share a file.
    pub buckets: Buckets,
    /// The most rows in a file.
    pub max_file_rows: usize,
    /// The most bytes of keys in a file; one row with a longer key has a file of its own.
    pub max_file_key_bytes: usize,
}

impl Layout {
    /// Distributes sorted rows over new files. `is_open` says whether a window, by its start, has a file of its own.
    pub fn files(&self, rows: Vec<Row>, is_open: impl Fn(i64) -> bool) -> Vec<NewFile> {
        let mut open: BTreeMap<(u32, i64), Vec<Row>> = BTreeMap::new();
        let mut shared: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
        for row in rows {
            let bucket = self.buckets.of(&row.series.key);
            if is_open(row.start_ms) {
                open.entry((bucket, row.start_ms)).or_default().push(row);
            } else {
                shared.entry(bucket).or_default().push(row);
            }
        }
        let own = open.into_iter().map(|((bucket, _), rows)| (bucket, rows, true));
        let shared = shared.into_iter().map(|(bucket, rows)| (bucket, rows, false));
        let mut files = Vec::new();
        for (bucket, rows, is_open) in own.chain(shared) {
            let runs = self.split(rows).into_iter();
            files.extend(runs.map(|rows| NewFile {
                bucket,
                rows,
                is_open,
            }));
        }
        files
    }

    /// Splits rows into the longest runs within the bounds.
    fn split(&self, mut rows: Vec<Row>) -> Vec<Vec<Row>> {
        let mut runs = Vec::new();
        loop {
            let length = self.run_length(&rows);
            if length == rows.len() {
                runs.push(rows);
                return runs;
            }
            let rest = rows.split_off(length);
            runs.push(std::mem::replace(&mut rows, rest));
        }
    }

    fn run_length(&self, rows: &[Row]) -> usize {
        let mut key_bytes = 0_usize;
        let fitting = rows.iter().take(self.max_file_rows.max(1)).take_while(|row| {
            key_bytes = key_bytes.saturating_add(row.series.byte_count());
            key_bytes <= self.max_file_key_bytes
        });
        fitting.count().max(1).min(rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::SeriesKey;
    use crate::table::BucketHash;
    use crate::window::Totals;

    const LAYOUT: Layout = Layout {
        windows: Windows {
            length_ms: 1000,
            offset_ms: 0,
        },
        buckets: Buckets {
            count: 1,
            hash: BucketHash::Murmur2,
        },
        max_file_rows: 3,
        max_file_key_bytes: 10,
    };

    fn files(key_lengths: &[usize], is_open: bool) -> Vec<Vec<usize>> {
        let row = |length: &usize| Row {
            start_ms: 0,
            series: SeriesKey::of_key("k".repeat(*length).into()),
            totals: Totals::empty(),
        };
        let rows = key_lengths.iter().map(row).collect();
        let files = LAYOUT.files(rows, |_| is_open);
        assert!(files.iter().all(|file| file.is_open == is_open));
        let lengths = |file: &NewFile| file.rows.iter().map(|row| row.series.key.len()).collect();
        files.iter().map(lengths).collect()
    }

    #[test]
    fn files_are_bounded_by_rows_and_by_bytes_of_keys() {
        for is_open in [true, false] {
            for (key_lengths, expected) in [
                (&[1, 1, 1][..], vec![vec![1, 1, 1]]),
                (&[1, 1, 1, 1], vec![vec![1, 1, 1], vec![1]]),
                (&[5, 5, 1], vec![vec![5, 5], vec![1]]),
                (&[5, 6, 4, 1], vec![vec![5], vec![6, 4], vec![1]]),
                // A key beyond the bound has a file of its own.
                (&[1, 99, 1], vec![vec![1], vec![99], vec![1]]),
                (&[99], vec![vec![99]]),
                (&[0, 0, 0, 0], vec![vec![0, 0, 0], vec![0]]),
            ] {
                assert_eq!(files(key_lengths, is_open), expected, "{key_lengths:?}");
            }
            assert_eq!(files(&[], is_open), Vec::<Vec<usize>>::new());
        }
    }
}
