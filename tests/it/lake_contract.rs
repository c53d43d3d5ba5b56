//! The lake's contract: one suite, run on a local disk and on S3.
//!
//! Holds I2 (positions and rows in one commit), I3 (totals, to the last bit) and I4 (one row).

use std::collections::BTreeSet;

use streamgauge::config::Config;
use streamgauge::lake::{Lake, LakeError, OpenMode};
use streamgauge::reading::Position;
use streamgauge::table::{CachedSnapshot, Outcome, TopicClaim};

use crate::table::{
    Expected, HOUR_MS, Place, Reading, Writer, batch, contract, measured_rows, of_measures, reading,
    readings, rows,
};

contract!(
    a_table_is_made_once_and_opened_as_it_was_left,
    commits_add_up_to_the_last_bit,
    a_row_that_is_not_in_memory_is_found_and_corrected,
    what_rounding_takes_is_kept_over_restarts_and_compactions,
    buckets_hold_rows_apart_and_the_table_the_same,
    of_two_writers_of_one_version_both_get_in_once,
    a_commit_of_positions_that_moved_reports_so,
    positions_are_committed_without_rows,
    a_commit_from_another_topic_of_the_same_name_is_refused,
    a_table_without_keys_has_null_keys,
    measures_of_a_key_have_rows_of_their_own,
    ten_thousand_keys_share_a_window,
);

const KEYS: [&str; 4] = ["north", "east", "Süd 7/α", "west"];

async fn open(config: &Config) -> (Lake, CachedSnapshot) {
    Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap()
}

/// I2: what is known after a commit is what a process that starts then reads from the log.
async fn a_table_is_made_once_and_opened_as_it_was_left(place: &Place) {
    let config = place.config();
    let missing = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap_err();
    assert!(matches!(missing, LakeError::Missing(_)), "{missing:?}");

    let mut writers =
        futures::future::join_all((0..3).map(|partition| Writer::open(&config, partition))).await;
    let ids: BTreeSet<_> = writers
        .iter()
        .map(|writer| writer.lake.table_id().to_owned())
        .collect();
    assert_eq!(
        (ids.len(), place.log().len()),
        (1, 1),
        "three openings, one table"
    );

    let mut writer = writers.swap_remove(0);
    assert_eq!(writer.commit(&readings(1, 50, 0..5, &KEYS)).await, 1);
    assert_eq!(writer.commit(&readings(2, 50, 3..9, &KEYS)).await, 2);
    let (_, reopened) = open(&config).await;
    assert_eq!(reopened.snapshot, writer.cached.unwrap().snapshot);
    let position = Position {
        next_offset: 100,
        largest_event_time_ms: Some(8 * HOUR_MS),
    };
    assert_eq!(
        (reopened.snapshot.version, reopened.snapshot.position(0)),
        (2, position)
    );
}

/// I3, I4.
async fn commits_add_up_to_the_last_bit(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..8 {
        let pending = readings(round, 40, round as i64..round as i64 + 4, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
        assert_eq!(rows(&config).await, expected.rows(), "after commit {round}");
    }
    place.assert_committed_once(8, 320);
}

/// I4: nothing is assumed absent, and a row that is only in the table is corrected and not doubled.
async fn a_row_that_is_not_in_memory_is_found_and_corrected(place: &Place) {
    let config = place.config();
    let mut expected = Expected::default();
    let mut writer = Writer::open(&config, 0).await;
    for (round, hours) in [0..6, 20..30, 2..25].into_iter().enumerate() {
        let pending = readings(round as u64, 60, hours, &KEYS);
        writer.commit(&pending).await;
        expected.add(&pending);
    }
    // Closed and forgotten; then restarted; then compacted by another process.
    let mut old = readings(7, 60, 0..30, &KEYS);
    writer.commit(&old).await;
    expected.add(&old);
    let mut restarted = Writer::open(&config, 0).await;
    restarted.commit(&old).await;
    expected.add(&old);
    assert!(matches!(writer.compact().await, Outcome::Committed { .. }));
    old.truncate(5);
    restarted.commit(&old).await;
    expected.add(&old);
    assert_eq!(rows(&config).await, expected.rows());
    // All that is left of the compaction, and the windows the last commit touched.
    assert!(restarted.cached.unwrap().snapshot.files.len() <= 6);
}

/// I3: what is left of a sum by its rounding outlives the process and the file it was first written to.
async fn what_rounding_takes_is_kept_over_restarts_and_compactions(place: &Place) {
    let config = place.config();
    let mut everyday = vec![0.1, 0.2, 0.3, 0.7, 1234.1, -0.6, 7.3, 99.9];
    everyday.resize(64, 0.1);
    let cases = [
        ("cancelled", vec![1e16, 1.0, 1.0, -1e16]),
        ("halfway", vec![9_007_199_254_740_992.0, 1.0, 2f64.powi(-50), 3.3]),
        ("everyday", everyday),
    ];
    let mut expected = Expected::default();
    for step in 0..64 {
        let values = cases
            .iter()
            .filter_map(|(key, values)| Some(reading(3, key, *values.get(step)?)));
        let pending: Vec<Reading> = values.collect();
        // Every commit of the first ones by a new process, each on a compacted file.
        let mut writer = Writer::open(&config, 0).await;
        writer.commit(&pending).await;
        expected.add(&pending);
        if step < 8 {
            assert_eq!(rows(&config).await, expected.rows(), "after {step} restarts");
            writer.compact().await;
        }
    }
    let found = rows(&config).await;
    assert_eq!(found, expected.rows());
    assert_eq!(
        found
            .iter()
            .find(|row| row.key.as_deref() == Some("cancelled"))
            .unwrap()
            .sum,
        2.0
    );
}

/// I3, I4: buckets change files and nothing else.
async fn buckets_hold_rows_apart_and_the_table_the_same(place: &Place) {
    let mut config = place.config();
    config.pipeline.table.buckets = 4;
    let names: Vec<String> = (0..40).map(|number| format!("meter-{number}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..4 {
        let pending = readings(round, 200, 0..3, &keys);
        writer.commit(&pending).await;
        expected.add(&pending);
    }
    let (_, reopened) = open(&config).await;
    let buckets: BTreeSet<_> = reopened.snapshot.files.values().map(|file| file.bucket).collect();
    assert_eq!(buckets, (0..4).map(Some).collect());
    assert_eq!(rows(&config).await, expected.rows());
    writer.compact().await;
    assert_eq!(writer.cached.unwrap().snapshot.files.len(), 4);
    assert_eq!(rows(&config).await, expected.rows());
}

/// I2, I4: two processes contribute to the same rows at the same time.
async fn of_two_writers_of_one_version_both_get_in_once(place: &Place) {
    let config = place.config();
    let (mut left, mut right) = tokio::join!(Writer::open(&config, 0), Writer::open(&config, 1));
    let mut expected = Expected::default();
    for round in 0..10 {
        let pending = [
            readings(round, 30, 0..4, &KEYS),
            readings(round + 100, 30, 0..4, &KEYS),
        ];
        let (first, second) = tokio::join!(left.commit(&pending[0]), right.commit(&pending[1]));
        assert_ne!(first, second);
        pending.iter().for_each(|readings| expected.add(readings));
    }
    assert_eq!(rows(&config).await, expected.rows());
    place.assert_committed_once(20, 600);
    let (_, reopened) = open(&config).await;
    assert_eq!(
        [0, 1].map(|partition| reopened.snapshot.position(partition).next_offset),
        [300, 300]
    );
}

/// I2: a batch that another process has consumed and committed is not counted a second time.
async fn a_commit_of_positions_that_moved_reports_so(place: &Place) {
    let config = place.config();
    let pending = readings(1, 30, 0..4, &KEYS);
    let (mut owner, mut zombie) = tokio::join!(Writer::open(&config, 0), Writer::open(&config, 0));
    owner.commit(&pending).await;
    let outcome = zombie.try_commit(&pending).await.unwrap();
    let found = owner.cached.as_ref().unwrap().snapshot.position(0);
    let moved = Outcome::PositionsMoved {
        partition: 0,
        expected: Position::default(),
        found,
    };
    assert_eq!(outcome, moved);

    // At the same moment: one of the two gets in.
    let mut other = Writer::open(&config, 0).await;
    let (first, second) = tokio::join!(owner.try_commit(&pending), other.try_commit(&pending));
    let outcomes = [first.unwrap(), second.unwrap()];
    let committed = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Committed { version: 2 })
        .count();
    assert_eq!(committed, 1, "{outcomes:?}");
    place.assert_committed_once(2, 60);
    assert_eq!(
        rows(&config).await,
        Expected::of(&[pending.clone(), pending].concat()).rows()
    );
}

/// I2.
async fn positions_are_committed_without_rows(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 3).await;
    writer.commit(&readings(1, 10, 0..4, &KEYS)).await;
    let before = writer.cached.take().unwrap();
    let mut empty = batch(3, before.snapshot.position(3), &[]);
    empty.positions[0].to.next_offset += 7;
    let committed = writer.lake.commit(empty, before.clone()).await.unwrap();
    let (_, reopened) = open(&config).await;
    assert_eq!(reopened.snapshot, committed.cached.snapshot);
    assert_eq!(
        (
            reopened.snapshot.version,
            reopened.snapshot.position(3).next_offset
        ),
        (2, 17)
    );
    assert_eq!(reopened.snapshot.files, before.snapshot.files);
}

/// I2: positions are of one topic, by its id, until a claim replaces it.
async fn a_commit_from_another_topic_of_the_same_name_is_refused(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    // As made by a version that did not keep the topic's id.
    writer.commit(&readings(1, 10, 0..4, &KEYS)).await;
    assert_eq!(writer.cached.as_ref().unwrap().snapshot.topic, None);
    let claim = |id: &str, replaces: Option<&str>| {
        let (id, replaces) = (id.into(), replaces.map(Into::into));
        Some(TopicClaim { id, replaces })
    };
    let steps = [
        (claim("first", None), true, ("first", 0)),
        (claim("first", None), true, ("first", 0)),
        (claim("second", None), false, ("first", 0)),
        (claim("second", Some("first")), true, ("second", 1)),
        (claim("first", None), false, ("second", 1)),
        (claim("second", Some("first")), true, ("second", 1)),
        (None, true, ("second", 1)),
    ];
    for (topic, is_taken, (id, number)) in steps {
        let cached = writer.cached.take().unwrap();
        let mut pending = batch(0, cached.snapshot.position(0), &readings(2, 5, 0..4, &KEYS));
        pending.topic = topic.clone();
        let committed = writer.lake.commit(pending, cached).await.unwrap();
        let is_refused = matches!(committed.outcome, Outcome::TopicReplaced { .. });
        assert_eq!(is_taken, !is_refused, "{topic:?}: {:?}", committed.outcome);
        writer.cached = Some(committed.cached);
        let (_, reopened) = open(&config).await;
        let mark = reopened.snapshot.topic.clone().unwrap();
        assert_eq!((&*mark.id, mark.number), (id, number), "{topic:?}");
        assert_eq!(reopened.snapshot, writer.cached.as_ref().unwrap().snapshot);
    }
}

async fn a_table_without_keys_has_null_keys(place: &Place) {
    let mut config = place.config();
    config.pipeline.reading.key = "none".parse().expect("a key");
    let mut expected = Expected::default();
    for round in 0..3 {
        let pending = readings(round, 20, 0..4, &[""]);
        Writer::open(&config, 0).await.commit(&pending).await;
        expected.add(&pending);
    }
    let mut wanted = expected.rows();
    wanted.iter_mut().for_each(|row| row.key = None);
    assert_eq!(rows(&config).await, wanted);
}

/// I3, I4.
async fn ten_thousand_keys_share_a_window(place: &Place) {
    let config = place.config();
    let mut writer = Writer::open(&config, 0).await;
    let mut expected = Expected::default();
    for round in 0..3 {
        let value = |number: i64| (number * 7 + round) as f64 / 10.0;
        let pending: Vec<_> = (0..10_000)
            .map(|number| reading(5, &format!("meter-{number:05}"), value(number)))
            .collect();
        writer.commit(&pending).await;
        expected.add(&pending);
    }
    assert_eq!(writer.cached.unwrap().snapshot.files.len(), 1);
    assert_eq!(rows(&config).await, expected.rows());
}

/// I3, I4, in long format: a row for each measure of a key, found and corrected by start, key and measure.
async fn measures_of_a_key_have_rows_of_their_own(place: &Place) {
    let mut config = place.config();
    config.pipeline.table.measure_column = "measure".to_owned();
    config.pipeline.table.buckets = 3;
    let mut writer = Writer::open(&config, 0).await;
    let keys = ["north", "north/kw", "north/v", "east/kw", "west"];
    let mut expected = Expected::default();
    for round in 0..4 {
        let readings = readings(round, 40, round as i64..round as i64 + 3, &keys);
        let cached = writer.lake.reload().await.unwrap();
        let pending = of_measures(batch(0, cached.snapshot.position(0), &readings));
        let committed = writer.lake.commit(pending, cached).await.unwrap();
        assert!(matches!(committed.outcome, Outcome::Committed { .. }));
        expected.add(&readings);
        assert_eq!(
            measured_rows(&config).await,
            expected.rows(),
            "after commit {round}"
        );
    }
    assert!(matches!(writer.compact().await, Outcome::Committed { .. }));
    assert_eq!(measured_rows(&config).await, expected.rows());
    // The column is the table's for good.
    config.pipeline.table.measure_column = String::new();
    let refused = Lake::open(&config.pipeline.table_spec(), OpenMode::MustExist)
        .await
        .unwrap_err();
    let message = refused.to_string();
    assert!(matches!(refused, LakeError::Incompatible { .. }), "{message}");
    assert!(message.contains("the column measure (string)"), "{message}");
}
