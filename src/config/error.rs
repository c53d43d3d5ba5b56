//! Errors of the settings, in sentences that name the setting, its origin, and what to do.

use std::path::{Path, PathBuf};

use super::document::SyntaxError;
use super::settings::Origin;
use crate::printable::printable;

/// The reason why the settings cannot be loaded. The caller must change something: exit code 2.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum ConfigError {
    #[error("cannot read the settings file {}", shown(path))]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} line {line}: {}", shown(path), printable(message))]
    Syntax {
        path: PathBuf,
        line: usize,
        message: String,
    },
    /// Everything that is wrong, so that it can be mended in one go.
    #[error("{}", one_per_line(.0))]
    Settings(Vec<SettingError>),
    /// Never with a released program: its own defaults are at fault.
    #[error("the embedded defaults do not fit this version of streamgauge: {0}")]
    Defaults(#[source] toml::de::Error),
}

impl ConfigError {
    pub(super) fn syntax(path: PathBuf, error: SyntaxError) -> Self {
        ConfigError::Syntax {
            path,
            line: error.line,
            message: error.message,
        }
    }
}

/// The problem with one setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("unknown setting `{}` ({origin}); {}", printable(key), advice(.nearest.as_deref()))]
    Unknown {
        key: String,
        origin: Origin,
        nearest: Option<String>,
    },
    #[error(
        "setting `{}` ({origin}) must be {expected}, not {}",
        printable(key),
        printable(found)
    )]
    Type {
        key: String,
        origin: Origin,
        expected: &'static str,
        found: String,
    },
    #[error(
        "setting `{}` = {} ({origin}): {}",
        printable(key),
        printable(value),
        printable(reason)
    )]
    Value {
        key: String,
        value: String,
        origin: Origin,
        reason: String,
    },
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`streamgauge config show` lists them all".to_owned(),
    }
}

fn one_per_line(errors: &[SettingError]) -> String {
    match errors {
        [error] => error.to_string(),
        errors => {
            let lines: String = errors.iter().map(|error| format!("\n  {error}")).collect();
            format!("{} settings are wrong:{lines}", errors.len())
        }
    }
}
