//! The alerts' memory as those see it who only look.

use std::collections::BTreeMap;

use super::super::{PipelineError, Settings};
use super::start::anomalies_of;
use crate::alerts::{
    self, ChainKey, ChainRecord, Notification, RouterKey, RouterRecord, Standing, StateKey, StateRecord,
};
use crate::kafka::{self, Subscription, newest_values};

/// The memory of a group's alerts, of all partitions.
#[derive(Debug, Default)]
pub(crate) struct AlertsState {
    /// The open episodes, with what each receiver knows of them.
    pub open: Vec<(Notification, BTreeMap<String, Standing>)>,
    /// What receivers have heard, and what waits for them.
    pub chains: Vec<(ChainKey, ChainRecord)>,
}

/// Reads the memory of the alerts as it is now.
///
/// # Errors
/// If the topic cannot be read, or holds what is no state.
pub(crate) async fn read_state(
    cluster: &kafka::Settings,
    settings: &Settings,
    alert: &alerts::Settings,
) -> Result<AlertsState, PipelineError> {
    let kafka = anomalies_of(cluster, settings, alert);
    let topic = alert.state_topic(&kafka.source.topic);
    let mut state = AlertsState::default();
    for (key, record) in records(&kafka, &topic).await? {
        match (key, record) {
            (
                StateKey::Router(RouterKey::Episode { .. }),
                StateRecord::Router(RouterRecord::Episode {
                    notification,
                    standings,
                }),
            ) => state.open.push((notification, standings)),
            (StateKey::Chain(key), StateRecord::Chain(record)) => state.chains.push((key, record)),
            _ => {}
        }
    }
    Ok(state)
}

/// The records of a group in the topic of the state.
///
/// # Errors
/// If the topic cannot be read, or holds what is no state.
pub(super) async fn records(
    kafka: &Subscription,
    topic: &str,
) -> Result<Vec<(StateKey, StateRecord)>, PipelineError> {
    let (subscription, name) = (kafka.clone(), topic.to_owned());
    let records = tokio::task::spawn_blocking(move || newest_values(&subscription, &name)).await??;
    let mut found = Vec::new();
    for (key, value) in records {
        let unreadable = |source| PipelineError::AlertState {
            topic: topic.to_owned(),
            key: String::from_utf8_lossy(&key).into_owned(),
            source,
        };
        let (group, key_of) = StateKey::decode(&key).map_err(unreadable)?;
        if group == kafka.source.group {
            let record = StateRecord::decode(&key_of, &value).map_err(unreadable)?;
            found.push((key_of, record));
        }
    }
    Ok(found)
}
