//! A partition's findings depend on its records and on nothing else: not on blocks, restarts or snapshots.

use proptest::prelude::*;

use super::*;
use crate::config::{Overrides, load};
use crate::reading::Record;

/// Settings under which little is needed for an anomaly: small trees, and a rule of each kind.
fn watch(input: &str) -> Watch {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_format", "", Some("epoch_ms"))
        .with("reading.max_ahead", "", Some("1000d"))
        .with("window.length", "", Some("10s"))
        .with("window.watermark", "", Some("5s"))
        .with("detect.input", "", Some(input))
        .with("detect.detector", "", Some("half-space-trees"))
        .with("detect.threshold", "", Some("0.6"))
        .with("half_space_trees.trees", "", Some("3"))
        .with("half_space_trees.height", "", Some("3"))
        .with("half_space_trees.window_size", "", Some("4"))
        .with("half_space_trees.scale", "", Some("100"))
        .with("detect.rules.a*", "", Some("above 90; changes by 70 within 20s"))
        .with("detect.rules.*", "", Some("silent for 30s; below 3 for 2s"));
    Watch::new(&load(&overrides, None, []).unwrap().config).unwrap()
}

/// Records of one partition: JSON texts, by offset.
fn block(texts: &[String], from: usize, to: usize) -> RecordBlock {
    let mut block = RecordBlock::new(0, 1);
    for (offset, text) in texts.iter().enumerate().take(to).skip(from) {
        let record = Record {
            offset: offset as i64,
            timestamp_ms: None,
            key: None,
            value: Some(text.as_bytes()),
        };
        block.push(record, None);
    }
    block
}

/// Everything found when the records come in blocks of these sizes.
fn found(watch: &Watch, texts: &[String], sizes: &[usize]) -> Vec<Anomaly> {
    let mut watcher = Watcher::new(watch.clone());
    watcher.assign(0, 1, 0, 0);
    let mut anomalies = Vec::new();
    let mut from = 0;
    for size in sizes.iter().cycle() {
        if from >= texts.len() {
            break;
        }
        let to = (from + size).min(texts.len());
        anomalies.extend(watcher.step(&block(texts, from, to)).anomalies);
        from = to;
    }
    anomalies
}

/// Readings of three series whose times mostly advance, and a broken record now and then.
fn records() -> impl Strategy<Value = Vec<String>> {
    let record = (0..40_u8, 0..3_u8, 0..12_000_i64, 0..1000_u32);
    prop::collection::vec(record, 1..200).prop_map(|records| {
        let mut time_ms = 1_700_000_000_000;
        let text = |(kind, key, step_ms, value): (u8, u8, i64, u32)| {
            if kind == 0 {
                return "{broken".to_owned();
            }
            time_ms += step_ms - 2_000;
            let value = f64::from(value) / 10.0;
            let key = ["a", "b", "c"][usize::from(key)];
            format!(r#"{{"ts":{time_ms},"value":{value:?},"key":"{key}"}}"#)
        };
        records.into_iter().map(text).collect()
    })
}

proptest! {
    #[test]
    fn blocks_do_not_matter(texts in records(), sizes in prop::collection::vec(1..50_usize, 1..9)) {
        for input in ["readings", "windows"] {
            let watch = watch(input);
            prop_assert_eq!(found(&watch, &texts, &[texts.len()]), found(&watch, &texts, &sizes));
        }
    }

    /// I6: whoever takes over from a snapshot and replays up to the committed offset finds what an undisturbed one
    /// would have found from there on, and says nothing again.
    #[test]
    fn a_restart_does_not_matter(texts in records(), at in any::<prop::sample::Index>(), committed in any::<prop::sample::Index>()) {
        for input in ["readings", "windows"] {
            let watch = watch(input);
            let snapshot_at = at.index(texts.len());
            let committed = snapshot_at + committed.index(texts.len() - snapshot_at + 1);
            let mut first = Watcher::new(watch.clone());
            first.assign(0, 1, 0, 0);
            first.step(&block(&texts, 0, snapshot_at));
            let bytes = first.snapshot(0).unwrap();
            let snapshot = Snapshot::open(&bytes, &watch, 0).unwrap();
            prop_assert_eq!(snapshot.position.next_offset, snapshot_at as i64);
            let mut second = Watcher::new(watch.clone());
            second.resume(&snapshot, 1, snapshot_at as i64, committed as i64).unwrap();
            let later = second.step(&block(&texts, 0, texts.len())).anomalies;
            let all = found(&watch, &texts, &[texts.len()]);
            let expected: Vec<Anomaly> = all.into_iter().filter(|one| one.offset >= committed as i64).collect();
            prop_assert_eq!(later, expected);
            // And it has come to the same state.
            first.step(&block(&texts, snapshot_at, texts.len()));
            prop_assert_eq!(first.snapshot(0), second.snapshot(0));
        }
    }
}

fn texts() -> Vec<String> {
    let value = |number: i64| {
        if number == 30 {
            99.5
        } else {
            50.0 + (number % 7) as f64
        }
    };
    (0..40)
        .map(|number| {
            let (time_ms, value) = (1_700_000_000_000 + 1000 * number, value(number));
            format!(r#"{{"ts":{time_ms},"value":{value:?},"key":"a"}}"#)
        })
        .collect()
}

#[test]
fn an_anomaly_knows_its_record_and_its_place_among_that_records_anomalies() {
    let found = found(&watch("readings"), &texts(), &[7]);
    let rules: Vec<(i64, &str)> = found
        .iter()
        .filter(|anomaly| anomaly.verdict.detector == "rules")
        .map(|anomaly| (anomaly.offset, anomaly.verdict.cause.name()))
        .collect();
    assert_eq!(rules, [(30, "rule_began"), (31, "rule_ended")]);
    for pair in found.windows(2) {
        let follows = if pair[0].offset == pair[1].offset {
            pair[0].index + 1
        } else {
            0
        };
        assert_eq!(pair[1].index, follows, "{pair:?}");
    }
}

#[test]
fn a_window_is_judged_once_when_the_watermark_passes_it() {
    let watch = watch("windows");
    let mut watcher = Watcher::new(watch);
    watcher.assign(0, 1, 0, 0);
    let reading =
        |time_s: i64, value: f64| format!(r#"{{"ts":{},"value":{value:?},"key":"a"}}"#, time_s * 1000);
    // Windows of 10 s, 5 s of allowed delay: the first closes at 15 s, and what comes for it after that is late.
    let texts = [
        reading(1, 98.0),
        reading(9, 94.0),
        reading(14, 50.0),
        reading(8, 93.0),
        reading(15, 50.0),
        reading(9, 0.0),
    ];
    let anomalies = watcher.step(&block(&texts, 0, texts.len())).anomalies;
    assert_eq!(anomalies.len(), 1, "{anomalies:?}");
    assert_eq!(
        (
            anomalies[0].value,
            anomalies[0].event_time_ms,
            anomalies[0].offset
        ),
        (Some(95.0), 10_000, 4)
    );
    assert_eq!((watcher.tally().judged, watcher.tally().late), (5, 1));
}

#[test]
fn silence_is_told_when_the_partitions_time_has_passed_it() {
    let mut watcher = Watcher::new(watch("readings"));
    watcher.assign(0, 1, 0, 0);
    let reading =
        |time_s: i64, key: &str| format!(r#"{{"ts":{},"value":50.0,"key":"{key}"}}"#, time_s * 1000);
    let texts = [
        reading(0, "a"),
        reading(29, "b"),
        reading(31, "b"),
        reading(40, "a"),
    ];
    let anomalies = watcher.step(&block(&texts, 0, texts.len())).anomalies;
    let told: Vec<(i64, &str, i64, &str)> = anomalies
        .iter()
        .map(|one| (one.offset, &*one.key, one.event_time_ms, one.verdict.cause.name()))
        .collect();
    assert_eq!(
        told,
        [(2, "a", 30_001, "rule_began"), (3, "a", 40_000, "rule_ended")]
    );
}

#[test]
fn readings_out_of_order_are_counted() {
    let mut watcher = Watcher::new(watch("readings"));
    watcher.assign(0, 1, 0, 0);
    let reading =
        |time_s: i64, key: &str| format!(r#"{{"ts":{},"value":50.0,"key":"{key}"}}"#, time_s * 1000);
    let texts = [
        reading(5, "a"),
        reading(3, "b"),
        reading(4, "a"),
        reading(4, "b"),
        reading(5, "a"),
    ];
    watcher.step(&block(&texts, 0, texts.len()));
    assert_eq!((watcher.tally().judged, watcher.tally().out_of_order), (5, 1));
}

#[test]
fn what_is_no_reading_is_named_and_counted() {
    let mut watcher = Watcher::new(watch("readings"));
    watcher.assign(0, 1, 0, 0);
    let texts = [
        "{broken".to_owned(),
        r#"{"ts":1,"value":2.0,"key":"a"}"#.to_owned(),
    ];
    let findings = watcher.step(&block(&texts, 0, 2));
    assert_eq!(findings.rejected.len(), 1);
    assert_eq!(findings.rejected[0].1.reason, Reason::InvalidJson);
    assert_eq!((watcher.tally().consumed, watcher.tally().judged), (2, 1));
}

#[test]
fn a_snapshot_that_does_not_fit_is_refused_and_named() {
    let watch_readings = watch("readings");
    let mut watcher = Watcher::new(watch_readings.clone());
    watcher.assign(3, 1, 0, 0);
    let good = watcher.snapshot(3).unwrap();
    assert!(Snapshot::open(&good, &watch_readings, 3).is_ok());
    let refusal = |bytes: &[u8], watch: &Watch, partition| Snapshot::open(bytes, watch, partition).err();
    assert_eq!(refusal(b"PK", &watch_readings, 3), Some(SnapshotError::Foreign));
    assert_eq!(
        refusal(&good[..good.len() - 1], &watch_readings, 3),
        Some(SnapshotError::Torn)
    );
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    assert_eq!(refusal(&flipped, &watch_readings, 3), Some(SnapshotError::Torn));
    let mut newer = good.clone();
    newer[7] = 200;
    assert_eq!(
        refusal(&newer, &watch_readings, 3),
        Some(SnapshotError::OtherVersion { found: 200 })
    );
    assert_eq!(
        refusal(&good, &watch("windows"), 3),
        Some(SnapshotError::OtherSettings)
    );
    let message = refusal(&good, &watch_readings, 2).unwrap().to_string();
    assert_eq!(message, "it is of topic usage, partition 3");
}

#[test]
fn a_partition_that_is_being_replayed_has_no_position_to_commit() {
    let watch = watch("readings");
    let mut watcher = Watcher::new(watch);
    watcher.assign(0, 1, 0, 10);
    watcher.step(&block(&texts(), 0, 9));
    assert_eq!(watcher.positions().count(), 0);
    assert_eq!(watcher.snapshot(0), None);
    watcher.step(&block(&texts(), 9, 10));
    assert_eq!(watcher.positions().count(), 1);
    assert_eq!(watcher.tally().replayed, 10);
}
