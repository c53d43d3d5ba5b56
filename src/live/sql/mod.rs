//! SQL over HTTP: one statement over the newest version of the table, for dashboards without Athena.
//!
//! Each statement runs in a process of its own (`worker`), so that none can hold up or end what else the program does, within a
//! time, a number of rows, and the memory of the settings; `result` runs it and writes what comes of it. `endpoint` has the
//! places for statements, and what the page itself asks of the table. Whoever goes away ends the statement.

mod anomaly_rows;
mod endpoint;
mod result;
mod worker;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::refusal::Refusal;
use super::routes::parameters;
use super::site::SharedSite;
pub(super) use endpoint::SqlEndpoint;
use result::{AnswerFormat, written};
pub(crate) use worker::answer_one;
use worker::done_apart;

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
    let task = endpoint.task(question.sql, format);
    let done = tokio::time::timeout(endpoint.timeout(), done_apart(task)).await;
    let answered = done.map_err(|_| endpoint.took_too_long())??;
    Ok(written(answered, format, place))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides_where_nothing_is_asked_for() {
        let of = |accept: &str| accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        assert_eq!(of("text/html, text/csv;q=0.9"), AnswerFormat::Csv);
        assert_eq!(of("*/*"), AnswerFormat::Json);
        assert_eq!(accepted(&HeaderMap::new()), AnswerFormat::Json);
    }
}
