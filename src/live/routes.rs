//! Which address is answered by what.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::{Token, guard};
use super::changes::{self, Position};
use super::refusal::Refusal;
use super::site::SharedSite;
use super::view::Sort;
use super::wire::{Changes, DeadLetters, EpisodePage, EpisodeRow, HealthRow, History, SeriesPage};
use super::{answers, averages, page, sql, stream};
use crate::reading::SeriesKey;

/// The largest body of a request.
const LARGEST_BODY: usize = 256 * 1024;
/// Rows of a page of the list.
const MOST_ROWS: usize = 200;
/// Columns of a plot; no screen has more.
const MOST_COLUMNS: usize = 4_000;

/// Nothing but the program's own files runs, is shown, or is asked.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All that is answered, to whoever brings the token.
pub(super) fn router(site: SharedSite, token: Token) -> Router {
    let data = Router::new()
        .route("/api/about", get(about))
        .route("/api/health", get(health))
        .route("/api/series", get(series))
        .route("/api/points", get(points))
        .route("/api/averages", get(averages::averages))
        .route("/api/episodes", get(episodes))
        .route("/api/episode", get(episode))
        .route("/api/dead-letters", get(dead_letters))
        .route("/api/changes", get(news))
        .route("/api/feedback", post(answers::give_feedback))
        .route("/api/silence", post(answers::begin_silence))
        .route("/api/silence/end", post(answers::end_silence))
        .route("/api/query", get(sql::get_query).post(sql::post_query))
        .route("/events", get(stream::events))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(token.clone(), guard))
        .with_state(site);
    // There is nothing secret in the files themselves. A link in an alert leads to them from another site, and no browser
    // brings a strict cookie then.
    Router::new()
        .route("/", get(page::index))
        .route("/{file}", get(page::file))
        .layer(from_fn_with_state(token, super::access::exchanging))
        .merge(data)
        .layer(from_fn(with_headers))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let own: [(HeaderName, &'static str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// The parameters behind the question mark.
pub(super) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    match Query::<T>::try_from_uri(uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(error) => Err(Refusal::bad_request(error.body_text())),
    }
}

/// A series, as a request names it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct SeriesParameters {
    /// Absent where the topic is read as one series.
    #[serde(default)]
    pub key: String,
    #[serde(default)]
    pub measure: Option<String>,
}

impl SeriesParameters {
    pub(super) fn to_key(&self) -> SeriesKey<Arc<str>> {
        SeriesKey {
            key: self.key.as_str().into(),
            measure: self.measure.as_deref().map(Arc::from),
        }
    }
}

/// A stretch of event time; it is open where no end is named.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Stretch {
    #[serde(default = "earliest")]
    pub from: i64,
    #[serde(default = "latest")]
    pub to: i64,
}

fn earliest() -> i64 {
    i64::MIN
}

fn latest() -> i64 {
    i64::MAX
}

async fn about(State(site): State<SharedSite>) -> Result<Json<Value>, Refusal> {
    let replica = site.replica()?;
    let (boot, cannot_answer) = {
        let shown = replica.shown();
        (Arc::clone(&shown.boot), shown.cannot_answer.clone())
    };
    let mut answer = json!(site.about());
    answer["boot"] = json!(boot);
    answer["can_answer"] = json!(cannot_answer.is_none());
    Ok(Json(answer))
}

async fn health(State(site): State<SharedSite>) -> Result<Json<HealthRow>, Refusal> {
    let replica = site.replica()?;
    let health = site.health(&replica.shown());
    Ok(Json(health))
}

#[derive(Debug, Deserialize)]
struct ListParameters {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: Sort,
    #[serde(default)]
    offset: usize,
    #[serde(default = "most_rows")]
    limit: usize,
}

fn most_rows() -> usize {
    MOST_ROWS
}

async fn series(State(site): State<SharedSite>, uri: Uri) -> Result<Json<SeriesPage>, Refusal> {
    let wanted: ListParameters = parameters(&uri)?;
    let replica = site.replica()?;
    let limit = wanted.limit.min(MOST_ROWS);
    let page = replica
        .shown()
        .view
        .page(&wanted.q, wanted.sort, wanted.offset, limit);
    Ok(Json(page))
}

#[derive(Debug, Deserialize)]
struct PlotParameters {
    #[serde(default = "usual_columns")]
    width: usize,
}

fn usual_columns() -> usize {
    800
}

async fn points(State(site): State<SharedSite>, uri: Uri) -> Result<Json<History>, Refusal> {
    let series = parameters::<SeriesParameters>(&uri)?.to_key();
    let stretch: Stretch = parameters(&uri)?;
    let columns = parameters::<PlotParameters>(&uri)?.width.clamp(1, MOST_COLUMNS);
    let replica = site.replica()?;
    let history = replica
        .shown()
        .view
        .history(&series, stretch.from, stretch.to, columns);
    history
        .map(Json)
        .ok_or_else(|| Refusal::not_found("there is no such series"))
}

#[derive(Debug, Deserialize)]
struct EpisodeParameters {
    #[serde(default = "latest")]
    before: i64,
    #[serde(default = "most_rows")]
    limit: usize,
    /// Present where episodes of one series are wanted.
    key: Option<String>,
    measure: Option<String>,
}

async fn episodes(State(site): State<SharedSite>, uri: Uri) -> Result<Json<EpisodePage>, Refusal> {
    let wanted: EpisodeParameters = parameters(&uri)?;
    let replica = site.replica()?;
    let shown = replica.shown();
    let is_meant = |row: &&EpisodeRow| {
        let (key, measure) = (row.series.key.as_deref(), row.series.measure.as_deref());
        wanted
            .key
            .as_deref()
            .is_none_or(|wanted| key.unwrap_or_default() == wanted)
            && wanted
                .measure
                .as_deref()
                .is_none_or(|wanted| measure == Some(wanted))
    };
    let limit = wanted.limit.clamp(1, MOST_ROWS);
    let mut episodes: Vec<EpisodeRow> = Vec::new();
    for row in shown.view.episodes.before(wanted.before).filter(is_meant) {
        // Those that count from one time belong together: the next page begins before it.
        let is_of_last = episodes.last().is_some_and(|last| last.since_ms == row.since_ms);
        if episodes.len() >= limit && !is_of_last {
            return Ok(Json(EpisodePage { episodes, more: true }));
        }
        episodes.push(row.clone());
    }
    Ok(Json(EpisodePage {
        episodes,
        more: false,
    }))
}

#[derive(Debug, Deserialize)]
struct IdParameter {
    id: String,
}

async fn episode(State(site): State<SharedSite>, uri: Uri) -> Result<Json<EpisodeRow>, Refusal> {
    let IdParameter { id } = parameters(&uri)?;
    let replica = site.replica()?;
    let found = replica.shown().view.episodes.get(&id).cloned();
    found
        .map(Json)
        .ok_or_else(|| Refusal::not_found("there is no such episode among the newest"))
}

async fn dead_letters(State(site): State<SharedSite>) -> Result<Json<DeadLetters>, Refusal> {
    let replica = site.replica()?;
    let reasons = replica.shown().view.dead_letters.reasons();
    let topic = site.dead_letter_topic();
    Ok(Json(DeadLetters { topic, reasons }))
}

async fn news(State(site): State<SharedSite>, uri: Uri) -> Result<Json<Changes>, Refusal> {
    let mut position: Position = parameters(&uri)?;
    let replica = site.replica()?;
    let changes = changes::all(&site, &replica.shown(), &mut position);
    Ok(Json(changes))
}
