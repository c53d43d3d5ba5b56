//! The end of a run that did not go well: what is said, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::{ConfigError, LogFormat};

use super::output;

/// The exit code of a wrong command line or setting.
const WRONG_USAGE: u8 = 2;

/// Says why a command failed, as the last line on standard error: for machines, if the log is.
pub(super) fn report(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    if output::is_reader_gone(error) {
        return ExitCode::SUCCESS;
    }
    let sentence = sentence(error);
    if format == LogFormat::Json && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{sentence}");
    } else {
        // Where standard error is closed too, the exit code alone has to tell.
        let _ = writeln!(io::stderr(), "error: {sentence}");
    }
    exit_code(error)
}

/// Answers a command line that cannot be read, and the ones that ask for help or the version.
pub(super) fn usage(usage: &clap::Error) -> ExitCode {
    let _ = usage.print();
    if usage.use_stderr() {
        ExitCode::from(WRONG_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_setting = error.chain().any(|cause| cause.is::<ConfigError>());
    if is_setting {
        ExitCode::from(WRONG_USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// The error and its causes, joined by colons. Many libraries put a cause's text into their own: it is said once.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.trim().trim_end_matches(['.', ':']);
        if sentence.contains(text) {
            continue;
        }
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(text);
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::{Context, anyhow};

    use super::*;
    use crate::config::{Overrides, load};

    #[test]
    fn causes_are_joined_and_said_once() {
        let cases = [
            (
                anyhow!("no such table").context("cannot open it"),
                "cannot open it: no such table",
            ),
            (
                anyhow!("disk full").context("cannot write: disk full"),
                "cannot write: disk full",
            ),
            (anyhow!("c").context("b.").context("a"), "a: b: c"),
            (anyhow!("alone\n"), "alone"),
        ];
        for (error, expected) in cases {
            assert_eq!(sentence(&error), expected);
        }
    }

    #[test]
    fn a_wrong_setting_has_its_own_exit_code() {
        let missing = load(&Overrides::default(), Some(Path::new("no/such/file.toml")), []).map(|_| ());
        let wrong_setting = missing.context("cannot start").unwrap_err();
        assert_eq!(exit_code(&wrong_setting), ExitCode::from(2));
        assert_eq!(exit_code(&anyhow!("broker down")), ExitCode::from(1));
    }
}
