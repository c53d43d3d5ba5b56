//! The common parts of commands that run for long: the status line, the endpoints, and systemd's notifications.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::status;
use crate::alerts::{HEARTBEAT_INTERVAL, Heartbeat};
use crate::config::{Loaded, Origin};
use crate::live::WatchedSinks;
use crate::serve::{
    Health, Listener, METRICS_AND_HEALTH, Purpose, Sinks, WatchedCollector, collector_router, router,
};
use crate::telemetry::{Notice, events, notify, watchdog_timeout};

/// Endpoints that are reserved before the loop starts, so that a taken address is reported at once.
pub(super) struct Endpoints {
    listener: Option<Listener>,
    heartbeat: Option<Heartbeat>,
    commit_interval: Duration,
    status_interval: Duration,
}

/// Takes an address of the settings, if there is one. If it is only the default and is taken, the process goes on without:
/// several of them may run on a machine.
///
/// # Errors
/// If the address was set explicitly and cannot be listened on.
pub(super) async fn listen(
    loaded: &Loaded,
    purpose: Purpose,
    address: &str,
    hosts: &[String],
) -> anyhow::Result<Option<Listener>> {
    if address.is_empty() {
        return Ok(None);
    }
    let key = format!("{}.listen", purpose.section);
    let is_default = loaded
        .settings()
        .iter()
        .any(|setting| setting.key() == key && setting.origin == Origin::Default);
    match Listener::bind(purpose, address, hosts).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_default => {
            warn!("no {} from this process: {error}", purpose.what);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The tasks that run next to a loop. They end when this is dropped.
pub(super) struct Service {
    watched: Option<WatchedSinks>,
    tasks: Vec<JoinHandle<()>>,
}

impl Endpoints {
    /// Takes the address of the settings.
    ///
    /// # Errors
    /// Those of [`listen`], and of the dead man's switch.
    pub(super) async fn reserve(loaded: &Loaded) -> anyhow::Result<Self> {
        let http = &loaded.config.process.http;
        let listener = listen(loaded, METRICS_AND_HEALTH, &http.listen, &http.hosts).await?;
        let commit = &loaded.config.pipeline.commit;
        Ok(Endpoints {
            listener,
            heartbeat: Heartbeat::of(&loaded.config.alert)?,
            commit_interval: commit.interval.max(commit.idle_interval),
            status_interval: loaded.config.process.log.status_interval,
        })
    }
}

impl Service {
    /// Starts all of it, once the sinks are about to run.
    pub(super) fn start(endpoints: Endpoints, sinks: Sinks) -> Self {
        let health = Health::of(&sinks, endpoints.commit_interval);
        let (shown, pinging) = (sinks.clone(), Arc::clone(&health));
        let mut tasks = vec![tokio::spawn(async move {
            notify(Notice::Ready).await;
            tokio::join!(
                status::show(shown, endpoints.status_interval),
                ping(|| pinging.is_alive())
            );
        })];
        let watched = Arc::clone(&health);
        let seen = WatchedSinks {
            sinks: sinks.clone(),
            health: Arc::clone(&health),
        };
        tasks.extend(
            endpoints
                .listener
                .map(|listener| serve(listener, router(sinks, health))),
        );
        tasks.extend(endpoints.heartbeat.map(|heartbeat| {
            tokio::spawn(beat(heartbeat, move || {
                watched.sinks().all(|sink| sink.why_not_ready().is_none())
            }))
        }));
        Service {
            watched: Some(seen),
            tasks,
        }
    }

    /// The sinks, as those see them who show how they are; none beside a collector.
    pub(super) fn watched_sinks(&self) -> Option<WatchedSinks> {
        self.watched.clone()
    }

    /// Starts what goes on beside collecting.
    pub(super) fn beside(collector: WatchedCollector, endpoints: Endpoints) -> Self {
        let pinging = collector.clone();
        let mut tasks = vec![tokio::spawn(async move {
            notify(Notice::Ready).await;
            ping(|| pinging.is_alive()).await;
        })];
        let listener = endpoints.listener;
        tasks.extend(listener.map(|listener| serve(listener, collector_router(collector))));
        Service { watched: None, tasks }
    }
}

fn serve(listener: Listener, router: Router) -> JoinHandle<()> {
    if let Some(address) = listener.address() {
        info!(event = events::HTTP_LISTENING, %address, "metrics and health: http://{address}/metrics, /livez, /readyz");
    }
    tokio::spawn(listener.serve(router))
}

/// Pings systemd's watchdog as long as the process is alive.
async fn ping(is_alive: impl Fn() -> bool) {
    let Some(timeout) = watchdog_timeout() else { return };
    // Twice within the time, as systemd's manual has it.
    let mut ticks = tokio::time::interval(timeout / 2);
    loop {
        ticks.tick().await;
        if is_alive() {
            notify(Notice::Alive).await;
        }
    }
}

/// Asks the dead man's switch as long as all is well.
async fn beat(heartbeat: Heartbeat, is_ready: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A start that takes a while is no failure.
    let mut grace = tokio::time::interval(HEARTBEAT_LOOK);
    while !is_ready() {
        grace.tick().await;
    }
    loop {
        ticks.tick().await;
        if !is_ready() {
            warn!("not ready: the dead man's switch (alert.heartbeat_url) is not asked");
        } else if let Err(error) = heartbeat.beat().await {
            warn!(%error, "cannot ask the dead man's switch (alert.heartbeat_url)");
        }
    }
}

/// How often a process that is starting looks whether it is ready.
const HEARTBEAT_LOOK: Duration = Duration::from_secs(1);

impl Drop for Service {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
