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

use super::Settings;
use super::hosts::Hosts;
use crate::clock;
use crate::telemetry::LogLimiter;

/// Connections at a time; one more is closed at once. A scraper and a few probes need a handful.
const MOST_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may last, whatever it does. Whoever asks again connects again.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);
/// Bytes that are read ahead, and so the largest head.
const LARGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// How long to wait when the system has no file for another connection.
const PAUSE: Duration = Duration::from_secs(1);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: cannot listen on {address} ({source}); name another address, or \"\" for none")]
pub(crate) struct ListenError {
    address: String,
    source: io::Error,
}

/// A socket whose connections are answered once it is served.
pub(crate) struct Listener {
    listener: TcpListener,
    hosts: Hosts,
}

impl Listener {
    /// Takes the address of the settings, such as `127.0.0.1:9464`.
    ///
    /// # Errors
    /// [`ListenError`] if it is taken, or is none of this machine's.
    pub(crate) async fn bind(http: &Settings) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(&http.listen)
            .await
            .map_err(|source| ListenError {
                address: http.listen.clone(),
                source,
            })?;
        Ok(Listener {
            listener,
            hosts: Hosts::new(&http.listen, &http.hosts),
        })
    }

    /// Where it listens; with port 0 in the settings the system has chosen one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers what comes in until this future is dropped; all connections end with it.
    pub(crate) async fn serve(self, router: Router) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut limiter = LogLimiter::new(LOG_INTERVAL);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if let Some(more) = limiter.admit("accept", clock::instant()) {
                        warn!(%error, suppressed = more, "metrics and health cannot be asked for");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if let Some(more) = limiter.admit("full", clock::instant()) {
                    warn!(
                        connections = MOST_CONNECTIONS,
                        suppressed = more,
                        "there are as many connections to http.listen as may be; another was closed"
                    );
                }
                continue;
            };
            let (router, hosts) = (router.clone(), self.hosts.clone());
            connections.spawn(async move {
                if let Ok(Err(error)) =
                    tokio::time::timeout(CONNECTION_WITHIN, answer(stream, router, hosts)).await
                {
                    debug!(%error, "a connection for metrics or health ended early");
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
async fn answer(stream: TcpStream, router: Router, hosts: Hosts) -> anyhow::Result<()> {
    let guard = Guard {
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
        let why = "the Host of the request is not an address of this program; http.hosts adds names\n";
        (StatusCode::FORBIDDEN, why).into_response()
    }
}
