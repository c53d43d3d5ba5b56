//! Maintenance changes no rows and loses no positions: compaction, checkpoints, cleanup of the log and vacuum, on a
//! local disk and on S3.
//!
//! Holds I2 (positions and rows in one commit), I3 (totals, to the last bit) and I4 (one row).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use streamgauge::config::Config;
use streamgauge::lake::{Lake, OpenMode};
use streamgauge::table::{CachedSnapshot, Outcome, TopicClaim};

use crate::table::{
    Expected, HOUR_MS, Place, Writer, batch, contract, data_files, maintenance, readings, rows,
};

contract!(
    a_commit_goes_through_a_compaction_and_a_compaction_gives_way_to_a_commit,
    a_table_is_opened_from_a_checkpoint_after_its_log_was_cleaned_up,
    vacuum_leaves_the_live_files_and_no_others,
);

const KEYS: [&str; 4] = ["north", "east", "Süd 7/α", "west"];

async fn open(config: &Config) -> (Lake, CachedSnapshot) {
    Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap()
}

/// I3, I4: a compaction and a rewrite of one file cannot both succeed on the same version of it.
async fn a_commit_goes_through_a_compaction_and_a_compaction_gives_way_to_a_commit(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..5 {
        let pending = readings(round, 30, 0..6, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        let mut maintainer = Writer::open(&config, 1).await;
        assert!(matches!(maintainer.compact().await, Outcome::Committed { .. }));
    }
    // The writer knows nothing of the last compaction.
    let pending = readings(9, 30, 0..6, &KEYS);
    writer.commit(&pending).await;
    expected.add(&pending);

    let (lake, cached) = open(&config).await;
    let paths: Vec<Arc<str>> = cached.snapshot.files.keys().cloned().collect();
    writer.commit(&pending).await;
    expected.add(&pending);
    let committed = lake.compact(paths, cached).await.unwrap();
    assert_eq!(committed.outcome, Outcome::Superseded);

    for round in 20..26 {
        let pending = readings(round, 30, 0..6, &KEYS);
        let mut maintainer = Writer::open(&config, 1).await;
        tokio::join!(writer.commit(&pending), maintainer.compact());
        expected.add(&pending);
    }
    assert_eq!(rows(&config).await, expected.rows());
    place.assert_committed_once(13, 13 * 30);
}

/// Settings under which everything is past its retention at once.
fn without_retention(place: &Place) -> Config {
    let mut config = place.config();
    config.pipeline.maintenance.log_retention = Duration::ZERO;
    config.pipeline.maintenance.vacuum_retention = Duration::ZERO;
    config.pipeline.maintenance.checkpoint_commits = 5;
    config.pipeline.maintenance.compact_files = 4;
    config
}

/// I2, I3: positions and files come from a checkpoint as well as from the entries it replaces.
async fn a_table_is_opened_from_a_checkpoint_after_its_log_was_cleaned_up(place: &Place) {
    // Made under other settings: what counts are those of today.
    Writer::open(&place.config(), 0).await;
    let config = without_retention(place);
    let mut writer = Writer::open(&config, 0).await;
    let mut sleeper = Writer::open(&config, 1).await;
    let mut maintenance = maintenance(&config).await;
    let mut expected = Expected::default();
    let mut checkpoints = 0;
    let cached = writer.cached.take().unwrap();
    let mut claiming = batch(0, cached.snapshot.position(0), &[]);
    claiming.topic = Some(TopicClaim::of("the-topic".into()));
    writer.cached = Some(writer.lake.commit(claiming, cached).await.unwrap().cached);
    for round in 0..30 {
        let pending = readings(round, 20, round as i64..round as i64 + 3, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        checkpoints += usize::from(maintenance.round().await.unwrap().checkpoint_version.is_some());
        if round % 10 == 9 {
            assert!(maintenance.clean_up(false).await.unwrap().log_entries_deleted > 0);
        }
    }
    assert!(
        checkpoints >= 5 && place.log().len() <= 12,
        "{checkpoints}, {:?}",
        place.log().keys()
    );

    // The topic's id was written once, by an entry that is gone.
    let has_id = |action: &serde_json::Value| action.to_string().contains("topic_id");
    assert!(!place.log().values().flatten().any(has_id));
    let (lake, reopened) = open(&config).await;
    let cached = lake.refresh(writer.cached.take().unwrap()).await.unwrap();
    assert_eq!(reopened.snapshot, cached.snapshot);
    assert_eq!(reopened.snapshot.position(0).next_offset, 600);
    assert_eq!(&*reopened.snapshot.topic.as_ref().unwrap().id, "the-topic");
    assert!(
        reopened
            .snapshot
            .files
            .values()
            .all(|file| file.rows > 0 && file.bucket == Some(0))
    );
    assert!(
        reopened
            .snapshot
            .files
            .values()
            .all(|file| file.first_start_ms >= 0 && file.last_start_ms < 40 * HOUR_MS)
    );
    assert_eq!(rows(&config).await, expected.rows());

    // Two that knew the table before: the entries they would have to follow are gone.
    let pending = readings(77, 20, 0..30, &KEYS);
    sleeper.commit(&pending).await;
    writer.commit(&pending).await;
    expected.add(&[pending.clone(), pending].concat());
    assert_eq!(rows(&config).await, expected.rows());
}

async fn vacuum_leaves_the_live_files_and_no_others(place: &Place) {
    let config = without_retention(place);
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..12 {
        let pending = readings(round, 20, round as i64..round as i64 + 3, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
    }
    // The leftover of a process that dies between writing a file and naming it in the log.
    std::fs::write(
        place
            .folder
            .join("0b9ff3d3-4f0c-4b9e-9d58-5d1c2a3b4c5d-000-b00000.snappy.parquet"),
        "x",
    )
    .unwrap();
    let mut maintenance = maintenance(&config).await;
    maintenance.compact(false).await.unwrap();
    let dry = maintenance.clean_up(true).await.unwrap();
    let before = data_files(&place.folder);
    let wet = maintenance.clean_up(false).await.unwrap();
    let (_, reopened) = open(&config).await;
    let live: BTreeSet<String> = reopened
        .snapshot
        .files
        .keys()
        .map(|path| path.to_string())
        .collect();
    assert_eq!(data_files(&place.folder), live);
    assert_eq!(wet.files_deleted.len(), before.len() - live.len());
    assert_eq!(
        dry.files_deleted.len(),
        wet.files_deleted.len(),
        "a dry run says what would be deleted"
    );
    assert_eq!(rows(&config).await, expected.rows());
}
