//! The socket: whoever connects gets little, and not for long. What it costs is bounded, so that nobody who can connect
//! can take the files and the memory that commits need.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::hosts::Hosts;
use crate::clock;
use crate::telemetry::LogLimiter;

/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are read ahead, and so the largest head.
const LARGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// How long to wait when the system has no file for another connection.
const PAUSE: Duration = Duration::from_secs(1);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Who listens, and how much those who connect may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    /// The section of the settings that says where.
    pub section: &'static str,
    /// What is not to be had, if it cannot.
    pub what: &'static str,
    /// Connections at a time; one more is closed at once.
    pub most_connections: usize,
    /// How long a connection may last, whatever it does. Whoever asks again connects again.
    pub connection_within: Duration,
}

/// Metrics and health: a scraper and a few probes need a handful of connections.
pub(crate) const METRICS_AND_HEALTH: Purpose = Purpose {
    section: "http",
    what: "metrics and health",
    most_connections: 64,
    connection_within: Duration::from_secs(60),
};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{section}.listen: cannot listen on {address} ({source}); name another address, or \"\" for none")]
pub(crate) struct ListenError {
    section: &'static str,
    address: String,
    source: io::Error,
}

/// A socket whose connections are answered once it is served.
pub(crate) struct Listener {
    purpose: Purpose,
    listener: std::net::TcpListener,
    hosts: Hosts,
}

impl Listener {
    /// Takes an address, such as `127.0.0.1:9464`, to be called by these names, too.
    ///
    /// # Errors
    /// [`ListenError`] if it is taken, or is none of this machine's.
    pub(crate) async fn bind(purpose: Purpose, listen: &str, hosts: &[String]) -> Result<Self, ListenError> {
        // A socket that belongs to no runtime yet: another one than this may answer.
        let bound = TcpListener::bind(listen).await.and_then(TcpListener::into_std);
        let listener = bound.map_err(|source| ListenError {
            section: purpose.section,
            address: listen.to_owned(),
            source,
        })?;
        Ok(Listener {
            purpose,
            listener,
            hosts: Hosts::new(listen, hosts),
        })
    }

    /// Where it listens; with port 0 in the settings the system has chosen one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers what comes in until this future is dropped; all connections end with it.
    pub(crate) async fn serve(self, router: Router) {
        let Purpose {
            section,
            what,
            most_connections,
            connection_within,
        } = self.purpose;
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                warn!(%error, "{what} cannot be asked for");
                return;
            }
        };
        let places = Arc::new(Semaphore::new(most_connections));
        let mut connections = JoinSet::new();
        let mut limiter = LogLimiter::new(LOG_INTERVAL);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if let Some(more) = limiter.admit("accept", clock::instant()) {
                        warn!(%error, suppressed = more, "{what} cannot be asked for");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if let Some(more) = limiter.admit("full", clock::instant()) {
                    warn!(
                        connections = most_connections,
                        suppressed = more,
                        "there are as many connections to {section}.listen as may be; another was closed"
                    );
                }
                continue;
            };
            let (router, hosts) = (router.clone(), self.hosts.clone());
            connections.spawn(async move {
                let answering = answer(stream, router, section, hosts);
                if let Ok(Err(error)) = tokio::time::timeout(connection_within, answering).await {
                    debug!(%error, "a connection for {what} ended early");
                }
                drop(place);
            });
        }
    }
}

/// Whether an error of accepting says nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Answers the requests of one connection, by HTTP/1 alone.
async fn answer(
    stream: TcpStream,
    router: Router,
    section: &'static str,
    hosts: Hosts,
) -> anyhow::Result<()> {
    let guard = Guard {
        section,
        hosts,
        address: stream.local_addr()?,
    };
    let router = router.layer(from_fn_with_state(guard, guarded));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await?;
    Ok(())
}

#[derive(Debug, Clone)]
struct Guard {
    section: &'static str,
    hosts: Hosts,
    address: SocketAddr,
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let is_accepted = guard.hosts.accept(
        request.version(),
        request.uri(),
        request.headers(),
        guard.address.ip(),
    );
    if is_accepted {
        next.run(request).await
    } else {
        let section = guard.section;
        let why = format!(
            "the Host of the request is not an address of this program; {section}.hosts adds names\n"
        );
        (StatusCode::FORBIDDEN, why).into_response()
    }
}
