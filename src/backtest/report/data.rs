//! The data that the report's script draws, as compact JSON within HTML.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use super::{ReportFile, grouped};
use crate::backtest::number::expectation;
use crate::backtest::{Alert, JudgedPoint, JudgedSeries, significant};
use crate::detectors::{MessageId, Phase, duration_text};

/// More points of a series than this are thinned out.
const MOST_POINTS: usize = 200_000;
/// Finer than any screen shows.
const DIGITS: usize = 7;
const SCORE_DIGITS: usize = 4;

/// `{"unit": …, "series": […]}`, without any `<`, so that nothing in it can end the element that holds it.
pub(super) fn json(unit: &str, files: &[ReportFile<'_>]) -> String {
    let mut json = format!("{{\"unit\":{},\"series\":[", text(unit));
    let mut separator = "";
    for file in files {
        for (name, series, _) in file.each() {
            json.push_str(separator);
            push_series(&mut json, &name, series, file.windows, unit);
            separator = ",\n";
        }
    }
    json.push_str("]}");
    json
}

fn push_series(json: &mut String, name: &str, series: &JudgedSeries, windows: &[(i64, i64)], unit: &str) {
    let shown = thinned(&series.points, MOST_POINTS);
    let column = |value: &dyn Fn(&JudgedPoint) -> String| list(shown.iter().map(|point| value(point)));
    let bound = |value: &dyn Fn(&JudgedPoint) -> Option<f64>| {
        let is_there = shown.iter().any(|point| value(point).is_some());
        let number = |point: &JudgedPoint| {
            value(point).map_or_else(|| "null".to_owned(), |value| number(value, DIGITS))
        };
        if is_there {
            column(&number)
        } else {
            "null".to_owned()
        }
    };
    let lengths: HashMap<MessageId, i64> = series
        .alerts
        .iter()
        .filter_map(|alert| Some((alert.anomaly.episode.opened, alert.anomaly.episode.lasted_ms()?)))
        .collect();
    let windows = windows.iter().map(|(first, last)| format!("[{first},{last}]"));
    let _ = write!(
        json,
        "{{\"name\":{},\"start\":{},\"steps\":{},\"values\":{},\"lower\":{},\"upper\":{},\"scores\":{},\
         \"threshold\":{},\"windows\":{},\"alerts\":{}",
        text(name),
        shown.first().map_or(0, |point| point.wall_time_ms),
        list(steps(&shown)),
        column(&|point| number(point.value, DIGITS)),
        bound(&|point| point.lower),
        bound(&|point| point.upper),
        column(&|point| number(point.score, SCORE_DIGITS)),
        number(shown.last().map_or(0.0, |point| point.threshold), DIGITS),
        list(windows),
        list(series.alerts.iter().map(|alert| alert_row(alert, &lengths, unit))),
    );
    if shown.len() < series.points.len() {
        let note = format!(
            "Of {} points, {} are drawn: the lowest and highest of each stretch, and all anomalies.",
            grouped(series.points.len() as u64),
            grouped(shown.len() as u64)
        );
        let _ = write!(json, ",\"thinned\":{}", text(&note));
    }
    json.push('}');
}

/// `lengths` are how long the episodes that are over lasted, by their first message.
fn alert_row(alert: &Alert, lengths: &HashMap<MessageId, i64>, unit: &str) -> String {
    let anomaly = &alert.anomaly;
    let lasted = match anomaly.episode.phase {
        Phase::Opened => lengths
            .get(&anomaly.episode.message)
            .map_or_else(|| "open".to_owned(), |ms| duration_text(*ms)),
        _ => String::new(),
    };
    format!(
        "[{},{},{},{},{},{},{}]",
        alert.wall_time_ms,
        anomaly
            .value
            .map_or_else(|| "null".to_owned(), |value| number(value, DIGITS)),
        text(&expectation(&anomaly.verdict)),
        text(anomaly.severity().name()),
        text(anomaly.verdict.cause.name()),
        text(&anomaly.explanation(unit)),
        text(&lasted),
    )
}

/// The steps from point to point in milliseconds, each followed by how many times it comes in a row.
fn steps(points: &[&JudgedPoint]) -> Vec<i64> {
    let mut runs: Vec<i64> = Vec::new();
    for pair in points.windows(2) {
        let step = pair[1].wall_time_ms - pair[0].wall_time_ms;
        match runs.as_mut_slice() {
            [.., last, count] if *last == step => *count += 1,
            _ => runs.extend([step, 1]),
        }
    }
    runs
}

/// All points; or, of many, the lowest and the highest of each stretch and all anomalies, in order.
fn thinned(points: &[JudgedPoint], most: usize) -> Vec<&JudgedPoint> {
    if points.len() <= most {
        return points.iter().collect();
    }
    let stretch = points.len().div_ceil((most / 2).max(1));
    let mut shown = Vec::with_capacity(most);
    for points in points.chunks(stretch) {
        let by_value = |one: &&JudgedPoint, other: &&JudgedPoint| one.value.total_cmp(&other.value);
        let extremes = [points.iter().min_by(by_value), points.iter().max_by(by_value)];
        let is_extreme = |point: &JudgedPoint| {
            extremes
                .iter()
                .flatten()
                .any(|extreme| std::ptr::eq(*extreme, point))
        };
        shown.extend(
            points
                .iter()
                .filter(|point| point.is_anomaly || is_extreme(point)),
        );
    }
    shown
}

fn number(value: f64, digits: usize) -> String {
    if value.is_finite() {
        significant(value, digits)
    } else {
        "null".to_owned()
    }
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let mut json = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        let _ = write!(json, "{}{item}", if index > 0 { "," } else { "" });
    }
    json.push(']');
    json
}

/// A JSON string that is safe within a script element.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(wall_time_ms: i64, value: f64, is_anomaly: bool) -> JudgedPoint {
        JudgedPoint {
            event_time_ms: wall_time_ms,
            wall_time_ms,
            value,
            score: 0.0,
            threshold: 1.0,
            is_anomaly,
            lower: None,
            upper: None,
        }
    }

    #[test]
    fn equal_steps_are_counted() {
        let points = [0, 5, 10, 15, 99, 104].map(|time| point(time, 0.0, false));
        let points: Vec<&JudgedPoint> = points.iter().collect();
        assert_eq!(steps(&points), [5, 3, 84, 1, 5, 1]);
        assert!(steps(&points[..1]).is_empty());
    }

    #[test]
    fn thinning_keeps_extremes_and_anomalies() {
        let points: Vec<JudgedPoint> = (0..100)
            .map(|time| point(time, (time % 10) as f64, time == 33))
            .collect();
        let times: Vec<i64> = thinned(&points, 10)
            .iter()
            .map(|point| point.wall_time_ms)
            .collect();
        // Of stretches of 20 the first lowest and the last highest.
        assert_eq!(times, [0, 19, 20, 33, 39, 40, 59, 60, 79, 80, 99]);
        assert_eq!(thinned(&points, 100).len(), 100);
    }

    #[test]
    fn a_text_cannot_end_its_element() {
        assert_eq!(text("a</script>\n\""), r#""a\u003c/script>\n\"""#);
    }
}
