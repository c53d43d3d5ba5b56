//! Writes a result as text: an aligned table for people; CSV, TSV, JSON and newline-delimited JSON for
//! programs.
//!
//! The table collects the rows that it shows, to align them. The other formats are written batch by batch,
//! however long the result is.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use thiserror::Error;

use super::{QueryError, Rows};
use crate::printable::printable;

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned, for reading
    Table,
    /// Comma-separated, with a header
    Csv,
    /// Tab-separated, with a header
    Tsv,
    /// One array of objects
    Json,
    /// One object per line
    NdJson,
}

/// The reason for an incomplete result.
#[derive(Debug, Error)]
pub(crate) enum OutputError {
    /// The query failed midway.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The output was closed or is full.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
    /// The format cannot represent a value of the result.
    #[error("this format cannot represent the result; try --format json")]
    Format(#[from] ArrowError),
}

/// The number of rows of a result, and how many of them were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// All rows of the result.
    pub rows: usize,
    /// Rows that were written; fewer only in a table for people.
    pub shown: usize,
}

/// Writes `rows` to `output` in the given format.
///
/// `max_rows` limits only the table; the rows beyond it are counted, not kept. A statement without columns,
/// such as `SET`, writes nothing.
///
/// # Errors
/// [`OutputError`] if the query, the format or the output fails. Text that is already written stays.
pub(crate) async fn write(
    rows: Rows,
    format: Format,
    max_rows: Option<usize>,
    output: &mut impl Write,
) -> Result<Written, OutputError> {
    if rows.schema().fields().is_empty() {
        return Ok(Written { rows: 0, shown: 0 });
    }
    let written = match format {
        Format::Table => write_table(rows, max_rows.unwrap_or(usize::MAX), output).await?,
        Format::Csv => write_delimited(rows, b',', output).await?,
        Format::Tsv => write_delimited(rows, b'\t', output).await?,
        Format::Json => {
            let written = write_json::<JsonArray>(rows, output).await?;
            output.write_all(b"\n")?;
            written
        }
        Format::NdJson => write_json::<LineDelimited>(rows, output).await?,
    };
    output.flush()?;
    Ok(written)
}

async fn write_table(
    mut rows: Rows,
    max_rows: usize,
    output: &mut impl Write,
) -> Result<Written, OutputError> {
    let schema = rows.schema();
    // The empty batch makes the header appear for a result without rows.
    let mut shown_batches = vec![RecordBatch::new_empty(schema.clone())];
    let mut written = Written { rows: 0, shown: 0 };
    while let Some(batch) = rows.next_batch().await? {
        let room = (max_rows - written.shown).min(batch.num_rows());
        if room > 0 {
            shown_batches.push(batch.slice(0, room));
        }
        written.shown += room;
        written.rows += batch.num_rows();
    }
    let timestamp_format = timestamp_format(&schema);
    let options = FormatOptions::new()
        .with_null("NULL")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some(timestamp_format));
    let shown_batches = shown_batches
        .iter()
        .map(|batch| with_printable_text(batch, &options))
        .collect::<Result<Vec<_>, _>>()?;
    writeln!(
        output,
        "{}",
        pretty_format_batches_with_options(&shown_batches, &options)?
    )?;
    Ok(written)
}

/// The batch with its names and texts made safe for a terminal.
fn with_printable_text(batch: &RecordBatch, options: &FormatOptions<'_>) -> Result<RecordBatch, ArrowError> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let column = if column.data_type().is_primitive() {
            Arc::clone(column)
        } else {
            printable_text(column, options)?
        };
        let name = printable(field.name()).into_owned();
        columns.push((Field::new(name, column.data_type().clone(), true), column));
    }
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn printable_text(column: &ArrayRef, options: &FormatOptions<'_>) -> Result<ArrayRef, ArrowError> {
    let formatter = ArrayFormatter::try_new(column, options)?;
    let texts = (0..column.len()).map(|row| {
        let text = column.is_valid(row).then(|| formatter.value(row).try_to_string());
        Ok(text.transpose()?.map(|text| printable(&text).into_owned()))
    });
    let texts: StringArray = texts.collect::<Result<_, ArrowError>>()?;
    Ok(Arc::new(texts))
}

/// The format suffix of timestamps: `Z` if all are in UTC, otherwise the offset, because a query converted
/// some.
fn timestamp_format(schema: &Schema) -> &'static str {
    let in_utc = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, Some(zone)) => matches!(zone.as_ref(), "UTC" | "Z" | "+00:00"),
        other => !other.is_nested(),
    };
    if schema.fields().iter().all(|field| in_utc(field.data_type())) {
        "%Y-%m-%d %H:%M:%S%.fZ"
    } else {
        "%Y-%m-%d %H:%M:%S%.f%:z"
    }
}

async fn write_delimited(
    mut rows: Rows,
    delimiter: u8,
    output: &mut impl Write,
) -> Result<Written, OutputError> {
    let mut text = Vec::new();
    // The empty batch makes the header appear for a result without rows.
    let mut next = Some(RecordBatch::new_empty(rows.schema()));
    let mut header = true;
    let mut count = 0;
    while let Some(batch) = next {
        let mut writer = csv::WriterBuilder::new()
            .with_delimiter(delimiter)
            .with_header(header)
            .build(&mut text);
        writer.write(&batch)?;
        drop(writer);
        // Written here, because Arrow's writer would hide that the error is a closed pipe.
        output.write_all(&text)?;
        text.clear();
        header = false;
        count += batch.num_rows();
        next = rows.next_batch().await?;
    }
    Ok(Written {
        rows: count,
        shown: count,
    })
}

async fn write_json<F: JsonFormat>(mut rows: Rows, output: &mut impl Write) -> Result<Written, OutputError> {
    let mut writer = json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, F>(Vec::new());
    let mut count = 0;
    while let Some(batch) = rows.next_batch().await? {
        writer.write(&batch)?;
        output.write_all(writer.get_ref())?;
        writer.get_mut().clear();
        count += batch.num_rows();
    }
    writer.finish()?;
    output.write_all(writer.get_ref())?;
    Ok(Written {
        rows: count,
        shown: count,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Lake, rows};
    use super::*;

    const ALL: &str = "SELECT key, start, avg_usage, count FROM usage ORDER BY start";

    async fn text(sql: &str, format: Format, max_rows: Option<usize>) -> (String, Written) {
        let lake = Lake::with(&[&[(0, Some("a,b"), 0.1), (1, None, 1e21), (2, Some("c"), 2.0)]]).await;
        let session = lake.session().await;
        let mut output = Vec::new();
        let written = write(rows(&session, sql).await, format, max_rows, &mut output)
            .await
            .unwrap();
        (String::from_utf8(output).unwrap(), written)
    }

    async fn check(sql: &str, format: Format, expected: &str) {
        let (text, _) = text(sql, format, None).await;
        assert_eq!(text.trim_end(), expected.trim(), "{format:?} of {sql}");
    }

    #[tokio::test]
    async fn every_format_of_a_result() {
        check(
            ALL,
            Format::Table,
            "
+------+----------------------+-----------+-------+
| key  | start                | avg_usage | count |
+------+----------------------+-----------+-------+
| a,b  | 2024-03-05 00:00:00Z | 0.1       | 12    |
| NULL | 2024-03-05 01:00:00Z | 1e21      | 12    |
| c    | 2024-03-05 02:00:00Z | 2.0       | 12    |
+------+----------------------+-----------+-------+",
        )
        .await;
        check(
            ALL,
            Format::Csv,
            "
key,start,avg_usage,count
\"a,b\",2024-03-05T00:00:00Z,0.1,12
,2024-03-05T01:00:00Z,1e21,12
c,2024-03-05T02:00:00Z,2.0,12",
        )
        .await;
        check(
            ALL,
            Format::Tsv,
            "
key\tstart\tavg_usage\tcount
a,b\t2024-03-05T00:00:00Z\t0.1\t12
\t2024-03-05T01:00:00Z\t1e21\t12
c\t2024-03-05T02:00:00Z\t2.0\t12",
        )
        .await;
        let first = r#"{"key":"a,b","start":"2024-03-05T00:00:00Z","avg_usage":0.1,"count":12}"#;
        let second = r#"{"key":null,"start":"2024-03-05T01:00:00Z","avg_usage":1.0e21,"count":12}"#;
        let third = r#"{"key":"c","start":"2024-03-05T02:00:00Z","avg_usage":2.0,"count":12}"#;
        check(ALL, Format::Json, &format!("[{first},{second},{third}]")).await;
        check(ALL, Format::NdJson, &format!("{first}\n{second}\n{third}")).await;
    }

    #[tokio::test]
    async fn every_format_of_an_empty_result() {
        let sql = "SELECT key, count FROM usage WHERE count < 0";
        check(
            sql,
            Format::Table,
            "+-----+-------+\n| key | count |\n+-----+-------+\n+-----+-------+",
        )
        .await;
        check(sql, Format::Csv, "key,count").await;
        check(sql, Format::Tsv, "key\tcount").await;
        check(sql, Format::Json, "[]").await;
        check(sql, Format::NdJson, "").await;
        check("SET datafusion.execution.batch_size = 100", Format::Json, "").await;
    }

    #[tokio::test]
    async fn string_views_dictionaries_and_zones() {
        let sql = "SELECT arrow_cast('a', 'Utf8View') AS v, arrow_cast('b', 'Dictionary(Int32, Utf8)') AS d";
        check(sql, Format::Csv, "v,d\na,b").await;
        check(sql, Format::NdJson, r#"{"v":"a","d":"b"}"#).await;
        check(
            sql,
            Format::Table,
            "+---+---+\n| v | d |\n+---+---+\n| a | b |\n+---+---+",
        )
        .await;

        let zoned = "SELECT arrow_cast(start, 'Timestamp(Microsecond, Some(\"America/New_York\"))') AS t FROM usage LIMIT 1";
        check(zoned, Format::Csv, "t\n2024-03-04T19:00:00-05:00").await;
        let (table, _) = text(zoned, Format::Table, None).await;
        assert!(table.contains("| 2024-03-04 19:00:00-05:00 |"), "{table}");
    }

    #[tokio::test]
    async fn text_in_a_table_cannot_steer_a_terminal() {
        let sql = "SELECT concat('a', chr(27), '[2J', chr(10), 'b') AS text, \
                   make_array(concat(chr(8238), 'c')) AS list, CAST(NULL AS STRING) AS nothing, 1 AS one";
        let (table, _) = text(sql, Format::Table, None).await;
        let row = r"| a\u{1b}[2J\u{a}b | [\u{202e}c] | NULL    | 1   |";
        assert!(table.lines().any(|line| line == row), "{table}");
        let (named, _) = text("SELECT 1 AS \"a\u{1b}b\"", Format::Table, None).await;
        assert!(named.contains(r"| a\u{1b}b |"), "{named}");
        // Output for programs is not changed.
        check(
            "SELECT concat('a', chr(27)) AS text",
            Format::Csv,
            "text\na\u{1b}",
        )
        .await;
    }

    #[tokio::test]
    async fn results_of_many_batches_have_one_header_and_one_array() {
        let sql = "SELECT value FROM generate_series(1, 20000) ORDER BY value";
        let (csv, written) = text(sql, Format::Csv, None).await;
        assert_eq!(csv.lines().count(), 20_001);
        assert_eq!(
            written,
            Written {
                rows: 20_000,
                shown: 20_000
            }
        );
        let (json, _) = text(sql, Format::Json, None).await;
        assert_eq!(
            serde_json::from_str::<Vec<serde_json::Value>>(&json)
                .unwrap()
                .len(),
            20_000
        );
        let (lines, _) = text(sql, Format::NdJson, None).await;
        assert_eq!(lines.lines().count(), 20_000);
    }

    #[tokio::test]
    async fn a_table_shows_at_most_max_rows_and_counts_the_rest() {
        for (max_rows, shown) in [(Some(0), 0), (Some(2), 2), (Some(3), 3), (Some(40), 3), (None, 3)] {
            let (table, written) = text(ALL, Format::Table, max_rows).await;
            assert_eq!(written, Written { rows: 3, shown });
            assert_eq!(table.lines().count(), 4 + shown, "{table}");
        }
    }

    #[tokio::test]
    async fn a_closed_output_and_an_unsupported_value_are_different_errors() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let session = Lake::with(&[&[(0, None, 1.0)]]).await.session().await;
        for format in [
            Format::Table,
            Format::Csv,
            Format::Tsv,
            Format::Json,
            Format::NdJson,
        ] {
            let error = write(rows(&session, "SELECT 1").await, format, None, &mut Closed)
                .await
                .err()
                .unwrap();
            assert!(
                matches!(&error, OutputError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe),
                "{format:?}: {error}"
            );
        }
        let nested = rows(&session, "SELECT make_array(1, 2) AS list").await;
        let error = write(nested, Format::Csv, None, &mut Vec::new())
            .await
            .err()
            .unwrap();
        assert!(matches!(&error, OutputError::Format(_)), "{error}");
    }
}
