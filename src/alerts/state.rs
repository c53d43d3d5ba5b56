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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::alerts::notification::fixture;
    use crate::alerts::outbox::{Pending, Told};
    use crate::alerts::router::Standing;
    use crate::alerts::{Message, Receipt};

    /// One record of each kind, with its key and value as `docs/formats.md` has them.
    fn records() -> Vec<(StateKey, StateRecord, Value, Value)> {
        let notification = fixture::opened();
        let at = notification.at.to_utc();
        let stored = serde_json::to_value(&notification).unwrap();
        let message = Message::Episode(notification.clone());
        let stored_message = serde_json::to_value(&message).unwrap();
        let told = Told {
            message: message.clone(),
            at,
            first_at: at,
            receipt: Receipt {
                reference: Some("1795761180.0001".to_owned()),
            },
        };
        vec![
            (
                StateKey::Router(RouterKey::Episode {
                    partition: 3,
                    episode: "usage/3/7/0".to_owned(),
                }),
                StateRecord::Router(RouterRecord::Episode {
                    notification,
                    standings: BTreeMap::from([
                        ("mail".to_owned(), Standing::InStorm),
                        ("ops".to_owned(), Standing::Waiting { due: at }),
                    ]),
                }),
                json!(["streamgauge-alert", "episode", 3, "usage/3/7/0"]),
                json!({
                    "version": 1,
                    "notification": stored,
                    "standings": {"mail": {"is": "in_storm"}, "ops": {"is": "waiting", "due": "2026-11-27T06:33:00Z"}},
                }),
            ),
            (
                StateKey::Router(RouterKey::Share {
                    partition: 3,
                    receiver: "ops".to_owned(),
                }),
                StateRecord::Router(serde_json::from_value(json!({"share": {"gone_in_quiet": 2}})).unwrap()),
                json!(["streamgauge-alert", "waiting", 3, "ops"]),
                json!({"version": 1, "share": {"gone_in_quiet": 2, "old": null, "storm": null}}),
            ),
            (
                StateKey::Chain(ChainKey {
                    partition: 3,
                    receiver: "ops".to_owned(),
                    chain: "usage/3/7/0".to_owned(),
                }),
                StateRecord::Chain(ChainRecord {
                    pending: vec![Pending { message, at }],
                    told: Some(told),
                    given_up: None,
                }),
                json!(["streamgauge-alert", "messages", 3, "ops", "usage/3/7/0"]),
                json!({
                    "version": 1,
                    "pending": [{"message": stored_message, "at": "2026-11-27T06:33:00Z"}],
                    "told": {
                        "message": stored_message, "at": "2026-11-27T06:33:00Z", "first_at": "2026-11-27T06:33:00Z",
                        "receipt": {"reference": "1795761180.0001"},
                    },
                }),
            ),
        ]
    }

    #[test]
    fn the_state_is_written_as_the_manual_says() {
        for (key, record, written_key, written) in records() {
            let key_bytes = key.encode("streamgauge-alert");
            assert_eq!(serde_json::from_slice::<Value>(&key_bytes).unwrap(), written_key);
            assert_eq!(
                serde_json::from_slice::<Value>(&record.encode()).unwrap(),
                written
            );
            let (group, read_key) = StateKey::decode(&key_bytes).unwrap();
            assert_eq!((group.as_str(), &read_key), ("streamgauge-alert", &key));
            assert_eq!(StateRecord::decode(&key, &record.encode()).unwrap(), record);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for key in [
            &b"usage"[..],
            b"[]",
            b"[\"g\",\"episode\",\"0\",\"e\"]",
            b"[\"g\",\"x\",0,\"e\"]",
            b"[\"g\",\"messages\",0,\"ops\"]",
        ] {
            assert!(matches!(StateKey::decode(key), Err(StateError::Key)), "{key:?}");
        }
        let (key, ..) = records().remove(0);
        let refused = |value: &[u8]| StateRecord::decode(&key, value).unwrap_err().to_string();
        assert_eq!(
            refused(b"{\"version\":2}"),
            "it is of version 2, and this program knows 1"
        );
        assert!(refused(b"{}").contains("version"));
        assert!(refused(b"{\"version\":1}").contains("did not match"));
    }
}
