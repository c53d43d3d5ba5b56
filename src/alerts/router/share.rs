//! What waits at a desk beside open episodes: what only counts, and so cannot be found again in them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::alerts::Notification;

/// Episodes that a digest names.
const MOST_LINES: usize = 20;
/// A digest of old news waits until none has come for so long, but not for longer than [`OLD_NEWS_AT_LATEST`].
const OLD_NEWS_PAUSE: TimeDelta = TimeDelta::minutes(1);
const OLD_NEWS_AT_LATEST: TimeDelta = TimeDelta::hours(1);

/// What waits of one partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// Episodes that waited in quiet hours and were over before their end.
    #[serde(default)]
    pub gone_in_quiet: u64,
    #[serde(default)]
    pub old: Option<OldNews>,
    #[serde(default)]
    pub storm: Option<Storm>,
}

/// What came too late to be told by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OldNews {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub worst: Vec<Notification>,
    pub count: u64,
}

/// Episodes that were told in one message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub since: DateTime<Utc>,
    pub count: u64,
}

/// The shares of all partitions.
#[derive(Debug, Default)]
pub(super) struct Shares(pub BTreeMap<i32, Share>);

impl Share {
    pub(super) fn is_empty(&self) -> bool {
        *self == Share::default()
    }

    /// Adds an episode to the old news.
    pub(super) fn add_old(&mut self, notification: &Notification, now: DateTime<Utc>) {
        let old = self.old.get_or_insert_with(|| OldNews {
            since: now,
            until: now,
            worst: Vec::new(),
            count: 0,
        });
        old.until = now;
        old.count += 1;
        old.worst.push(notification.clone());
        keep_worst(&mut old.worst);
    }
}

impl OldNews {
    /// When it is told.
    fn due(&self) -> DateTime<Utc> {
        (self.until + OLD_NEWS_PAUSE).min(self.since + OLD_NEWS_AT_LATEST)
    }

    fn merge(mut self, other: OldNews) -> Self {
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
        self.worst.extend(other.worst);
        keep_worst(&mut self.worst);
        self.count += other.count;
        self
    }
}

impl Shares {
    /// Those of one partition.
    pub(super) fn of(&mut self, partition: i32) -> &mut Share {
        self.0.entry(partition).or_default()
    }

    /// The storm that goes on, if one does.
    pub(super) fn storm(&self) -> Option<Storm> {
        let storms = self.0.values().filter_map(|share| share.storm);
        storms.reduce(|one, other| Storm {
            since: one.since.min(other.since),
            count: one.count + other.count,
        })
    }

    /// What was over before the end of quiet hours.
    pub(super) fn gone_in_quiet(&self) -> u64 {
        self.0.values().map(|share| share.gone_in_quiet).sum()
    }

    /// When the old news are told.
    pub(super) fn old_due(&self) -> Option<DateTime<Utc>> {
        let old = self.0.values().filter_map(|share| share.old.as_ref());
        let span = old.map(|old| (old.since, old.until));
        let (since, until) = span.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
        let old = OldNews {
            since,
            until,
            worst: Vec::new(),
            count: 0,
        };
        Some(old.due())
    }

    /// Takes all old news out, if they are due.
    pub(super) fn take_old(&mut self, now: DateTime<Utc>) -> Option<OldNews> {
        self.old_due().filter(|due| *due <= now)?;
        let old = self.0.values_mut().filter_map(|share| share.old.take());
        old.reduce(OldNews::merge)
    }

    /// The first partition that something waits of, whose owner sends what is told of it.
    pub(super) fn first(&self, is_of: impl Fn(&Share) -> bool) -> i32 {
        let found = self.0.iter().find(|(_, share)| is_of(share));
        found.map_or(0, |(partition, _)| *partition)
    }
}

/// The worst first, and of equal ones the oldest; no more than a digest names.
pub(super) fn keep_worst(notifications: &mut Vec<Notification>) {
    notifications.sort_by(|one, other| {
        let by_severity = other.severity.cmp(&one.severity);
        by_severity.then_with(|| one.opened_at.cmp(&other.opened_at))
    });
    notifications.truncate(MOST_LINES);
}
