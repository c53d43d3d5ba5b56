//! The message of a reading that was collected.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use super::metric::Metric;

/// A point of a metric: the statistic of a period, under the time at which the period starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub time_ms: i64,
    pub value: f64,
}

/// The value of a reading's message:
/// `{"ts":"2026-11-27T02:20:00Z","value":3.1,"metric":"CPUUtilization","stat":"Average","instance":"i-0a1b2c3d"}`.
///
/// `unit` is there only where it is known: `GetMetricData` does not say it.
pub(crate) fn message(metric: &Metric, statistic: &str, unit: Option<&str>, point: Point) -> String {
    let time = DateTime::from_timestamp_millis(point.time_ms).unwrap_or_default();
    let mut fields: Map<String, Value> = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("ts", time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    add("value", point.value.into());
    if let Some(unit) = unit {
        add("unit", unit.into());
    }
    add("metric", metric.name.clone().into());
    add("stat", statistic.into());
    if let Some(instance) = metric.instance() {
        add("instance", instance.into());
    }
    Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric() -> Metric {
        Metric {
            namespace: "AWS/EC2".to_owned(),
            name: "CPUUtilization".to_owned(),
            dimensions: vec![("InstanceId".to_owned(), "i-1".to_owned())],
        }
    }

    #[test]
    fn a_message_says_when_what_and_of_whom() {
        let point = Point {
            time_ms: 1_795_746_000_000,
            value: 3.125,
        };
        assert_eq!(
            message(&metric(), "Average", None, point),
            r#"{"ts":"2026-11-27T02:20:00Z","value":3.125,"metric":"CPUUtilization","stat":"Average","instance":"i-1"}"#
        );
        assert!(message(&metric(), "p99", Some("Percent"), point).contains(r#""unit":"Percent","metric""#));
    }
}
