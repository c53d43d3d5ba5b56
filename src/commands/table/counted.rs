//! What the newest entries of a table's log have counted.

use std::fmt;

use futures::{StreamExt, TryStreamExt};
use indicatif::HumanCount;
use serde_json::Value;

use crate::commands::run_summary;
use crate::lake::{Lake, LakeError};

/// Entries that are added up: each is a request to the store.
const MOST_ENTRIES: u64 = 100;
const PARALLEL_READS: usize = 16;

/// The sum of what entries of the log say about records, as `table history` shows them one by one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// The oldest version that is in the sum.
    since_version: u64,
    consumed: u64,
    aggregated: u64,
    late: u64,
    dead_lettered: u64,
    skipped: u64,
}

impl Counted {
    /// Adds up the newest entries that are still in the log.
    pub(super) async fn newest(lake: &Lake, version: u64) -> Result<Self, LakeError> {
        let oldest = version.saturating_sub(MOST_ENTRIES - 1);
        let mut entries = futures::stream::iter((oldest..=version).rev())
            .map(|version| async move { Ok::<_, LakeError>((version, lake.commit_info(version).await?)) })
            .buffered(PARALLEL_READS);
        let mut counted = Counted {
            since_version: version,
            ..Counted::default()
        };
        while let Some((version, info)) = entries.try_next().await? {
            // Those before it are past the log's retention.
            let Some(info) = info else { break };
            counted.since_version = version;
            counted.add(info.operation_metrics.as_ref());
        }
        Ok(counted)
    }

    /// Metrics are texts; those of other programs have other names.
    fn add(&mut self, metrics: Option<&Value>) {
        let number = |name: &str| -> u64 {
            let value = metrics.and_then(|metrics| metrics.get(name)?.as_str()?.parse().ok());
            value.unwrap_or(0)
        };
        for (sum, name) in [
            (&mut self.consumed, "numRecordsConsumed"),
            (&mut self.aggregated, "numRecordsAggregated"),
            (&mut self.late, "numRecordsLate"),
            (&mut self.dead_lettered, "numRecordsDeadLettered"),
            (&mut self.skipped, "numRecordsSkipped"),
        ] {
            *sum = sum.saturating_add(number(name));
        }
    }
}

/// As in `2,015 since version 0: 2,012 aggregated + 0 late + 1 dead-lettered + 2 skipped`.
impl fmt::Display for Counted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readings = self.aggregated.saturating_add(self.late);
        let accepted = self
            .consumed
            .saturating_sub(self.dead_lettered)
            .saturating_sub(self.skipped);
        let (aggregated, late) = (HumanCount(self.aggregated), HumanCount(self.late));
        let dead = HumanCount(self.dead_lettered);
        let skipped = run_summary::skipped(self.skipped);
        write!(
            formatter,
            "{} since version {}: ",
            HumanCount(self.consumed),
            self.since_version
        )?;
        // Where records hold several readings, records and readings are two sums.
        if readings == accepted {
            write!(
                formatter,
                "{aggregated} aggregated + {late} late + {dead} dead-lettered{skipped}"
            )
        } else {
            let (accepted, readings) = (HumanCount(accepted), HumanCount(readings));
            write!(
                formatter,
                "{accepted} accepted + {dead} dead-lettered{skipped}; {readings} readings = {aggregated} aggregated + {late} late"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_of_several_readings_are_a_sum_of_their_own() {
        let mut counted = Counted::default();
        counted.add(Some(&json!({
            "numRecordsConsumed": "360", "numRecordsAggregated": "480", "numRecordsSkipped": "120",
        })));
        assert_eq!(
            counted.to_string(),
            "360 since version 0: 240 accepted + 0 dead-lettered + 120 skipped; 480 readings = 480 aggregated + 0 late"
        );
    }

    #[test]
    fn what_entries_say_is_added_up_whoever_wrote_them() {
        let mut counted = Counted::default();
        counted.add(Some(&json!({
            "numRecordsConsumed": "1007", "numRecordsAggregated": "1000", "numRecordsLate": "1",
            "numRecordsDeadLettered": "2", "numRecordsSkipped": "4",
        })));
        counted.add(Some(
            &json!({"numRecordsConsumed": "3", "numRecordsSkipped": "3"}),
        ));
        counted.add(Some(&json!({"numRecordsConsumed": 5, "numRecordsSkipped": "-1"})));
        counted.add(None);
        assert_eq!(
            counted.to_string(),
            "1,010 since version 0: 1,000 aggregated + 1 late + 2 dead-lettered + 7 skipped"
        );
    }
}
