//! The summary, for people and for programs.

use std::io::Write;

use anyhow::{Context, Result};
use chrono::DateTime;
use indicatif::HumanCount;
use serde::Serialize;

use super::Tested;
use crate::backtest::nab::Score;
use crate::backtest::{Summary, significant};
use crate::commands::anomaly_table;
use crate::commands::text_table::{Align, TextTable};

pub(super) const CANNOT_WRITE: &str = "cannot write the result";

/// A series' line of the summary, or that of all.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub file: String,
    pub key: String,
    pub readings: u64,
    pub weeks: f64,
    pub alerts: u64,
    pub alerts_per_week: Option<f64>,
    pub windows: Option<u64>,
    pub caught: Option<u64>,
    pub false_alarms: Option<u64>,
    pub episodes: u64,
}

/// The lines of all series, and the total.
#[derive(Debug, Serialize)]
pub(super) struct Rows {
    pub series: Vec<Row>,
    pub total: Row,
}

/// A row of the CSV: the scores stand in that of the total.
#[derive(Serialize, Default)]
struct NabColumns {
    nab_standard_fixed: Option<f64>,
    nab_low_fp_fixed: Option<f64>,
    nab_low_fn_fixed: Option<f64>,
    nab_standard_swept: Option<f64>,
    nab_low_fp_swept: Option<f64>,
    nab_low_fn_swept: Option<f64>,
}

fn row(file: &str, key: &str, summary: &Summary) -> Row {
    Row {
        file: file.to_owned(),
        key: key.to_owned(),
        readings: summary.readings,
        weeks: summary.weeks,
        alerts: summary.alerts,
        alerts_per_week: summary.alerts_per_week(),
        windows: summary.hits.map(|hits| hits.windows),
        caught: summary.hits.map(|hits| hits.caught),
        false_alarms: summary.hits.map(|hits| hits.false_alarms),
        episodes: summary.episodes,
    }
}

/// The lines of the summary.
pub(super) fn rows(tested: &[Tested]) -> Rows {
    let mut total = Summary::default();
    let mut series = Vec::new();
    for tested in tested {
        for (judged, summary) in tested.series.iter().zip(&tested.summaries) {
            total = total + *summary;
            series.push(row(&tested.source.name, &judged.key, summary));
        }
    }
    Rows {
        series,
        total: row("total", "", &total),
    }
}

/// The alerts of one file, as text.
pub(super) fn alerts(
    tested: &Tested,
    unit: &str,
    max_rows: Option<usize>,
    out: &mut impl Write,
) -> Result<()> {
    let mut anomalies: Vec<_> = tested
        .series
        .iter()
        .flat_map(|series| &series.alerts)
        .map(|alert| &alert.anomaly)
        .collect();
    anomalies.sort_by_key(|anomaly| (anomaly.event_time_ms, anomaly.episode.message));
    if anomalies.is_empty() {
        return writeln!(out, "Nothing would have been alerted on.\n").context(CANNOT_WRITE);
    }
    let of = |counted: &dyn Fn(&Summary) -> u64| HumanCount(tested.summaries.iter().map(counted).sum());
    let (alerts, episodes) = (of(&|summary| summary.alerts), of(&|summary| summary.episodes));
    writeln!(
        out,
        "What would have been published (anomalies: {alerts}, episodes: {episodes}):\n"
    )
    .context(CANNOT_WRITE)?;
    let shown = anomaly_table::write(anomalies, unit, max_rows, out).context(CANNOT_WRITE)?;
    tell_left_out(shown.left_out, out)?;
    writeln!(out).context(CANNOT_WRITE)
}

pub(super) fn tell_left_out(left_out: usize, out: &mut impl Write) -> Result<()> {
    if left_out > 0 {
        let more = HumanCount(left_out as u64);
        writeln!(out, "… {more} more; --maxrows all shows them").context(CANNOT_WRITE)?;
    }
    Ok(())
}

/// The summary for people.
pub(super) fn table(
    rows: &Rows,
    nab: Option<&[Score; 3]>,
    max_rows: Option<usize>,
    out: &mut impl Write,
) -> Result<()> {
    let has_keys = rows.series.iter().any(|row| !row.key.is_empty());
    let has_labels = rows.total.windows.is_some();
    let mut columns = vec![("file", Align::Left)];
    columns.extend(has_keys.then_some(("key", Align::Left)));
    columns.extend(["readings", "weeks", "alerts", "per week"].map(|name| (name, Align::Right)));
    if has_labels {
        columns.extend(["caught", "false alarms"].map(|name| (name, Align::Right)));
    }
    let mut table = TextTable::new(&columns);
    let shown = max_rows.unwrap_or(rows.series.len()).min(rows.series.len());
    let total = Some(&rows.total).filter(|_| rows.series.len() > 1);
    for row in rows.series[..shown].iter().chain(total) {
        let mut cells = vec![row.file.clone()];
        cells.extend(has_keys.then(|| row.key.clone()));
        cells.push(HumanCount(row.readings).to_string());
        cells.push(format!("{:.1}", row.weeks));
        cells.push(HumanCount(row.alerts).to_string());
        cells.push(
            row.alerts_per_week
                .map_or("-".to_owned(), |rate| format!("{rate:.2}")),
        );
        if has_labels {
            cells.push(match (row.caught, row.windows) {
                (Some(caught), Some(windows)) => format!("{caught} of {windows}"),
                _ => "-".to_owned(),
            });
            cells.push(row.false_alarms.map_or("-".to_owned(), |count| count.to_string()));
        }
        table.row(cells);
    }
    table.write(out).context(CANNOT_WRITE)?;
    tell_left_out(rows.series.len() - shown, out)?;
    if let Some(scores) = nab {
        writeln!(out).context(CANNOT_WRITE)?;
        nab_table(scores).write(out).context(CANNOT_WRITE)?;
    }
    Ok(())
}

fn nab_table(scores: &[Score; 3]) -> TextTable {
    let mut columns = vec![("NAB score", Align::Left)];
    columns.extend(scores.iter().map(|score| (score.profile.name, Align::Right)));
    let mut table = TextTable::new(&columns);
    let mut add = |name: &str, text: &dyn Fn(&Score) -> String| {
        table.row([name.to_owned()].into_iter().chain(scores.iter().map(text)));
    };
    add("fixed: as the detector decided", &|score| {
        format!("{:.2}", score.fixed)
    });
    add("swept: with the best threshold in hindsight", &|score| {
        format!("{:.2}", score.swept)
    });
    add("  which is", &|score| {
        score
            .swept_threshold
            .map_or("none".to_owned(), |threshold| significant(threshold, 4))
    });
    table
}

/// The summary as CSV: a row for each series, then the total.
pub(super) fn csv(rows: &Rows, nab: Option<&[Score; 3]>, out: &mut impl Write) -> Result<()> {
    let none = NabColumns::default();
    let scores = nab.map_or_else(NabColumns::default, |[standard, low_fp, low_fn]| NabColumns {
        nab_standard_fixed: Some(standard.fixed),
        nab_low_fp_fixed: Some(low_fp.fixed),
        nab_low_fn_fixed: Some(low_fn.fixed),
        nab_standard_swept: Some(standard.swept),
        nab_low_fp_swept: Some(low_fp.swept),
        nab_low_fn_swept: Some(low_fn.swept),
    });
    let mut writer = csv::Writer::from_writer(out);
    for row in &rows.series {
        writer.serialize((row, &none)).context(CANNOT_WRITE)?;
    }
    writer.serialize((&rows.total, &scores)).context(CANNOT_WRITE)?;
    writer.flush().context(CANNOT_WRITE)
}

/// The summary as one JSON object.
pub(super) fn json(rows: &Rows, nab: Option<&[Score; 3]>, out: &mut impl Write) -> Result<()> {
    let nab = nab.map(|scores| {
        scores.map(|score| {
            serde_json::json!({
                "profile": score.profile.name,
                "fixed": score.fixed,
                "swept": score.swept,
                "swept_threshold": score.swept_threshold,
            })
        })
    });
    let summary = serde_json::json!({ "series": rows.series, "total": rows.total, "nab": nab });
    serde_json::to_writer_pretty(&mut *out, &summary).context(CANNOT_WRITE)?;
    writeln!(out).context(CANNOT_WRITE)
}

/// A wall time as recordings write it: `2024-03-05 08:10:00`, with a fraction if there is one.
pub(super) fn wall_time(wall_time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(wall_time_ms).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S%.f").to_string()
}
