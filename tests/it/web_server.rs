//! Servers of our own that stand in for others', each on a port of its own.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;

/// A server with a thread of its own, until the value is dropped.
pub struct WebServer {
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl WebServer {
    pub fn start(router: Router) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(WebServer {
            address,
            runtime: Some(runtime),
        })
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // A request that is never answered must not hold the end up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
