//! Sliding windows: what is judged is what adding up all readings of each window finds.

use super::*;
use crate::config::config_of;

/// Event time and value of everything that was judged of each series.
#[derive(Default)]
struct Judged(Vec<(String, i64, f64)>);

impl Observer for Judged {
    fn judged(&mut self, judgment: &Judgment<'_>) {
        let key = judgment.key.key.to_string();
        self.0
            .extend(judgment.value.map(|value| (key, judgment.event_time_ms, value)));
    }
}

fn judged(texts: &[String]) -> Vec<(String, i64, f64)> {
    let mut judged = Judged::default();
    operator(spec("windows 2s")).step_observed(&block(texts, 0, texts.len()), &mut judged);
    judged.0
}

/// The same without panes: of windows of 10 s that end every 2 s, with 5 s of allowed delay.
fn expected(texts: &[String]) -> Vec<(String, i64, f64)> {
    let (slide_ms, length_ms, delay_ms) = (2_000, 10_000, 5_000);
    let (mut accepted, mut found): (Vec<(String, i64, f64)>, Vec<_>) = (Vec::new(), Vec::new());
    let mut watermark_ms = i64::MIN;
    for text in texts {
        let Ok(reading) = serde_json::from_str::<serde_json::Value>(text) else {
            continue;
        };
        let key = reading["key"].as_str().unwrap().to_owned();
        let time_ms = reading["ts"].as_i64().unwrap();
        let pane_ms = time_ms - time_ms.rem_euclid(slide_ms);
        if pane_ms + length_ms > watermark_ms {
            accepted.push((key, time_ms, reading["value"].as_f64().unwrap()));
        }
        let before_ms = watermark_ms;
        watermark_ms = before_ms.max(time_ms - delay_ms);
        // Each pane that this closes and that has a reading ends a window.
        let mut ends: Vec<(i64, String)> = accepted
            .iter()
            .map(|(key, time_ms, _)| (time_ms - time_ms.rem_euclid(slide_ms) + slide_ms, key.clone()))
            .filter(|(end_ms, _)| before_ms < *end_ms && *end_ms <= watermark_ms)
            .collect();
        ends.sort();
        ends.dedup();
        for (end_ms, key) in ends {
            let of_window: Vec<f64> = accepted
                .iter()
                .filter(|(of, time_ms, _)| *of == key && (end_ms - length_ms..end_ms).contains(time_ms))
                .map(|(_, _, value)| *value)
                .collect();
            found.push((
                key,
                end_ms,
                of_window.iter().sum::<f64>() / of_window.len() as f64,
            ));
        }
    }
    found
}

/// In the order of time and key: series are numbered in the order in which they come.
fn sorted(mut judged: Vec<(String, i64, f64)>) -> Vec<(String, i64, f64)> {
    judged.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    judged
}

proptest! {
    #[test]
    fn each_window_has_all_of_its_readings(texts in records()) {
        let (found, expected) = (sorted(judged(&texts)), sorted(expected(&texts)));
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!((&found.0, found.1), (&expected.0, expected.1));
            prop_assert!((found.2 - expected.2).abs() < 1e-9, "{:?} {:?}", found, expected);
        }
    }
}

#[test]
fn a_window_is_judged_at_each_slide_that_brings_a_reading() {
    let texts = [
        reading(1_000, "a", 10.0),
        reading(3_000, "a", 20.0),
        // No reading from 4 s to 10 s, and so nothing new to say.
        reading(11_500, "a", 60.0),
        // Too late for what ended at 6 s, and in time for what ends at 12 s.
        reading(5_000, "a", 40.0),
        reading(20_000, "b", 0.0),
    ];
    let expected = [(2_000, 10.0), (4_000, 15.0), (12_000, 40.0)];
    let found: Vec<(i64, f64)> = judged(&texts)
        .iter()
        .map(|(_, end_ms, value)| (*end_ms, *value))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_average_of_the_last_hour_above_a_bound_for_a_while_is_a_rule() {
    let rule = config_of(&[
        ("reading.time_format", "epoch_ms"),
        ("reading.max_behind", "100y"),
        ("window.length", "1h"),
        ("window.watermark", "0s"),
        ("detect.input", "windows"),
        ("detect.slide", "5m"),
        ("detect.detector", "none"),
        ("detect.rules.*", "above 90 for 10m"),
    ]);
    let mut operator = operator(rule.pipeline.detection_spec().unwrap());
    // Below 90 for an hour, above from then on: the average of the hour is above 90 when 10 of 12 panes are.
    let texts: Vec<String> = (0..30)
        .map(|pane| {
            let value = if pane < 12 { 80.0 } else { 92.5 };
            format!(
                r#"{{"ts":{},"value":{value:?}}}"#,
                1_700_000_400_000_i64 + pane * 300_000
            )
        })
        .collect();
    let began: Vec<(i64, Option<f64>)> = operator
        .step(&block(&texts, 0, texts.len()))
        .anomalies
        .iter()
        .map(|anomaly| (anomaly.episode.message.offset, anomaly.value))
        .collect();
    // Pane 21 is the tenth: (2 · 80 + 10 · 92.5) / 12 = 90.4; ten minutes later all are of 92.5, and the next reading closes it.
    assert_eq!(began, [(24, Some(92.5))]);
}
