//! `[log]`: what is logged, on standard error.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::settings::{SECOND, Violations, duration};

/// The settings in `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    pub(crate) format: LogFormat,
    #[serde(with = "duration")]
    pub status_interval: Duration,
    pub level: String,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Settings {
    /// Adds the rules of `[log]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        // A word that is no level would be taken for the name of a module, and everything else fall silent.
        let names_a_level =
            |directive: &str| directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok();
        let is_filter =
            self.level.split(',').all(names_a_level) && EnvFilter::builder().parse(&self.level).is_ok();
        violations.require(
            is_filter,
            "log.level",
            "must be off, error, warn, info, debug or trace, or such as \"info,streamgauge::lake=debug\"",
        );
        violations.require(
            self.status_interval >= SECOND,
            "log.status_interval",
            "must be at least 1s",
        );
    }
}
