use std::process::Command;

/// The program under test, with its arguments, and none of the settings this process was started with.
pub fn streamgauge<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    streamgauge_testkit::process::program(env!("CARGO_BIN_EXE_streamgauge"), arguments)
}
