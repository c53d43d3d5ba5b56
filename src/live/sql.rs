//! SQL over HTTP: one statement over the newest version of the table, for dashboards without Athena.
//!
//! Statements run on threads of their own, so that none can hold up what else the program does, within a time, a number of
//! rows, and the memory of the settings. Whoever goes away ends the statement.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use futures::stream;
use serde::Deserialize;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::anomaly_rows::{self, ANOMALIES};
use super::averages::quoted;
use super::give_way::give_way;
use super::refusal::Refusal;
use super::routes::parameters;
use super::site::SharedSite;
use crate::clock;
use crate::config::Config;
use crate::kafka::Subscription;
use crate::lake::TableSettings;
use crate::query::output::{self, Format, OutputError};
use crate::query::{self, Excess, QueryError, Rows, Session};

/// Statements at a time, those whose result is still being taken included.
const MOST_STATEMENTS: usize = 4;
/// How long one more waits for a place.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(5);
/// Threads that statements run on.
const THREADS: usize = 2;
/// A version that was opened so long ago is looked at for a newer one.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Of a result, that is handed to the socket at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Memory of statements, in the size of the largest result.
const MEMORY_FACTOR: usize = 4;

/// Runs statements over the table.
pub(super) struct SqlEndpoint {
    table: TableSettings,
    kafka: Subscription,
    anomaly_topic: String,
    value_name: String,
    zone: Tz,
    timeout: Duration,
    most_rows: usize,
    most_bytes: usize,
    runtime: OnceLock<Option<Runtime>>,
    places: Arc<Semaphore>,
    session: Mutex<Option<(Instant, Arc<Session>)>>,
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
    #[serde(default)]
    format: Option<AnswerFormat>,
    /// Of a link; whoever brings it has been let in.
    #[serde(default, rename = "token")]
    _token: Option<String>,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AnswerFormat {
    Csv,
    Json,
    Arrow,
}

/// A result, and the version of the table that it is of.
struct Answered {
    bytes: Vec<u8>,
    version: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
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

impl SqlEndpoint {
    pub(super) fn new(config: &Config, zone: Tz) -> Self {
        let live = &config.live;
        SqlEndpoint {
            table: config.pipeline.table.clone(),
            kafka: config.subscription(),
            anomaly_topic: config.pipeline.detect.anomaly_topic.clone(),
            value_name: config.pipeline.detect.value_name.clone(),
            zone,
            timeout: live.query_timeout,
            most_rows: live.query_max_rows,
            most_bytes: live.query_max_bytes,
            runtime: OnceLock::new(),
            places: Arc::new(Semaphore::new(MOST_STATEMENTS)),
            session: Mutex::default(),
        }
    }

    pub(super) fn table(&self) -> &TableSettings {
        &self.table
    }

    /// Does something with the newest version of the table, on the threads of statements and within their time.
    ///
    /// # Errors
    /// The answer to whoever asks.
    pub(super) async fn with_session<T, F>(
        self: &SqlEndpoint,
        ask: impl FnOnce(Arc<Session>) -> F + Send + 'static,
    ) -> Result<Result<T, QueryError>, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let _place = self.place().await?;
        let session = match self.newest().await? {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        self.run(async move { ask(session).await }).await
    }

    /// A place for a statement; those of a dashboard come all at once, and wait for each other.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let waiting = tokio::time::timeout(WAIT_FOR_PLACE, Arc::clone(&self.places).acquire_owned());
        match waiting.await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => {
                let why = format!("{MOST_STATEMENTS} statements run already; try again");
                Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, why))
            }
        }
    }

    fn threads(&self) -> Result<&Handle, Refusal> {
        let started = self.runtime.get_or_init(|| {
            let threads = Builder::new_multi_thread()
                .worker_threads(THREADS)
                .thread_name("live-sql")
                .on_thread_start(give_way)
                .enable_all()
                .build();
            threads.ok()
        });
        let runtime = started
            .as_ref()
            .ok_or_else(|| Refusal::unavailable("no threads can be started"))?;
        Ok(runtime.handle())
    }

    /// Runs something on the threads of statements. It ends when this future is dropped, and after its time.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut task = JoinSet::new();
        task.spawn_on(tokio::time::timeout(self.timeout, work), self.threads()?);
        match task.join_next().await {
            Some(Ok(Ok(done))) => Ok(done),
            Some(Ok(Err(_))) => {
                let seconds = self.timeout.as_secs_f64();
                let why = format!("it took more than {seconds} s (live.query_timeout); narrow it down");
                Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, why))
            }
            Some(Err(error)) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
            None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "nothing ran")),
        }
    }

    /// The newest version; one that is as good as new serves several.
    async fn newest(&self) -> Result<Result<Arc<Session>, QueryError>, Refusal> {
        let mut kept = self.session.lock().await;
        if let Some((opened_at, session)) = &*kept
            && clock::instant().duration_since(*opened_at) < FRESH_FOR
        {
            return Ok(Ok(Arc::clone(session)));
        }
        let (table, zone) = (self.table.clone(), self.zone);
        let memory = self.most_bytes.saturating_mul(MEMORY_FACTOR);
        let opened = self.run(async move { open(&table, zone, memory).await }).await?;
        Ok(opened.map(|session| {
            let session = Arc::new(session);
            *kept = Some((clock::instant(), Arc::clone(&session)));
            session
        }))
    }
}

/// A runtime may not be waited for where others run on one.
impl Drop for SqlEndpoint {
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn open(table: &TableSettings, zone: Tz, memory_bytes: usize) -> Result<Session, QueryError> {
    let session = query::open_within(table, memory_bytes).await?;
    session
        .add_view(&local_name(table), &local_view(table, zone))
        .await?;
    Ok(session)
}

/// The name of the table whose times are wall times.
fn local_name(table: &TableSettings) -> String {
    format!("{}_local", table.name)
}

/// The rows with their times on the wall clock of a zone, without an offset: what spreadsheets take for times.
fn local_view(table: &TableSettings, zone: Tz) -> String {
    let local = |name: &str| {
        let name = quoted(name);
        // Zones' names have no quotes.
        format!("to_local_time({name} AT TIME ZONE '{}') AS {name}", zone.name())
    };
    let mut columns = vec![quoted(&table.key_column)];
    if !table.measure_column.is_empty() {
        columns.push(quoted(&table.measure_column));
    }
    columns.extend([&table.start_column, &table.end_column].map(|name| local(name)));
    let numbers = [
        &table.average_column,
        &table.minimum_column,
        &table.maximum_column,
        &table.sum_column,
        &table.count_column,
    ];
    columns.extend(numbers.map(|name| quoted(name)));
    format!("SELECT {} FROM {}", columns.join(", "), quoted(&table.name))
}

/// `GET api/query?sql=…`.
pub(super) async fn get_query(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    answer(&site.sql, parameters(&uri)?, &headers).await
}

/// `POST api/query`.
pub(super) async fn post_query(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let question = serde_json::from_slice(&body);
    let question = question.map_err(|error| Refusal::bad_request(error.to_string()))?;
    answer(&site.sql, question, &headers).await
}

async fn answer(
    endpoint: &SqlEndpoint,
    question: Question,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let format = question.format.unwrap_or_else(|| accepted(headers));
    let place = endpoint.place().await?;
    let session = endpoint.newest().await?.map_err(Unanswered::Query)?;
    let most = (endpoint.most_rows, endpoint.most_bytes);
    let (kafka, topic) = (endpoint.kafka.clone(), endpoint.anomaly_topic.clone());
    let value_name = endpoint.value_name.clone();
    let running = endpoint.run(async move {
        if question.sql.to_lowercase().contains(ANOMALIES) {
            let rows = anomaly_rows::newest(&kafka, &topic, &value_name).await?;
            session.add_table(ANOMALIES, rows)?;
        }
        execute(&session, &question.sql, format, most).await
    });
    Ok(written(running.await??, format, place))
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        let status = match &unanswered {
            Unanswered::TooManyRows(_) | Unanswered::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Unanswered::Query(QueryError::Sql(_) | QueryError::ReadOnly(_))
            | Unanswered::NotOne(_)
            | Unanswered::Format(_) => StatusCode::BAD_REQUEST,
            Unanswered::Query(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::new(status, unanswered.to_string())
    }
}

fn accepted(headers: &HeaderMap) -> AnswerFormat {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let known = kinds.filter_map(|kind| match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Some(AnswerFormat::Csv),
        "application/json" => Some(AnswerFormat::Json),
        "application/vnd.apache.arrow.stream" => Some(AnswerFormat::Arrow),
        _ => None,
    });
    known.into_iter().next().unwrap_or(AnswerFormat::Json)
}

async fn execute(
    session: &Session,
    sql: &str,
    format: AnswerFormat,
    most: (usize, usize),
) -> Result<Answered, Unanswered> {
    let mut statements = session.parse(sql)?.into_iter();
    let statement = statements.next().ok_or(Unanswered::NotOne("no statement"))?;
    if statements.next().is_some() {
        return Err(Unanswered::NotOne("more than one statement"));
    }
    let (most_rows, most_bytes) = most;
    let rows = session.run_shared(statement).await?;
    let schema = rows.schema();
    let collected = rows
        .collect_at_most(most_rows, most_bytes.saturating_mul(MEMORY_FACTOR))
        .await?;
    let batches = collected.map_err(|excess| match excess {
        Excess::Rows => Unanswered::TooManyRows(most_rows),
        Excess::Bytes => Unanswered::TooLarge(most_bytes),
    })?;
    let mut limited = Limited {
        bytes: Vec::new(),
        most: most_bytes,
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
        Err(_) if limited.is_full() => Err(Unanswered::TooLarge(most_bytes)),
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
fn written(answered: Answered, format: AnswerFormat, place: OwnedSemaphorePermit) -> Response {
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
    use super::*;
    use crate::query::fixture::Lake;

    async fn asked(sql: &str, format: AnswerFormat, most: (usize, usize)) -> Result<String, Unanswered> {
        let lake = Lake::with(&[&[(0, Some("a"), 1.0), (1, Some("b"), 2.5)]]).await;
        let session = open(&lake.config, chrono_tz::Europe::Berlin, 1 << 24)
            .await
            .unwrap();
        let answered = execute(&session, sql, format, most).await?;
        assert_eq!(answered.version, 1);
        Ok(String::from_utf8_lossy(&answered.bytes).into_owned())
    }

    const MOST: (usize, usize) = (100, 1 << 20);

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

    #[test]
    fn the_accept_header_decides_where_nothing_is_asked_for() {
        let of = |accept: &str| accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        assert_eq!(of("text/html, text/csv;q=0.9"), AnswerFormat::Csv);
        assert_eq!(of("*/*"), AnswerFormat::Json);
        assert_eq!(accepted(&HeaderMap::new()), AnswerFormat::Json);
    }
}
