//! What systemd hears of a service, by its socket `NOTIFY_SOCKET` (sd_notify(3)).

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// What systemd is told.
#[derive(Debug)]
pub enum Notice {
    Ready,
    /// How far it is, in a line.
    Status(String),
    /// Within the watchdog's time, again and again.
    Alive,
    Stopping,
}

/// Tells systemd, if it started us and wants to be told. Its socket can be full, and must hold nothing else up.
pub async fn notify(notice: Notice) {
    let tell = move || {
        sd_notify::notify(&[match &notice {
            Notice::Ready => NotifyState::Ready,
            Notice::Status(text) => NotifyState::Status(text),
            Notice::Alive => NotifyState::Watchdog,
            Notice::Stopping => NotifyState::Stopping,
        }])
    };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(tell).await {
        debug!(%error, "systemd was not told");
    }
}

/// How often systemd wants to hear that the service is alive, if it does.
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
