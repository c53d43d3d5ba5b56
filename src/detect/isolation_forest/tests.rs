use std::time::Duration;

use chrono::NaiveDateTime;
use proptest::prelude::*;

use super::*;

fn model(method: ForestMethod, max_history: usize) -> IsolationForest {
    let settings = IsolationForestConfig {
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
    let mut bad = 0;
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
        if -verdict.score != expected.score_samples {
            bad += 1;
            eprintln!(
                "{} {} {}",
                verdict.comparables.unwrap(),
                -verdict.score,
                expected.score_samples
            );
        }
        assert_eq!(verdict.is_anomaly, expected.prediction == -1, "{}", expected.ts);
        judged += 1;
        anomalies += u32::from(verdict.is_anomaly);
    }
    eprintln!("bad {bad}");
    assert_eq!(bad, 0);
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
