//! Reads the messages of a compacted topic, from the first one it still has, and goes on with what comes.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::clock::instant;
use crate::kafka::client::CLIENT_ID;
use crate::kafka::{Cluster, Error, LoggingContext, Subscription, client_config, refused_settings};

/// How long other programs' transactions are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// What librdkafka fetches ahead, in kilobytes.
const FETCHED_AHEAD_KB: &str = "4096";

/// A reader of committed messages, in the order of each partition. It reconnects by itself.
pub(crate) struct CompactedReader {
    consumer: BaseConsumer<LoggingContext>,
    /// Partitions that have not been read up to where they ended when the reader was opened.
    unfinished: BTreeSet<i32>,
}

/// What a reader hears next.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message; one without a value takes back what its key said.
    Entry { key: Vec<u8>, value: Option<Vec<u8>> },
    /// The end of a partition, for now.
    End,
    /// Nothing for as long as was waited.
    Nothing,
}

impl CompactedReader {
    /// A reader at the beginning of the topic. Blocks, and waits for transactions that are open, for up to half a minute.
    ///
    /// # Errors
    /// Those of [`Cluster::connect`]; [`Error::TopicUnusable`] if there is no such topic, or a transaction stays open.
    pub(crate) fn open(kafka: &Subscription, topic: &str) -> Result<Self, Error> {
        let ends = stable_ends(kafka, topic)?;
        let consumer = consumer(kafka)?;
        let mut assignment = TopicPartitionList::new();
        let mut unfinished = BTreeSet::new();
        let refused = |source| Error::Consume {
            topic: topic.to_owned(),
            source,
        };
        for (partition, (first, end)) in (0..).zip(&ends) {
            let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(refused)?;
            if first < end {
                unfinished.insert(partition);
            }
        }
        consumer.assign(&assignment).map_err(refused)?;
        Ok(CompactedReader { consumer, unfinished })
    }

    /// Whether everything that was committed before the reader was opened has been read.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// What comes next, within the time to wait for it. Blocks.
    ///
    /// # Errors
    /// librdkafka's, after which it may be called again.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Heard, KafkaError> {
        match self.consumer.poll(wait) {
            None => Ok(Heard::Nothing),
            // Below its stable end a partition has no other end.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.unfinished.remove(&partition);
                Ok(Heard::End)
            }
            Some(Err(error)) => Err(error),
            Some(Ok(message)) => Ok(Heard::Entry {
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().map(<[u8]>::to_vec),
            }),
        }
    }
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
        .set("queued.max.messages.kbytes", FETCHED_AHEAD_KB)
        .set("allow.auto.create.topics", "false");
    config
        .create_with_context(LoggingContext::new(&kafka.cluster))
        .map_err(|error| refused_settings(&error))
}
