//! Whether each side is alive (its loop goes round) and ready (it has partitions and commits what it takes in).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Sides;
use crate::clock;

/// A loop that has not gone round for so long will not by itself. Above what a slow store is waited for.
const ALIVE_WITHIN: Duration = Duration::from_secs(120);
/// Beyond the intervals of commits, so long may a reading wait for its commit before something is wrong.
const COMMITTED_WITHIN: Duration = Duration::from_secs(60);

/// The health of the sides of a process; the loops' signs of life come in by themselves.
#[derive(Debug)]
pub struct Health {
    sides: Sides,
    /// When each side was last heard, in the order of [`Sides::each`].
    heard_at: Vec<Arc<Mutex<Instant>>>,
    /// The longest that commits are apart by the settings.
    commit_interval: Duration,
}

/// A side as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideHealth {
    /// `table` or `anomalies`.
    pub name: &'static str,
    /// Since its loop last went round.
    silent_for: Duration,
    /// Assigned partitions.
    partitions: usize,
    /// How long the oldest reading that is not committed has waited here.
    waiting_for: Option<Duration>,
    /// How long it may.
    committed_within: Duration,
}

impl Health {
    /// Starts to listen to the sides; must be called within a runtime.
    pub fn of(sides: &Sides, commit_interval: Duration) -> Arc<Self> {
        let table = sides.table.clone().map(listen);
        let anomalies = sides.anomalies.clone().map(listen);
        Arc::new(Health {
            sides: sides.clone(),
            heard_at: table.into_iter().chain(anomalies).collect(),
            commit_interval,
        })
    }

    /// Each side as it is now.
    pub fn sides(&self) -> impl Iterator<Item = SideHealth> {
        let now = clock::instant();
        self.sides
            .each()
            .zip(&self.heard_at)
            .map(move |(side, heard_at)| {
                let heard_at = *heard_at.lock().unwrap_or_else(PoisonError::into_inner);
                let waiting = side
                    .partitions
                    .iter()
                    .filter_map(|partition| partition.lag.oldest);
                let waiting_since = waiting.map(|oldest| oldest.taken_in_at).min();
                SideHealth {
                    name: side.name,
                    silent_for: now.saturating_duration_since(heard_at),
                    partitions: side.partitions.len(),
                    waiting_for: waiting_since.map(|since| now.saturating_duration_since(since)),
                    committed_within: self.commit_interval + COMMITTED_WITHIN,
                }
            })
    }

    /// Whether all sides are alive.
    pub fn is_alive(&self) -> bool {
        self.sides().all(|side| side.why_not_alive().is_none())
    }
}

/// Notes when a loop last reported; it does so whenever it goes round.
fn listen<T: Send + Sync + 'static>(mut progress: watch::Receiver<T>) -> Arc<Mutex<Instant>> {
    let heard_at = Arc::new(Mutex::new(clock::instant()));
    let noted = Arc::clone(&heard_at);
    tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
        }
    });
    heard_at
}

impl SideHealth {
    /// Why the process should be started again, if it should.
    pub fn why_not_alive(&self) -> Option<String> {
        let silent_s = self.silent_for.as_secs();
        (self.silent_for > ALIVE_WITHIN).then(|| format!("its loop has stood still for {silent_s} s"))
    }

    /// Why it does not do its work at the moment, if it does not.
    pub fn why_not_ready(&self) -> Option<String> {
        self.why_not_alive().or_else(|| match self.waiting_for {
            _ if self.partitions == 0 => Some(
                "no partition is assigned: still joining the group, or other processes have all".to_owned(),
            ),
            Some(waiting) if waiting > self.committed_within => Some(format!(
                "nothing was committed for {} s although readings wait",
                waiting.as_secs()
            )),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_says_what_is_wrong_with_it() {
        let well = SideHealth {
            name: "table",
            silent_for: Duration::from_secs(1),
            partitions: 4,
            waiting_for: Some(Duration::from_secs(20)),
            committed_within: Duration::from_secs(70),
        };
        assert_eq!((well.why_not_alive(), well.why_not_ready()), (None, None));
        let still = SideHealth {
            silent_for: Duration::from_secs(121),
            ..well.clone()
        };
        let reason = Some("its loop has stood still for 121 s".to_owned());
        assert_eq!(
            (still.why_not_alive(), still.why_not_ready()),
            (reason.clone(), reason)
        );
        let stuck = SideHealth {
            waiting_for: Some(Duration::from_secs(95)),
            ..well.clone()
        };
        let reason = "nothing was committed for 95 s although readings wait".to_owned();
        assert_eq!(
            (stuck.why_not_alive(), stuck.why_not_ready()),
            (None, Some(reason))
        );
        let idle = SideHealth {
            partitions: 0,
            ..well
        };
        assert!(idle.why_not_alive().is_none() && idle.why_not_ready().is_some());
    }
}
