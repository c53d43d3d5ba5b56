//! Reads a compacted topic as what it is: the newest value of each key.

mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::KafkaError;

use super::{Error, Subscription, plain_error};
use crate::clock::instant;
pub(crate) use reader::{CompactedReader, Heard};

/// How long the broker is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Of keys and values together.
const LARGEST_CONTENTS: usize = 256 * 1_048_576;

/// The newest committed value of each key in a topic. Everything that was committed before the call is in it. Blocks.
///
/// # Errors
/// Those of [`Cluster::connect`](super::Cluster::connect); [`Error::Request`] if the broker stops answering or a transaction stays open;
/// [`Error::TopicUnusable`] if there is no such topic, or it is too large.
pub(crate) fn newest_values(kafka: &Subscription, topic: &str) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut reader = CompactedReader::open(kafka, topic)?;
    let mut contents = BTreeMap::new();
    let mut bytes = 0;
    let mut heard_at = instant();
    while !reader.is_caught_up() {
        match reader.next(POLL_WAIT) {
            Ok(Heard::Nothing) if instant().duration_since(heard_at) > PATIENCE => return Err(silent(kafka)),
            Ok(Heard::Nothing) => continue,
            Ok(Heard::End) => {}
            Err(error) if instant().duration_since(heard_at) > PATIENCE => {
                return Err(unanswered(kafka, &error));
            }
            Err(error) => {
                tracing::debug!(%error, topic, "reading on");
                continue;
            }
            Ok(Heard::Entry { key, value }) => {
                bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                let replaced = match value {
                    Some(value) => contents.insert(key.clone(), value),
                    None => contents.remove(&key),
                };
                bytes -= replaced.map_or(0, |replaced: Vec<u8>| key.len() + replaced.len());
            }
        }
        heard_at = instant();
        if bytes > LARGEST_CONTENTS {
            return Err(Error::TopicUnusable {
                topic: topic.to_owned(),
                cause: format!("its keys and values take more than {LARGEST_CONTENTS} bytes"),
            });
        }
    }
    Ok(contents)
}

fn unanswered(kafka: &Subscription, error: &KafkaError) -> Error {
    Error::Request {
        brokers: kafka.cluster.brokers.clone(),
        what: "the records of a topic",
        cause: plain_error(error),
    }
}

fn silent(kafka: &Subscription) -> Error {
    Error::Request {
        brokers: kafka.cluster.brokers.clone(),
        what: "the records of a topic",
        cause: format!("nothing within {} s", PATIENCE.as_secs()),
    }
}
