//! Series on which the detector once failed without a word: each test is one of them.

use super::super::{Cause, MessageIds, Series};
use super::*;
use proptest::prelude::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// A Monday.
const START_MS: i64 = 1_699_833_600_000;

/// A random number between -1 and 1 for each index.
fn noise(index: i64) -> f64 {
    let mut mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    2.0 * ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 1.0
}

/// A load with a day in it, to a tenth.
fn load(time_ms: i64, index: i64) -> f64 {
    let day = (time_ms.rem_euclid(DAY_MS)) as f64 / DAY_MS as f64;
    let load = 400.0 + 120.0 * (std::f64::consts::TAU * day).sin() + 15.0 * noise(index);
    (10.0 * load).round() / 10.0
}

/// Readings and what is said of them.
fn judged(readings: impl IntoIterator<Item = (i64, f64)>) -> Vec<(i64, f64, Verdict)> {
    let mut detector = AdaptiveBand::new(Threshold::Auto).detector("").unwrap();
    let mut verdicts = Vec::new();
    let readings = readings.into_iter();
    readings
        .map(|(event_time_ms, value)| {
            let observation = Observation {
                event_time_ms,
                local_time_ms: event_time_ms,
                value,
            };
            detector.observe(observation, &mut verdicts);
            (event_time_ms, value, verdicts.remove(0))
        })
        .collect()
}

/// The times and causes of anomalies.
fn anomalies(readings: impl IntoIterator<Item = (i64, f64)>) -> Vec<(i64, f64, Cause)> {
    let judged = judged(readings).into_iter();
    judged
        .filter(|(_, _, verdict)| verdict.is_anomaly)
        .map(|(time_ms, value, verdict)| (time_ms, value, verdict.cause))
        .collect()
}

/// Loads at these times, ten times too high for a quarter of an hour after three weeks.
fn with_fault(times: impl Iterator<Item = i64>) -> impl Iterator<Item = (i64, f64)> {
    let fault = START_MS + 20 * DAY_MS;
    times.zip(0..).map(move |(time_ms, index)| {
        let value = load(time_ms, index);
        let is_faulty = (fault..fault + 15 * MINUTE_MS).contains(&time_ms);
        (time_ms, if is_faulty { 10.0 * value } else { value })
    })
}

fn every_five_minutes(days: i64) -> impl Iterator<Item = i64> + Clone {
    (0..days * 288).map(|index| START_MS + index * 5 * MINUTE_MS)
}

fn finds_the_fault(readings: impl Iterator<Item = (i64, f64)>) -> bool {
    let found = anomalies(readings);
    found.iter().any(|(_, value, _)| *value > 1_500.0)
}

#[test]
fn a_series_that_begins_with_a_burst_is_judged() {
    let burst = (0..25).map(|second| START_MS - HOUR_MS + 1_000 * second);
    assert!(finds_the_fault(with_fault(burst.chain(every_five_minutes(22)))));
}

#[test]
fn several_meters_in_one_series_are_judged_and_noticed() {
    let times = every_five_minutes(22).flat_map(|time_ms| [time_ms; 3]);
    assert!(finds_the_fault(with_fault(times.clone())));
    let mut detector = AdaptiveBand::new(Threshold::Auto).detector("").unwrap();
    for (event_time_ms, value) in with_fault(times.take(300)) {
        let observation = Observation {
            event_time_ms,
            local_time_ms: event_time_ms,
            value,
        };
        detector.observe(observation, &mut Vec::new());
    }
    let notice = detector.notice();
    assert_eq!(notice.share_at_equal_times, Some(1.0));
    assert_eq!(notice.learning_until_ms, Some(START_MS + 25 * HOUR_MS));
}

#[test]
fn a_range_grows_from_nothing() {
    // One or two errors, now and then.
    let errors = (0..28 * 288).map(|index| {
        let count = if index % 53 == 7 {
            1.0 + f64::from(u8::from(index % 5 == 0))
        } else {
            0.0
        };
        (START_MS + index * 5 * MINUTE_MS, count)
    });
    let found = anomalies(errors);
    assert!(found.len() <= 3, "{found:?}");
}

#[test]
fn the_value_at_rest_is_no_anomaly_and_a_dry_spell_is_one() {
    let rain = |index: i64| {
        if noise(index) > 0.85 {
            40.0 + 30.0 * noise(7 * index)
        } else {
            0.0
        }
    };
    let readings = (0..26 * 168).map(|index| {
        let is_dry = (2_000..2_400).contains(&index);
        (
            START_MS + index * HOUR_MS,
            if is_dry { 0.0 } else { rain(index).round() },
        )
    });
    let found = anomalies(readings);
    let of_rest: Vec<_> = found.iter().filter(|(_, value, _)| *value == 0.0).collect();
    let is_stuck = |found: &&(i64, f64, Cause)| matches!(found.2, Cause::Stuck { .. });
    assert_eq!(
        of_rest.iter().copied().filter(|found| !is_stuck(found)).count(),
        0,
        "{of_rest:?}"
    );
    let dry_ms = START_MS + 2_000 * HOUR_MS..START_MS + 2_400 * HOUR_MS;
    let dry = of_rest.iter().filter(|found| dry_ms.contains(&found.0)).count();
    assert!((1..=2).contains(&dry), "{of_rest:?}");
}

#[test]
fn a_reading_a_day_is_judged_after_four_weeks() {
    let text = include_str!("../../../tests/data/detector-faults/b4_daily_no_verdict_for_150_days.csv");
    let values = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(1)?.parse::<f64>().ok());
    let judged = judged(
        values
            .enumerate()
            .map(|(day, value)| (START_MS + day as i64 * DAY_MS, value)),
    );
    let first = judged
        .iter()
        .position(|(.., verdict)| verdict.cause != Cause::Learning);
    assert_eq!(first, Some(28));
    assert!(
        judged
            .iter()
            .any(|(_, value, verdict)| *value == 2_000.0 && verdict.is_anomaly)
    );
}

#[test]
fn one_time_far_ahead_does_not_deafen_a_series() {
    let readings: Vec<(i64, f64)> = with_fault(every_five_minutes(22)).collect();
    let mut ahead = readings.clone();
    ahead.insert(3_000, (START_MS + 3_650 * DAY_MS, load(START_MS, 3_000)));
    assert!(finds_the_fault(ahead.into_iter()));
    let mut first = readings;
    first.insert(0, (START_MS + 3_650 * DAY_MS, load(START_MS, 0)));
    assert!(finds_the_fault(first.into_iter()));
}

/// The part of the usual load: at weekends 55 %, with edges of three hours.
fn weekend(time_ms: i64) -> f64 {
    let parts = (-18..=18).map(|slot| {
        let day = (time_ms - START_MS + slot * 5 * MINUTE_MS).div_euclid(DAY_MS);
        if day.rem_euclid(7) >= 5 { 0.55 } else { 1.0 }
    });
    parts.sum::<f64>() / 37.0
}

#[test]
fn the_first_two_weeks_are_not_loud() {
    let mut alarms = 0;
    for key in 0..20 {
        let readings = every_five_minutes(14).zip(0..).map(|(time_ms, index)| {
            let load = load(time_ms, index + 1_000_000 * key);
            (time_ms, (weekend(time_ms) * load).round())
        });
        alarms += anomalies(readings).len();
    }
    assert!(alarms <= 15, "{alarms}");
}

#[test]
fn the_size_of_the_values_does_not_matter() {
    for (factor, origin) in [(1e-12, 0.0), (1e12, 0.0), (1.0, 1e9), (-1.0, 0.0)] {
        let readings = with_fault(every_five_minutes(22));
        let found = anomalies(readings.map(|(time_ms, value)| (time_ms, origin + factor * value)));
        let fault_ms = START_MS + 20 * DAY_MS;
        assert!(
            found.iter().any(|found| found.0 == fault_ms),
            "{factor} {origin}: {found:?}"
        );
    }
}

#[test]
fn a_slow_leak_is_reported_as_a_trend() {
    let leak = every_five_minutes(70).zip(0..).map(|(time_ms, index)| {
        let weeks = (time_ms - START_MS - 28 * DAY_MS).max(0) as f64 / (7 * DAY_MS) as f64;
        (time_ms, load(time_ms, index) + 400.0 * 0.05 * weeks)
    });
    let found = anomalies(leak);
    let trend = found.iter().find(|found| matches!(found.2, Cause::Trend { .. }));
    let (time_ms, _, Cause::Trend { per_day, days: 5 }) = trend.unwrap() else {
        panic!("{trend:?}");
    };
    assert!(*time_ms < START_MS + 38 * DAY_MS, "{trend:?}");
    assert!((1.0..6.0).contains(per_day), "{trend:?}");
}

#[test]
fn a_counter_is_judged_by_its_increases() {
    let models: Vec<std::sync::Arc<dyn Model>> =
        vec![std::sync::Arc::new(AdaptiveBand::new(Threshold::Auto))];
    let mut series = Series::of_increments(&models, "meter");
    let (mut total, mut found) = (123_456.0, Vec::new());
    for (index, time_ms) in (0..).zip(every_five_minutes(28)) {
        let day = (time_ms - START_MS).div_euclid(DAY_MS);
        let is_tripled = day == 24 && (time_ms - START_MS) % DAY_MS < 2 * HOUR_MS;
        total += load(time_ms, index) / 120.0 * if is_tripled { 3.0 } else { 1.0 };
        // A glitch, and a new meter.
        let value = if index == 5_000 { 0.0 } else { total };
        if index == 6_000 {
            total = 0.0;
        }
        let observation = Observation {
            event_time_ms: time_ms,
            local_time_ms: time_ms,
            value,
        };
        let mut verdicts = Vec::new();
        series.observe(observation, &mut MessageIds::of_record(index), &mut verdicts);
        let alarms = verdicts
            .into_iter()
            .filter(|verdict| verdict.is_anomaly && !verdict.cause.is_end());
        found.extend(alarms.map(|verdict| (index, verdict.cause)));
    }
    let names: Vec<(i64, &str)> = found
        .iter()
        .map(|(index, cause)| (*index, cause.name()))
        .collect();
    assert!(names.contains(&(5_001, "glitch")), "{names:?}");
    assert!(names.contains(&(6_004, "reset")), "{names:?}");
    let tripled = 24 * 288..24 * 288 + 24;
    assert!(
        names.iter().any(|(index, _)| tripled.contains(index)),
        "{names:?}"
    );
    assert!(names.len() <= 6, "{names:?}");
}

/// Values of a kind that a series may have.
fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0_i32..30).prop_map(f64::from),
        3 => 0.0..100.0,
        1 => (-50_i32..5_000).prop_map(|value| f64::from(value) / 10.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_point_and_no_extreme_is_within_the_band_that_is_published_with_it(
        pattern in prop::collection::vec(values(), 1..60),
        faults in prop::collection::vec((400_usize..1_500, values(), 1_usize..15), 0..12),
        minutes in prop::sample::select(vec![1_i64, 5, 60, 1_440]),
        threshold in prop_oneof![Just(Threshold::Auto), (1.0..12.0).prop_map(Threshold::Score)],
    ) {
        let mut detector = AdaptiveBand::new(threshold).detector("").unwrap();
        for index in 0..1_500 {
            let usual = pattern[index % pattern.len()] + (4.0 * noise(index as i64)).round() / 2.0;
            let fault = faults.iter().find(|(start, _, length)| (*start..start + length).contains(&index));
            let event_time_ms = START_MS + index as i64 * minutes * MINUTE_MS;
            let value = fault.map_or(usual, |(_, value, _)| 3.0 * value);
            let observation = Observation { event_time_ms, local_time_ms: event_time_ms, value };
            let mut verdicts = Vec::new();
            detector.observe(observation, &mut verdicts);
            let verdict = &verdicts[0];
            let is_single = matches!(verdict.cause, Cause::Point | Cause::Range { .. });
            if verdict.is_anomaly && is_single {
                let (lower, upper) = (verdict.lower.unwrap(), verdict.upper.unwrap());
                prop_assert!(!(lower..=upper).contains(&value), "{value}: {verdict:?}");
            }
        }
    }
}
