use super::*;

/// Twenty readings, of which the first three are not scored, with one window from the 10th to the 13th (from 0).
fn fixed_standard(alarms: &[usize]) -> (f64, Hits) {
    let times: Vec<i64> = (0..20).collect();
    let is_anomaly: Vec<bool> = (0..20).map(|index| alarms.contains(&index)).collect();
    let scores: Vec<f64> = is_anomaly.iter().map(|is| f64::from(u8::from(*is))).collect();
    let mut scorer = Scorer::default();
    let hits = scorer.add(LabeledSeries {
        times: &times,
        scores: &scores,
        is_anomaly: &is_anomaly,
        windows: &[(10, 13)],
    });
    (scorer.scores().unwrap()[0].fixed, hits.unwrap())
}

#[test]
fn one_window_by_hand() {
    // S(-1) = 0.986614, S(-1/4) = 0.554600, S(1/3) = -0.682262; a unit of value is 50 points here.
    for (alarms, expected, caught, false_alarms) in [
        (&[][..], 0.0, 0, 0),
        // The first reading of the window earns all there is.
        (&[10], 100.0, 1, 0),
        (&[10, 11, 12, 13], 100.0, 1, 0),
        // The last one: 0.554600 / 0.986614.
        (&[13], 50.0 + 50.0 * 0.562124, 1, 0),
        // Before any window a false alarm costs in full.
        (&[5], -50.0 * 0.11, 0, 1),
        (&[5, 6, 10], 100.0 - 100.0 * 0.11, 1, 2),
        // One reading after the window, a third of its reach.
        (&[10, 14], 100.0 - 50.0 * 0.11 * 0.682262, 1, 1),
        // In the probation nothing counts.
        (&[0, 1, 2], 0.0, 0, 0),
    ] {
        let (score, hits) = fixed_standard(alarms);
        assert!((score - expected).abs() < 1e-4, "{alarms:?}: {score}");
        let expected_hits = Hits {
            windows: 1,
            caught,
            false_alarms,
        };
        assert_eq!(hits, expected_hits, "{alarms:?}");
    }
}

#[test]
fn probation_is_fifteen_percent_and_at_most_750() {
    for (count, expected) in [(0, 0), (6, 0), (20, 3), (4032, 604), (5000, 750), (100_000, 750)] {
        assert_eq!(probation(count), expected, "{count}");
    }
}

#[test]
fn a_window_covers_the_readings_from_its_beginning_to_its_end() {
    let times = [0, 10, 10, 20, 30, 30, 40];
    for (window, expected) in [
        ((10, 20), Some((1, 3))),
        ((5, 25), Some((1, 3))),
        // Of several readings at the very end, NAB takes the first.
        ((10, 30), Some((1, 4))),
        ((10, 35), Some((1, 5))),
        ((-5, 99), Some((0, 6))),
        ((11, 19), None),
        ((41, 50), None),
        ((-9, -1), None),
    ] {
        let found = span(&times, window).ok().map(|span| (span.first, span.last));
        assert_eq!(found, expected, "{window:?}");
    }
}

/// Series from integer arithmetic; what the reference implementation made of them in Python is below.
fn golden() -> Scorer {
    let mut scorer = Scorer::default();
    for (count, salt, windows) in [
        (1000_i64, 17, &[(300, 350), (700, 720)][..]),
        // The first window begins in the probation.
        (400, 5, &[(50, 70), (100, 130)]),
        (200, 3, &[]),
    ] {
        let times: Vec<i64> = (0..count).collect();
        let score = |index: &i64| ((index * index * 31 + index * salt) % 1009) as f64 / 1009.0;
        let scores: Vec<f64> = times.iter().map(score).collect();
        let is_anomaly: Vec<bool> = scores.iter().map(|score| *score >= 0.99).collect();
        scorer
            .add(LabeledSeries {
                times: &times,
                scores: &scores,
                is_anomaly: &is_anomaly,
                windows,
            })
            .unwrap();
    }
    scorer
}

#[test]
fn scores_are_those_of_the_reference() {
    let scorer = golden();
    assert_eq!(scorer.windows, 4);
    let expected = [
        (17.018660803657426, Some(0.9801783944499505), 10.166377058282961),
        // No alarm at all is best for whom false alarms are worst.
        (0.0, None, -2.766406832607271),
        (28.012440535771603, Some(0.9801783944499505), 15.110918038855308),
    ];
    for (score, (swept, threshold, fixed)) in scorer.scores().unwrap().iter().zip(expected) {
        let name = score.profile.name;
        assert!((score.swept - swept).abs() < 1e-9, "{name}: {}", score.swept);
        assert!((score.fixed - fixed).abs() < 1e-9, "{name}: {}", score.fixed);
        assert_eq!(score.swept_threshold, threshold, "{name}");
    }
}

#[test]
fn without_a_window_there_is_no_score() {
    let mut scorer = Scorer::default();
    let series = LabeledSeries {
        times: &[1, 2],
        scores: &[0.0, 1.0],
        is_anomaly: &[false, true],
        windows: &[],
    };
    assert_eq!(scorer.add(series).unwrap().false_alarms, 1);
    assert_eq!(scorer.scores(), None);
    let windows = &[(3, 4)];
    let refused = scorer.add(LabeledSeries { windows, ..series });
    assert_eq!(refused, Err(EmptyWindow { first: 3, last: 4 }));
}
