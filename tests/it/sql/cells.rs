//! Results of both engines in the same values: doubles to the last bit, times as instants.

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;
use streamgauge_testkit::trino::Answer;

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Whole(i64),
    Double(f64),
    /// Milliseconds since 1970, in UTC.
    Time(i64),
}

/// A result: names and types of its columns in Trino's words, and its rows in order.
#[derive(Debug, PartialEq)]
pub struct Found {
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<Cell>>,
}

pub fn from_trino(answer: Answer) -> Result<Found> {
    let mut rows = Vec::new();
    for row in &answer.rows {
        let cells = row.iter().zip(&answer.columns);
        let cells = cells.map(|(value, (name, kind))| {
            trino_cell(value, kind).with_context(|| format!("{value} of column {name}"))
        });
        rows.push(cells.collect::<Result<_>>()?);
    }
    let columns = answer.columns;
    Ok(Found { columns, rows })
}

fn trino_cell(value: &Value, kind: &str) -> Result<Cell> {
    Ok(match (kind, value) {
        (_, Value::Null) => Cell::Null,
        ("varchar", Value::String(text)) => Cell::Text(text.clone()),
        ("bigint" | "integer", Value::Number(number)) => Cell::Whole(number.as_i64().context("too large")?),
        ("double", Value::Number(number)) => Cell::Double(number.as_f64().context("no double")?),
        ("timestamp with time zone", Value::String(text)) => {
            let utc = text.strip_suffix(" UTC").context("not in UTC")?;
            let time = NaiveDateTime::parse_from_str(utc, "%Y-%m-%d %H:%M:%S%.f")?;
            Cell::Time(time.and_utc().timestamp_millis())
        }
        _ => bail!("there is no such cell of type {kind}"),
    })
}

/// The output of `streamgauge query --format csv`, in the types that Trino gave.
pub fn from_csv(text: &str, types: &[(String, String)]) -> Result<Found> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers()?.clone();
    ensure!(
        names.len() == types.len(),
        "{} columns instead of {}",
        names.len(),
        types.len()
    );
    let columns = names.iter().zip(types);
    let columns = columns
        .map(|(name, (_, kind))| (name.to_owned(), kind.clone()))
        .collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let cells = record.iter().zip(types);
        let cells = cells.map(|(text, (name, kind))| {
            csv_cell(text, kind).with_context(|| format!("{text:?} of column {name}"))
        });
        rows.push(cells.collect::<Result<_>>()?);
    }
    Ok(Found { columns, rows })
}

fn csv_cell(text: &str, kind: &str) -> Result<Cell> {
    Ok(match kind {
        _ if text.is_empty() => Cell::Null,
        "varchar" => Cell::Text(text.to_owned()),
        "bigint" | "integer" => Cell::Whole(text.parse()?),
        "double" => Cell::Double(text.parse()?),
        "timestamp with time zone" => Cell::Time(DateTime::parse_from_rfc3339(text)?.timestamp_millis()),
        _ => bail!("there is no such cell of type {kind}"),
    })
}
