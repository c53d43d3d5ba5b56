//! What a running process tells others over HTTP: metrics for Prometheus, and whether it is alive and ready.
//!
//! `/metrics`, `/livez` and `/readyz`, on loopback unless the settings say otherwise: there is no authentication.
//!
//! Absent from this room: anything that changes the run.

mod health;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::pipeline::{Commits, DetectionProgress, PartitionProgress, Progress};

pub use health::{Health, SideHealth};
pub use metrics::Metrics;

/// What a process does, and how far each side is; at least one of them.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    pub table: Option<watch::Receiver<Progress>>,
    pub anomalies: Option<watch::Receiver<DetectionProgress>>,
}

/// What both sides tell of themselves, each of its own.
#[derive(Debug, Clone)]
pub struct Side {
    /// `table` or `anomalies`.
    pub name: &'static str,
    /// Records taken in, committed or not.
    pub taken_in: u64,
    pub partitions: Vec<PartitionProgress>,
    pub commits: Commits,
}

impl Sides {
    /// Each side as it is now, the table's first.
    pub fn each(&self) -> impl Iterator<Item = Side> {
        let table = self.table.as_ref().map(|progress| {
            let progress = progress.borrow();
            Side {
                name: "table",
                taken_in: progress.taken_in,
                partitions: progress.partitions.clone(),
                commits: progress.commits.clone(),
            }
        });
        let anomalies = self.anomalies.as_ref().map(|progress| {
            let progress = progress.borrow();
            Side {
                name: "anomalies",
                taken_in: progress.tally.consumed,
                partitions: progress.partitions.clone(),
                commits: progress.commits.clone(),
            }
        });
        table.into_iter().chain(anomalies)
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: cannot listen on {address} ({source}); name another address, or \"\" for none")]
pub struct ListenError {
    address: String,
    source: std::io::Error,
}

/// A socket that answers once [`serve`](Self::serve) runs.
pub struct Server {
    listener: TcpListener,
}

/// What the answers come from.
struct Answers {
    metrics: Metrics,
    health: Arc<Health>,
}

impl Server {
    /// Takes the address, such as `127.0.0.1:9464`.
    ///
    /// # Errors
    /// [`ListenError`] if it is taken, or is none of this machine's.
    pub async fn bind(address: &str) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address).await.map_err(|source| ListenError {
            address: address.to_owned(),
            source,
        })?;
        Ok(Server { listener })
    }

    /// Where it listens; with port 0 in the settings the system has chosen one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until it is aborted.
    ///
    /// # Errors
    /// What the system has against it.
    pub async fn serve(self, sides: Sides, health: Arc<Health>) -> std::io::Result<()> {
        let answers = Arc::new(Answers {
            metrics: Metrics::new(sides),
            health,
        });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(answers);
        axum::serve(self.listener, router).await
    }
}

async fn metrics(State(answers): State<Arc<Answers>>) -> Response {
    match answers.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(answers): State<Arc<Answers>>) -> Response {
    health(&answers.health, SideHealth::why_not_alive)
}

async fn readyz(State(answers): State<Arc<Answers>>) -> Response {
    health(&answers.health, SideHealth::why_not_ready)
}

/// 200 if nothing is wrong, 503 otherwise; a line for each side.
fn health(health: &Health, why_not: fn(&SideHealth) -> Option<String>) -> Response {
    let mut status = StatusCode::OK;
    let mut text = String::new();
    for side in health.sides() {
        let state = match why_not(&side) {
            None => "ok".to_owned(),
            Some(reason) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                reason
            }
        };
        text += &format!("{}: {state}\n", side.name);
    }
    (status, text).into_response()
}
