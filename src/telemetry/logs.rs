//! Logs on standard error, as text for people or as JSON for machines.

use std::fmt;
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::{LogFormat, Settings};
use crate::printable::{printable, without_passwords};

/// How the command line changes the log level of the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verbosity {
    /// The number of `-v` flags.
    pub(crate) verbose: u8,
    /// True if `-q` was given. It overrides `-v`.
    pub(crate) quiet: bool,
}

/// The reason for not starting the logs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error(
        "`log.level` {filter:?} is not a log filter; write a level such as \"info\", or \"warn,streamgauge=debug\""
    )]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("logging has already started: {0}")]
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Writes the events of the whole process, including librdkafka's, to standard error, with times in UTC.
///
/// # Errors
/// [`LogError`] for an invalid filter, and on a second call.
pub(crate) fn start_logs(config: &Settings, verbosity: Verbosity, colors: bool) -> Result<(), LogError> {
    let filter = filter_text(&config.level, verbosity);
    let filter = EnvFilter::builder()
        .parse(&filter)
        .map_err(|source| LogError::Filter { filter, source })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| WithoutPasswords(io::stderr()))
        .with_ansi(colors);
    match config.format {
        LogFormat::Text => logs.fmt_fields(PrintableFields).compact().try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
    .map_err(LogError::Started)
}

/// Hides passwords in the URLs of each line, because libraries log the URLs of their requests. The subscriber
/// writes a line in one call.
struct WithoutPasswords<W>(W);

impl<W: Write> Write for WithoutPasswords<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(without_passwords(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the message and the fields like the subscriber's default, but no value can start a new line or steer the
/// terminal, and the event's name is left out: people have the sentence.
struct PrintableFields;

impl<'writer> FormatFields<'writer> for PrintableFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = PrintableLine {
            writer,
            is_begun: false,
            written: Ok(()),
        };
        fields.record(&mut line);
        line.written
    }
}

struct PrintableLine<'writer> {
    writer: Writer<'writer>,
    is_begun: bool,
    written: fmt::Result,
}

impl PrintableLine<'_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if std::mem::replace(&mut self.is_begun, true) {
            self.writer.write_char(' ')?;
        }
        let value = format!("{value:?}");
        let value = printable(&value);
        match name {
            "message" => write!(self.writer, "{value}"),
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            name => write!(self.writer, "{name}={value}"),
        }
    }
}

impl Visit for PrintableLine<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "event" && self.written.is_ok() {
            self.written = self.write(field.name(), value);
        }
    }
}

/// `-v` raises the level of our own messages only, because debug messages of libraries would bury them.
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
    fn an_event_is_one_line_whatever_its_fields_contain() {
        for colors in [false, true] {
            let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let output = written.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || WithoutPasswords(Shared(output.clone())))
                .with_ansi(colors)
                .fmt_fields(PrintableFields)
                .compact()
                .finish();
            let error = "a\u{1b}[2J\nERROR fake\u{202e}\u{9b}2J\r";
            tracing::subscriber::with_default(
                subscriber,
                || tracing::warn!(event = "unseen", %error, url = "http://u:hush@store/", count = 7, "said {error}"),
            );
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            assert_eq!(
                (text.lines().count(), text.ends_with('\n')),
                (1, true),
                "{text:?}"
            );
            assert_eq!(
                text.matches(r"a\u{1b}[2J\u{a}ERROR fake\u{202e}\u{9b}2J\u{d}")
                    .count(),
                2,
                "{text:?}"
            );
            assert!(
                text.contains("http://<redacted>@store/") && !text.contains("hush"),
                "{text:?}"
            );
            assert_eq!(text.contains(" error=a"), !colors, "{text:?}");
            assert_eq!(text.ends_with(" count=7\n"), !colors, "{text:?}");
            assert!(!text.contains("unseen") && !text.contains("  error"), "{text:?}");
            assert!(!text.contains(['\r', '\u{9b}', '\u{202e}']), "{text:?}");
            assert!(!text.contains("\u{1b}[2J"), "{text:?}");
            assert_eq!(text.contains('\u{1b}'), colors, "{text:?}");
        }
    }

    #[derive(Clone)]
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn flags_change_the_configured_level() {
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
