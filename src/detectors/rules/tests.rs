use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::detectors::Cause;

const MINUTE_MS: i64 = 60_000;

fn rules(settings: &[(&str, &str)]) -> Rules {
    let own = |(pattern, text): &(&str, &str)| ((*pattern).to_owned(), (*text).to_owned());
    Rules::new(&settings.iter().map(own).collect::<BTreeMap<_, _>>()).unwrap()
}

fn detector(conditions: &str) -> Box<dyn Detector> {
    rules(&[("*", conditions)]).detector("boiler-7").unwrap()
}

fn reading(event_time_ms: i64, value: f64) -> Observation {
    Observation {
        event_time_ms,
        local_time_ms: event_time_ms,
        value,
    }
}

/// The reports with the minute they were made at: `10 began since 0`.
fn reports(at_minute: i64, verdicts: &mut Vec<Verdict>) -> Vec<String> {
    let report = |verdict: Verdict| match verdict.cause {
        Cause::Rule { holds, since_ms, .. } => {
            let what = if holds { "began" } else { "ended" };
            format!("{at_minute} {what} since {}", since_ms / MINUTE_MS)
        }
        cause => panic!("{cause:?}"),
    };
    verdicts.drain(..).map(report).collect()
}

/// The reports on readings at (minute, value).
fn history(conditions: &str, readings: &[(i64, f64)]) -> Vec<String> {
    let mut detector = detector(conditions);
    let mut verdicts = Vec::new();
    readings
        .iter()
        .flat_map(|&(minute, value)| {
            detector.observe(reading(minute * MINUTE_MS, value), &mut verdicts);
            reports(minute, &mut verdicts)
        })
        .collect()
}

#[test]
fn a_bound_is_reported_when_it_is_passed_and_when_it_no_longer_is() {
    let readings = [(0, 90.0), (1, 90.1), (2, 95.0), (3, 90.0), (4, 91.0)];
    let expected = ["1 began since 1", "3 ended since 1", "4 began since 4"];
    assert_eq!(history("above 90", &readings), expected);
    let mirrored = readings.map(|(minute, value)| (minute, -value));
    assert_eq!(history("below -90", &mirrored), expected);
}

#[test]
fn a_bound_for_a_duration_needs_every_reading_of_it() {
    let readings = [
        (0, 95.0),
        (5, 80.0),
        (6, 95.0),
        (15, 95.0),
        (16, 95.0),
        (17, 95.0),
        (18, 90.0),
    ];
    assert_eq!(
        history("above 90 for 10m", &readings),
        ["16 began since 6", "18 ended since 6"]
    );
}

#[test]
fn a_bound_of_recovery_ends_it_and_nothing_between_the_two_does() {
    let readings = [
        (0, 95.0),
        (1, 89.0),
        (2, 91.0),
        (3, 85.0),
        (4, 84.9),
        (5, 89.0),
        (6, 91.0),
    ];
    let expected = ["0 began since 0", "4 ended since 0", "6 began since 6"];
    assert_eq!(history("above 90 until below 85", &readings), expected);
    let mirrored = readings.map(|(minute, value)| (minute, -value));
    assert_eq!(history("below -90 until above -85", &mirrored), expected);
}

#[test]
fn a_recovery_for_a_duration_needs_every_reading_of_it() {
    let readings = [
        (0, 95.0),
        (1, 80.0),
        (4, 80.0),
        (5, 86.0),
        (6, 80.0),
        (11, 80.0),
        // A new beginning needs its whole duration again.
        (12, 95.0),
        (13, 95.0),
        (14, 95.0),
    ];
    assert_eq!(
        history("above 90 for 2m until below 85 for 5m", &readings),
        ["14 began since 12"]
    );
    assert_eq!(
        history("above 90 until below 85 for 5m", &readings),
        ["0 began since 0", "11 ended since 0", "12 began since 12"]
    );
}

#[test]
fn a_change_counts_in_both_directions_while_what_it_changed_from_is_recent() {
    let readings = [
        (0, 50.0),
        (1, 69.9),
        (2, 70.0),
        (3, 70.0),
        (4, 50.0),
        (9, 50.0),
        (20, 0.0),
    ];
    assert_eq!(
        history("changes by 20 within 2m", &readings),
        [
            "2 began since 0",
            "3 ended since 0",
            "4 began since 3",
            "9 ended since 3"
        ]
    );
}

#[test]
fn silence_begins_by_the_time_of_others_and_ends_with_the_next_reading() {
    let mut detector = detector("silent for 15m");
    let mut verdicts = Vec::new();
    assert_eq!(detector.deadline_ms(), None);
    detector.observe(reading(0, 1.0), &mut verdicts);
    assert_eq!(detector.deadline_ms(), Some(15 * MINUTE_MS + 1));
    detector.elapse(15 * MINUTE_MS, &mut verdicts);
    assert_eq!(verdicts, []);
    detector.elapse(16 * MINUTE_MS, &mut verdicts);
    assert_eq!(reports(16, &mut verdicts), ["16 began since 0"]);
    assert_eq!(detector.deadline_ms(), None);
    detector.elapse(17 * MINUTE_MS, &mut verdicts);
    assert_eq!(verdicts, []);
    detector.observe(reading(20 * MINUTE_MS, 1.0), &mut verdicts);
    assert_eq!(reports(20, &mut verdicts), ["20 ended since 0"]);
    assert_eq!(detector.deadline_ms(), Some(35 * MINUTE_MS + 1));
}

#[test]
fn a_silence_that_only_its_end_shows_is_reported_whole() {
    assert_eq!(
        history("silent for 15m", &[(0, 1.0), (15, 1.0), (31, 1.0)]),
        ["31 began since 15", "31 ended since 15"]
    );
}

#[test]
fn a_reading_older_than_the_newest_changes_nothing() {
    assert_eq!(
        history(
            "above 90",
            &[(10, 95.0), (9, 80.0), (8, 99.0), (10, 90.0), (9, 95.0)]
        ),
        ["10 began since 10", "10 ended since 10"]
    );
    let readings = [(10, 50.0), (9, 0.0), (10, 60.0)];
    assert_eq!(history("changes by 20 within 1h", &readings), [""; 0]);
}

#[test]
fn a_key_gets_the_conditions_of_all_its_patterns_once() {
    let rules = rules(&[
        ("boiler-*", "below 5; above  90"),
        ("*", "above 90; silent for 1h"),
        ("pump-*", "above 1"),
    ]);
    let mut detector = rules.detector("boiler-7").unwrap();
    let mut verdicts = Vec::new();
    detector.observe(reading(0, 95.0), &mut verdicts);
    detector.observe(reading(1, 4.0), &mut verdicts);
    let reported: Vec<String> = verdicts
        .iter()
        .map(|verdict| match &verdict.cause {
            Cause::Rule { rule, holds, .. } => format!("{rule} {holds}"),
            cause => panic!("{cause:?}"),
        })
        .collect();
    assert_eq!(reported, ["above 90 true", "above 90 false", "below 5 true"]);
    assert!(rules.detector("pump-1").is_some());
    let boilers = self::rules(&[("boiler-*", "above 90")]);
    assert!(boilers.detector("pump-1").is_none());
}

#[test]
fn verdicts_hold_the_bound_and_are_published_at_both_ends() {
    let mut verdicts = Vec::new();
    let mut detector = detector("above 90; changes by 20 within 1m");
    detector.observe(reading(0, 95.0), &mut verdicts);
    detector.observe(reading(1, 60.0), &mut verdicts);
    let seen: Vec<_> = verdicts
        .iter()
        .map(|verdict| (verdict.score, verdict.is_anomaly, verdict.lower, verdict.upper))
        .collect();
    let bound = Some(90.0);
    assert_eq!(
        seen,
        [
            (1.0, true, None, bound),
            (0.0, true, None, bound),
            (1.0, true, None, None)
        ]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let settings = BTreeMap::from([("boiler-*".to_owned(), "above 90; over 5".to_owned())]);
    let message = Rules::new(&settings).unwrap_err().to_string();
    assert!(
        message.starts_with(
            "detect.rules, \"boiler-*\": \"over 5\" is not a condition: expected something such as"
        ),
        "{message}"
    );
}

const ALL: &str = "above 3; above 2 until below 1 for 15ms; below -2 for 20ms; silent for 30ms; changes by 4 within 25ms; changes by 2 within 2s";

/// Saves a detector and goes on with another that restored it.
fn restarted(detector: &dyn Detector) -> Box<dyn Detector> {
    let mut state = StateWriter::default();
    detector.save(&mut state);
    let bytes = state.finish();
    let mut reader = StateReader::new(&bytes);
    let mut restored = self::detector(ALL);
    restored.restore(&mut reader).unwrap();
    assert!(reader.is_empty());
    restored
}

proptest! {
    #[test]
    fn a_restart_anywhere_changes_no_verdict(
        steps in prop::collection::vec((-3i64..40, -5i32..6, any::<bool>(), any::<bool>()), 1..120)
    ) {
        let (mut whole, mut cut) = (detector(ALL), detector(ALL));
        let mut event_time_ms = 0;
        for (step_ms, value, is_reading, is_restart) in steps {
            event_time_ms += step_ms;
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            for (detector, verdicts) in [(&mut whole, &mut expected), (&mut cut, &mut found)] {
                if is_reading {
                    detector.observe(reading(event_time_ms, f64::from(value)), verdicts);
                } else {
                    detector.elapse(event_time_ms, verdicts);
                }
            }
            prop_assert_eq!(expected, found);
            prop_assert_eq!(whole.deadline_ms(), cut.deadline_ms());
            if is_restart {
                cut = restarted(cut.as_ref());
            }
        }
    }

    #[test]
    fn changes_are_what_comparing_with_every_reading_finds(
        steps in prop::collection::vec((0i64..15, -5i32..6), 1..120)
    ) {
        let (by, within_ms) = (4.0, 25);
        let mut detector = detector("changes by 4 within 25ms");
        let mut seen: Vec<(i64, f64)> = Vec::new();
        let mut holds = false;
        let mut event_time_ms = 0;
        for (step_ms, value) in steps {
            event_time_ms += step_ms;
            let value = f64::from(value);
            let mut verdicts = Vec::new();
            detector.observe(reading(event_time_ms, value), &mut verdicts);
            let held = holds;
            holds = seen.iter().any(|(at_ms, other)| {
                event_time_ms - at_ms <= within_ms && (value - other).abs() >= by
            });
            seen.push((event_time_ms, value));
            prop_assert_eq!(verdicts.len(), usize::from(holds != held));
            prop_assert!(verdicts.iter().all(|verdict| (verdict.score == 1.0) == holds));
        }
    }

    #[test]
    fn no_bytes_are_taken_for_a_state_by_panicking(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = detector(ALL).restore(&mut StateReader::new(&bytes));
    }
}
