//! Those who want to hear of what is found, as many as there are.
//!
//! None of them is waited for: one that falls behind misses the oldest, and its receiver returns how many
//! ([`RecvError::Lagged`](broadcast::error::RecvError::Lagged)).

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::detection::Findings;
use crate::detectors::Anomaly;

/// Findings, of a block each, that a listener may be behind.
const FINDINGS_KEPT: usize = 64;
/// Published anomalies that a listener may be behind.
const ANOMALIES_KEPT: usize = 8_192;

/// The senders to all listeners.
pub(super) struct Listeners {
    pub findings: broadcast::Sender<Arc<Findings>>,
    pub anomalies: broadcast::Sender<Anomaly>,
}

impl Listeners {
    /// No listeners yet.
    pub(super) fn new() -> Self {
        Listeners {
            findings: broadcast::Sender::new(FINDINGS_KEPT),
            anomalies: broadcast::Sender::new(ANOMALIES_KEPT),
        }
    }

    /// Hands on what a block brought.
    pub(super) fn hear_of(&self, findings: &Findings) {
        // Most streams have no listener, and every block comes by here.
        if self.findings.receiver_count() > 0 {
            // The last one may have left just now.
            let _ = self.findings.send(Arc::new(findings.clone()));
        }
    }

    /// Hands on an anomaly that was published.
    pub(super) fn hear_of_published(&self, anomaly: Anomaly) {
        let _ = self.anomalies.send(anomaly);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::decode::{Reason, Rejection};

    #[test]
    fn every_listener_hears_it_and_one_that_lags_learns_how_much_it_missed() {
        let listeners = Listeners::new();
        listeners.hear_of(&Findings::default());
        let (mut quick, mut slow) = (listeners.findings.subscribe(), listeners.findings.subscribe());
        for offset in 0..FINDINGS_KEPT as i64 + 3 {
            let rejection = Rejection::new(Reason::InvalidJson, "");
            listeners.hear_of(&Findings {
                rejected: vec![(offset, rejection)],
                ..Findings::default()
            });
            assert_eq!(quick.try_recv().unwrap().rejected[0].0, offset);
        }
        assert_eq!(slow.try_recv().unwrap_err(), TryRecvError::Lagged(3));
        assert_eq!(slow.try_recv().unwrap().rejected[0].0, 3);
        drop(listeners);
        assert_eq!(quick.try_recv().unwrap_err(), TryRecvError::Closed);
    }
}
