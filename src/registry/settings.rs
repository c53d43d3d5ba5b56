//! `[schema_registry]`: where the schemas of messages are.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::{LONGER_THAN_NOTHING, Violations, duration, is_web_address};

/// The settings in `[schema_registry]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    /// Empty: none.
    pub url: String,
    pub username: String,
    pub password: String,
    pub password_file: PathBuf,
    pub ca_file: PathBuf,
    #[serde(with = "duration")]
    pub timeout: Duration,
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Whether they say where schemas are.
    pub(crate) fn has_schemas(&self) -> bool {
        !self.url.is_empty() || !self.files.is_empty()
    }

    /// Adds the rules of `[schema_registry]` that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        violations.require(
            self.url.is_empty() || is_web_address(&self.url),
            "schema_registry.url",
            "must be a URL such as \"https://registry:8081\", or empty",
        );
        let has_file = !self.password_file.as_os_str().is_empty();
        violations.require(
            !has_file || self.password.is_empty(),
            "schema_registry.password_file",
            "must be empty where schema_registry.password is set",
        );
        violations.require(
            !self.username.is_empty() || (self.password.is_empty() && !has_file),
            "schema_registry.username",
            "must be set where a password is",
        );
        violations.require(
            !self.timeout.is_zero(),
            "schema_registry.timeout",
            LONGER_THAN_NOTHING,
        );
    }
}
