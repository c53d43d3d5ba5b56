//! What the commands that run for long have in common beside their loop: the status line, the endpoints, and what
//! systemd wants to hear.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::status;
use crate::config::{Loaded, Origin};
use crate::serve::{Health, Server, Sides};
use crate::telemetry::{Notice, notify, watchdog_timeout};

/// Endpoints that are reserved before the loop starts, so that a taken address is told at once.
pub struct Endpoints {
    server: Option<Server>,
    commit_interval: Duration,
    status_interval: Duration,
}

/// What goes on beside a loop. It ends when this is dropped.
pub struct Service {
    tasks: Vec<JoinHandle<()>>,
}

impl Endpoints {
    /// Takes the address of the settings, if there is one. If nobody asked for it in particular and it is taken, the
    /// process goes on without: several of them may run on a machine.
    ///
    /// # Errors
    /// If the address that somebody asked for cannot be listened on.
    pub async fn reserve(loaded: &Loaded) -> anyhow::Result<Self> {
        let listen = &loaded.config.http.listen;
        let is_default = loaded
            .settings()
            .iter()
            .any(|setting| setting.key() == "http.listen" && setting.origin == Origin::Default);
        let server = match listen.as_str() {
            "" => None,
            address => match Server::bind(address).await {
                Ok(server) => Some(server),
                Err(error) if is_default => {
                    warn!("no metrics from this process: {error}");
                    None
                }
                Err(error) => return Err(error.into()),
            },
        };
        let commit = &loaded.config.commit;
        Ok(Endpoints {
            server,
            commit_interval: commit.interval.max(commit.idle_interval),
            status_interval: loaded.config.log.status_interval,
        })
    }
}

impl Service {
    /// Starts all of it, once the sides are about to run.
    pub fn start(endpoints: Endpoints, sides: Sides) -> Self {
        let health = Health::of(&sides, endpoints.commit_interval);
        let (shown, pinging) = (sides.clone(), Arc::clone(&health));
        let mut tasks = vec![tokio::spawn(async move {
            notify(Notice::Ready).await;
            tokio::join!(status::show(shown, endpoints.status_interval), ping(pinging));
        })];
        if let Some(server) = endpoints.server {
            if let Some(address) = server.address() {
                info!(%address, "metrics and health: http://{address}/metrics, /livez, /readyz");
            }
            tasks.push(tokio::spawn(async move {
                if let Err(error) = server.serve(sides, health).await {
                    warn!(%error, "metrics and health are no longer served");
                }
            }));
        }
        Service { tasks }
    }
}

/// Tells systemd's watchdog that the sides are alive, as long as they are.
async fn ping(health: Arc<Health>) {
    let Some(timeout) = watchdog_timeout() else { return };
    // Twice within the time, as systemd's manual has it.
    let mut ticks = tokio::time::interval(timeout / 2);
    loop {
        ticks.tick().await;
        if health.is_alive() {
            notify(Notice::Alive).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
