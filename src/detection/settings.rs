//! `[detect]`: what is judged, by what, and where the anomalies go.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::detectors::{self, DetectorName, FIXED_FIELDS, Threshold};
use crate::settings::{Fingerprint, LONGER_THAN_NOTHING, Violations, duration};
use crate::{decode, window};

/// The settings in `[detect]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    pub preset: String,
    pub detector: DetectorName,
    pub(crate) input: DetectInput,
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
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DetectInput {
    Readings,
    /// Averages of closed windows.
    Windows,
}

impl DetectInput {
    /// The name that fingerprints have for it.
    fn stored_name(self) -> &'static str {
        match self {
            DetectInput::Readings => "readings",
            DetectInput::Windows => "windows",
        }
    }
}

/// What is said where counters are judged: detectors see readings, and those only rise.
pub(crate) const REGISTERS_ARE_JUDGED: &str = "reading.value_kind is \"counter\", which is for the table: detectors judge the \
    registers themselves, which only rise, and not their increases; `streamgauge aggregate` keeps the table alone";

/// Series are numbered in 32 bits; no machine has the memory for more than this.
const LARGEST_SERIES_COUNT: usize = 100_000_000;

impl Settings {
    /// The zone whose days and weeks count, where times without one are in `readings_zone`.
    pub fn calendar_zone(&self, readings_zone: Tz) -> Tz {
        // The check of the settings has refused an unknown name.
        self.time_zone.parse().unwrap_or(readings_zone)
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
    if detect.input == DetectInput::Windows {
        window.add_windows_to(&mut fingerprint);
    }
    fingerprint.checksum()
}
