//! The text of a message, equal to the output of the tutorial's Python producer.

use serde_json::Value;

use crate::recording::{RecordedReading, Recording};

/// `{"ts": "2023-01-13 00:00:00", "value": 820.8}`, and `"key"` after that if the reading has one.
pub fn message(recording: &Recording, reading: &RecordedReading) -> String {
    let time = recording.time_text(reading);
    let value = python_float(reading.value);
    match recording.key(reading) {
        None => format!(r#"{{"ts": "{time}", "value": {value}}}"#),
        Some(key) => {
            let key = Value::from(key);
            format!(r#"{{"ts": "{time}", "value": {value}, "key": {key}}}"#)
        }
    }
}

/// The shortest text that parses to the same number: `820.8`, `800.0`, `1e-05`.
fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        // Python writes a sign and at least two digits of the exponent, Rust does not.
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(negative) => format!("{digits}e-{negative:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::tests::options;

    /// The messages of a CSV's rows.
    fn messages(csv: &str, key: Option<&str>) -> Vec<String> {
        let mut options = options();
        options.columns.key = key.into_iter().map(str::to_owned).collect();
        let recording = Recording::read(csv.as_bytes(), &options).unwrap();
        recording
            .readings
            .iter()
            .map(|reading| message(&recording, reading))
            .collect()
    }

    #[test]
    fn a_message_equals_the_tutorials_byte_for_byte() {
        let csv = "time,kw,meter\n2023-01-13 00:00:00,820.8,a\n2023-01-13T00:05,800,a\n\
            2023-01-13 00:10:00.250,-0.1,\"meter \"\"7\"\"\"\n";
        assert_eq!(
            messages(csv, None),
            [
                r#"{"ts": "2023-01-13 00:00:00", "value": 820.8}"#,
                r#"{"ts": "2023-01-13 00:05:00", "value": 800.0}"#,
                r#"{"ts": "2023-01-13 00:10:00.250", "value": -0.1}"#,
            ]
        );
        assert_eq!(
            messages(csv, Some("meter"))[2],
            r#"{"ts": "2023-01-13 00:10:00.250", "value": -0.1, "key": "meter \"7\""}"#
        );
    }

    #[test]
    fn numbers_are_written_as_in_python() {
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
