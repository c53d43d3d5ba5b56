//! Recurring warnings of a table, logged at limited rate (invariant I8).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::clock;
use crate::telemetry::LogLimiter;

/// Warnings of one table.
#[derive(Debug)]
pub(super) struct Notices {
    lost_residuals: Mutex<LogLimiter<()>>,
}

const LOG_INTERVAL: Duration = Duration::from_secs(600);

impl Notices {
    pub(super) fn new() -> Self {
        Notices {
            lost_residuals: Mutex::new(LogLimiter::new(LOG_INTERVAL)),
        }
    }

    /// Another program rewrote a file and dropped the residuals of its sums.
    pub(super) fn lost_residuals(&self, path: &str) {
        let mut limiter = self.lost_residuals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(more) = limiter.admit((), clock::instant()) {
            warn!(
                path,
                files_before = more,
                "another program rewrote this file and dropped the residuals of its exact sums; its sums stay correct to the last rounding"
            );
        }
    }
}
