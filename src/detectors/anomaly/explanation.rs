//! One sentence about what was seen and what was expected.

use chrono::DateTime;

use super::numbers::{Rounding, are_alike};
use super::{Anomaly, Cause, short_key};
use crate::detectors::{Earlier, EndReason, Forecast, Slot};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

pub(super) fn explanation(anomaly: &Anomaly, unit: &str) -> String {
    let sentence = Words::new(anomaly, unit).sentence(&anomaly.verdict.cause);
    match (anomaly.key(), anomaly.measure.as_deref()) {
        (Some(key), Some(measure)) => format!("{}, {}: {sentence}", short_key(key), short_key(measure)),
        (Some(only), None) | (None, Some(only)) => format!("{}: {sentence}", short_key(only)),
        (None, None) => sentence,
    }
}

/// The parts that sentences are made of.
struct Words<'a> {
    anomaly: &'a Anomaly,
    unit: &'a str,
    /// The value with its unit: `820.8 kW`.
    value: String,
    /// The event time: `Tue 08:10`.
    at: String,
    expected: Option<String>,
    /// The usual range: `612 to 655`.
    band: Option<String>,
    is_within_band: bool,
}

impl<'a> Words<'a> {
    fn new(anomaly: &'a Anomaly, unit: &'a str) -> Self {
        let verdict = &anomaly.verdict;
        let (lower, upper) = (verdict.lower, verdict.upper);
        let rounding = Rounding::new(anomaly.observed(), [lower, upper]);
        let band = match (lower, upper) {
            (Some(lower), Some(upper)) if are_alike(lower, upper) => Some(rounding.text(lower)),
            (Some(lower), Some(upper)) => {
                Some(format!("{} to {}", rounding.text(lower), rounding.text(upper)))
            }
            (Some(lower), None) => Some(format!("at least {}", rounding.text(lower))),
            (None, Some(upper)) => Some(format!("at most {}", rounding.text(upper))),
            (None, None) => None,
        };
        let is_within =
            |value: f64| lower.is_none_or(|lower| lower <= value) && upper.is_none_or(|upper| value <= upper);
        let value = match anomaly.observed() {
            Some(value) if unit.is_empty() => rounding.text(value),
            Some(value) => format!("{} {unit}", rounding.text(value)),
            None => "no reading".to_owned(),
        };
        Words {
            anomaly,
            unit,
            value,
            at: moment(anomaly.local_time_ms),
            expected: verdict.expected.map(|expected| rounding.text(expected)),
            is_within_band: band.is_some() && anomaly.observed().is_some_and(is_within),
            band,
        }
    }

    fn sentence(&self, cause: &Cause) -> String {
        let Words { value, at, .. } = self;
        let expectation = self.expectation();
        match cause {
            Cause::Learning => format!("{value} at {at}, with too little seen before to judge it"),
            Cause::Isolated => self.isolated(),
            Cause::SparseRegion => format!(
                "{value} at {at} lies where few earlier values did{}",
                expectation.unwrap_or_else(|| self.score())
            ),
            Cause::Point => match expectation {
                Some(expectation) if !self.is_within_band => format!("{value} at {at}{expectation}"),
                expectation => format!(
                    "{value} at {at} is out of the ordinary{}",
                    expectation.unwrap_or_else(|| self.score())
                ),
            },
            Cause::Hour { span_ms, earlier } => self.hour(*span_ms, earlier.as_ref()),
            Cause::Range { record_before } => self.range(*record_before),
            Cause::Stuck {
                lasted_ms,
                longest_before_ms,
            } => self.stuck(*lasted_ms, *longest_before_ms),
            Cause::Trend { per_day, days } => self.trend(*per_day, *days),
            Cause::Glitch { before, fell_to } => {
                let (before, fell_to) = self.totals(*before, *fell_to);
                format!(
                    "the counter fell from {before} to {fell_to} and came back by {at}, a glitch that is not learnt"
                )
            }
            Cause::Reset { before, fell_to } => {
                let (before, fell_to) = self.totals(*before, *fell_to);
                format!(
                    "the counter fell from {before} to {fell_to} and counts on from there at {at}, a reset"
                )
            }
            Cause::Rule {
                rule,
                holds,
                since_ms,
                forecast,
                ..
            } => match forecast {
                Some(forecast) => format!("{rule} began: {value} at {at}, {}", self.ahead(forecast)),
                None => self.rule(rule, *holds, *since_ms),
            },
            Cause::Expected { by, cause } => {
                let sentence = self.sentence(cause);
                match by {
                    Some(by) => format!("{sentence}; {by} has said to expect it"),
                    None => format!("{sentence}; it was said to be expected"),
                }
            }
            Cause::Ended { reason, rule } => self.ended(*reason, rule.as_deref()),
        }
    }

    /// `, expected about 640 (612 to 655)`, or as much of it as there is.
    fn expectation(&self) -> Option<String> {
        match (&self.expected, &self.band) {
            (Some(expected), Some(band)) => Some(format!(", expected about {expected} ({band})")),
            (Some(expected), None) => Some(format!(", expected about {expected}")),
            (None, Some(band)) => Some(format!(", expected {band}")),
            (None, None) => None,
        }
    }

    fn score(&self) -> String {
        let (score, threshold) = (self.anomaly.verdict.score, self.anomaly.verdict.threshold);
        let rounding = Rounding::new(None, [Some(score), Some(threshold)]);
        let (score, threshold) = (rounding.text(score), rounding.text(threshold));
        format!(" (score {score}, threshold {threshold})")
    }

    fn isolated(&self) -> String {
        let Words { value, at, .. } = self;
        let comparables = self.comparables();
        match &self.band {
            Some(band) if self.is_within_band => {
                format!("{value} at {at} stands apart from {comparables}, though within {band}")
            }
            Some(band) => format!("{value} at {at}, expected {band} from {comparables}"),
            None => format!("{value} at {at} stands apart from {comparables}"),
        }
    }

    /// `12 earlier Tuesdays`. A slot that does not begin with the reading's own minute is longer than one, and may
    /// hold several readings of a day.
    fn comparables(&self) -> String {
        const DAYS: [&str; 7] = [
            "Monday",
            "Tuesday",
            "Wednesday",
            "Thursday",
            "Friday",
            "Saturday",
            "Sunday",
        ];
        let verdict = &self.anomaly.verdict;
        let (count, plural) = match verdict.comparables {
            Some(1) => ("1 earlier".to_owned(), ""),
            Some(count) => (format!("{count} earlier"), "s"),
            None => ("earlier".to_owned(), "s"),
        };
        match verdict.slot {
            Some(slot) if slot == Slot::of(self.anomaly.local_time_ms, MINUTE_MS) => {
                let day = DAYS.get(usize::from(slot.weekday)).unwrap_or(&"day");
                format!("{count} {day}{plural}")
            }
            Some(slot) => format!("{count} value{plural} of {slot}"),
            None => format!("{count} value{plural}"),
        }
    }

    /// The hour that is unusual as a whole. Where readings are far apart it is longer than one.
    fn hour(&self, span_ms: i64, earlier: Option<&Earlier>) -> String {
        let Words { value, at, .. } = self;
        let expectation = self.expectation().unwrap_or_else(|| self.score());
        let span = match span_ms {
            HOUR_MS => "hour".to_owned(),
            span_ms => duration(span_ms),
        };
        let Some(earlier) = earlier else {
            return format!("the last {span} up to {at} is unusual: {value} at its end{expectation}");
        };
        let Earlier {
            local_time_ms,
            value: gave_away,
            lower,
            upper,
        } = *earlier;
        let rounding = Rounding::new(Some(gave_away), [Some(lower), Some(upper)]);
        let (lower, upper) = (rounding.text(lower), rounding.text(upper));
        let (then, gave_away) = (moment(local_time_ms), self.with_unit(rounding.text(gave_away)));
        let since = match span_ms {
            HOUR_MS => "an unusual hour".to_owned(),
            _ => format!("unusual {span}"),
        };
        format!(
            "{gave_away} at {then} (expected {lower} to {upper}) and {since} since: {value} at {at}{expectation}"
        )
    }

    fn range(&self, record_before: Option<f64>) -> String {
        let Words { value, at, .. } = self;
        let expectation = self.expectation().unwrap_or_else(|| self.score());
        let (Some(record), Some(observed)) = (record_before, self.anomaly.observed()) else {
            return format!("{value} at {at} is further out than nearly all values before{expectation}");
        };
        let (extreme, direction) = if observed > record {
            ("highest", "above")
        } else {
            ("lowest", "below")
        };
        let count = match self.anomaly.verdict.comparables {
            Some(count) => format!("of {count} readings"),
            None => "so far".to_owned(),
        };
        let rounding = Rounding::new(Some(observed), [Some(record)]);
        let percent = 100.0 * ((observed - record) / record).abs();
        let distance = if (1.0..1000.0).contains(&percent) {
            format!("{percent:.0} % {direction}")
        } else {
            direction.to_owned()
        };
        let record = rounding.text(record);
        format!("{value} at {at} is the {extreme} {count}, {distance} {record} before{expectation}")
    }

    fn stuck(&self, lasted_ms: i64, longest_before_ms: i64) -> String {
        let Words { value, at, .. } = self;
        let expectation = self.expectation().unwrap_or_default();
        let lasted = duration(lasted_ms);
        let before = match longest_before_ms {
            0 => "never twice in a row".to_owned(),
            longest_before_ms => format!("at most {}", duration(longest_before_ms)),
        };
        format!("{value} for {lasted} up to {at}, {before} before{expectation}")
    }

    fn trend(&self, per_day: f64, days: u32) -> String {
        let Words { value, at, .. } = self;
        let direction = if per_day > 0.0 { "rising" } else { "falling" };
        let change = self.with_unit(Rounding::new(None, []).text(per_day.abs()));
        format!("{direction} for {days} days, by {change} a day, far more than weeks differ: {value} at {at}")
    }

    /// Two totals of a counter.
    fn totals(&self, before: f64, fell_to: f64) -> (String, String) {
        let text = |total: f64| Rounding::new(Some(total), []).text(total);
        (text(before), text(fell_to))
    }

    fn with_unit(&self, number: String) -> String {
        match self.unit {
            "" => number,
            unit => format!("{number} {unit}"),
        }
    }

    fn rule(&self, rule: &str, holds: bool, since_ms: i64) -> String {
        let Words { value, at, .. } = self;
        let anomaly = self.anomaly;
        let lasted_ms = anomaly.event_time_ms.saturating_sub(since_ms);
        match (holds, anomaly.observed()) {
            (true, None) => {
                let since = earlier_moment(anomaly.local_time_ms, lasted_ms);
                format!("{rule} began: no reading since {since}")
            }
            (true, Some(_)) => format!("{rule} began: {value} at {at}"),
            (false, _) => format!("{rule} ended after {}: {value} at {at}", duration(lasted_ms)),
        }
    }

    /// `reaches 95 in 2d 4h to 3d 1h, rising 1.2 a day`.
    fn ahead(&self, forecast: &Forecast) -> String {
        let verdict = &self.anomaly.verdict;
        let text = |number: f64| Rounding::new(None, [Some(number)]).text(number);
        let limit = text(verdict.upper.or(verdict.lower).unwrap_or_default());
        let early = duration(forecast.early_ms);
        let when = match forecast.late_ms {
            Some(0) => format!("is at {limit}"),
            Some(late_ms) if duration(late_ms) == early => format!("reaches {limit} in {early}"),
            Some(late_ms) => format!("reaches {limit} in {early} to {}", duration(late_ms)),
            None => format!(
                "reaches {limit} in {early} to more than {}",
                duration(forecast.span_ms)
            ),
        };
        let direction = if forecast.per_day < 0.0 {
            "falling"
        } else {
            "rising"
        };
        format!("{when}, {direction} {} a day", text(forecast.per_day.abs()))
    }

    fn ended(&self, reason: EndReason, rule: Option<&str>) -> String {
        let Words {
            value, at, anomaly, ..
        } = self;
        let now_ms = anomaly.event_time_ms;
        let since_ms = anomaly.episode.since_ms;
        let until_ms = anomaly.episode.until_ms.unwrap_or(now_ms);
        let lasted = duration(until_ms.saturating_sub(since_ms));
        match reason {
            EndReason::BackToUsual => {
                let since = earlier_moment(anomaly.local_time_ms, now_ms.saturating_sub(until_ms));
                let expectation = self.expectation().unwrap_or_default();
                format!("over after {lasted}, as usual since {since}: {value} at {at}{expectation}")
            }
            EndReason::BecameUsual => format!(
                "over after {lasted}: a week without another anomaly, so what is seen now is usual: {value} at {at}"
            ),
            EndReason::SeriesForgotten => {
                let what = rule.unwrap_or("the episode");
                format!("{what} ended after {lasted}: no reading for so long that the series is forgotten")
            }
        }
    }
}

/// A wall time by its weekday: `Tue 08:10`, with seconds if there are.
fn moment(local_time_ms: i64) -> String {
    let slot = Slot::of(local_time_ms, MINUTE_MS);
    match local_time_ms.rem_euclid(MINUTE_MS) / 1000 {
        0 => slot.to_string(),
        seconds => format!("{slot}:{seconds:02}"),
    }
}

/// A wall time before another; by its date if the weekday would be ambiguous.
fn earlier_moment(local_time_ms: i64, before_ms: i64) -> String {
    let earlier_ms = local_time_ms.saturating_sub(before_ms);
    if before_ms < 6 * DAY_MS {
        return moment(earlier_ms);
    }
    let date = DateTime::from_timestamp_millis(earlier_ms).unwrap_or_default();
    date.format("%Y-%m-%d %H:%M").to_string()
}

/// The two largest units of a duration, of days, hours, minutes and seconds: `6d 12h`, `2h 5m`, `250ms`.
pub(crate) fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let units = [("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", 1_000)];
    let mut rest_ms = ms;
    let counted = units.map(|(unit, unit_ms)| {
        let count = rest_ms / unit_ms;
        rest_ms %= unit_ms;
        (count, unit)
    });
    let largest = counted.iter().skip_while(|(count, _)| *count == 0).take(2);
    let parts: Vec<String> = largest
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (ms, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (65_500, "1m 5s"),
            (3_600_000, "1h"),
            (3_605_000, "1h"),
            (7_500_000, "2h 5m"),
            (561_600_000, "6d 12h"),
            (518_460_000, "6d"),
            (8_640_000_000, "100d"),
        ] {
            assert_eq!(duration(ms), text, "{ms}");
        }
    }
}
