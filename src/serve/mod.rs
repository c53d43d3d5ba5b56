//! What a running process serves over HTTP: metrics for Prometheus, and whether it is alive and ready.
//!
//! `/metrics`, `/livez` and `/readyz`, on loopback unless the settings say otherwise: there is no authentication.
//!
//! Absent from this room: anything that changes the run.

mod alerts;
mod collector;
mod health;
mod hosts;
mod metrics;
mod server;
mod settings;
mod sinks;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use collector::{WatchedCollector, collector_router};
pub(crate) use health::{Health, SinkHealth};
pub(crate) use metrics::Metrics;
pub(crate) use server::{Listener, METRICS_AND_HEALTH, Purpose};
pub(crate) use settings::{Settings, check_address};
pub(crate) use sinks::{SinkHandle, SinkProgress, Sinks};

/// What the answers come from.
struct Answers {
    metrics: Metrics,
    health: Arc<Health>,
}

/// What is answered: `/metrics`, `/livez` and `/readyz`.
pub(crate) fn router(sinks: Sinks, health: Arc<Health>) -> Router {
    let answers = Arc::new(Answers {
        metrics: Metrics::new(sinks),
        health,
    });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(answers)
}

async fn metrics(State(answers): State<Arc<Answers>>) -> Response {
    answer(&answers.metrics)
}

fn answer(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(answers): State<Arc<Answers>>) -> Response {
    health(&answers.health, SinkHealth::why_not_alive)
}

async fn readyz(State(answers): State<Arc<Answers>>) -> Response {
    health(&answers.health, SinkHealth::why_not_ready)
}

/// 200 if nothing is wrong, 503 otherwise; a line for each sink.
fn health(health: &Health, why_not: fn(&SinkHealth) -> Option<String>) -> Response {
    let mut status = StatusCode::OK;
    let mut text = String::new();
    for sink in health.sinks() {
        let state = match why_not(&sink) {
            None => "ok".to_owned(),
            Some(reason) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                reason
            }
        };
        text += &format!("{}: {state}\n", sink.name);
    }
    (status, text).into_response()
}
