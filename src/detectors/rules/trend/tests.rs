use proptest::prelude::*;

use super::*;

const HOUR_MS: i64 = 3_600_000;
const DAYS_3_MS: i64 = 3 * DAY_MS;

/// Feeds a reading an hour; returns the hours at which the condition began (`true`) and ended, with what was forecast.
fn history(mut trend: Trend, hours: i64, value: impl Fn(i64) -> f64) -> Vec<(i64, bool, Option<Forecast>)> {
    let mut holds = false;
    let mut changes = Vec::new();
    for hour in 0..hours {
        let held = holds;
        holds = trend.observe(hour * HOUR_MS, value(hour), held);
        if holds != held {
            changes.push((hour, holds, trend.forecast()));
        }
    }
    changes
}

fn rising(limit: f64) -> Trend {
    Trend::new(limit, DAYS_3_MS, false)
}

#[test]
fn a_line_is_told_once_it_has_been_seen_for_as_long_as_is_looked_ahead() {
    // 12 a day from 40 on: 95 after 110 hours.
    let line = |hour: i64| 40.0 + 0.5 * hour as f64;
    let [(hour, true, Some(forecast))] = history(rising(95.0), 100, line)[..] else {
        panic!("it began once, with a forecast");
    };
    assert_eq!(hour, 72);
    assert!((forecast.per_day - 12.0).abs() < 1e-9, "{forecast:?}");
    let left_ms = (110 - hour) * HOUR_MS;
    let late_ms = forecast.late_ms.unwrap();
    assert!(
        (left_ms - forecast.likely_ms).abs() <= 2 * HOUR_MS,
        "{forecast:?}"
    );
    assert!(
        forecast.early_ms <= forecast.likely_ms && forecast.likely_ms <= late_ms,
        "{forecast:?}"
    );
}

#[test]
fn a_limit_further_ahead_than_was_looked_back_is_told_when_it_is_near() {
    // 2.4 a day: 95 after 550 hours, and 72 hours before that it is told.
    let line = |hour: i64| 40.0 + 0.1 * hour as f64;
    let [(hour, true, Some(forecast))] = history(rising(95.0), 540, line)[..] else {
        panic!("it began once, with a forecast");
    };
    assert!((474..=480).contains(&hour), "{hour}");
    assert!(forecast.likely_ms <= DAYS_3_MS && forecast.span_ms == DAYS_3_MS);
}

#[test]
fn what_comes_back_is_no_trend() {
    let nightly_clean_up = |hour: i64| 60.0 + 1.4 * (hour % 24) as f64;
    let collected_garbage = |hour: i64| 50.0 + 10.0 * (hour % 5) as f64;
    let season = |hour: i64| 80.0 + [0.0, 3.0, 9.0, 12.0, 9.0, 3.0][((hour % 24) / 4) as usize];
    let steps = |hour: i64| 60.0 + 15.0 * (hour / 100) as f64;
    let week = |hour: i64| if (hour / 24) % 7 < 5 { 90.0 } else { 60.0 };
    let job = |hour: i64| if hour % 24 == 3 { 94.0 } else { 60.0 };
    for (name, value) in [
        ("clean-up", &nightly_clean_up as &dyn Fn(i64) -> f64),
        ("garbage", &collected_garbage),
        ("season", &season),
        ("steps", &steps),
        ("week", &week),
        ("job", &job),
    ] {
        assert_eq!(history(rising(95.0), 24 * 21, value), [], "{name}");
    }
}

#[test]
fn floors_tell_a_leak_below_a_saw_tooth_and_peaks_when_it_is_full() {
    let value = |hour: i64| 40.0 + 0.25 * hour as f64 + 2.0 * (hour % 5) as f64;
    let full = (0..).find(|&hour| value(hour) >= 95.0).unwrap();
    let [(hour, true, Some(forecast))] = history(rising(95.0), full, value)[..] else {
        panic!("it began once, with a forecast");
    };
    let left_ms = (full - hour) * HOUR_MS;
    assert!(left_ms > 48 * HOUR_MS, "{hour} of {full}");
    assert!(forecast.early_ms <= left_ms, "{forecast:?}, {left_ms}");
    assert!(
        forecast.late_ms.is_none_or(|late_ms| left_ms <= late_ms),
        "{forecast:?}, {left_ms}"
    );
}

#[test]
fn a_way_down_is_a_way_up_with_all_signs_turned() {
    let value = |hour: i64| 40.0 + 0.5 * hour as f64 + 3.0 * (hour % 7) as f64;
    let up = history(rising(95.0), 100, value);
    let down = history(Trend::new(-95.0, DAYS_3_MS, true), 100, |hour| -value(hour));
    let turned = up.into_iter().map(|(hour, holds, forecast)| {
        let forecast = forecast.map(|forecast| Forecast {
            per_day: -forecast.per_day,
            ..forecast
        });
        (hour, holds, forecast)
    });
    assert_eq!(turned.collect::<Vec<_>>(), down);
}

#[test]
fn a_clean_up_ends_it_and_starts_anew() {
    let value = |hour: i64| 40.0 + 0.5 * (hour % 100) as f64;
    let changes: Vec<(i64, bool)> = history(rising(95.0), 190, value)
        .into_iter()
        .map(|(hour, holds, _)| (hour, holds))
        .collect();
    // Two whole panes after the clean-up, and again when three days have been seen.
    let [(72, true, ..), (ended, false), (again, true)] = changes[..] else {
        panic!("{changes:?}");
    };
    assert!((104..=108).contains(&ended), "{changes:?}");
    assert!((171..=177).contains(&again), "{changes:?}");
}

#[test]
fn one_glitch_is_no_clean_up() {
    let value = |hour: i64| if hour == 90 { 0.0 } else { 40.0 + 0.5 * hour as f64 };
    let changes = history(rising(95.0), 109, value);
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn it_holds_on_while_the_series_is_at_the_limit() {
    // It fills up, and stays so for a week.
    let value = |hour: i64| (40.0 + 0.5 * hour as f64).min(95.0);
    assert_eq!(history(rising(95.0), 280, value).len(), 1);
    // It stops just below the limit: over after a day without a trend, once the trend has gone.
    let value = |hour: i64| (40.0 + 0.5 * hour as f64).min(90.0);
    let changes = history(rising(95.0), 280, value);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!((124..190).contains(&changes[1].0), "{changes:?}");
}

#[test]
fn a_series_with_few_readings_or_a_gap_says_nothing() {
    let mut trend = rising(95.0);
    for reading in 0..60 {
        // One reading every 9 hours: a third of the floors.
        assert!(!trend.observe(reading * 9 * HOUR_MS, reading as f64, false));
    }
}

#[test]
fn values_at_the_ends_of_what_is_finite_are_no_trend() {
    for value in [f64::MAX, -f64::MAX, 0.0] {
        let changes = history(
            rising(f64::MAX),
            200,
            |hour| {
                if hour % 2 == 0 { value } else { -value }
            },
        );
        assert_eq!(changes, []);
    }
    let growing = |hour: i64| f64::MAX * (hour as f64 / 100.0 - 1.0).min(1.0);
    let _ = history(rising(f64::MAX), 200, growing);
}

fn restarted(trend: &Trend) -> Trend {
    let mut state = StateWriter::default();
    trend.save(&mut state);
    let bytes = state.finish();
    let mut reader = StateReader::new(&bytes);
    let mut restored = rising(95.0);
    restored.restore(&mut reader).unwrap();
    assert!(reader.is_empty());
    restored
}

proptest! {
    #[test]
    fn a_restart_anywhere_changes_nothing(
        slope in 0.0..1.0_f64, noise in prop::collection::vec((0.0..1.0_f64, 1..20_i64, 0..40_u8), 100..400)
    ) {
        let (mut whole, mut cut) = (rising(95.0), rising(95.0));
        let (mut holds, mut hour) = (false, 0);
        for (noise, step, kind) in noise {
            hour += step / 8;
            let value = if kind == 1 { 0.0 } else { 40.0 + slope * hour as f64 + noise };
            let before = holds;
            holds = whole.observe(hour * HOUR_MS, value, before);
            prop_assert_eq!(cut.observe(hour * HOUR_MS, value, before), holds);
            if holds && !before {
                prop_assert_eq!(whole.forecast(), cut.forecast());
                prop_assert!(whole.forecast().is_some());
            }
            if kind == 0 {
                cut = restarted(&cut);
            }
        }
    }

    #[test]
    fn no_bytes_are_taken_for_a_state_by_panicking(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut trend = rising(95.0);
        if trend.restore(&mut StateReader::new(&bytes)).is_ok() {
            trend.observe(0, 1.0, true);
            trend.observe(DAY_MS, 1.0, true);
        }
    }
}
