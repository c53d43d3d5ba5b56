//! Logs what should be known of series beside their anomalies, once each.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use tracing::{info, warn};

use crate::detectors::Notice;
use crate::reading::SeriesKey;

/// What has been logged, by a hash of the series: so that each is logged once, in little memory.
#[derive(Debug, Default)]
pub(super) struct NoticeLog {
    hasher: RandomState,
    learning: HashSet<u64>,
    equal_times: HashSet<u64>,
    counters: HashSet<u64>,
}

/// Series that are named at a time; the others are counted.
const MOST_NAMED: usize = 5;

impl NoticeLog {
    pub(super) fn log<'a>(&mut self, notices: impl Iterator<Item = (&'a SeriesKey<Arc<str>>, Notice)>) {
        let (mut learning, mut latest_ms, mut named) = (0_usize, i64::MIN, 0);
        let mut unnamed = 0;
        for (key, notice) in notices {
            let hash = self.hasher.hash_one(key);
            let series = key.key.as_ref();
            let is_new = |logged: &mut HashSet<u64>| logged.insert(hash);
            if let Some(share) = notice.share_at_equal_times
                && is_new(&mut self.equal_times)
            {
                let percent = (100.0 * share).round();
                warn!(
                    series,
                    percent,
                    "readings share their time with another: several meters in one series? set reading.key"
                );
            }
            if notice.is_like_counter && is_new(&mut self.counters) {
                warn!(
                    series,
                    "the values rise and never fall: the totals of a counter? set detect.input to \"increments\""
                );
            }
            let Some(until_ms) = notice.learning_until_ms else {
                continue;
            };
            (learning, latest_ms) = (learning + 1, latest_ms.max(until_ms));
            if !is_new(&mut self.learning) {
                continue;
            }
            if named < MOST_NAMED {
                named += 1;
                info!(series, until = %time(until_ms), "learning until then, and not judged before");
            } else {
                unnamed += 1;
            }
        }
        if unnamed > 0 {
            info!(series = learning, until = %time(latest_ms), "learning: so many series are not judged yet, the last until then");
        }
    }
}

fn time(time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
