//! The memory of the running alerts as messages of a compacted topic: `docs/formats.md` has it.
//!
//! The key says whose record it is: the consumer group, so that two deployments may share a topic, then what it is of. It is a
//! JSON array, in which any name is unambiguous. A tombstone means that there is nothing to know any more.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::outbox::{ChainKey, ChainRecord};
use super::router::{RouterKey, RouterRecord};

/// Of the records. A newer one is refused.
const VERSION: u64 = 1;

/// What a record is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StateKey {
    Router(RouterKey),
    Chain(ChainKey),
}

/// A record of the state.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most records are the larger one")]
pub(crate) enum StateRecord {
    Router(RouterRecord),
    Chain(ChainRecord),
}

/// A record that cannot be read.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sentences say what is wrong")]
pub enum StateError {
    #[error("its key is none of this program's")]
    Key,
    #[error("it is of version {0}, and this program knows {VERSION}")]
    Version(u64),
    #[error(transparent)]
    Value(#[from] serde_json::Error),
}

const EPISODE: &str = "episode";
const WAITING: &str = "waiting";
const MESSAGES: &str = "messages";

/// A record with its version.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    record: T,
}

impl StateKey {
    /// Of the topic of anomalies.
    pub(crate) fn partition(&self) -> i32 {
        match self {
            StateKey::Router(key) => key.partition(),
            StateKey::Chain(key) => key.partition,
        }
    }

    /// The message's key in a group's state.
    pub(crate) fn encode(&self, group: &str) -> Vec<u8> {
        let key = match self {
            StateKey::Router(RouterKey::Episode { partition, episode }) => {
                json!([group, EPISODE, partition, episode])
            }
            StateKey::Router(RouterKey::Share { partition, receiver }) => {
                json!([group, WAITING, partition, receiver])
            }
            StateKey::Chain(ChainKey {
                partition,
                receiver,
                chain,
            }) => json!([group, MESSAGES, partition, receiver, chain]),
        };
        key.to_string().into_bytes()
    }

    /// The group that a message is of, and what its record is of.
    ///
    /// # Errors
    /// [`StateError::Key`] if it is none of ours.
    pub(crate) fn decode(key: &[u8]) -> Result<(String, Self), StateError> {
        let fields: Vec<Value> = serde_json::from_slice(key).map_err(|_| StateError::Key)?;
        let text = |at: usize| fields.get(at).and_then(Value::as_str).ok_or(StateError::Key);
        let partition = fields.get(2).and_then(Value::as_i64);
        let partition = partition
            .and_then(|partition| i32::try_from(partition).ok())
            .ok_or(StateError::Key)?;
        let name = text(3)?.to_owned();
        let key = match text(1)? {
            EPISODE => StateKey::Router(RouterKey::Episode {
                partition,
                episode: name,
            }),
            WAITING => StateKey::Router(RouterKey::Share {
                partition,
                receiver: name,
            }),
            MESSAGES => StateKey::Chain(ChainKey {
                partition,
                receiver: name,
                chain: text(4)?.to_owned(),
            }),
            _ => return Err(StateError::Key),
        };
        Ok((text(0)?.to_owned(), key))
    }
}

impl StateRecord {
    /// The message's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        fn versioned<T: Serialize>(record: T) -> Vec<u8> {
            let versioned = Versioned {
                version: VERSION,
                record,
            };
            // Only a map with keys that are no texts could fail.
            serde_json::to_vec(&versioned).unwrap_or_default()
        }
        match self {
            StateRecord::Router(record) => versioned(record),
            StateRecord::Chain(record) => versioned(record),
        }
    }

    /// The record of this key.
    ///
    /// # Errors
    /// [`StateError`] if it is no record of it, or of a newer version.
    pub(crate) fn decode(key: &StateKey, value: &[u8]) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(value)?;
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        Ok(match key {
            StateKey::Router(_) => StateRecord::Router(serde_json::from_slice(value)?),
            StateKey::Chain(_) => StateRecord::Chain(serde_json::from_slice(value)?),
        })
    }
}
