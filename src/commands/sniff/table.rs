//! A file of rows and columns: what it decides by itself, and how it is played and tried.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use chrono_tz::Tz;
use indicatif::HumanCount;

use super::command_line::command_line;
use super::input::FileInput;
use super::ways::{Way, ways};
use super::words::time;
use crate::decode;
use crate::printable::printable;
use crate::recording::ReadOptions;

/// Reads a file as `play` and `backtest` do, and writes what they make of it and the commands that do it: several of each,
/// if the file does not decide.
pub(super) fn write(
    output: &mut impl Write,
    path: &Path,
    mut input: FileInput,
    reading: &decode::Settings,
    kafka: &[(&'static str, String)],
) -> Result<()> {
    let ways = ways(&mut input, ReadOptions::new(reading))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let Some(first) = ways.first() else {
        return Ok(());
    };
    let rows = HumanCount(first.rows);
    writeln!(output, "{}: {rows} rows", printable(&path.display().to_string()))?;
    if ways.len() > 1 {
        writeln!(
            output,
            "the file does not decide how it is to be read; it can be in {} ways:",
            ways.len()
        )?;
    }
    for way in &ways {
        write_way(output, path, way, reading.time_zone, kafka)?;
    }
    Ok(())
}

fn write_way(
    output: &mut impl Write,
    path: &Path,
    way: &Way,
    zone: Tz,
    kafka: &[(&'static str, String)],
) -> Result<()> {
    if !way.flags.is_empty() {
        let flags = way.flags.iter().map(|(flag, value)| format!("{flag} {value}"));
        let flags = flags.collect::<Vec<_>>().join(" ");
        writeln!(output, "\nwith {}:", printable(&flags))?;
    }
    for line in &way.findings {
        writeln!(output, "{}", printable(line))?;
    }
    let Some((first_ms, last_ms)) = way.times_ms else {
        writeln!(output, "{}", printable(&way.why_empty))?;
        return Ok(());
    };
    let (least, most) = way.values;
    writeln!(
        output,
        "{} readings, {} to {}, values {least} to {most}",
        HumanCount(way.readings as u64),
        time(first_ms),
        time(last_ms)
    )?;
    let mut flags = way.flags.clone();
    if way.needs_zone && zone == Tz::UTC {
        writeln!(
            output,
            "times have no offset and are taken as UTC; --time-zone such as America/New_York says which zone it is"
        )?;
    } else if way.needs_zone {
        flags.push(("--time-zone", zone.name().to_owned()));
    }
    let play: Vec<_> = [&[("--tick", "0".to_owned())], &flags[..], kafka].concat();
    writeln!(output, "\n{}", printable(&command_line("play", path, &play)))?;
    writeln!(output, "{}", printable(&command_line("backtest", path, &flags)))?;
    if flags.iter().any(|(flag, _)| *flag == "--key-column") {
        writeln!(
            output,
            "# what is played is then read with reading.key = \"message\", a series for each key"
        )?;
    }
    Ok(())
}
