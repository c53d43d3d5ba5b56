//! The program. All of it is in the library, from the command line to the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    streamgauge::commands::run()
}
