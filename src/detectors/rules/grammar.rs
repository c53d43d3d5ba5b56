//! The conditions of `[detect.rules]`, as they are written and as they are meant.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::settings::Violations;

/// What a rule watches for in the readings of a series. Durations are of event time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    /// Every reading of the last `for_ms` milliseconds was above the bound; for 0 the newest was.
    Above {
        /// Exclusive, in the unit of the readings.
        bound: f64,
        /// How long, in event time; 0 for the newest reading alone.
        for_ms: i64,
        /// What ends it; without, the first reading that is not above the bound.
        until: Option<Recovery>,
    },
    /// The same below the bound.
    Below {
        /// Exclusive, in the unit of the readings.
        bound: f64,
        /// How long, in event time; 0 for the newest reading alone.
        for_ms: i64,
        /// What ends it; without, the first reading that is not below the bound.
        until: Option<Recovery>,
    },
    /// There was no reading for longer than `for_ms` milliseconds.
    Silent {
        /// The longest time without a reading that is still usual.
        for_ms: i64,
    },
    /// The newest reading differs by at least `by` from one that is at most `within_ms` milliseconds older.
    Changes {
        /// The smallest difference that counts, in the unit of the readings.
        by: f64,
        /// The greatest age of the reading it is compared with.
        within_ms: i64,
    },
    /// The floors of the series rise steadily, and its peaks reach the limit within `within_ms` milliseconds if that goes on;
    /// or its peaks fall, and the floors reach it.
    Reaches {
        /// In the unit of the readings.
        limit: f64,
        /// How far it is looked ahead, and back, at least three days.
        within_ms: i64,
        /// Whether the limit is one to fall to.
        is_falling: bool,
    },
}

/// When a limit is reached, as it looks by the trend so far. Times are from the event time of the reading that showed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// How much the series rises in a day, in the unit of the readings; below 0 if it falls.
    pub per_day: f64,
    /// The earliest time that the trend allows.
    pub early_ms: i64,
    /// The time by the median of all slopes.
    pub likely_ms: i64,
    /// The latest time that the trend allows; `None` if it is further ahead than was looked back.
    pub late_ms: Option<i64>,
    /// How far was looked back.
    pub span_ms: i64,
}

/// What ends a condition that a bound alone began: every reading of the last `for_ms` milliseconds was on the other side of
/// this bound. So a value that hovers at the first bound does not begin and end it over and over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Exclusive, in the unit of the readings: at or below the bound of `above`, at or above that of `below`.
    pub bound: f64,
    /// How long, in event time; 0 for the newest reading alone.
    pub for_ms: i64,
}

/// A condition, and how it is written, with single spaces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub text: String,
    pub condition: Condition,
}

/// A condition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{condition:?} is not a condition: {expected}")]
pub(super) struct ConditionError {
    pub condition: String,
    /// What is: `expected …`.
    pub expected: String,
}

/// Reads conditions separated by semicolons.
///
/// # Errors
/// [`ConditionError`] for the first that is none.
pub(super) fn read_conditions(text: &str) -> Result<Vec<Rule>, ConditionError> {
    let read = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        match condition(&words) {
            Ok(condition) => Ok(Rule {
                text: words.join(" "),
                condition,
            }),
            Err(expected) => Err(ConditionError {
                condition: part.trim().to_owned(),
                expected,
            }),
        }
    };
    text.split(';').map(read).collect()
}

fn condition(words: &[&str]) -> Result<Condition, String> {
    let (begin, until) = match words.iter().position(|word| *word == "until") {
        Some(at) => (&words[..at], Some(&words[at + 1..])),
        None => (words, None),
    };
    match (begin, until) {
        (["above", limit @ ..], until) if !limit.is_empty() => {
            let (bound, for_ms) = lasting_bound(limit, "above")?;
            let until = until.map(|words| recovery(words, "above", bound)).transpose()?;
            Ok(Condition::Above { bound, for_ms, until })
        }
        (["below", limit @ ..], until) if !limit.is_empty() => {
            let (bound, for_ms) = lasting_bound(limit, "below")?;
            let until = until.map(|words| recovery(words, "below", bound)).transpose()?;
            Ok(Condition::Below { bound, for_ms, until })
        }
        (["silent", "for", duration @ ..], None) => Ok(Condition::Silent {
            for_ms: duration_ms(duration)?,
        }),
        (["changes", "by", by, "within", duration @ ..], None) => Ok(Condition::Changes {
            by: difference(by)?,
            within_ms: duration_ms(duration)?,
        }),
        (["reaches", limit, "within", duration @ ..], None) => reaches(limit, duration, false),
        (["falls", "to", limit, "within", duration @ ..], None) => reaches(limit, duration, true),
        _ => Err(expected_form(words.first().copied())),
    }
}

/// A limit that lies ahead. Floors are of three hours, and a pattern of days needs some; what was months ago says little.
fn reaches(limit: &str, duration: &[&str], is_falling: bool) -> Result<Condition, String> {
    const HOURS_6_MS: i64 = 21_600_000;
    const DAYS_28_MS: i64 = 2_419_200_000;
    let within_ms = duration_ms(duration)?;
    if !(HOURS_6_MS..=DAYS_28_MS).contains(&within_ms) {
        let text = duration.join(" ");
        return Err(format!(
            "expected a duration from 6h to 28d in the place of {text:?}"
        ));
    }
    Ok(Condition::Reaches {
        limit: number(limit)?,
        within_ms,
        is_falling,
    })
}

/// A bound, and how long readings must be beyond it: `90`, `90 for 10m`.
fn lasting_bound(words: &[&str], first: &str) -> Result<(f64, i64), String> {
    match words {
        [bound] => Ok((number(bound)?, 0)),
        [bound, "for", duration @ ..] => Ok((number(bound)?, duration_ms(duration)?)),
        _ => Err(expected_form(Some(first))),
    }
}

/// What ends a condition that begins above, or below, `bound`: `below 85`, `below 85 for 5m`.
fn recovery(words: &[&str], first: &str, bound: f64) -> Result<Recovery, String> {
    let (opposite, is_beyond): (_, fn(f64, f64) -> bool) = match first {
        "above" => ("below", |recovery, bound| recovery > bound),
        _ => ("above", |recovery, bound| recovery < bound),
    };
    let Some((word, limit)) = words
        .split_first()
        .filter(|(word, limit)| **word == opposite && !limit.is_empty())
    else {
        return Err(expected_form(Some(first)));
    };
    let (recovered, for_ms) = lasting_bound(limit, first)?;
    if is_beyond(recovered, bound) {
        return Err(format!(
            "expected a bound that is not {first} {bound} in the place of \"{word} {recovered}\""
        ));
    }
    Ok(Recovery {
        bound: recovered,
        for_ms,
    })
}

fn expected_form(first: Option<&str>) -> String {
    let forms = match first {
        Some("above") => "\"above 90\", \"above 90 for 10m\" or \"above 90 until below 85\"",
        Some("below") => "\"below 5\", \"below 5 for 1h\" or \"below 5 until above 8\"",
        Some("silent") => "\"silent for 15m\"",
        Some("changes") => "\"changes by 20 within 1m\"",
        Some("reaches") => "\"reaches 95 within 3d\"",
        Some("falls") => "\"falls to 5 within 3d\"",
        _ => {
            "\"above 90\", \"below 5 for 1h\", \"silent for 15m\", \"changes by 20 within 1m\" or \"reaches 95 within 3d\""
        }
    };
    format!("expected something such as {forms}")
}

fn number(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("expected a number in the place of {word:?}")),
    }
}

fn difference(word: &str) -> Result<f64, String> {
    let by = number(word)?;
    if by > 0.0 {
        Ok(by)
    } else {
        Err(format!(
            "expected a number above 0 in the place of {word:?}; a change counts in both directions"
        ))
    }
}

/// Event times are whole milliseconds; a year is longer than anybody waits.
fn duration_ms(words: &[&str]) -> Result<i64, String> {
    const LONGEST: Duration = Duration::from_secs(366 * 86_400);
    let text = words.join(" ");
    let expected = || {
        format!(
            "expected a duration such as \"10m\" or \"1h 30m\", from 1ms to 366d, in the place of {text:?}"
        )
    };
    let duration = humantime::parse_duration(&text).map_err(|_| expected())?;
    let is_whole_ms = duration.subsec_nanos().is_multiple_of(1_000_000);
    if duration.is_zero() || duration > LONGEST || !is_whole_ms {
        return Err(expected());
    }
    i64::try_from(duration.as_millis()).map_err(|_| expected())
}

/// Adds the rules that cannot be read, by the dotted key of their pattern.
pub(crate) fn check_rules(rules: &BTreeMap<String, String>, violations: &mut Violations) {
    for (pattern, conditions) in rules {
        if let Err(error) = read_conditions(conditions) {
            violations.require(
                false,
                &format!("detect.rules.{pattern}"),
                format!("must be conditions separated by semicolons; {error}"),
            );
        }
    }
}
