//! Reads a compacted topic as what it is: the newest value of each key.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::{Cluster, Error, LoggingContext, Subscription};
use super::{client::CLIENT_ID, client_config, plain_error, refused_settings};
use crate::clock::instant;

/// How long other programs' transactions are waited for, and the broker.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Of keys and values together.
const LARGEST_CONTENTS: usize = 256 * 1_048_576;

/// The newest committed value of each key in a topic. Everything that was committed before the call is in it. Blocks.
///
/// # Errors
/// Those of [`Cluster::connect`]; [`Error::Request`] if the broker stops answering or a transaction stays open;
/// [`Error::TopicUnusable`] if there is no such topic, or it is too large.
pub(crate) fn newest_values(kafka: &Subscription, topic: &str) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let ends = stable_ends(kafka, topic)?;
    let consumer = consumer(kafka)?;
    let mut unfinished = TopicPartitionList::new();
    for (partition, (first, end)) in (0..).zip(&ends) {
        if first < end {
            let added = unfinished.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(|error| unanswered(kafka, &error))?;
        }
    }
    let mut left = unfinished.count();
    consumer
        .assign(&unfinished)
        .map_err(|error| unanswered(kafka, &error))?;
    let mut contents = BTreeMap::new();
    let mut bytes = 0;
    let mut heard_at = instant();
    while left > 0 {
        match consumer.poll(POLL_WAIT) {
            None if instant().duration_since(heard_at) > PATIENCE => return Err(silent(kafka)),
            None => continue,
            // Below its stable end a partition has no other end.
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) if instant().duration_since(heard_at) > PATIENCE => {
                return Err(unanswered(kafka, &error));
            }
            Some(Err(error)) => {
                tracing::debug!(%error, topic, "reading on");
                continue;
            }
            Some(Ok(message)) => {
                let key = message.key().unwrap_or_default().to_vec();
                let value = message.payload().map(<[u8]>::to_vec);
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

/// First offset and end of each partition, once readers of committed records get to where it ends now.
fn stable_ends(kafka: &Subscription, topic: &str) -> Result<Vec<(i64, i64)>, Error> {
    let high = Cluster::connect_uncommitted(kafka)?;
    let stable = Cluster::connect(kafka)?;
    let partitions = stable
        .partition_count(topic)?
        .ok_or_else(|| Error::TopicUnusable {
            topic: topic.to_owned(),
            cause: "it does not exist".to_owned(),
        })?;
    let deadline = instant() + PATIENCE;
    let mut ends = Vec::new();
    for partition in 0..partitions {
        let (first, high_end) = high.watermarks(topic, partition)?;
        while stable.watermarks(topic, partition)?.1 < high_end {
            if instant() >= deadline {
                return Err(Error::TopicUnusable {
                    topic: topic.to_owned(),
                    cause: format!("another program's transaction is open in partition {partition}"),
                });
            }
            std::thread::sleep(POLL_WAIT);
        }
        ends.push((first, high_end));
    }
    Ok(ends)
}

fn consumer(kafka: &Subscription) -> Result<BaseConsumer<LoggingContext>, Error> {
    let mut config = client_config(&kafka.cluster)?;
    config
        // librdkafka requires a group; it is never joined.
        .set("group.id", CLIENT_ID)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false");
    config
        .create_with_context(LoggingContext::new(&kafka.cluster))
        .map_err(|error| refused_settings(&error))
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
