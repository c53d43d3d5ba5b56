//! A file of rows and columns: what it decides by itself, and how it is played.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::HumanCount;

use super::words::time;
use crate::commands::play::report::{findings, why_empty};
use crate::decode;
use crate::printable::printable;
use crate::recording::{ReadOptions, Recording};

/// Reads a file as `play` and `backtest` do without flags, and writes what they would make of it.
pub(super) fn write(
    output: &mut impl Write,
    path: &Path,
    input: impl Read,
    reading: &decode::Settings,
) -> Result<()> {
    let recording = Recording::read(input, &ReadOptions::new(reading))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let report = &recording.report;
    let name = path.display().to_string();
    let rows = HumanCount(report.rows);
    writeln!(output, "{}: {rows} rows", printable(&name))?;
    for line in findings(report) {
        writeln!(output, "{}", printable(&line))?;
    }
    let (Some(first), Some(last)) = (recording.readings.first(), recording.readings.last()) else {
        writeln!(output, "{}", printable(&why_empty(report)))?;
        return Ok(());
    };
    let values = recording.readings.iter().map(|reading| reading.value);
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    writeln!(
        output,
        "{} readings, {} to {}, values {least} to {most}",
        HumanCount(recording.readings.len() as u64),
        time(first.time_ms),
        time(last.time_ms)
    )?;
    writeln!(output, "\nstreamgauge play {} --tick 0", printable(&name))?;
    Ok(())
}
