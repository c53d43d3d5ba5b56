//! A backtest finds what the stream would, and sums it up.

use chrono::{Duration, NaiveDate, NaiveDateTime};

use super::*;
use crate::backtest::nab::Hits;
use crate::config::{Config, Overrides, load};
use crate::reading::{Record, RecordBlock};
use crate::watch::{Watch, Watcher};

/// Settings under which little is needed for an anomaly: small trees, and a rule of each kind.
fn config(input: &str) -> Config {
    let overrides = Overrides::default()
        .with("reading.key", "", Some("key"))
        .with("reading.time_zone", "", Some("America/New_York"))
        .with("detect.time_zone", "", Some("Asia/Kolkata"))
        .with("window.length", "", Some("1m"))
        .with("window.watermark", "", Some("20s"))
        .with("detect.input", "", Some(input))
        .with("detect.detector", "", Some("half-space-trees"))
        .with("detect.threshold", "", Some("0.6"))
        .with("half_space_trees.trees", "", Some("3"))
        .with("half_space_trees.height", "", Some("3"))
        .with("half_space_trees.window_size", "", Some("4"))
        .with("half_space_trees.scale", "", Some("100"))
        .with("detect.rules.a*", "", Some("above 90; changes by 70 within 2m"))
        .with("detect.rules.*", "", Some("silent for 3m; below 3 for 30s"));
    load(&overrides, None, []).unwrap().config
}

/// A night in which Boston's clocks go back, with gaps, of two series.
fn readings() -> Vec<(NaiveDateTime, f64, &'static str)> {
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

fn judged(config: &Config) -> Vec<JudgedSeries> {
    let readings = readings();
    let past = readings.iter().map(|&(wall_time, value, key)| Past {
        wall_time,
        value,
        key,
    });
    Judge::new(config).unwrap().judge(past)
}

/// What the stream finds in a topic of one partition.
fn streamed(config: &Config) -> Vec<Anomaly> {
    let mut block = RecordBlock::new(0, 1);
    for (offset, (time, value, key)) in readings().iter().enumerate() {
        let text = format!(r#"{{"ts": "{time}", "value": {value}, "key": "{key}"}}"#);
        let record = Record {
            offset: offset as i64,
            timestamp_ms: None,
            key: None,
            value: Some(text.as_bytes()),
        };
        block.push(record, None);
    }
    let mut watcher = Watcher::new(Watch::new(config).unwrap());
    watcher.assign(0, 1, 0, 0);
    watcher.step(&block).anomalies
}

#[test]
fn a_backtest_finds_what_the_stream_finds() {
    for input in ["readings", "windows"] {
        let config = config(input);
        let series = judged(&config);
        let alerts = series.iter().flat_map(|series| &series.alerts);
        let mut found: Vec<Anomaly> = alerts.map(|alert| alert.anomaly.clone()).collect();
        found.sort_by_key(|anomaly| (anomaly.offset, anomaly.index));
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
