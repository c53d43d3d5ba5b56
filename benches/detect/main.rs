//! Detectors on one thread, compared with River and scikit-learn in the same run.
//!
//! `cargo bench --bench detect`; fetches the two Python libraries once, about 100 MB. Where they cannot be had, their
//! columns stay empty. Needs Linux: memory is read from `/proc`.

mod ours;
mod report;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use streamgauge::clock;
use streamgauge_testkit::cache::python_environment;
use streamgauge_testkit::process::run;

use report::Theirs;

/// The libraries take no longer for what they are asked, or they hang.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    let theirs = theirs()
        .inspect_err(|error| eprintln!("without River and scikit-learn: {error:#}"))
        .ok();
    report::print(clock::instant, theirs)
}

fn theirs() -> Result<Theirs> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/detect");
    let python = python_environment(&sources.join("requirements.txt"))?;
    let mut command = Command::new(python);
    let stdout = run("python", command.arg(sources.join("theirs.py")), LIMIT)?;
    serde_json::from_str(&stdout).with_context(|| format!("theirs.py printed {stdout:?}"))
}
