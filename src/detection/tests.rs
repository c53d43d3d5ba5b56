//! A partition's findings depend on its records and on nothing else: not on blocks, restarts or state files.

mod answers;
mod filters;
mod fingerprint;
mod sliding;
mod state_files;

use proptest::prelude::*;

use super::*;
use crate::config::{Overrides, load};
use crate::reading::Record;

/// Settings under which little is needed for an anomaly: small trees, and a rule of each kind.
fn spec(input: &str) -> DetectionSpec {
    spec_of(input, "half-space-trees", "0.6")
}

/// The same with another detector. The input may be `windows 2s`: sliding ones.
fn spec_of(input: &str, detector: &str, threshold: &str) -> DetectionSpec {
    let (input, slide) = input.split_once(' ').unwrap_or((input, "0s"));
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_format", "", Some("epoch_ms"))
        .with("reading.max_ahead", "", Some("2h"))
        .with("reading.max_behind", "", Some("100y"))
        .with("window.length", "", Some("10s"))
        .with("window.watermark", "", Some("5s"))
        .with("detect.input", "", Some(input))
        .with("detect.slide", "", Some(slide))
        .with("detect.detector", "", Some(detector))
        .with("detect.threshold", "", Some(threshold))
        .with("half_space_trees.trees", "", Some("3"))
        .with("half_space_trees.height", "", Some("3"))
        .with("half_space_trees.window_size", "", Some("4"))
        .with("half_space_trees.scale", "", Some("100"))
        .with("detect.rules.a*", "", Some("above 90; changes by 70 within 20s"))
        .with("detect.rules.*", "", Some("silent for 30s; below 3 for 2s"));
    load(&overrides, None, [])
        .unwrap()
        .config
        .pipeline
        .detection_spec()
        .unwrap()
}

/// The same, with room for three series only.
fn crowded(input: &str) -> DetectionSpec {
    spec(input).shared_by(config_default_series() / 3)
}

fn config_default_series() -> usize {
    load(&Overrides::default(), None, [])
        .unwrap()
        .config
        .pipeline
        .detect
        .max_series
}

/// Records of one partition: JSON texts, by offset.
fn block(texts: &[String], from: usize, to: usize) -> RecordBlock {
    let mut block = RecordBlock::new(0, 1);
    for (offset, text) in texts.iter().enumerate().take(to).skip(from) {
        let record = Record {
            offset: offset as i64,
            // After all event times, as in a replay: silences follow event time alone.
            timestamp_ms: Some(2_000_000_000_000),
            key: None,
            value: Some(text.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    block
}

/// Everything found when the records come in blocks of these sizes.
fn found(spec: &DetectionSpec, texts: &[String], sizes: &[usize]) -> Vec<Anomaly> {
    let mut operator = DetectionOperator::new(spec.clone());
    operator.assign(0, 1, 0, 0);
    let mut anomalies = Vec::new();
    let mut from = 0;
    for size in sizes.iter().cycle() {
        if from >= texts.len() {
            break;
        }
        let to = (from + size).min(texts.len());
        anomalies.extend(operator.step(&block(texts, from, to)).anomalies);
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

/// Readings of many series, with times of weeks between them now and then: some are forgotten, some are too many.
fn records_of_many() -> impl Strategy<Value = Vec<String>> {
    let step_ms = prop_oneof![12 => -2_000..10_000_i64, 1 => 0..80 * DAY_MS];
    let record = (0..8_u8, step_ms, 0..1000_u32);
    prop::collection::vec(record, 1..200).prop_map(|records| {
        let mut time_ms = 1_700_000_000_000;
        let text = |(key, step_ms, value): (u8, i64, u32)| {
            time_ms += step_ms;
            format!(
                r#"{{"ts":{time_ms},"value":{:?},"key":"a{key}"}}"#,
                f64::from(value) / 10.0
            )
        };
        records.into_iter().map(text).collect()
    })
}

const DAY_MS: i64 = 86_400_000;

/// Any of the settings.
fn any_spec() -> impl Strategy<Value = DetectionSpec> {
    (
        prop::sample::select(vec!["readings", "windows", "windows 2s"]),
        any::<bool>(),
    )
        .prop_map(
            |(input, is_crowded)| {
                if is_crowded { crowded(input) } else { spec(input) }
            },
        )
}

proptest! {
    #[test]
    fn blocks_do_not_matter(texts in prop_oneof![records(), records_of_many()], sizes in prop::collection::vec(1..50_usize, 1..9), spec in any_spec()) {
        prop_assert_eq!(found(&spec, &texts, &[texts.len()]), found(&spec, &texts, &sizes));
    }

    /// I6: after a restart from a state file and a replay up to the committed offset, the same is found from there on as
    /// without the restart, and nothing is published twice.
    #[test]
    fn a_restart_does_not_matter(texts in prop_oneof![records(), records_of_many()], at in any::<prop::sample::Index>(), committed in any::<prop::sample::Index>(), spec in any_spec()) {
        let saved_at = at.index(texts.len());
        let committed = saved_at + committed.index(texts.len() - saved_at + 1);
        let mut first = DetectionOperator::new(spec.clone());
        first.assign(0, 1, 0, 0);
        first.step(&block(&texts, 0, saved_at));
        let bytes = first.state_file(0).unwrap();
        let state_file = StateFile::open(bytes.as_slice(), &spec, 0).unwrap();
        prop_assert_eq!(state_file.position.next_offset, saved_at as i64);
        let mut second = DetectionOperator::new(spec.clone());
        second.resume(state_file, 1, saved_at as i64, committed as i64).unwrap();
        let later = second.step(&block(&texts, 0, texts.len())).anomalies;
        let all = found(&spec, &texts, &[texts.len()]);
        let expected: Vec<Anomaly> = all.into_iter().filter(|one| one.episode.message.offset >= committed as i64).collect();
        prop_assert_eq!(later, expected);
        // The state is the same, too.
        first.step(&block(&texts, saved_at, texts.len()));
        prop_assert_eq!(first.state_file(0), second.state_file(0));
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
    let found = found(&spec("readings"), &texts(), &[7]);
    let rules: Vec<(i64, &str)> = found
        .iter()
        .filter(|anomaly| anomaly.verdict.detector == "rules")
        .map(|anomaly| (anomaly.episode.message.offset, anomaly.verdict.cause.name()))
        .collect();
    assert_eq!(rules, [(30, "rule_began"), (31, "rule_ended")]);
    for pair in found.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|anomaly| anomaly.episode.message);
        let follows = if before.offset == after.offset {
            before.index + 1
        } else {
            0
        };
        assert_eq!(after.index, follows, "{pair:?}");
    }
}

#[test]
fn a_window_is_judged_once_when_the_watermark_passes_it() {
    let spec = spec("windows");
    let mut operator = DetectionOperator::new(spec);
    operator.assign(0, 1, 0, 0);
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
    let anomalies = operator.step(&block(&texts, 0, texts.len())).anomalies;
    assert_eq!(anomalies.len(), 1, "{anomalies:?}");
    assert_eq!(
        (
            anomalies[0].value,
            anomalies[0].event_time_ms,
            anomalies[0].episode.message.offset
        ),
        (Some(95.0), 10_000, 4)
    );
    assert_eq!((operator.counts().judged, operator.counts().late), (5, 1));
}

#[test]
fn silence_is_reported_when_the_partitions_time_has_passed_it() {
    let mut operator = DetectionOperator::new(spec("readings"));
    operator.assign(0, 1, 0, 0);
    let reading =
        |time_s: i64, key: &str| format!(r#"{{"ts":{},"value":50.0,"key":"{key}"}}"#, time_s * 1000);
    let texts = [
        reading(0, "a"),
        reading(29, "b"),
        reading(31, "b"),
        reading(40, "a"),
    ];
    let anomalies = operator.step(&block(&texts, 0, texts.len())).anomalies;
    let reported: Vec<(i64, &str, i64, &str)> = anomalies
        .iter()
        .map(|one| {
            (
                one.episode.message.offset,
                &*one.key,
                one.event_time_ms,
                one.verdict.cause.name(),
            )
        })
        .collect();
    assert_eq!(
        reported,
        [(2, "a", 30_001, "rule_began"), (3, "a", 40_000, "rule_ended")]
    );
}

#[test]
fn readings_out_of_order_are_counted() {
    let mut operator = DetectionOperator::new(spec("readings"));
    operator.assign(0, 1, 0, 0);
    let reading =
        |time_s: i64, key: &str| format!(r#"{{"ts":{},"value":50.0,"key":"{key}"}}"#, time_s * 1000);
    let texts = [
        reading(5, "a"),
        reading(3, "b"),
        reading(4, "a"),
        reading(4, "b"),
        reading(5, "a"),
    ];
    operator.step(&block(&texts, 0, texts.len()));
    assert_eq!((operator.counts().judged, operator.counts().out_of_order), (5, 1));
}

#[test]
fn what_is_no_reading_is_named_and_counted() {
    let mut operator = DetectionOperator::new(spec("readings"));
    operator.assign(0, 1, 0, 0);
    let texts = [
        "{broken".to_owned(),
        r#"{"ts":1,"value":2.0,"key":"a"}"#.to_owned(),
    ];
    let findings = operator.step(&block(&texts, 0, 2));
    assert_eq!(findings.rejected.len(), 1);
    assert_eq!(findings.rejected[0].1.reason, Reason::InvalidJson);
    assert_eq!((operator.counts().consumed, operator.counts().judged), (2, 1));
}

#[test]
fn a_partition_that_is_being_replayed_has_no_position_to_commit() {
    let spec = spec("readings");
    let mut operator = DetectionOperator::new(spec);
    operator.assign(0, 1, 0, 10);
    operator.step(&block(&texts(), 0, 9));
    assert_eq!(operator.positions().count(), 0);
    assert_eq!(operator.state_file(0), None);
    operator.step(&block(&texts(), 9, 10));
    assert_eq!(operator.positions().count(), 1);
    assert_eq!(operator.counts().replayed, 10);
}

/// A reading as text.
fn reading(time_ms: i64, key: &str, value: f64) -> String {
    format!(r#"{{"ts":{time_ms},"value":{value:?},"key":"{key}"}}"#)
}

fn operator(spec: DetectionSpec) -> DetectionOperator {
    let mut operator = DetectionOperator::new(spec);
    operator.assign(0, 1, 0, 0);
    operator
}

#[test]
fn a_series_is_forgotten_when_event_time_has_left_it_behind() {
    for input in ["readings", "windows", "windows 2s"] {
        let mut operator = operator(spec(input));
        // The rules keep a series for eight weeks and their durations; windows have to close as well.
        let closing_ms = if input == "readings" { 0 } else { 15_000 };
        let memory_ms = 56 * DAY_MS + 30_000 + closing_ms;
        let texts = [
            reading(0, "a", 50.0),
            reading(1_000, "b", 50.0),
            // Older than what is known of the time, but heard of now.
            reading(0, "c", 50.0),
            reading(memory_ms - 1, "b", 50.0),
            reading(memory_ms, "b", 50.0),
            reading(memory_ms + 1_000, "b", 50.0),
        ];
        let count_after = |operator: &mut DetectionOperator, to: usize| {
            operator.step(&block(&texts, 0, to));
            (operator.series_count(), operator.counts().forgotten)
        };
        assert_eq!(count_after(&mut operator, 4), (3, 0), "{input}");
        assert_eq!(count_after(&mut operator, 5), (2, 1), "{input}");
        assert_eq!(count_after(&mut operator, 6), (1, 2), "{input}");
    }
}

#[test]
fn a_silence_is_reported_before_its_series_is_forgotten_and_is_over_with_it() {
    for input in ["readings", "windows", "windows 2s"] {
        let mut operator = operator(spec(input));
        let texts = [reading(0, "a", 50.0), reading(80 * DAY_MS, "b", 50.0)];
        let anomalies = operator.step(&block(&texts, 0, 2)).anomalies;
        let reported: Vec<(&str, &str)> = anomalies
            .iter()
            .map(|one| (&*one.key, one.verdict.cause.name()))
            .collect();
        let expected = [("a", "rule_began"), ("a", "series_forgotten")];
        assert_eq!(reported, expected, "{input}");
        assert_eq!(
            anomalies[1].episode.opened, anomalies[0].episode.message,
            "{input}"
        );
        assert_eq!(
            (operator.series_count(), operator.counts().forgotten),
            (1, 1),
            "{input}"
        );
    }
}

#[test]
fn a_series_too_many_is_counted_and_those_known_go_on() {
    let mut operator = operator(crowded("readings"));
    let mut texts: Vec<String> = (0..5)
        .map(|number| reading(number, &format!("a{number}"), 50.0))
        .collect();
    texts.push(reading(9, "a1", 95.0));
    let findings = operator.step(&block(&texts, 0, 6));
    let rejected: Vec<(i64, Reason)> = findings
        .rejected
        .iter()
        .map(|(offset, rejection)| (*offset, rejection.reason))
        .collect();
    assert_eq!(rejected, [(3, Reason::TooManySeries), (4, Reason::TooManySeries)]);
    assert_eq!(operator.counts().rejected[&Reason::TooManySeries], 2);
    assert_eq!((operator.series_count(), operator.counts().judged), (3, 4));
    assert!(findings.anomalies.iter().any(|anomaly| &*anomaly.key == "a1"));
    // Event time goes on by readings that are not judged, too, so that there is room again.
    texts.push(reading(80 * DAY_MS, "a7", 50.0));
    texts.push(reading(80 * DAY_MS, "a8", 50.0));
    operator.step(&block(&texts, 6, 8));
    assert_eq!((operator.series_count(), operator.counts().forgotten), (1, 3));
    assert_eq!(operator.counts().rejected[&Reason::TooManySeries], 3);
}

#[test]
fn a_clock_that_is_ahead_makes_nobody_else_silent() {
    let mut operator = operator(spec("readings"));
    let texts = [reading(0, "a", 50.0), reading(59 * 60_000, "b", 50.0)];
    let mut block = RecordBlock::new(0, 1);
    for (offset, text) in texts.iter().enumerate() {
        let record = Record {
            offset: offset as i64,
            // Both were sent within a second.
            timestamp_ms: Some(1_000 * offset as i64),
            key: None,
            value: Some(text.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    assert_eq!(operator.step(&block).anomalies, []);
    assert_eq!(operator.counts().judged, 2);
}
