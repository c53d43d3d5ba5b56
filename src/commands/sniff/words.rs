//! A report in words, for people; its last part is a settings file.

use std::io::Write;

use anyhow::Result;
use chrono::{DateTime, SecondsFormat};
use indicatif::HumanCount;

use super::input::Sample;
use crate::commands::text_table::{Align, TextTable};
use crate::config::Config;
use crate::decode::ValueKind;
use crate::printable::printable;
use crate::sniff::{FieldReport, Outcome, Proposal, Report};

/// What values are that never fall.
const NEVER_FALLS: &str = "the values never fall: if they are the registers of counters, reading.value_kind = \"counter\" gives each \
    window its increase in the place of an average";

/// Fields that are shown.
const MOST_FIELDS: usize = 40;

/// Writes what was found.
pub(super) fn write(
    output: &mut impl Write,
    sample: &Sample,
    report: &Report,
    config: &Config,
) -> Result<()> {
    let records = HumanCount(report.records);
    writeln!(
        output,
        "{}: looked at {records} records",
        printable(&sample.origin)
    )?;
    for remark in &sample.remarks {
        writeln!(output, "{}", printable(remark))?;
    }
    if report.records == 0 {
        writeln!(output, "there is nothing to look at")?;
        return Ok(());
    }
    let looks = report
        .looks
        .iter()
        .map(|(look, count)| format!("{look} ({})", HumanCount(*count)));
    let looks: Vec<String> = looks.collect();
    let mean_bytes = report.value_bytes / report.records;
    writeln!(
        output,
        "values  {}; {mean_bytes} bytes on average",
        printable(&looks.join(", "))
    )?;
    let keys = match report.keyed {
        (0, _) => "none".to_owned(),
        (count, distinct) => format!(
            "{} records have one, {} different",
            HumanCount(count),
            HumanCount(distinct as u64)
        ),
    };
    writeln!(output, "keys    {keys}\n")?;
    write_fields(output, report)?;
    writeln!(output, "under the settings in force:")?;
    write_outcome(output, &report.in_force)?;
    let is_gauge = config.pipeline.reading.value_kind == ValueKind::Gauge;
    if is_gauge && report.in_force.never_falls() {
        writeln!(output, "  {NEVER_FALLS}")?;
    }
    match &report.proposal {
        Some(proposal) => write_proposal(output, proposal, config),
        None if report.in_force.is_good() => Ok(writeln!(output, "\nthe settings in force fit")?),
        None if report.in_force.accepted > 0 => {
            Ok(writeln!(output, "\nno settings were found that read more")?)
        }
        None => Ok(writeln!(
            output,
            "\nno settings were found that read them: docs/operations.md says what can be read"
        )?),
    }
}

fn write_fields(output: &mut impl Write, report: &Report) -> Result<()> {
    if report.fields.is_empty() {
        return Ok(());
    }
    let mut table = TextTable::new(&[
        ("field", Align::Left),
        ("in", Align::Right),
        ("holds", Align::Left),
        ("different", Align::Right),
        ("such as", Align::Left),
    ]);
    for field in report.fields.iter().take(MOST_FIELDS) {
        table.row(cells(field, report.documents));
    }
    table.write(output)?;
    if let Some(more) = report
        .fields
        .len()
        .checked_sub(MOST_FIELDS)
        .filter(|more| *more > 0)
    {
        writeln!(output, "… and {more} more")?;
    }
    Ok(writeln!(output)?)
}

fn cells(field: &FieldReport, documents: usize) -> [String; 5] {
    let more = if field.has_more_values { "more than " } else { "" };
    [
        field.path.clone(),
        format!("{} %", field.present * 100 / documents.max(1)),
        field.kind.clone(),
        format!("{more}{}", field.distinct),
        field.examples.join(", "),
    ]
}

fn write_outcome(output: &mut impl Write, outcome: &Outcome) -> Result<()> {
    let of = HumanCount(outcome.records());
    if outcome.accepted > 0 {
        let readings = HumanCount(outcome.readings);
        let series = HumanCount(outcome.series.len() as u64);
        let mut line = format!(
            "  {} of {of} are read: {readings} readings of {series} series",
            outcome.accepted
        );
        if let (Some((first, last)), Some((least, most))) = (outcome.times_ms, outcome.values) {
            line += &format!(", {} to {}, values {least} to {most}", time(first), time(last));
        }
        writeln!(output, "{line}")?;
    }
    if outcome.skipped > 0 {
        writeln!(output, "  {} of {of} are skipped", outcome.skipped)?;
    }
    for (reason, (count, detail)) in &outcome.rejected {
        let reason = reason.name();
        writeln!(
            output,
            "  {count} of {of} would be dead letters: {reason}: {}",
            printable(detail)
        )?;
    }
    Ok(())
}

fn write_proposal(output: &mut impl Write, proposal: &Proposal, config: &Config) -> Result<()> {
    writeln!(output, "\nwith what follows:")?;
    write_outcome(output, &proposal.outcome)?;
    writeln!(output, "\n# streamgauge.toml\n[reading]")?;
    for setting in &proposal.settings {
        let line = format!("{} = {}", setting.name, setting.value);
        match setting.why.as_str() {
            "" => writeln!(output, "{}", printable(&line))?,
            why => writeln!(output, "{}  # {}", printable(&line), printable(why))?,
        }
    }
    if proposal.outcome.never_falls() {
        writeln!(output, "value_kind = \"counter\"  # {NEVER_FALLS}")?;
    }
    for note in &proposal.notes {
        writeln!(output, "# {}", printable(note))?;
    }
    if proposal.has_measures && config.pipeline.table.measure_column.is_empty() {
        writeln!(
            output,
            "\n[table]\nmeasure_column = \"measure\"  # a row for each measure of a key"
        )?;
    }
    Ok(())
}

/// A time in words.
pub(super) fn time(time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(time_ms);
    time.map_or_else(String::new, |time| {
        time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    })
}
