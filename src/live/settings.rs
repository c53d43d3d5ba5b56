//! `[live]`: the live page, and SQL over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::serve;
use crate::settings::{LONGER_THAN_NOTHING, Violations, duration};

/// The settings in `[live]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    pub listen: String,
    pub hosts: Vec<String>,
    /// Empty: none is needed on loopback, and one is made elsewhere.
    pub token_file: PathBuf,
    pub history_readings: usize,
    pub max_bytes: usize,
    #[serde(with = "duration")]
    pub query_timeout: Duration,
    pub query_max_rows: usize,
    pub query_max_bytes: usize,
}

/// A point takes some fifty bytes; below this there is no picture.
const LEAST_BYTES: usize = 1_000_000;

impl Settings {
    /// Adds the rules of `[live]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        serve::check_address("live", &self.listen, &self.hosts, violations);
        violations.require(
            self.history_readings >= 1,
            "live.history_readings",
            "must be 1 or more",
        );
        violations.require(
            self.max_bytes >= LEAST_BYTES,
            "live.max_bytes",
            "must be 1000000 or more",
        );
        violations.require(
            !self.query_timeout.is_zero(),
            "live.query_timeout",
            LONGER_THAN_NOTHING,
        );
        violations.require(
            self.query_max_rows >= 1,
            "live.query_max_rows",
            "must be 1 or more",
        );
        violations.require(
            self.query_max_bytes >= LEAST_BYTES,
            "live.query_max_bytes",
            "must be 1000000 or more",
        );
    }
}
