//! Detectors on one thread, beside River and scikit-learn in the same run.
//!
//! `cargo bench --bench detect`; fetches the two Python libraries once, about 100 MB. Where they cannot be had, their
//! columns stay empty. Needs Linux: memory is read from `/proc`.

mod ours;
mod report;
#[allow(
    dead_code,
    unused_imports,
    reason = "the integration tests use the rest of it"
)]
#[allow(
    clippy::disallowed_methods,
    reason = "it is of the tests, which may read clock and environment"
)]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use streamgauge::clock;

use report::Theirs;
use support::cache::python_environment;
use support::process::run;

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
