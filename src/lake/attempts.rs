//! How often a failing store is asked again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tracing::warn;

use super::LakeError;
use crate::clock;

/// Pauses between attempts, longer and longer, until it is time to give up.
pub(super) struct Attempts {
    started_ms: i64,
    give_up_after: Duration,
    pauses: ExponentialBackoff,
    expired: u32,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Expired credentials are renewed by the next request, or never: a session token that was set by hand is not.
const MOST_EXPIRED: u32 = 5;

impl Attempts {
    /// Attempts that begin now.
    pub(super) fn new(give_up_after: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        Attempts {
            started_ms: clock::now_ms(),
            give_up_after,
            pauses,
            expired: 0,
        }
    }

    /// Waits before the next attempt, or gives up: at once for an error that will not pass, soon for credentials that
    /// stay expired.
    pub(super) async fn pause_after(&mut self, error: LakeError) -> Result<(), LakeError> {
        let waited = Duration::from_millis((clock::now_ms() - self.started_ms).max(0) as u64);
        if !error.is_transient() {
            return Err(error);
        }
        if let LakeError::Expired { .. } = error {
            self.expired += 1;
            if self.expired > MOST_EXPIRED {
                return Err(error);
            }
        }
        if waited >= self.give_up_after {
            return Err(LakeError::GaveUp {
                waited_s: waited.as_secs(),
                last: Box::new(error),
            });
        }
        warn!(%error, "the store fails; trying again");
        tokio::time::sleep(self.pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        Ok(())
    }
}
