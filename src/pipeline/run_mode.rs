//! How far a run goes, and how patient it is.

use std::time::Duration;

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// Until it is asked to stop.
    Continuous,
    /// Until the ends that the topic had at the start, committed.
    AvailableNow,
}

impl RunMode {
    /// The mode of the flag `--available-now`.
    pub(crate) fn of(available_now: bool) -> Self {
        if available_now {
            RunMode::AvailableNow
        } else {
            RunMode::Continuous
        }
    }

    /// How long records that cannot be unpacked may hold a partition. An available-now run wants its end: some looks must
    /// do.
    pub(super) fn undecodable_patience(self, give_up_after: Duration) -> Duration {
        match self {
            RunMode::Continuous => give_up_after,
            RunMode::AvailableNow => AVAILABLE_NOW_PATIENCE.min(give_up_after),
        }
    }
}

const AVAILABLE_NOW_PATIENCE: Duration = Duration::from_secs(3);
