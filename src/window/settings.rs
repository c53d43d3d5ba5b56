//! `[window]`: the tumbling windows and what is late.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::{DAY, Fingerprint, SECOND, Violations, YEAR, duration, is_whole_ms};

/// The settings in `[window]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    #[serde(with = "duration")]
    pub length: Duration,
    #[serde(with = "duration")]
    pub offset: Duration,
    #[serde(with = "duration")]
    pub watermark: Duration,
    pub late: LatePolicy,
    pub max_series: usize,
}

/// What becomes of a late reading. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// Kept out of the average and written to the late topic.
    Divert,
    /// Corrects the row it belongs to, however old.
    Upsert,
    /// Only counted.
    Drop,
}

impl LatePolicy {
    /// The name in settings, and in fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            LatePolicy::Divert => "divert",
            LatePolicy::Upsert => "upsert",
            LatePolicy::Drop => "drop",
        }
    }
}

impl Settings {
    /// Adds what decides which window a reading is in, and whether that is closed.
    pub(crate) fn add_windows_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add("window.length", self.length);
        fingerprint.add("window.offset", self.offset);
        fingerprint.add("window.watermark", self.watermark);
    }

    /// Adds what decides the fate of a reading: into its window, late, or dead-lettered as one of a series too many.
    pub(crate) fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.add_windows_to(fingerprint);
        fingerprint.add("window.late", self.late.name());
        fingerprint.add("window.max_series", self.max_series);
    }

    /// Adds the rules of `[window]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        let length_is_sane = is_whole_ms(self.length) && (SECOND..=DAY).contains(&self.length);
        violations.require(
            length_is_sane,
            "window.length",
            "must be from 1s to 1d, in whole milliseconds",
        );
        let is_within_length = self.offset < self.length || !length_is_sane;
        let length = humantime::format_duration(self.length);
        violations.require(
            is_whole_ms(self.offset) && is_within_length,
            "window.offset",
            format!("must be shorter than `window.length`, which is {length}, in whole milliseconds"),
        );
        violations.require(
            is_whole_ms(self.watermark) && self.watermark <= YEAR,
            "window.watermark",
            "must be at most 366d, in whole milliseconds",
        );
        violations.require(self.max_series >= 1, "window.max_series", "must be 1 or more");
    }
}
