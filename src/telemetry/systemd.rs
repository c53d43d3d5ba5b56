//! Notifies systemd of a service's state through its socket `NOTIFY_SOCKET` (sd_notify(3)).

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// A notification.
#[derive(Debug)]
pub(crate) enum Notice {
    Ready,
    /// The progress, in one line.
    Status(String),
    /// Sent repeatedly within the watchdog's timeout.
    Alive,
    Stopping,
}

/// Notifies systemd if it started this process and expects notifications. The socket can be full, so a
/// blocking thread sends.
pub(crate) async fn notify(notice: Notice) {
    let send = move || {
        sd_notify::notify(&[match &notice {
            Notice::Ready => NotifyState::Ready,
            Notice::Status(text) => NotifyState::Status(text),
            Notice::Alive => NotifyState::Watchdog,
            Notice::Stopping => NotifyState::Stopping,
        }])
    };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(send).await {
        debug!(%error, "cannot notify systemd");
    }
}

/// The watchdog's timeout, if systemd expects signs of life.
pub(crate) fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
