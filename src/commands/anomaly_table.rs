//! Anomalies as a small table, for people.

use std::io::{self, Write};

use chrono::{DateTime, Timelike};

use super::text_table::{Align, TextTable};
use crate::backtest::{expectation, significant};
use crate::detectors::Anomaly;

/// Writes anomalies as a table, at most `max_rows` of them. The answer is how many were left out.
pub(super) fn write<'a>(
    anomalies: impl IntoIterator<Item = &'a Anomaly>,
    unit: &str,
    max_rows: Option<usize>,
    output: &mut impl Write,
) -> io::Result<usize> {
    let mut table = TextTable::new(&[
        ("time", Align::Left),
        ("value", Align::Right),
        ("expected", Align::Right),
        ("severity", Align::Left),
        ("cause", Align::Left),
        ("explanation", Align::Left),
    ]);
    let mut left_out = 0;
    for (index, anomaly) in anomalies.into_iter().enumerate() {
        if max_rows.is_some_and(|max_rows| index >= max_rows) {
            left_out += 1;
            continue;
        }
        table.row([
            time(anomaly.local_time_ms),
            anomaly
                .value
                .map_or_else(String::new, |value| significant(value, DIGITS)),
            expectation(&anomaly.verdict),
            anomaly.severity().name().to_owned(),
            anomaly.verdict.cause.name().to_owned(),
            anomaly.explanation(unit),
        ]);
    }
    table.write(output)?;
    Ok(left_out)
}

const DIGITS: usize = 5;

/// A wall time with its weekday: `Tue 2024-03-05 08:10`.
fn time(local_time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(local_time_ms).unwrap_or_default();
    let format = if time.second() == 0 {
        "%a %Y-%m-%d %H:%M"
    } else {
        "%a %Y-%m-%d %H:%M:%S"
    };
    time.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::{Cause, Verdict};

    fn anomaly(value: f64, bounds: Option<(f64, f64)>) -> Anomaly {
        Anomaly {
            partition: 0,
            offset: 0,
            index: 0,
            key: "a\u{1b}b".into(),
            measure: None,
            event_time_ms: 1_709_626_200_000,
            local_time_ms: 1_709_626_200_000,
            value: Some(value),
            verdict: Verdict {
                score: 9.0,
                is_anomaly: true,
                lower: bounds.map(|(lower, _)| lower),
                upper: bounds.map(|(_, upper)| upper),
                cause: Cause::Point,
                ..Verdict::learning("adaptive-band", 7.0)
            },
        }
    }

    #[test]
    fn anomalies_are_printed_up_to_a_limit() {
        let anomalies = [
            anomaly(820.8, Some((612.0, 655.25))),
            anomaly(1.0, None),
            anomaly(2.0, None),
        ];
        let mut output = Vec::new();
        assert_eq!(write(&anomalies, "kW", Some(2), &mut output).unwrap(), 1);
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].starts_with(
                "Tue 2024-03-05 08:10  820.8  612 to 655.25  critical  point  a\\u{1b}b: 820.8 kW"
            ),
            "{text}"
        );
    }
}
