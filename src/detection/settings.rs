//! `[detect]`: what is judged, by what, and where the anomalies go.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::decode::ValueKind;
use crate::detectors::{
    self, DetectorName, Direction, FIXED_FIELDS, Filters, Holidays, LeastChange, Threshold,
};
use crate::settings::{Fingerprint, LONGER_THAN_NOTHING, SECOND, Violations, duration, is_whole_ms};
use crate::{decode, window};

/// The settings in `[detect]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    pub preset: String,
    pub detector: DetectorName,
    pub(crate) input: DetectInput,
    #[serde(with = "duration")]
    pub(crate) slide: Duration,
    pub threshold: Threshold,
    pub anomaly_topic: String,
    /// Empty: derived.
    pub group: String,
    /// Empty: that of the readings.
    pub time_zone: String,
    pub unit: String,
    pub value_name: String,
    #[serde(with = "duration")]
    pub commit_interval: Duration,
    pub max_series: usize,
    /// Empty: beside the table.
    pub state_uri: String,
    #[serde(with = "duration")]
    pub state_interval: Duration,
    /// Conditions by pattern of keys.
    pub rules: BTreeMap<String, String>,
    /// By pattern of keys, as the next one.
    pub(crate) direction: BTreeMap<String, Direction>,
    pub(crate) least_change: BTreeMap<String, LeastChange>,
    pub(crate) calendar: Vec<String>,
    /// The days of `calendar`, which the loading of the settings finds out.
    #[serde(skip)]
    pub(crate) holidays: Holidays,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DetectInput {
    Readings,
    /// Averages of closed windows.
    Windows,
    /// What the totals of counters increase by.
    Increments,
}

impl DetectInput {
    /// The name that fingerprints have for it.
    fn stored_name(self) -> &'static str {
        match self {
            DetectInput::Readings => "readings",
            DetectInput::Windows => "windows",
            DetectInput::Increments => "increments",
        }
    }
}

/// Series are numbered in 32 bits; no machine has the memory for more than this.
const LARGEST_SERIES_COUNT: usize = 100_000_000;

impl Settings {
    /// The zone whose days and weeks count, where times without one are in `readings_zone`.
    pub fn calendar_zone(&self, readings_zone: Tz) -> Tz {
        // The check of the settings has refused an unknown name.
        self.time_zone.parse().unwrap_or(readings_zone)
    }

    /// Whether values are totals that are judged by what they increase by: the readings of counters always are.
    pub(crate) fn judges_increments(&self, value_kind: ValueKind) -> bool {
        match self.input {
            DetectInput::Increments => true,
            DetectInput::Readings => value_kind == ValueKind::Counter,
            DetectInput::Windows => false,
        }
    }

    /// Adds `detect.input` if it asks for the averages of registers.
    pub(crate) fn check_value_kind(&self, value_kind: ValueKind, violations: &mut Violations) {
        violations.require(
            self.input != DetectInput::Windows || value_kind == ValueKind::Gauge,
            "detect.input",
            "must not be \"windows\" where `reading.value_kind` is \"counter\": the average of registers says nothing",
        );
    }

    /// Which anomalies are published.
    pub(crate) fn filters(&self) -> Filters {
        Filters::new(&self.direction, &self.least_change)
    }

    /// Adds `detect.slide` if windows of this length cannot be made of panes of its length.
    pub(crate) fn check_slide(&self, length: Duration, violations: &mut Violations) {
        /// More would be judged more often than anything changes, and kept for it.
        const MOST_PANES: u128 = 1440;
        let is_unset = self.slide.is_zero();
        violations.require(
            is_unset || self.input == DetectInput::Windows,
            "detect.slide",
            "must be \"0s\" unless `detect.input` is \"windows\"",
        );
        let (slide_ms, length_ms) = (self.slide.as_millis().max(1), length.as_millis());
        let divides = self.slide >= SECOND
            && is_whole_ms(self.slide)
            && length_ms.is_multiple_of(slide_ms)
            && length_ms / slide_ms <= MOST_PANES;
        let length = humantime::format_duration(length);
        violations.require(
            is_unset || divides,
            "detect.slide",
            format!(
                "must be \"0s\", or from 1s and divide `window.length`, which is {length}, into at most {MOST_PANES} parts"
            ),
        );
    }

    /// Adds the rules of `[detect]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        violations.require(
            self.time_zone.is_empty() || self.time_zone.parse::<Tz>().is_ok(),
            "detect.time_zone",
            "must be an IANA name such as \"America/New_York\"",
        );
        violations.require(
            is_value_name(&self.value_name),
            "detect.value_name",
            "must be a name of 1 to 64 letters, digits, dots, underscores and dashes that no other field of an anomaly has",
        );
        for (key, interval) in [
            ("detect.commit_interval", self.commit_interval),
            ("detect.state_interval", self.state_interval),
        ] {
            violations.require(!interval.is_zero(), key, LONGER_THAN_NOTHING);
        }
        violations.require(
            (1..=LARGEST_SERIES_COUNT).contains(&self.max_series),
            "detect.max_series",
            "must be from 1 to 100000000",
        );
        detectors::check_rules(&self.rules, violations);
        self.filters().check(self.detector, violations);
    }
}

fn is_value_name(name: &str) -> bool {
    let fits = |character: char| character.is_alphanumeric() || "._-".contains(character);
    (1..=64).contains(&name.chars().count()) && name.chars().all(fits) && !FIXED_FIELDS.contains(&name)
}

/// A checksum of every setting that a judgement depends on.
pub(super) fn fingerprint(
    reading: &decode::Settings,
    window: &window::Settings,
    detect: &Settings,
    detectors: &detectors::Settings,
) -> u32 {
    let mut fingerprint = Fingerprint::default();
    reading.add_to(&mut fingerprint);
    detectors.add_to(detect.detector, &mut fingerprint);
    fingerprint.add("detect.input", detect.input.stored_name());
    fingerprint.add("detect.threshold", detect.threshold);
    fingerprint.add("detect.time_zone", detect.calendar_zone(reading.time_zone).name());
    for (pattern, conditions) in &detect.rules {
        fingerprint.add(&format!("detect.rules.{pattern}"), conditions);
    }
    detect.filters().add_to(&mut fingerprint);
    fingerprint.add_later("detect.calendar", &detect.holidays.fingerprint(), "");
    if detect.input == DetectInput::Windows {
        window.add_windows_to(&mut fingerprint);
        fingerprint.add_later("detect.slide", detect.slide, Duration::ZERO);
    }
    fingerprint.checksum()
}
