//! One statement, and what comes of it as CSV, JSON or Arrow, within limits.

use std::convert::Infallible;
use std::io::{self, Write};

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use crate::query::output::{self, Format, OutputError};
use crate::query::{Excess, QueryError, Rows, Session};

/// Of a result, that is handed to the socket at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Memory of statements, in the size of the largest result.
const MEMORY_FACTOR: usize = 4;

/// What a result may be at most.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Limits {
    pub rows: usize,
    pub bytes: usize,
}

impl Limits {
    /// Of what a statement keeps while it runs.
    pub(super) fn memory_bytes(self) -> usize {
        self.bytes.saturating_mul(MEMORY_FACTOR)
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AnswerFormat {
    Csv,
    Json,
    Arrow,
}

/// A result, and the version of the table that it is of.
pub(super) struct Answered {
    pub bytes: Vec<u8>,
    pub version: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("there is {0}; send one statement")]
    NotOne(&'static str),
    #[error("the result has more than {0} rows (live.query_max_rows); add a LIMIT, or aggregate")]
    TooManyRows(usize),
    #[error(
        "the result has more than {0} bytes (live.query_max_bytes); add a LIMIT, or select fewer columns"
    )]
    TooLarge(usize),
    #[error("the result cannot be written in this format: {0}")]
    Format(String),
}

impl Unanswered {
    /// Of the answer to whoever asks.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Unanswered::TooManyRows(_) | Unanswered::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Unanswered::Query(QueryError::Sql(_) | QueryError::ReadOnly(_))
            | Unanswered::NotOne(_)
            | Unanswered::Format(_) => StatusCode::BAD_REQUEST,
            Unanswered::Query(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Runs one statement, and writes its result.
pub(super) async fn execute(
    session: &Session,
    sql: &str,
    format: AnswerFormat,
    limits: Limits,
) -> Result<Answered, Unanswered> {
    let mut statements = session.parse(sql)?.into_iter();
    let statement = statements.next().ok_or(Unanswered::NotOne("no statement"))?;
    if statements.next().is_some() {
        return Err(Unanswered::NotOne("more than one statement"));
    }
    let rows = session.run_shared(statement).await?;
    let schema = rows.schema();
    let collected = rows.collect_at_most(limits.rows, limits.memory_bytes()).await?;
    let batches = collected.map_err(|excess| match excess {
        Excess::Rows => Unanswered::TooManyRows(limits.rows),
        Excess::Bytes => Unanswered::TooLarge(limits.bytes),
    })?;
    let mut limited = Limited {
        bytes: Vec::new(),
        most: limits.bytes,
    };
    let written = match format {
        AnswerFormat::Arrow => write_arrow(&schema, &batches, &mut limited),
        AnswerFormat::Csv => write_text(&schema, batches, Format::Csv, &mut limited).await,
        AnswerFormat::Json => write_text(&schema, batches, Format::Json, &mut limited).await,
    };
    match written {
        Ok(()) => Ok(Answered {
            bytes: limited.bytes,
            version: session.version(),
        }),
        Err(_) if limited.is_full() => Err(Unanswered::TooLarge(limits.bytes)),
        Err(error) => Err(Unanswered::Format(error.to_string())),
    }
}

async fn write_text(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    format: Format,
    limited: &mut Limited,
) -> Result<(), OutputError> {
    let rows = Rows::of(SchemaRef::clone(schema), batches);
    output::write(rows, format, None, limited).await.map(|_| ())
}

fn write_arrow(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    limited: &mut Limited,
) -> Result<(), OutputError> {
    let mut writer = StreamWriter::try_new(limited, schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.finish()?)
}

/// Bytes, up to so many.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl Limited {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.most
    }
}

impl Write for Limited {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let room = self.most.saturating_sub(self.bytes.len());
        if room == 0 && !more.is_empty() {
            return Err(io::Error::other("the result is too large"));
        }
        let taken = more.len().min(room);
        self.bytes.extend_from_slice(&more[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The answer, which keeps its place until it is taken.
pub(super) fn written(answered: Answered, format: AnswerFormat, place: OwnedSemaphorePermit) -> Response {
    let kind = match format {
        AnswerFormat::Csv => "text/csv; charset=utf-8",
        AnswerFormat::Json => "application/json",
        AnswerFormat::Arrow => "application/vnd.apache.arrow.stream",
    };
    let version = answered.version.to_string();
    let pieces = stream::unfold(
        (Bytes::from(answered.bytes), place),
        |(mut bytes, place)| async move {
            let piece = bytes.split_to(PIECE_BYTES.min(bytes.len()));
            (!piece.is_empty()).then(|| (Ok::<_, Infallible>(piece), (bytes, place)))
        },
    );
    let headers = [
        (CONTENT_TYPE, kind),
        (HeaderName::from_static("x-table-version"), version.as_str()),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::open;
    use super::*;
    use crate::query::fixture::Lake;

    async fn asked(sql: &str, format: AnswerFormat, limits: Limits) -> Result<String, Unanswered> {
        let lake = Lake::with(&[&[(0, Some("a"), 1.0), (1, Some("b"), 2.5)]]).await;
        let session = open(&lake.config, chrono_tz::Europe::Berlin, 1 << 24)
            .await
            .unwrap();
        let answered = execute(&session, sql, format, limits).await?;
        assert_eq!(answered.version, 1);
        Ok(String::from_utf8_lossy(&answered.bytes).into_owned())
    }

    const MOST: Limits = Limits {
        rows: 100,
        bytes: 1 << 20,
    };

    #[tokio::test]
    async fn one_statement_is_answered_in_the_format_that_is_asked_for() {
        let sql = "SELECT key, start, avg_usage FROM usage ORDER BY start";
        let csv = asked(sql, AnswerFormat::Csv, MOST).await.unwrap();
        assert_eq!(
            csv,
            "key,start,avg_usage\na,2024-03-05T00:00:00Z,1.0\nb,2024-03-05T01:00:00Z,2.5\n"
        );
        let json = asked(sql, AnswerFormat::Json, MOST).await.unwrap();
        let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(rows[1]["avg_usage"], 2.5);
        let local = asked(
            "SELECT start FROM usage_local ORDER BY 1 LIMIT 1",
            AnswerFormat::Csv,
            MOST,
        )
        .await;
        assert_eq!(local.unwrap(), "start\n2024-03-05T01:00:00\n");
        let arrow = asked(sql, AnswerFormat::Arrow, MOST).await.unwrap();
        assert!(arrow.contains("avg_usage"));
        assert_eq!(
            asked("SELECT key FROM usage WHERE false", AnswerFormat::Json, MOST)
                .await
                .unwrap()
                .trim(),
            "[]"
        );
    }

    #[tokio::test]
    async fn nothing_is_changed_and_nothing_is_too_large() {
        for sql in [
            "INSERT INTO usage SELECT * FROM usage",
            "EXPLAIN ANALYZE INSERT INTO usage SELECT * FROM usage",
            "DROP VIEW usage_local",
            "SET datafusion.execution.batch_size = 1",
            "COPY usage TO '/tmp/usage.csv'",
            "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '/etc/passwd'",
            "PREPARE p AS SELECT 1",
        ] {
            let refused = asked(sql, AnswerFormat::Csv, MOST).await.unwrap_err();
            assert!(
                matches!(refused, Unanswered::Query(QueryError::ReadOnly(_))),
                "{sql}: {refused}"
            );
        }
        let refused = async |sql: &str, most| asked(sql, AnswerFormat::Json, most).await.unwrap_err();
        let many = "SELECT * FROM generate_series(1, 1000)";
        assert!(matches!(refused(many, MOST).await, Unanswered::TooManyRows(100)));
        let long = "SELECT repeat('x', 3000000) AS x";
        assert!(matches!(refused(long, MOST).await, Unanswered::TooLarge(_)));
        assert!(matches!(
            refused("SELECT 1; SELECT 2", MOST).await,
            Unanswered::NotOne(_)
        ));
        assert!(matches!(refused(" ", MOST).await, Unanswered::NotOne(_)));
        let file = refused("SELECT * FROM '/etc/passwd'", MOST).await;
        assert!(matches!(file, Unanswered::Query(QueryError::Sql(_))), "{file}");
    }
}
