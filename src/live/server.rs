//! The thread that serves the page: its own, so that nothing else waits for an answer to be written.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::access::{Token, TokenError};
use super::give_way::give_way;
use super::health::WatchedSinks;
use super::routes::router;
use super::site::Site;
use crate::config::Config;
use crate::registry::Registry;
use crate::serve::{Listener, Purpose};
use crate::telemetry::events;

/// Six connections of each of some viewers, and of dashboards.
pub(crate) const LIVE_PAGE: Purpose = Purpose {
    section: "live",
    what: "live page",
    most_connections: 256,
    // A stream begins anew after it, which a browser does by itself.
    connection_within: Duration::from_secs(900),
};

/// A page that is served until this is dropped.
pub(crate) struct LiveServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// With the token, if it was made for this run.
    link: String,
}

impl LiveServer {
    /// Serves the page on a thread of its own, and logs where.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn start(
        listener: Listener,
        config: &Config,
        registry: Option<Arc<Registry>>,
        sinks: Option<WatchedSinks>,
    ) -> Result<Self, TokenError> {
        let address = listener.address();
        let is_loopback = address.is_some_and(|address| address.ip().is_loopback());
        let token = Token::choose(&config.live.token_file, is_loopback)?;
        let has_file = !config.live.token_file.as_os_str().is_empty();
        let query = match has_file {
            // Who may read the log may not read the file.
            true => "?token=THE TOKEN IN live.token_file".to_owned(),
            false => token.link_query(),
        };
        let shown = address.map_or_else(|| config.live.listen.clone(), |address| address.to_string());
        let link = format!("http://{shown}/{query}");
        info!(
            event = events::LIVE_LISTENING,
            address = shown,
            "live page: {link}"
        );
        let site = Arc::new(Site::new(config, registry, sinks));
        let (stop, stopped) = oneshot::channel();
        let serving = async move {
            let resting = Arc::clone(&site);
            tokio::select! {
                () = listener.serve(router(site, token)) => {}
                () = resting.rest_when_idle() => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("live-page".to_owned())
            .spawn(|| {
                give_way();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => {
                        runtime.block_on(serving);
                        runtime.shutdown_background();
                    }
                    Err(error) => warn!(%error, "there is no live page"),
                }
            });
        if let Err(error) = &thread {
            warn!(%error, "there is no live page");
        }
        Ok(LiveServer {
            stop: Some(stop),
            thread: thread.ok(),
            link,
        })
    }

    /// What a person opens.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }
}

impl Drop for LiveServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only has to drop what it holds.
            let _ = thread.join();
        }
    }
}
