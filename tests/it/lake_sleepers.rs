//! Writers that slept: while the log was cleaned up past them, while their files were vacuumed, while the folder was put
//! back to an earlier version. No clock helps them here: the retentions are the defaults, a day, and nothing waits.
//!
//! Holds I2 (positions and rows in one commit), I3 (totals, to the last bit) and I11 (live log).

use std::path::Path;

use streamgauge::table::{CachedSnapshot, Outcome};

use crate::table::{Expected, Place, Writer, contract, maintenance, readings, rows};

contract!(
    a_writer_that_slept_through_the_clean_up_of_the_log_loses_nothing,
    a_writer_that_slept_while_its_partition_moved_on_drops_what_it_holds,
    a_compaction_that_slept_through_the_clean_up_gives_way_or_counts,
    a_version_that_was_put_back_is_noticed,
);

const KEYS: [&str; 3] = ["north", "east", "west"];

/// Moves the log on by some versions, makes a checkpoint and deletes every entry below it, as a clean-up does once the
/// retention has passed.
async fn move_on_and_clean_up(place: &Place, other: &mut Writer, expected: &mut Expected) {
    for seed in 100..108 {
        let pending = readings(seed, 20, 0..30, &KEYS);
        other.commit(&pending).await;
        expected.add(&pending);
    }
    let config = place.config();
    let newest = other.cached.as_ref().unwrap().snapshot.version;
    maintenance(&config).await.checkpoint().await.unwrap();
    for version in 0..newest {
        let _ = std::fs::remove_file(entry_path(place, version));
    }
}

fn entry_path(place: &Place, version: u64) -> std::path::PathBuf {
    place
        .folder
        .join("_delta_log")
        .join(format!("{version:020}.json"))
}

/// A commit on a version number that the clean-up has freed does not count; its readings are committed where the log is.
async fn a_writer_that_slept_through_the_clean_up_of_the_log_loses_nothing(place: &Place) {
    let config = place.config();
    let mut expected = Expected::default();
    let mut sleeper = Writer::open(&config, 0).await;
    let mut other = Writer::open(&config, 1).await;
    for seed in 0..3 {
        let pending = readings(seed, 20, 0..30, &KEYS);
        sleeper.commit(&pending).await;
        expected.add(&pending);
    }
    let slept_at = sleeper.cached.as_ref().unwrap().snapshot.version;
    move_on_and_clean_up(place, &mut other, &mut expected).await;

    // In a window of its own, so that no file of the old version is missed; then in the old windows.
    for pending in [readings(50, 20, 900..901, &KEYS), readings(51, 20, 0..30, &KEYS)] {
        let version = sleeper.commit(&pending).await;
        expected.add(&pending);
        assert!(version > slept_at + 8, "version {version} was cleaned away");
    }
    let orphan = entry_path(place, slept_at + 1);
    assert!(!orphan.exists(), "an entry that is no part of the table stays");
    assert_eq!(rows(&config).await, expected.rows());
}

/// Somebody else took the sleeper's partition over and has counted its readings: they are not counted again.
async fn a_writer_that_slept_while_its_partition_moved_on_drops_what_it_holds(place: &Place) {
    let config = place.config();
    let mut expected = Expected::default();
    let mut sleeper = Writer::open(&config, 0).await;
    let mut successor = Writer::open(&config, 0).await;
    move_on_and_clean_up(place, &mut successor, &mut expected).await;
    let outcome = sleeper
        .try_commit(&readings(60, 20, 900..901, &KEYS))
        .await
        .unwrap();
    assert!(
        matches!(outcome, Outcome::PositionsMoved { partition: 0, .. }),
        "{outcome:?}"
    );
    assert_eq!(rows(&config).await, expected.rows());

    // And it goes on from there.
    let pending = readings(61, 20, 0..30, &KEYS);
    sleeper.commit(&pending).await;
    expected.add(&pending);
    assert_eq!(rows(&config).await, expected.rows());
}

async fn a_compaction_that_slept_through_the_clean_up_gives_way_or_counts(place: &Place) {
    let config = place.config();
    let mut expected = Expected::default();
    let mut other = Writer::open(&config, 1).await;
    for seed in 0..3 {
        let pending = readings(seed, 20, 0..30, &KEYS);
        other.commit(&pending).await;
        expected.add(&pending);
    }
    let sleeper = Writer::open(&config, 0).await;
    let cached: CachedSnapshot = sleeper.cached.unwrap();
    let paths = cached.snapshot.files.keys().cloned().collect();
    move_on_and_clean_up(place, &mut other, &mut expected).await;
    let committed = sleeper.lake.compact(paths, cached).await.unwrap();
    let reloaded = sleeper.lake.reload().await.unwrap();
    assert_eq!(committed.cached.snapshot.version, reloaded.snapshot.version);
    assert_eq!(rows(&config).await, expected.rows());
}

/// A folder that is put back under a running writer: the writer goes on from what is there, and leaves no entry that
/// the log does not lead to.
async fn a_version_that_was_put_back_is_noticed(place: &Place) {
    let config = place.config();
    let mut kept = Expected::default();
    let mut writer = Writer::open(&config, 0).await;
    let pending = readings(1, 20, 0..30, &KEYS);
    writer.commit(&pending).await;
    kept.add(&pending);
    let backup = tempfile::tempdir().unwrap();
    copy(&place.folder, backup.path());
    for seed in 2..6 {
        writer.commit(&readings(seed, 20, 0..30, &KEYS)).await;
    }
    std::fs::remove_dir_all(place.folder.join("_delta_log")).unwrap();
    copy(backup.path(), &place.folder);

    let outcome = writer.try_commit(&readings(7, 20, 0..30, &KEYS)).await.unwrap();
    assert!(
        matches!(outcome, Outcome::PositionsMoved { partition: 0, .. }),
        "{outcome:?}"
    );
    assert_eq!(place.log().keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(rows(&config).await, kept.rows());

    // Another history from there on: what the writer knows of version 2 is not what lies there.
    let mut first = Writer::open(&config, 0).await;
    let mut second = Writer::open(&config, 1).await;
    first.commit(&readings(8, 20, 0..30, &KEYS)).await;
    std::fs::remove_dir_all(place.folder.join("_delta_log")).unwrap();
    copy(backup.path(), &place.folder);
    let pending = readings(9, 20, 0..30, &KEYS);
    second.commit(&pending).await;
    kept.add(&pending);
    let pending = readings(10, 20, 0..30, &KEYS);
    let outcome = first.try_commit(&pending).await.unwrap();
    assert!(
        matches!(outcome, Outcome::PositionsMoved { partition: 0, .. }),
        "{outcome:?}"
    );
    first.commit(&pending).await;
    kept.add(&pending);
    assert_eq!(rows(&config).await, kept.rows());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
