//! A command that runs for long stops in good order at the first signal, at once at the second, and by itself if it
//! cannot end in good order in time.
//!
//! A thread of its own listens, so that nothing that hangs elsewhere can keep a signal from having its effect.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::anyhow;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::info;

use super::report::report;
use crate::telemetry::{LogFormat, Notice, events, notify};

/// The time from a request to stop until the command is ended, whatever it waits for. It ends before by itself,
/// unless the work cannot be given up. Kubernetes kills after 30 seconds.
const LAST_MOMENT: Duration = Duration::from_secs(24);

/// Resolves once `stop` says so; without a sender there is nothing left to stop for.
pub(super) fn told(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + use<> {
    let mut stopping = stop.subscribe();
    async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    }
}

/// Waits for runs to end; an interruption tells them to, through `stop`.
pub(super) async fn ended_or_told<T>(
    runs: impl Future<Output = T>,
    stop: &watch::Sender<bool>,
    format: LogFormat,
) -> T {
    let interrupting = async {
        interrupted(format).await;
        stop.send_replace(true);
    };
    tokio::pin!(runs);
    tokio::select! {
        ended = &mut runs => ended,
        () = interrupting => runs.await,
    }
}

/// Resolves once the process has got SIGINT (Ctrl-C) or SIGTERM. From then on a second one ends it at once.
pub(super) async fn interrupted(format: LogFormat) {
    static STOPPING: OnceLock<Option<watch::Receiver<bool>>> = OnceLock::new();
    let Some(stopping) = STOPPING.get_or_init(|| listen(format)) else {
        return std::future::pending().await;
    };
    // Without a sender nothing can ask for a stop any more.
    if stopping.clone().wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending().await
    }
}

/// Starts the thread that listens. Without it signals have the effect that the system gives them.
fn listen(format: LogFormat) -> Option<watch::Receiver<bool>> {
    let (stop, stopping) = watch::channel(false);
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let entered = runtime.enter();
    let signals = (
        signal(SignalKind::interrupt()).ok()?,
        signal(SignalKind::terminate()).ok()?,
    );
    drop(entered);
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread
        .spawn(move || runtime.block_on(obey(signals, stop, format)))
        .ok()?;
    Some(stopping)
}

async fn obey(
    (mut interrupt, mut terminate): (Signal, Signal),
    stop: watch::Sender<bool>,
    format: LogFormat,
) {
    next(&mut interrupt, &mut terminate).await;
    stop.send_replace(true);
    info!(
        event = events::STOPPING,
        "stopping in good order; once more to stop at once"
    );
    notify(Notice::Stopping).await;
    match timeout(LAST_MOMENT, next(&mut interrupt, &mut terminate)).await {
        Ok(kind) => end(128 + kind.as_raw_value()),
        Err(_) => {
            let _: ExitCode = report(
                &anyhow!(
                    "stopped after waiting {} s for something that does not answer; what was not committed by then is \
                     read again by the next start",
                    LAST_MOMENT.as_secs()
                ),
                format,
            );
            end(1)
        }
    }
}

/// The next of the two signals.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> SignalKind {
    tokio::select! {
        Some(()) = interrupt.recv() => SignalKind::interrupt(),
        Some(()) = terminate.recv() => SignalKind::terminate(),
        else => std::future::pending().await,
    }
}

/// Ends the process here and now: nothing is lost, the next start goes on from the table.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that must not wait for anything to be flushed"
)]
fn end(code: i32) {
    std::process::exit(code);
}
