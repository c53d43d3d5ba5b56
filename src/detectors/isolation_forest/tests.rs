use std::time::Duration;

use chrono::NaiveDateTime;
use proptest::prelude::*;

use super::*;

fn model(method: ForestMethod, max_history: usize) -> IsolationForest {
    let settings = Settings {
        method,
        slot: Duration::from_secs(60),
        max_history,
        minimum_comparables: 4,
    };
    IsolationForest::new(&settings, Threshold::Auto)
}

fn judge(method: ForestMethod, comparables: &[f32], value: f32) -> Verdict {
    let slot = Slot::of(0, 60_000);
    model(method, 1).forest.judge(slot, comparables, value)
}

const BOTH: [ForestMethod; 2] = [ForestMethod::Exact, ForestMethod::ScikitLearn];

#[derive(serde::Deserialize)]
struct Golden {
    ts: String,
    value: f64,
    comparables: u32,
    score_samples: f64,
    prediction: i32,
}

#[test]
fn scikit_learn_s_scores_of_a_library_s_tuesdays_are_equal_to_the_last_bit() {
    let readings = include_str!("../../commands/demo/boston_tuesdays.csv");
    let golden = include_str!("../../../tests/data/golden/boston_tuesdays_sklearn.csv");
    let mut golden = csv::Reader::from_reader(golden.as_bytes());
    let mut golden = golden.deserialize().map(|row| -> Golden { row.unwrap() });
    let mut detector = model(ForestMethod::ScikitLearn, 8640).detector("").unwrap();
    let (mut verdicts, mut judged, mut anomalies) = (Vec::new(), 0, 0);
    for row in csv::Reader::from_reader(readings.as_bytes()).records() {
        let row = row.unwrap();
        let time = NaiveDateTime::parse_from_str(&row[0], "%Y-%m-%d %H:%M:%S").unwrap();
        let local_time_ms = time.and_utc().timestamp_millis();
        let value = row[2].parse().unwrap();
        let observation = Observation {
            event_time_ms: local_time_ms,
            local_time_ms,
            value,
        };
        detector.observe(observation, &mut verdicts);
        let verdict = verdicts.pop().unwrap();
        if verdict.cause == Cause::Learning {
            continue;
        }
        let expected = golden.next().unwrap();
        assert_eq!(
            (&row[0], value, verdict.comparables),
            (&*expected.ts, expected.value, Some(expected.comparables))
        );
        assert_eq!(-verdict.score, expected.score_samples, "{}", expected.ts);
        assert_eq!(verdict.is_anomaly, expected.prediction == -1, "{}", expected.ts);
        judged += 1;
        anomalies += u32::from(verdict.is_anomaly);
    }
    assert!(golden.next().is_none());
    assert_eq!((judged, anomalies), (863, 315));
}

#[test]
fn scikit_learn_s_constant_history_is_an_outlier_where_its_rounding_says_so() {
    let outliers: Vec<usize> = (1..=40)
        .filter(|count| {
            let forest = model(ForestMethod::ScikitLearn, 1).forest;
            let history = vec![7.0; *count];
            let mut scores = Vec::new();
            let Method::ScikitLearn(trees) = &forest.method else {
                return false;
            };
            trees.scores(&forest.lengths, &history, &history, 7.0, &mut scores) > 0.5
        })
        .collect();
    assert_eq!(
        outliers,
        [4, 7, 10, 11, 13, 18, 19, 20, 22, 23, 24, 27, 29, 34, 36, 40]
    );
}

#[test]
fn too_few_comparables_are_not_judged() {
    for method in BOTH {
        let verdict = judge(method, &[1.0, 2.0, 3.0], 50.0);
        assert_eq!(
            (verdict.cause, verdict.score, verdict.is_anomaly),
            (Cause::Learning, 0.0, false)
        );
        assert_eq!(
            (verdict.comparables, verdict.slot),
            (Some(3), Some(Slot::of(0, 60_000)))
        );
        let verdict = judge(method, &[10.0, 12.0, 11.0, 13.0, 50.0], 11.5);
        assert_eq!(
            (verdict.expected, verdict.lower, verdict.upper),
            (Some(12.0), Some(10.0), Some(13.0))
        );
        assert!(!verdict.is_anomaly);
        assert!(judge(method, &[10.0, 12.0, 11.0, 13.0, 50.0], 1000.0).is_anomaly);
    }
}

#[test]
fn an_exact_constant_history_is_neither_and_one_or_two_values_say_nothing() {
    for (history, value) in [
        (vec![7.0; 13], 7.0),
        (vec![7.0; 13], 8.0),
        (vec![7.0], 9.0),
        (vec![1.0, 7.0], 9.0),
    ] {
        let mut scores = Vec::new();
        let score = exact::scores(&PathLengths::new(), &history, value, &mut scores);
        assert_eq!(score, 0.5, "{history:?}");
        assert!(scores.iter().all(|score| *score == 0.5));
    }
}

#[test]
fn a_later_reading_of_the_same_minute_is_compared_and_the_next_minute_is_not() {
    let mut detector = model(ForestMethod::Exact, 100).detector("").unwrap();
    let mut verdicts = Vec::new();
    for (week, second) in [(0, 0), (0, 30), (1, 59), (2, 0), (3, 10), (3, 60)] {
        let local_time_ms = (week * 7 * 86_400 + second) * 1000;
        detector.observe(
            Observation {
                event_time_ms: 0,
                local_time_ms,
                value: 1.0,
            },
            &mut verdicts,
        );
    }
    let comparables: Vec<u32> = verdicts
        .iter()
        .filter_map(|verdict| verdict.comparables)
        .collect();
    assert_eq!(comparables, [0, 1, 2, 3, 4, 0]);
}

/// Values as they come and as nobody expects them.
fn values(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => (0_u8..12).prop_map(f64::from),
        3 => -1e3..1e3_f64,
        1 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
    ];
    prop::collection::vec(value, count)
}

fn observations(values: &[f64], slots: i64) -> impl Iterator<Item = Observation> {
    values.iter().enumerate().map(move |(index, value)| {
        let local_time_ms = index as i64 % slots * 60_000;
        Observation {
            event_time_ms: 0,
            local_time_ms,
            value: *value,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restored_detector_goes_on_as_if_never_stopped(values in values(1..120), stop in 0..120_usize) {
        for method in BOTH {
            let model = model(method, 40);
            let mut detector = model.detector("").unwrap();
            let (mut verdicts, mut expected) = (Vec::new(), Vec::new());
            for (index, observation) in observations(&values, 3).enumerate() {
                if index == stop {
                    let mut state = StateWriter::default();
                    detector.save(&mut state);
                    detector = model.detector("").unwrap();
                    let state = state.finish();
                    let mut reader = StateReader::new(&state);
                    detector.restore(&mut reader).unwrap();
                    assert!(reader.is_empty());
                }
                detector.observe(observation, &mut verdicts);
            }
            let mut undisturbed = model.detector("").unwrap();
            for observation in observations(&values, 3) {
                undisturbed.observe(observation, &mut expected);
            }
            prop_assert_eq!(verdicts, expected);
        }
    }

    #[test]
    fn scores_are_within_0_and_1_and_bounds_around_what_is_expected(values in values(5..60)) {
        for method in BOTH {
            let mut detector = model(method, 1_000).detector("").unwrap();
            let mut verdicts = Vec::new();
            for observation in observations(&values, 1) {
                detector.observe(observation, &mut verdicts);
            }
            for verdict in verdicts {
                prop_assert!((0.0..=1.0).contains(&verdict.score), "{verdict:?}");
                prop_assert!(verdict.lower <= verdict.expected && verdict.expected <= verdict.upper);
            }
        }
    }

    #[test]
    fn exact_scores_are_straight_between_neighbors_paths_and_flat_beyond_the_ends(
        values in values(2..40), position in 0.0..1.0_f32,
    ) {
        let mut sorted: Vec<f32> = values.into_iter().map(as_f32).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let lengths = PathLengths::new();
        let mut scores = Vec::new();
        let mut score = |value: f32| exact::scores(&lengths, &sorted, value, &mut scores);
        let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
        prop_assert_eq!(score(f32::MIN), score(first));
        prop_assert_eq!(score(f32::MAX), score(last));
        for pair in sorted.windows(2) {
            let (low, high) = (score(pair[0]), score(pair[1]));
            let between = score((pair[0] * (1.0 - position) + pair[1] * position).clamp(pair[0], pair[1]));
            prop_assert!(between >= low.min(high) - 1e-12 && between <= low.max(high) + 1e-12);
        }
    }
}
