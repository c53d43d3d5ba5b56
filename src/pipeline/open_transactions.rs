//! Transactions of other producers that are open in the topic. Consumers of committed records stop before the first of
//! them, and all records behind it wait for its end, whichever producer wrote them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::warn;

use super::PipelineError;
use super::lag::StuckCause;
use super::progress::PartitionProgress;
use super::sink::LOG_INTERVAL;
use crate::kafka::{PartitionEnds, Subscription, partition_ends};
use crate::telemetry::{LogLimiter, events};

/// Transactions that end sooner are nothing to warn of.
const NOTICED_AFTER: Duration = Duration::from_secs(30);

/// An open transaction that an available-now run stops at, before the partition's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldBack {
    pub(crate) partition: i32,
    /// The first offset of the first open transaction.
    pub(crate) offset: i64,
    /// Offsets from there to the partition's end, those of transactions' markers included.
    pub(crate) records: i64,
}

impl HeldBack {
    fn of(ends: BTreeMap<i32, PartitionEnds>) -> Vec<Self> {
        let held = ends.into_iter().map(|(partition, ends)| HeldBack {
            partition,
            offset: ends.stable,
            records: ends.unstable(),
        });
        held.filter(|held| held.records > 0).collect()
    }

    /// The topic's open transactions, as of now; logs a warning for each partition.
    ///
    /// # Errors
    /// [`PipelineError::Kafka`] if the cluster does not say.
    pub(crate) async fn look(kafka: &Subscription) -> Result<Vec<Self>, PipelineError> {
        let asked = kafka.clone();
        let ends = tokio::task::spawn_blocking(move || partition_ends(&asked)).await??;
        let held_back = HeldBack::of(ends);
        for held in &held_back {
            let HeldBack {
                partition,
                offset,
                records,
            } = *held;
            warn!(
                event = events::PARTITION_BEHIND_TRANSACTION,
                partition,
                offset,
                end = offset + records,
                "an open transaction of another producer begins here: this run ends before it, and leaves {records} records \
                 unread. {}",
                advice(&kafka.source.topic, partition)
            );
        }
        Ok(held_back)
    }
}

/// Warns of positions that open transactions hold, each once a minute.
#[derive(Debug)]
pub(super) struct OpenTransactions(LogLimiter<i32>);

impl Default for OpenTransactions {
    fn default() -> Self {
        OpenTransactions(LogLimiter::new(LOG_INTERVAL))
    }
}

impl OpenTransactions {
    /// Warns of those partitions that have stood at an open transaction for a while.
    pub(super) fn warn(&mut self, topic: &str, partitions: &[PartitionProgress], now: Instant) {
        for PartitionProgress { partition, lag, .. } in partitions {
            let held = lag
                .stuck
                .filter(|stuck| stuck.cause == StuckCause::OpenTransaction);
            let Some(held) = held else { continue };
            let lasted = now.saturating_duration_since(held.since);
            if lasted < NOTICED_AFTER || self.0.admit(*partition, now).is_none() {
                continue;
            }
            warn!(
                event = events::PARTITION_BEHIND_TRANSACTION,
                partition,
                offset = held.offset,
                end = held.end_offset,
                stands_s = lasted.as_secs(),
                "an open transaction of another producer begins here and holds everything behind it back. {}",
                advice(topic, *partition)
            );
        }
    }
}

fn advice(topic: &str, partition: i32) -> String {
    format!(
        "The broker ends it after that producer's transaction.timeout.ms; to find it: kafka-transactions.sh --bootstrap-server … \
         describe-producers --topic {topic} --partition {partition}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_the_stable_end_and_the_end_is_held_back() {
        let ends = |stable, high_watermark| PartitionEnds {
            stable,
            high_watermark,
        };
        let found = HeldBack::of(BTreeMap::from([
            (0, ends(10, 31)),
            (1, ends(7, 7)),
            (2, ends(0, 1)),
        ]));
        let found: Vec<_> = found
            .iter()
            .map(|held| (held.partition, held.offset, held.records))
            .collect();
        assert_eq!(found, [(0, 10, 21), (2, 0, 1)]);
    }
}
