//! The end of a run that was asked to stop: what is on its way gets some seconds, whatever is down.
//!
//! The sender of the signal kills the process after a while: systemd, Kubernetes after 30 s. So the run ends by
//! itself before. The next start reads again what was not committed by then, as after a crash.

use std::time::Duration;

use super::PipelineError;

/// The time that a run that was asked to stop waits for work on its way. With leaving the group and ending the
/// threads it ends within 25 seconds.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(12);
/// The time that such a run waits for the broker to take what is optional, such as offsets for lag monitors.
pub(super) const COURTESY_LIMIT: Duration = Duration::from_secs(2);

/// The way a run ended.
pub(super) enum Ended {
    /// By itself.
    ByItself(Result<(), PipelineError>),
    /// A signal, or the caller, asked it to stop.
    OnRequest,
}

/// Runs until `stop` resolves, whatever is being waited for then.
pub(super) async fn until(
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<(), PipelineError>>,
) -> Ended {
    tokio::select! {
        biased;
        () = stop => Ended::OnRequest,
        result = work => Ended::ByItself(result),
    }
}

/// Finishes within the limit, or not at all.
///
/// # Errors
/// Those of the work; [`PipelineError::StoppedEarly`].
pub(super) async fn in_time(
    limit: Duration,
    work: impl Future<Output = Result<(), PipelineError>>,
) -> Result<(), PipelineError> {
    let seconds = limit.as_secs();
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(PipelineError::StoppedEarly { seconds }))
}
