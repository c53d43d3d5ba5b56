//! Keys of more bytes than a column of Arrow can hold, in one commit: no file has more of them than a bound.
//!
//! Holds I3 and I4 for keys chosen to be long, and that a commit never meets a limit of the file format.

use std::sync::Arc;

use streamgauge::lake::{Lake, OpenMode};
use streamgauge::reading::{Position, SeriesKey};
use streamgauge::table::{Batch, Counts, Outcome, PositionChange};
use streamgauge::window::{Row, Totals, merge_sorted};
use streamgauge_testkit::{block_on, heavy};

use crate::table::{HOUR_MS, Place, data_files};

const KEY_BYTES: usize = 1 << 20;
const KEYS: usize = 103;
/// The same keys in each, so that they take up memory once: 2.01 GiB in all when they are written.
const HOURS: i64 = 20;

/// One reading of each key in each hour, all of windows that are closed, so that they share files as far as can be.
fn pending(from: i64, keys: &[Arc<str>], hours: std::ops::Range<i64>) -> Batch {
    let mut totals = Totals::empty();
    totals.add(0.5);
    let row = |start_ms, key: &Arc<str>| Row {
        start_ms,
        series: SeriesKey::of_key(Arc::clone(key)),
        totals: totals.clone(),
    };
    let rows: Vec<Row> = hours
        .flat_map(|hour| keys.iter().map(move |key| row(hour * HOUR_MS, key)))
        .collect();
    let to = from + rows.len() as i64;
    let position = |next_offset| Position {
        next_offset,
        largest_event_time_ms: (next_offset > 0).then_some(HOURS * HOUR_MS),
    };
    Batch {
        rows: merge_sorted(rows),
        positions: vec![PositionChange {
            partition: 0,
            epoch: 0,
            from: position(from),
            to: position(to),
        }],
        closed_before_ms: i64::MAX,
        counts: Counts::default(),
        topic: None,
    }
}

#[test]
fn two_gibibytes_of_keys_are_committed_in_files_of_bounded_size() {
    let _alone = heavy();
    block_on(commit_two_gibibytes());
}

async fn commit_two_gibibytes() {
    let place = Place::local("long-keys");
    let config = place.config();
    let keys: Vec<Arc<str>> = (0..KEYS)
        .map(|number| format!("{number:05}{}", "k".repeat(KEY_BYTES - 5)).into())
        .collect();
    let (lake, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::Create)
        .await
        .unwrap();
    let committed = lake.commit(pending(0, &keys, 0..HOURS), cached).await.unwrap();
    assert_eq!(committed.outcome, Outcome::Committed { version: 1 });
    let files = &committed.cached.snapshot.files;
    let rows = files.values().map(|file| file.rows).sum::<u64>();
    assert_eq!(rows, KEYS as u64 * HOURS as u64);
    assert!(
        files
            .values()
            .all(|file| file.rows as usize * KEY_BYTES <= 64 << 20)
    );
    assert_eq!(data_files(&place.folder).len(), files.len());

    // Found again, and corrected: by then nothing is in memory.
    let (lake, cached) = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap();
    let again = pending(rows as i64, &keys[..1], 3..4);
    let committed = lake.commit(again, cached).await.unwrap();
    assert_eq!(committed.outcome, Outcome::Committed { version: 2 });
    let again = committed
        .cached
        .snapshot
        .files
        .values()
        .map(|file| file.rows)
        .sum::<u64>();
    assert_eq!(again, rows);
}
