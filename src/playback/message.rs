//! The text of a message, as the tutorial's producer in Python writes it.

use chrono::Timelike;
use serde_json::Value;

use super::recording::RecordedReading;

/// `{"ts": "2023-01-13 00:00:00", "value": 820.8}`, and `"key"` after that if the reading has one.
pub fn message(reading: &RecordedReading) -> String {
    let format = if reading.time.nanosecond() == 0 {
        "%Y-%m-%d %H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S%.f"
    };
    let time = reading.time.format(format);
    let value = python_float(reading.value);
    match &reading.key {
        None => format!(r#"{{"ts": "{time}", "value": {value}}}"#),
        Some(key) => {
            let key = Value::from(key.as_str());
            format!(r#"{{"ts": "{time}", "value": {value}, "key": {key}}}"#)
        }
    }
}

/// The shortest text that reads back as the same number: `820.8`, `800.0`, `1e-05`.
fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        // Python writes the exponent with its sign and two digits, Rust without either.
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(negative) => format!("{digits}e-{negative:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::parse_wall_time;
    use super::*;

    #[test]
    fn messages_are_the_tutorials_to_the_letter() {
        let reading = |time, value, key: Option<&str>| RecordedReading {
            time: parse_wall_time(time).unwrap(),
            value,
            key: key.map(str::to_owned),
            line: 2,
        };
        for (reading, text) in [
            (
                reading("2023-01-13 00:00:00", 820.8, None),
                r#"{"ts": "2023-01-13 00:00:00", "value": 820.8}"#,
            ),
            (
                reading("1/13/2023 0:00", 800.0, None),
                r#"{"ts": "2023-01-13 00:00:00", "value": 800.0}"#,
            ),
            (
                reading("2023-01-13T00:00:00.250", -0.1, None),
                r#"{"ts": "2023-01-13 00:00:00.250", "value": -0.1}"#,
            ),
            (
                reading("2023-01-13 00:00:00", 1.0, Some("meter \"7\"")),
                r#"{"ts": "2023-01-13 00:00:00", "value": 1.0, "key": "meter \"7\""}"#,
            ),
        ] {
            assert_eq!(message(&reading), text);
        }
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, text) in [
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (1e-300, "1e-300"),
            (0.0001, "0.0001"),
            (1e15, "1000000000000000.0"),
        ] {
            assert_eq!(python_float(value), text);
        }
    }
}
