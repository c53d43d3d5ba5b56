//! A backtest finds what the stream would, and sums it up.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDate, NaiveDateTime};

use super::*;
use crate::backtest::nab::Hits;
use crate::config::{Config, Overrides, load};
use crate::detection::{DetectionOperator, Judgment, Observer};
use crate::notation::zone::{AmbiguousTime, wall_to_instant_ms};
use crate::reading::{Record, RecordBlock};

/// Settings under which little is needed for an anomaly: small trees, and a rule of each kind.
fn config(input: &str) -> Config {
    config_with(input, "half-space-trees", "0.6")
}

/// The same with another detector.
fn config_with(input: &str, detector: &str, threshold: &str) -> Config {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_zone", "", Some("America/New_York"))
        .with("detect.time_zone", "", Some("Asia/Kolkata"))
        .with("window.length", "", Some("1m"))
        .with("window.watermark", "", Some("20s"))
        .with("detect.input", "", Some(input))
        .with("detect.detector", "", Some(detector))
        .with("detect.threshold", "", Some(threshold))
        .with("half_space_trees.trees", "", Some("3"))
        .with("half_space_trees.height", "", Some("3"))
        .with("half_space_trees.window_size", "", Some("4"))
        .with("half_space_trees.scale", "", Some("100"))
        .with("detect.rules.a*", "", Some("above 90; changes by 70 within 2m"))
        .with("detect.rules.*", "", Some("silent for 3m; below 3 for 30s"));
    load(&overrides, None, []).unwrap().config
}

/// A night in which Boston's clocks go back, with gaps, of two series.
fn readings() -> Vec<Written> {
    let mut time = NaiveDate::from_ymd_opt(2024, 11, 3)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    let mut state = 7_u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..1500)
        .map(|_| {
            let step_s = if next(40) == 0 { 200 } else { next(16) };
            time += Duration::seconds(step_s as i64);
            let value = if next(20) == 0 { next(100) } else { 40 + next(9) };
            (time, value as f64, if next(3) == 0 { "a" } else { "b" })
        })
        .collect()
}

type Written = (NaiveDateTime, f64, &'static str);

fn judged(config: &Config) -> Vec<JudgedSeries> {
    judged_of(config, &readings())
}

fn judged_of(config: &Config, readings: &[Written]) -> Vec<JudgedSeries> {
    let settings = &config.pipeline;
    let zone = settings.reading.time_zone;
    let readings = readings.iter().map(|&(wall, value, key)| HistoricReading {
        event_time_ms: wall_to_instant_ms(wall, zone, AmbiguousTime::Earlier, None),
        wall_time_ms: wall.and_utc().timestamp_millis(),
        value,
        key,
    });
    Judge::new(
        &settings.reading,
        &settings.window,
        &settings.detect,
        &settings.detectors,
    )
    .unwrap()
    .judge(readings)
}

/// What the stream finds in a topic of one partition.
fn streamed(config: &Config) -> Vec<Anomaly> {
    observed(config, &readings(), 0, &mut ())
}

/// The same with an observer, where the records below `silent_below` were judged before.
fn observed(
    config: &Config,
    readings: &[Written],
    silent_below: i64,
    observer: &mut impl Observer,
) -> Vec<Anomaly> {
    let mut block = RecordBlock::new(0, 1);
    for (offset, (time, value, key)) in readings.iter().enumerate() {
        let text = format!(r#"{{"ts": "{time}", "value": {value}, "key": "{key}"}}"#);
        let record = Record {
            offset: offset as i64,
            // Wall times of a zone that is behind UTC.
            timestamp_ms: Some(time.and_utc().timestamp_millis() + 86_400_000),
            key: None,
            value: Some(text.as_bytes()),
            headers: &[],
        };
        block.push(record, None);
    }
    let mut operator = DetectionOperator::new(config.pipeline.detection_spec().unwrap());
    operator.assign(0, 1, 0, silent_below);
    operator.step_observed(&block, observer).anomalies
}

/// The points that an observer of the stream can draw, by series.
#[derive(Default)]
struct Chart {
    points: BTreeMap<String, Vec<ChartPoint>>,
    replayed: usize,
    without_value: usize,
}

/// Event time, value, score, threshold, bounds, whether it is an alarm.
type ChartPoint = (i64, f64, f64, f64, Option<f64>, Option<f64>, bool);

impl Observer for Chart {
    fn judged(&mut self, judgment: &Judgment<'_>) {
        self.replayed += usize::from(judgment.record.is_replayed);
        let Some(value) = judgment.value else {
            self.without_value += 1;
            return;
        };
        // These settings have one detector that scores, and it is the first.
        let scored = &judgment.verdicts[0];
        let is_alarm = judgment
            .verdicts
            .iter()
            .any(|verdict| verdict.is_anomaly && !verdict.cause.is_end());
        let points = self.points.entry(judgment.key.key.to_string()).or_default();
        points.push((
            judgment.event_time_ms,
            value,
            scored.score,
            scored.threshold,
            scored.lower,
            scored.upper,
            is_alarm,
        ));
    }
}

/// Ten days of a reading every ten minutes: enough for a band.
fn days() -> Vec<Written> {
    let start = NaiveDate::from_ymd_opt(2024, 10, 28).unwrap();
    let start = start.and_hms_opt(0, 0, 0).unwrap();
    (0..1440_i32)
        .map(|number| {
            let time = start + Duration::minutes(10 * i64::from(number));
            let value = if number == 1200 {
                95
            } else {
                40 + number % 144 / 10 + number * 7 % 5
            };
            (time, f64::from(value), if number % 2 == 0 { "a" } else { "b" })
        })
        .collect()
}

#[test]
fn an_observer_of_the_stream_sees_the_points_of_the_backtest() {
    for (detector, threshold, readings) in [
        ("half-space-trees", "0.6", readings()),
        ("isolation-forest", "0.6", readings()),
        ("adaptive-band", "7", days()),
    ] {
        for input in ["readings", "windows"] {
            let config = config_with(input, detector, threshold);
            let mut chart = Chart::default();
            let anomalies = observed(&config, &readings, 0, &mut chart);
            let series = judged_of(&config, &readings);
            let point = |point: &JudgedPoint| {
                let (value, score) = (point.value, point.score);
                let (lower, upper) = (point.lower, point.upper);
                (
                    point.event_time_ms,
                    value,
                    score,
                    point.threshold,
                    lower,
                    upper,
                    point.is_anomaly,
                )
            };
            let expected: BTreeMap<String, Vec<ChartPoint>> = series
                .iter()
                .map(|series| (series.key.to_string(), series.points.iter().map(point).collect()))
                .collect();
            assert_eq!(chart.points, expected, "{detector} {input}");
            assert_eq!(chart.replayed, 0);
            assert!(expected["a"].len() > 100, "{detector} {input}");
            let has_band = expected["a"].iter().any(|point| point.4.is_some());
            assert!(has_band || detector != "adaptive-band", "{input}");
            // Without an observer the same is found.
            assert_eq!(
                anomalies,
                observed(&config, &readings, 0, &mut ()),
                "{detector} {input}"
            );
        }
    }
}

#[test]
fn an_observer_sees_what_is_replayed_and_what_is_no_reading() {
    let config = config("readings");
    let (mut all, mut replayed) = (Chart::default(), Chart::default());
    let published = observed(&config, &readings(), 0, &mut all);
    let later = observed(&config, &readings(), 1000, &mut replayed);
    assert_eq!(replayed.points, all.points);
    assert!(replayed.replayed >= 1000);
    let expected: Vec<Anomaly> = published
        .into_iter()
        .filter(|one| one.episode.message.offset >= 1000)
        .collect();
    assert_eq!(later, expected, "what is replayed is not published again");
    assert!(all.without_value > 0, "silences are seen, too");
    assert_eq!(replayed.without_value, all.without_value);
}

#[test]
fn a_backtest_finds_what_the_stream_finds() {
    for input in ["readings", "windows"] {
        let config = config(input);
        let series = judged(&config);
        let alerts = series.iter().flat_map(|series| &series.alerts);
        let mut found: Vec<Anomaly> = alerts.map(|alert| alert.anomaly.clone()).collect();
        found.sort_by_key(|anomaly| anomaly.episode.message);
        let expected = streamed(&config);
        assert!(expected.len() > 20, "{input}: {}", expected.len());
        assert_eq!(found, expected, "{input}");
    }
}

#[test]
fn points_say_what_was_judged_and_alarms_are_among_them() {
    let config = config("readings");
    for series in judged(&config) {
        let expected: Vec<(i64, f64)> = readings()
            .iter()
            .filter(|(_, _, key)| *key == &*series.key)
            .map(|(time, value, _)| (time.and_utc().timestamp_millis(), *value))
            .collect();
        let found: Vec<(i64, f64)> = series
            .points
            .iter()
            .map(|point| (point.wall_time_ms, point.value))
            .collect();
        assert_eq!(found, expected);
        let is_alarm = |point: &JudgedPoint| point.score >= point.threshold;
        let by_score = series.points.iter().filter(|point| is_alarm(point));
        assert!(by_score.clone().count() > 0);
        assert!(by_score.clone().all(|point| point.is_anomaly));
        assert!(series.alerts.iter().any(|alert| !alert.is_alarm()), "rules end");
    }
}

#[test]
fn summaries_count_alarms_and_add_up() {
    let series = judged(&config("readings"));
    let hits = |caught| Hits {
        windows: 3,
        caught,
        false_alarms: 5,
    };
    let one = Summary::of(&series[0], Some(hits(1)));
    let span_ms = series[0].points.last().unwrap().event_time_ms - series[0].points[0].event_time_ms;
    assert_eq!(one.weeks, span_ms as f64 / 604_800_000.0);
    let alarms = series[0].alerts.iter().filter(|alert| alert.is_alarm()).count();
    assert_eq!(one.alerts, alarms as u64);
    assert_eq!(one.alerts_per_week(), Some(alarms as f64 / one.weeks));

    let both = one + Summary::of(&series[1], Some(hits(2)));
    assert_eq!((both.series, both.readings), (2, 1500));
    let expected = Hits {
        windows: 6,
        caught: 3,
        false_alarms: 10,
    };
    assert_eq!(both.hits, Some(expected));
    assert_eq!((one + Summary::of(&series[1], None)).hits, one.hits);
    assert_eq!(Summary::default().alerts_per_week(), None);
}
