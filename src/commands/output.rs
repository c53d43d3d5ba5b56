//! Standard output, whose reader may go away at any time: `streamgauge query … | head`; and remarks on standard
//! error.

use std::io::{self, Write};

use crate::printable::printable;

/// Prints a line on standard error. Text from outside cannot control the terminal or begin a line.
pub(super) fn tell(line: &str) {
    eprintln!("{}", printable(line));
}

/// Standard output, buffered by line, for data. Unlike `println!` it does not panic when the reader has gone: the
/// write fails, the command returns that error in whatever wrapping, and the program ends quietly.
pub fn stdout() -> impl Write {
    Output(io::stdout().lock())
}

struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(OutputError::wrap)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(OutputError::wrap)
    }
}

/// Marks an error as one of standard output: a broken connection to the table's store is of the same kind as a reader
/// that has gone, and must not be mistaken for it.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
struct OutputError(#[source] io::Error);

impl OutputError {
    fn wrap(error: io::Error) -> io::Error {
        match error.kind() {
            // Writers try again by themselves after this one.
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, OutputError(error)),
        }
    }
}

/// Whether the error's cause is that standard output has lost its reader.
pub(super) fn is_reader_gone(error: &anyhow::Error) -> bool {
    let is_marked = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<OutputError>());
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe && is_marked(cause))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_lost_reader_is_distinguished_from_a_lost_connection() {
        let lost_reader = writeln!(Output(Closed), "row")
            .context("cannot write the result")
            .unwrap_err();
        assert!(is_reader_gone(&lost_reader));
        let lost_connection = writeln!(Closed, "row")
            .context("cannot reach the store")
            .unwrap_err();
        assert!(!is_reader_gone(&lost_connection));
    }
}
