//! The router's memory as records, each of one partition of the topic of anomalies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::desk::Standing;
use super::share::Share;
use super::{OpenEpisode, Router};
use crate::alerts::Notification;

/// What a record is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouterKey {
    /// An open episode.
    Episode { partition: i32, episode: String },
    /// What waits for a receiver beside open episodes.
    Share { partition: i32, receiver: String },
}

/// What is kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are the larger one")]
pub(crate) enum RouterRecord {
    Episode {
        notification: Notification,
        /// By receiver; one whose route has not taken it has none.
        #[serde(default)]
        standings: BTreeMap<String, Standing>,
    },
    Share {
        share: Share,
    },
}

impl RouterKey {
    /// Of the topic of anomalies.
    pub(crate) fn partition(&self) -> i32 {
        match self {
            RouterKey::Episode { partition, .. } | RouterKey::Share { partition, .. } => *partition,
        }
    }

    pub(super) fn episode(partition: i32, episode: &str) -> Self {
        RouterKey::Episode {
            partition,
            episode: episode.to_owned(),
        }
    }

    pub(super) fn share(partition: i32, receiver: &str) -> Self {
        RouterKey::Share {
            partition,
            receiver: receiver.to_owned(),
        }
    }
}

impl Router {
    /// What has changed since the last time: its record now, or `None` where there is nothing to know any more.
    pub(crate) fn take_changes(&mut self) -> Vec<(RouterKey, Option<RouterRecord>)> {
        let changed = std::mem::take(&mut self.changed);
        let record = |key: RouterKey| {
            let record = self.record(&key);
            (key, record)
        };
        changed.into_iter().map(record).collect()
    }

    /// How many changes there are to take.
    pub(crate) fn change_count(&self) -> usize {
        self.changed.len()
    }

    fn record(&self, key: &RouterKey) -> Option<RouterRecord> {
        match key {
            RouterKey::Episode { episode, .. } => {
                let OpenEpisode { notification, .. } = self.open.get(episode)?;
                let standings = self.desks.iter().filter_map(|desk| {
                    let standing = desk.standing(episode)?;
                    Some((desk.name().to_owned(), standing.clone()))
                });
                Some(RouterRecord::Episode {
                    notification: notification.clone(),
                    standings: standings.collect(),
                })
            }
            RouterKey::Share { partition, receiver } => {
                let desk = self.desks.iter().find(|desk| desk.name() == receiver)?;
                let share = desk.share(*partition).filter(|share| !share.is_empty())?;
                Some(RouterRecord::Share { share: share.clone() })
            }
        }
    }

    /// Takes a record up. What it says of receivers that are no longer there is left.
    pub(crate) fn assign(&mut self, key: RouterKey, record: RouterRecord) {
        match (key, record) {
            (
                RouterKey::Episode { partition, episode },
                RouterRecord::Episode {
                    notification,
                    mut standings,
                },
            ) => {
                for desk in &mut self.desks {
                    if let Some(standing) = standings.remove(desk.name()) {
                        desk.assign(&episode, standing);
                    }
                }
                let heard = OpenEpisode {
                    partition,
                    notification,
                };
                self.open.insert(episode, heard);
            }
            (RouterKey::Share { partition, receiver }, RouterRecord::Share { share }) => {
                let mut desks = self.desks.iter_mut();
                if let Some(desk) = desks.find(|desk| desk.name() == receiver) {
                    desk.assign_share(partition, share);
                }
            }
            // Records are read by what their key says.
            (RouterKey::Episode { .. }, RouterRecord::Share { .. })
            | (RouterKey::Share { .. }, RouterRecord::Episode { .. }) => {}
        }
    }

    /// Forgets all that belongs to a partition.
    pub(crate) fn revoke(&mut self, partition: i32) {
        let is_of_it = |_: &String, open: &mut OpenEpisode| open.partition == partition;
        let gone: Vec<String> = self
            .open
            .extract_if(.., is_of_it)
            .map(|(episode, _)| episode)
            .collect();
        for desk in &mut self.desks {
            desk.revoke(partition, &gone);
        }
        self.changed.retain(|key| key.partition() != partition);
    }
}
