//! Whether each sink is alive (its loop goes round) and ready (it has partitions and commits what it takes in).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{SinkHandle, Sinks};
use crate::clock;
use crate::pipeline::{PartitionProgress, StuckCause};

/// A loop that has not gone round for so long will not by itself. Above what a slow store is waited for.
const ALIVE_WITHIN: Duration = Duration::from_secs(120);
/// So long may a position stand although its partition's end is ahead of it: longer than a broker takes to come back,
/// or a rebalance, and short enough for a person to hear of it in time.
const MOVED_WITHIN: Duration = Duration::from_secs(60);
/// Beyond the intervals of commits, so long may a reading wait for its commit before something is wrong.
const COMMITTED_WITHIN: Duration = Duration::from_secs(60);

/// The health of the sinks of a process; the loops' signs of life come in by themselves.
#[derive(Debug)]
pub(crate) struct Health {
    /// Each sink, and when it was last heard.
    sinks: Vec<(SinkHandle, Arc<Mutex<Instant>>)>,
    /// The longest that commits are apart by the settings.
    commit_interval: Duration,
}

/// A sink as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkHealth {
    /// `table`, `anomalies` or `alerts`.
    pub name: &'static str,
    /// Since its loop last went round.
    silent_for: Duration,
    /// Assigned partitions.
    partitions: usize,
    /// How long the oldest reading that is not committed has waited here.
    waiting_for: Option<Duration>,
    /// How long it may.
    committed_within: Duration,
    /// The partition whose position has stood still longest.
    standing: Option<Standing>,
    /// Why the schema registry does not answer, while records wait for it.
    waits_for_schemas: Option<String>,
}

/// A position that does not move although there is more to read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    partition: i32,
    offset: i64,
    end_offset: i64,
    duration: Duration,
    cause: StuckCause,
}

impl Health {
    /// Starts to listen to the sinks; must be called within a runtime.
    pub(crate) fn of(sinks: &Sinks, commit_interval: Duration) -> Arc<Self> {
        Arc::new(Health {
            sinks: sinks
                .iter()
                .map(|sink| (sink.clone(), listen(sink.clone())))
                .collect(),
            commit_interval,
        })
    }

    /// Each sink as it is now.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = SinkHealth> {
        let now = clock::instant();
        self.sinks.iter().map(move |(sink, heard_at)| {
            let sink = sink.progress();
            let heard_at = *heard_at.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = sink
                .partitions
                .iter()
                .filter_map(|partition| partition.lag.oldest);
            let waiting_since = waiting.map(|oldest| oldest.ingested_at).min();
            SinkHealth {
                name: sink.name,
                silent_for: now.saturating_duration_since(heard_at),
                partitions: sink.partitions.len(),
                waiting_for: waiting_since.map(|since| now.saturating_duration_since(since)),
                committed_within: self.commit_interval + COMMITTED_WITHIN,
                standing: standing(&sink.partitions, now),
                waits_for_schemas: sink.waits_for_schemas,
            }
        })
    }

    /// Whether all sinks are alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.sinks().all(|sink| sink.why_not_alive().is_none())
    }
}

/// The partition that has stood still longest.
fn standing(partitions: &[PartitionProgress], now: Instant) -> Option<Standing> {
    let standing = partitions.iter().filter_map(|partition| {
        let stuck = partition.lag.stuck?;
        Some(Standing {
            partition: partition.partition,
            offset: stuck.offset,
            end_offset: stuck.end_offset,
            duration: now.saturating_duration_since(stuck.since),
            cause: stuck.cause,
        })
    });
    standing.max_by_key(|standing| standing.duration)
}

/// Notes when a loop last reported; it does so whenever it goes round.
fn listen(mut sink: SinkHandle) -> Arc<Mutex<Instant>> {
    let heard_at = Arc::new(Mutex::new(clock::instant()));
    let noted = Arc::clone(&heard_at);
    tokio::spawn(async move {
        while sink.has_reported().await {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
        }
    });
    heard_at
}

impl Standing {
    fn sentence(&self) -> String {
        let why = match self.cause {
            StuckCause::Unread => "see the log for why what lies there cannot be read",
            StuckCause::OpenTransaction => {
                "an open transaction of another producer holds it; see the log for how to find that"
            }
        };
        format!(
            "partition {} has stood at offset {} for {} s although its end is at {}: {why}",
            self.partition,
            self.offset,
            self.duration.as_secs(),
            self.end_offset
        )
    }
}

impl SinkHealth {
    /// Why the process should be started again, if it should.
    pub(crate) fn why_not_alive(&self) -> Option<String> {
        let silent_s = self.silent_for.as_secs();
        (self.silent_for > ALIVE_WITHIN).then(|| format!("its loop has stood still for {silent_s} s"))
    }

    /// Why it does not do its work at the moment, if it does not.
    pub(crate) fn why_not_ready(&self) -> Option<String> {
        self.why_not_alive()
            .or_else(|| self.waits_for_schemas.clone())
            .or_else(|| match (self.waiting_for, &self.standing) {
                _ if self.partitions == 0 => Some(
                    "no partition is assigned: still joining the group, or other processes have all"
                        .to_owned(),
                ),
                (Some(waiting), _) if waiting > self.committed_within => Some(format!(
                    "nothing was committed for {} s although readings wait",
                    waiting.as_secs()
                )),
                (_, Some(standing)) if standing.duration > MOVED_WITHIN => Some(standing.sentence()),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_says_what_is_wrong_with_it() {
        let well = SinkHealth {
            name: "table",
            silent_for: Duration::from_secs(1),
            partitions: 4,
            waiting_for: Some(Duration::from_secs(20)),
            committed_within: Duration::from_secs(70),
            standing: Some(Standing {
                partition: 3,
                offset: 1,
                end_offset: 4,
                duration: Duration::from_secs(60),
                cause: StuckCause::Unread,
            }),
            waits_for_schemas: None,
        };
        assert_eq!((well.why_not_alive(), well.why_not_ready()), (None, None));
        let still = SinkHealth {
            silent_for: Duration::from_secs(121),
            ..well.clone()
        };
        let reason = Some("its loop has stood still for 121 s".to_owned());
        assert_eq!(
            (still.why_not_alive(), still.why_not_ready()),
            (reason.clone(), reason)
        );
        let stuck = SinkHealth {
            waiting_for: Some(Duration::from_secs(95)),
            ..well.clone()
        };
        let reason = "nothing was committed for 95 s although readings wait".to_owned();
        assert_eq!(
            (stuck.why_not_alive(), stuck.why_not_ready()),
            (None, Some(reason))
        );
        let standing = SinkHealth {
            standing: well.standing.clone().map(|standing| Standing {
                duration: Duration::from_secs(75),
                ..standing
            }),
            ..well.clone()
        };
        let reason = standing.why_not_ready().unwrap();
        assert!(
            reason.starts_with("partition 3 has stood at offset 1 for 75 s although its end is at 4"),
            "{reason}"
        );
        assert_eq!(standing.why_not_alive(), None);
        let behind = SinkHealth {
            standing: standing.standing.map(|standing| Standing {
                cause: StuckCause::OpenTransaction,
                ..standing
            }),
            ..well.clone()
        };
        let reason = behind.why_not_ready().unwrap();
        assert!(
            reason.contains("open transaction of another producer"),
            "{reason}"
        );
        let waiting = SinkHealth {
            waits_for_schemas: Some("the schema registry is down".to_owned()),
            ..well.clone()
        };
        assert_eq!(
            waiting.why_not_ready().as_deref(),
            Some("the schema registry is down")
        );
        let idle = SinkHealth {
            partitions: 0,
            ..well
        };
        assert!(idle.why_not_alive().is_none() && idle.why_not_ready().is_some());
    }
}
