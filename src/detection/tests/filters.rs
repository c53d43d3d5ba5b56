//! What the settings say of the days and of the anomalies that count.

use super::*;
use crate::config::config_of;

const HOUR_MS: i64 = 3_600_000;
/// 2024-01-01, a Monday.
const MONDAY_MS: i64 = 1_704_067_200_000;

/// An operator of the default detector with these settings beside the usual ones.
fn operator_with(settings: &[(&str, &str)]) -> DetectionOperator {
    let usual = [
        ("reading.time_format", "epoch_ms"),
        ("reading.max_behind", "100y"),
    ];
    let config = config_of(&[&usual, settings].concat());
    operator(config.pipeline.detection_spec().unwrap())
}

/// Hourly readings of a plant that works from Monday to Saturday, and is closed on Sundays and on this day.
fn plant(hours: i64, closed_day: i64, value_at: impl Fn(i64, f64) -> f64) -> Vec<String> {
    let text = |hour: i64| {
        let day = hour / 24;
        let is_closed = day % 7 == 6 || day == closed_day;
        let works = (6..20).contains(&(hour % 24)) && !is_closed;
        let value = if works { 100.0 } else { 20.0 } + (hour * 7 % 11) as f64 * 0.3;
        let value = value_at(hour, value);
        format!(r#"{{"ts":{},"value":{value:?}}}"#, MONDAY_MS + hour * HOUR_MS)
    };
    (0..hours).map(text).collect()
}

fn anomalies_of(operator: &mut DetectionOperator, texts: &[String]) -> Vec<Anomaly> {
    operator.step(&block(texts, 0, texts.len())).anomalies
}

#[test]
fn a_holiday_is_compared_with_sundays() {
    // The first of May 2024, a Wednesday.
    let holiday = (17 * 7) + 2;
    let texts = plant((holiday + 2) * 24, holiday, |_, value| value);
    let on_the_day = |settings: &[(&str, &str)]| {
        let found = anomalies_of(&mut operator_with(settings), &texts);
        let since_ms = MONDAY_MS + holiday * DAY_MS;
        let of_day = found
            .into_iter()
            .filter(|anomaly| anomaly.event_time_ms >= since_ms);
        of_day.count()
    };
    assert!(on_the_day(&[]) > 0);
    assert_eq!(on_the_day(&[("detect.calendar", r#"["DE"]"#)]), 0);
    assert_eq!(
        on_the_day(&[("detect.calendar", r#"["2024-05-01 Labour Day"]"#)]),
        0
    );
}

#[test]
fn what_is_passed_over_is_counted_and_not_published() {
    // A spike downwards, long after the weeks are known.
    let texts = plant(
        24 * 7 * 8,
        -1,
        |hour, value| if hour == 24 * 7 * 7 + 34 { 1.0 } else { value },
    );
    let outcome = |settings: &[(&str, &str)]| {
        let mut operator = operator_with(settings);
        let found = anomalies_of(&mut operator, &texts);
        let began = found.iter().filter(|anomaly| !anomaly.verdict.cause.is_end());
        (began.count() as u64, operator.counts().passed_over)
    };
    let (published, passed_over) = outcome(&[]);
    assert!(published > 0 && passed_over == 0, "{published} {passed_over}");
    assert_eq!(outcome(&[("detect.direction.*", "above")]), (0, published));
    assert_eq!(outcome(&[("detect.direction.*", "below")]), (published, 0));
    assert_eq!(outcome(&[("detect.least_change.*", "500%")]), (0, published));
    assert_eq!(outcome(&[("detect.least_change.*", "10")]), (published, 0));
    // What was judged before a restart was counted then.
    let mut replaying =
        DetectionOperator::new(operator_with(&[("detect.direction.*", "above")]).spec().clone());
    replaying.assign(0, 1, 0, texts.len() as i64);
    anomalies_of(&mut replaying, &texts);
    assert_eq!(replaying.counts().passed_over, 0);
}

#[test]
fn the_readings_of_counters_are_judged_by_what_they_increase_by() {
    let register = |hour: i64| hour + if hour < 60 { 0 } else { 9 };
    let text = |hour: i64| {
        let (ts, value) = (MONDAY_MS + hour * HOUR_MS, register(hour));
        format!(r#"{{"ts":{ts},"value":{value}}}"#)
    };
    let texts: Vec<String> = (0..100).map(text).collect();
    let began = |kind| {
        let settings = [
            ("reading.value_kind", kind),
            ("detect.detector", "none"),
            ("detect.rules.*", "above 5"),
        ];
        let found = anomalies_of(&mut operator_with(&settings), &texts);
        let began = found
            .into_iter()
            .filter(|anomaly| !anomaly.verdict.cause.is_end());
        began.map(|anomaly| anomaly.value.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(began("counter"), [10.0]);
    assert_eq!(began("gauge"), [6.0]);
}
