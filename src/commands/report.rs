//! The end of a run that did not go well: what is said, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::ConfigError;
use crate::printable::{acts, printable, printable_lines, without_passwords};
use crate::telemetry::LogFormat;

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
        // Where standard error is closed too, only the exit code is left.
        let _ = writeln!(io::stderr(), "error: {sentence}");
    }
    exit_code(error)
}

/// Answers a command line that cannot be read, and the ones that ask for help or the version.
pub(super) fn usage(usage: &clap::Error) -> ExitCode {
    if !usage.use_stderr() {
        let _ = usage.print();
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument.to_string_lossy().contains(acts)) {
        // The message quotes it. In color, clap's own escapes could not be distinguished from those of the argument.
        let _ = write!(io::stderr(), "{}", printable_lines(&usage.to_string()));
    } else {
        let _ = usage.print();
    }
    if is_about_set(usage) {
        let _ = writeln!(io::stderr(), "\n  tip: {ABOUT_SETTINGS}");
    }
    ExitCode::from(WRONG_USAGE)
}

const ABOUT_SETTINGS: &str = "a setting without a flag of its own is given by the environment, such as \
STREAMGAUGE__COMMIT__INTERVAL=30s for `interval` in `[commit]`, or in the file of --config; `aggregate`, `detect`, `run`, `collect`, `backtest` and `tune` take `--set section.key=value`";

/// Whether `--set` was given to a command that does not have it.
fn is_about_set(usage: &clap::Error) -> bool {
    let is_set = |argument: &str| argument == "--set" || argument.starts_with("--set=");
    usage.kind() == ErrorKind::UnknownArgument
        && matches!(usage.get(ContextKind::InvalidArg), Some(ContextValue::String(argument)) if is_set(argument))
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
/// Quotes from outside cannot control the terminal or begin a line.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.trim().trim_end_matches(['.', ':']);
        // Several wrong settings are a list, which has shown what it quotes.
        let text = match cause.is::<ConfigError>() {
            true => printable_lines(text),
            false => printable(text),
        };
        let text = text.as_ref();
        if sentence.contains(text) {
            continue;
        }
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(text);
    }
    without_passwords(&sentence).into_owned()
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
            (
                anyhow!("no column \u{1b}[2Ja\nerror: fake").context("cannot read \u{202e}x"),
                r"cannot read \u{202e}x: no column \u{1b}[2Ja\u{a}error: fake",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(sentence(&error), expected);
        }
    }

    #[test]
    fn passwords_in_urls_are_not_printed() {
        let error = anyhow!("http://user:hush@store:9000 does not answer");
        assert_eq!(sentence(&error), "http://<redacted>@store:9000 does not answer");
    }

    #[test]
    fn set_is_recognized_where_a_command_does_not_have_it() {
        use clap::Parser;
        for (arguments, expected) in [
            (&["streamgauge", "play", "--set", "kafka.partitions=1"][..], true),
            (&["streamgauge", "query", "--set=table.name=usage"], true),
            (&["streamgauge", "aggregate", "--setting"], false),
        ] {
            let usage = crate::commands::Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(is_about_set(&usage), expected, "{arguments:?}");
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
