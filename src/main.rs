//! Parse, set up logs, dispatch, exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    streamgauge::commands::run()
}
