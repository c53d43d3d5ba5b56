//! Logs on standard error: as text for people, or as JSON for machines.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// How much more or less the command line asks for than the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verbosity {
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether `-q` was given. It wins.
    pub quiet: bool,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("`log.level` {filter:?} is no log filter")]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("logs are being written already: {0}")]
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends the events of the whole process, librdkafka's among them, to standard error, with times in UTC.
///
/// Fails on a filter that cannot be read, and when called twice.
pub fn start_logs(config: &LogConfig, verbosity: Verbosity, colours: bool) -> Result<(), LogError> {
    let filter = filter_text(&config.level, verbosity);
    let filter = EnvFilter::builder()
        .parse(&filter)
        .map_err(|source| LogError::Filter { filter, source })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours);
    match config.format {
        LogFormat::Text => logs.compact().try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
    .map_err(LogError::Started)
}

/// `-v` adds to what the settings ask for, and only of our own: a library's debug messages would bury them.
fn filter_text(level: &str, verbosity: Verbosity) -> String {
    match verbosity {
        Verbosity { quiet: true, .. } => "warn".to_owned(),
        Verbosity { verbose: 0, .. } => level.to_owned(),
        Verbosity { verbose: 1, .. } => format!("{level},streamgauge=debug"),
        Verbosity { .. } => format!("{level},streamgauge=trace"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_what_the_settings_ask_for() {
        let cases = [
            (0, false, "info"),
            (1, false, "info,streamgauge=debug"),
            (2, false, "info,streamgauge=trace"),
            (3, false, "info,streamgauge=trace"),
            (0, true, "warn"),
        ];
        for (verbose, quiet, expected) in cases {
            let filter = filter_text("info", Verbosity { verbose, quiet });
            assert_eq!(filter, expected);
            assert!(EnvFilter::builder().parse(filter).is_ok());
        }
    }
}
