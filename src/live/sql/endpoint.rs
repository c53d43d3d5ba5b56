//! The places for statements; and the threads on which the page itself asks the table, and the version that it asks.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono_tz::Tz;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::super::averages::quoted;
use super::super::give_way::give_way;
use super::super::refusal::Refusal;
use super::result::{AnswerFormat, Limits};
use super::worker::Task;
use crate::clock;
use crate::config::Config;
use crate::lake::TableSettings;
use crate::query::{self, QueryError, Session};

/// Statements at a time, those whose result is still being taken included.
const MOST_STATEMENTS: usize = 4;
/// How long one more waits for a place.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(5);
/// Threads that the page's own questions run on.
const THREADS: usize = 2;
/// A version that was opened so long ago is looked at for a newer one.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Has statements run over the table, and asks it what the page shows.
pub(in crate::live) struct SqlEndpoint {
    config: Config,
    zone: Tz,
    runtime: OnceLock<Option<Runtime>>,
    places: Arc<Semaphore>,
    kept: Mutex<Option<(Instant, Arc<Session>)>>,
}

impl SqlEndpoint {
    pub(in crate::live) fn new(config: &Config, zone: Tz) -> Self {
        SqlEndpoint {
            config: config.clone(),
            zone,
            runtime: OnceLock::new(),
            places: Arc::new(Semaphore::new(MOST_STATEMENTS)),
            kept: Mutex::default(),
        }
    }

    pub(in crate::live) fn table(&self) -> &TableSettings {
        &self.config.pipeline.table
    }

    /// Does something with the newest version of the table, on the threads of statements and within their time.
    ///
    /// # Errors
    /// The answer to whoever asks.
    pub(in crate::live) async fn with_session<T, F>(
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
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
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
        task.spawn_on(tokio::time::timeout(self.timeout(), work), self.threads()?);
        match task.join_next().await {
            Some(Ok(Ok(done))) => Ok(done),
            Some(Ok(Err(_))) => Err(self.took_too_long()),
            Some(Err(error)) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
            None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "nothing ran")),
        }
    }

    /// A statement, with what a process needs to answer it.
    pub(super) fn task(&self, sql: String, format: AnswerFormat) -> Task {
        Task {
            config: self.config.clone(),
            sql,
            format,
            limits: self.limits(),
        }
    }

    /// What a statement may take.
    pub(super) fn timeout(&self) -> Duration {
        self.config.live.query_timeout
    }

    fn limits(&self) -> Limits {
        Limits {
            rows: self.config.live.query_max_rows,
            bytes: self.config.live.query_max_bytes,
        }
    }

    /// The answer to whoever asked for too much.
    pub(super) fn took_too_long(&self) -> Refusal {
        let seconds = self.timeout().as_secs_f64();
        let why = format!("it took more than {seconds} s (live.query_timeout); narrow it down");
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, why)
    }

    /// The newest version; one that is as good as new serves several questions.
    async fn newest(&self) -> Result<Result<Arc<Session>, QueryError>, Refusal> {
        let mut kept = self.kept.lock().await;
        if let Some((opened_at, session)) = &*kept
            && clock::instant().duration_since(*opened_at) < FRESH_FOR
        {
            return Ok(Ok(Arc::clone(session)));
        }
        let (table, zone) = (self.table().clone(), self.zone);
        let memory_bytes = self.limits().memory_bytes();
        let opened = self
            .run(async move { open(&table, zone, memory_bytes).await })
            .await?;
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

pub(super) async fn open(
    table: &TableSettings,
    zone: Tz,
    memory_bytes: usize,
) -> Result<Session, QueryError> {
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
    let times = [&table.start_column, &table.end_column].map(|name| local(name));
    // Which other columns there are depends on what the table holds.
    format!(
        "SELECT * REPLACE ({}) FROM {}",
        times.join(", "),
        quoted(&table.name)
    )
}
