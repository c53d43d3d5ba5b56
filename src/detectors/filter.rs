//! Which anomalies of the detectors that learn are worth a message: those in one direction, or of some size.
//!
//! A filter says something of verdicts, and nothing to detectors: they judge and learn as without it. What it passes over is
//! counted, and it counts as usual for the end of an episode.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::rules::pattern_matches;
use super::{Cause, DetectorName, Verdict};
use crate::settings::{Fingerprint, Violations};

/// `detect.direction`: the side of what was expected that anomalies are published of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    /// Values above the expected one.
    Above,
    /// Values below it.
    Below,
    /// All of them.
    #[default]
    Both,
}

impl Direction {
    fn admits(self, change: f64) -> bool {
        match self {
            Direction::Above => change > 0.0,
            Direction::Below => change < 0.0,
            Direction::Both => true,
        }
    }

    /// The name in settings, and in fingerprints.
    fn name(self) -> &'static str {
        match self {
            Direction::Above => "above",
            Direction::Below => "below",
            Direction::Both => "both",
        }
    }
}

/// `detect.least_change`: how far from the expected value an anomaly must be. Both parts must be met.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct LeastChange {
    /// In the unit of the readings.
    pub absolute: f64,
    /// A share of the expected value, without its sign.
    pub relative: f64,
}

impl FromStr for LeastChange {
    type Err = String;

    /// Reads `10`, `5%`, or both as `10; 5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut least = LeastChange::default();
        let parts: Vec<&str> = text.split(';').map(str::trim).collect();
        let is_percent = |part: &&str| part.ends_with('%');
        let percents = parts.iter().copied().filter(is_percent).count();
        let is_one_of_each = percents <= 1 && parts.len() - percents <= 1;
        for part in parts {
            let number = part.strip_suffix('%').unwrap_or(part).trim_end();
            match number.parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 && is_one_of_each => {
                    if part.ends_with('%') {
                        least.relative = number / 100.0;
                    } else {
                        least.absolute = number;
                    }
                }
                _ => {
                    return Err(format!(
                        "{text:?} is not a least change: expected something such as \"10\", \"5%\" or \"10; 5%\""
                    ));
                }
            }
        }
        Ok(least)
    }
}

impl fmt::Display for LeastChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}%", self.absolute, self.relative * 100.0)
    }
}

impl Serialize for LeastChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeastChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The filters of the settings, by pattern of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    direction: BTreeMap<String, Direction>,
    least_change: BTreeMap<String, LeastChange>,
}

impl Filters {
    pub(crate) fn new(
        direction: &BTreeMap<String, Direction>,
        least_change: &BTreeMap<String, LeastChange>,
    ) -> Self {
        Filters {
            direction: direction.clone(),
            least_change: least_change.clone(),
        }
    }

    /// What applies to a key: of each setting the entry whose pattern is the longest that matches, so that an exception can be
    /// made from what is said for all.
    pub(crate) fn of_key(&self, key: &str) -> Filter {
        Filter {
            direction: of_longest_pattern(&self.direction, key).unwrap_or_default(),
            least_change: of_longest_pattern(&self.least_change, key).unwrap_or_default(),
        }
    }

    /// Adds the filters, of which there are none by default.
    pub(crate) fn add_to(&self, fingerprint: &mut Fingerprint) {
        for (pattern, direction) in &self.direction {
            fingerprint.add(&format!("detect.direction.{pattern}"), direction.name());
        }
        for (pattern, least) in &self.least_change {
            fingerprint.add(&format!("detect.least_change.{pattern}.absolute"), least.absolute);
            fingerprint.add(&format!("detect.least_change.{pattern}.relative"), least.relative);
        }
    }

    /// Adds the filters that the detector cannot have: those of verdicts without an expected value.
    pub(crate) fn check(&self, detector: DetectorName, violations: &mut Violations) {
        let expects = !matches!(detector, DetectorName::HalfSpaceTrees | DetectorName::None);
        for (name, is_empty) in [
            ("detect.direction", self.direction.is_empty()),
            ("detect.least_change", self.least_change.is_empty()),
        ] {
            violations.require(
                expects || is_empty,
                name,
                format!(
                    "must be empty where `detect.detector` is \"{}\", which expects no value that one could be above or below",
                    detector.name()
                ),
            );
        }
    }
}

fn of_longest_pattern<T: Copy>(entries: &BTreeMap<String, T>, key: &str) -> Option<T> {
    let matching = entries
        .iter()
        .filter(|(pattern, _)| pattern_matches(pattern, key));
    // Of equally long ones the first: `max_by_key` would take the last.
    let longest = matching.rev().max_by_key(|(pattern, _)| pattern.len());
    longest.map(|(_, &value)| value)
}

/// What anomalies of one series must be to be published.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Filter {
    direction: Direction,
    least_change: LeastChange,
}

impl Filter {
    /// Takes anomalies that are not asked for out of a detector's verdicts on a value. Returns how many they were.
    #[inline]
    pub(crate) fn apply(&self, value: f64, verdicts: &mut [Verdict]) -> u64 {
        if *self == Filter::default() {
            return 0;
        }
        let mut passed_over = 0;
        for verdict in verdicts {
            if !self.admits(value, verdict) {
                passed_over += u64::from(verdict.is_anomaly);
                verdict.is_anomaly = false;
                // Nobody wants to know of it, so it keeps no episode open.
                verdict.is_calm = verdict.is_calm.map(|_| true);
            }
        }
        passed_over
    }

    fn admits(&self, value: f64, verdict: &Verdict) -> bool {
        let value = match &verdict.cause {
            // A rule says what it means, and a value that does not change has no direction and no size.
            Cause::Rule { .. } | Cause::Stuck { .. } => return true,
            // The day at hand may be as usual.
            Cause::Trend { per_day, .. } => return self.direction.admits(*per_day),
            Cause::Hour {
                earlier: Some(earlier),
                ..
            } => earlier.value,
            _ => value,
        };
        let Some(expected) = verdict.expected else {
            return true;
        };
        let is_in_direction = self.direction.admits(value - expected);
        let change = (value - expected).abs();
        let least = self.least_change;
        is_in_direction && change >= least.absolute && change >= least.relative * expected.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::Earlier;

    fn filters(direction: &[(&str, Direction)], least_change: &[(&str, &str)]) -> Filters {
        let direction = direction
            .iter()
            .map(|&(pattern, direction)| (pattern.to_owned(), direction));
        let least_change = least_change
            .iter()
            .map(|&(pattern, text)| (pattern.to_owned(), text.parse().unwrap()));
        Filters::new(&direction.collect(), &least_change.collect())
    }

    /// Whether a value is still an anomaly where 200 was expected, whether it is calm, and how many were passed over.
    fn filtered(filter: Filter, value: f64, cause: Cause) -> (bool, Option<bool>, u64) {
        let mut verdicts = [Verdict {
            is_anomaly: true,
            is_calm: Some(false),
            expected: Some(200.0),
            cause,
            ..Verdict::learning("adaptive-band", 7.0)
        }];
        let passed_over = filter.apply(value, &mut verdicts);
        (verdicts[0].is_anomaly, verdicts[0].is_calm, passed_over)
    }

    const PUBLISHED: (bool, Option<bool>, u64) = (true, Some(false), 0);
    const PASSED_OVER: (bool, Option<bool>, u64) = (false, Some(true), 1);

    #[test]
    fn a_direction_passes_over_the_other_one() {
        let above = filters(&[("*", Direction::Above)], &[]).of_key("a");
        assert_eq!(filtered(above, 201.0, Cause::Point), PUBLISHED);
        assert_eq!(filtered(above, 199.0, Cause::Point), PASSED_OVER);
        let below = filters(&[("*", Direction::Below)], &[]).of_key("a");
        assert_eq!(
            filtered(below, 201.0, Cause::Range { record_before: None }),
            PASSED_OVER
        );
        assert_eq!(
            filtered(below, 199.0, Cause::Range { record_before: None }),
            PUBLISHED
        );
    }

    #[test]
    fn what_came_earlier_or_goes_on_for_days_has_the_direction_of_that() {
        let below = filters(&[("*", Direction::Below)], &[]).of_key("a");
        let hour = |value| Cause::Hour {
            span_ms: 3_600_000,
            earlier: Some(Earlier {
                value,
                ..Earlier::default()
            }),
        };
        assert_eq!(filtered(below, 201.0, hour(100.0)), PUBLISHED);
        assert_eq!(filtered(below, 199.0, hour(300.0)), PASSED_OVER);
        let trend = |per_day| Cause::Trend { per_day, days: 5 };
        assert_eq!(filtered(below, 201.0, trend(-1.0)), PUBLISHED);
        assert_eq!(filtered(below, 199.0, trend(1.0)), PASSED_OVER);
    }

    #[test]
    fn a_least_change_passes_over_smaller_ones_by_both_of_its_parts() {
        let filter = |text| filters(&[], &[("*", text)]).of_key("a");
        for (text, smallest) in [("10", 10.0), ("5%", 10.0), ("30; 5%", 30.0), ("5 %; 2", 10.0)] {
            for value in [200.0 - smallest, 200.0 + smallest] {
                assert_eq!(filtered(filter(text), value, Cause::Point), PUBLISHED, "{text}");
            }
            let smaller = 200.0 + 0.99 * smallest;
            assert_eq!(
                filtered(filter(text), smaller, Cause::Point),
                PASSED_OVER,
                "{text}"
            );
        }
    }

    #[test]
    fn the_longest_pattern_that_matches_decides() {
        let filters = filters(
            &[
                ("*", Direction::Above),
                ("boiler-*", Direction::Both),
                ("*-7", Direction::Below),
            ],
            &[("boiler-7", "10")],
        );
        let direction = |key| filters.of_key(key).direction;
        assert_eq!(direction("pump-1"), Direction::Above);
        assert_eq!(direction("boiler-7"), Direction::Both);
        assert_eq!(direction("pump-7"), Direction::Below);
        assert_eq!(filters.of_key("boiler-7").least_change.absolute, 10.0);
        assert_eq!(filters.of_key("boiler-8").least_change, LeastChange::default());
    }

    #[test]
    fn what_has_no_direction_is_published() {
        let above = filters(&[("*", Direction::Above)], &[("*", "1000")]).of_key("a");
        let stuck = Cause::Stuck {
            lasted_ms: 2,
            longest_before_ms: 1,
        };
        assert_eq!(filtered(above, 199.0, stuck), PUBLISHED);
    }

    #[test]
    fn a_least_change_that_cannot_be_read_is_refused_with_examples() {
        for text in ["", "ten", "-1", "5%; 6%", "1; 2", "inf", "%", "5%;"] {
            let error = text.parse::<LeastChange>().unwrap_err();
            assert!(
                error.contains("expected something such as \"10\", \"5%\""),
                "{error}"
            );
        }
        let least: LeastChange = "10; 5%".parse().unwrap();
        assert_eq!(least.to_string().parse(), Ok(least));
    }
}
