//! Reads partitions of several topics from given offsets on, without a group, and goes on with what comes.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::source::{groupless_consumer, is_about_records, push};
use super::{Error, LoggingContext, Subscription, plain_error};
use crate::clock::instant;
use crate::reading::RecordBlock;

/// What librdkafka fetches ahead, in kilobytes.
const FETCHED_AHEAD_KB: &str = "16384";
/// Records that are handed on at a time.
const MOST_RECORDS: usize = 8_192;
/// Bytes of keys and values that are handed on at a time.
const MOST_BYTES: usize = 4 << 20;

/// Where to begin to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailStart {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// A reader of committed records that belongs to no group. It reconnects by itself.
pub(crate) struct Tail {
    consumer: BaseConsumer<LoggingContext>,
    max_header_bytes: usize,
}

/// What came.
#[derive(Debug, Default)]
pub(crate) struct TailBatch {
    /// By topic and partition.
    pub blocks: BTreeMap<(String, i32), RecordBlock>,
    /// Partitions that were read up to where they end. Which topic they are of is not said.
    pub ends: usize,
    /// Why nothing comes, if the brokers are away. It reads on by itself.
    pub away: Option<String>,
}

/// Why a reader cannot go on from where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// What lies at its place is gone, or the topic is another one.
    #[error("the records that come next are gone: {0}")]
    Gone(String),
    /// A batch that cannot be unpacked.
    #[error("records cannot be unpacked: {0}")]
    Undecodable(String),
    /// It may not read.
    #[error(transparent)]
    Kafka(#[from] Error),
}

impl Tail {
    /// A reader at these places.
    ///
    /// # Errors
    /// [`Error::Settings`], and [`Error::Consume`] if librdkafka refuses a place.
    pub(crate) fn open(
        kafka: &Subscription,
        starts: &[TailStart],
        max_header_bytes: usize,
    ) -> Result<Self, Error> {
        let own = [("queued.max.messages.kbytes", FETCHED_AHEAD_KB)];
        let consumer = groupless_consumer(kafka, "streamgauge-tail", &own)?;
        let mut assignment = TopicPartitionList::new();
        for start in starts {
            let added =
                assignment.add_partition_offset(&start.topic, start.partition, Offset::Offset(start.offset));
            added.map_err(|source| refused(&start.topic, source))?;
        }
        consumer
            .assign(&assignment)
            .map_err(|source| refused(&kafka.source.topic, source))?;
        Ok(Tail {
            consumer,
            max_header_bytes,
        })
    }

    /// What comes, up to some thousand records; nothing if nothing comes within `wait`. Blocks.
    ///
    /// # Errors
    /// [`TailError`], after which a new reader is needed.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<TailBatch, TailError> {
        let mut heard = TailBatch::default();
        let (mut records, mut bytes) = (0, 0);
        let mut wait = wait;
        // Errors that repeat must not keep what came from being handed on.
        let deadline = instant() + wait.max(Duration::from_millis(1));
        while records < MOST_RECORDS && bytes < MOST_BYTES {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    records += 1;
                    bytes += message.key_len() + message.payload_len();
                    let place = (message.topic().to_owned(), message.partition());
                    let block = heard
                        .blocks
                        .entry(place)
                        .or_insert_with(|| RecordBlock::new(message.partition(), 0));
                    push(block, &message, self.max_header_bytes);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => heard.ends += 1,
                Some(Err(error)) => heard.away = Some(self.explain(error)?),
            }
            wait = Duration::ZERO;
            if heard.away.is_some() && instant() >= deadline {
                break;
            }
        }
        Ok(heard)
    }

    /// What may pass by itself, in words.
    fn explain(&self, error: KafkaError) -> Result<String, TailError> {
        use RDKafkaErrorCode as Code;
        let words = plain_error(&error);
        match error.rdkafka_error_code() {
            Some(code) if is_about_records(code) => Err(TailError::Undecodable(words)),
            Some(
                Code::OffsetOutOfRange
                | Code::AutoOffsetReset
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicId,
            ) => Err(TailError::Gone(words)),
            Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::Fatal) => {
                Err(TailError::Kafka(refused("of the live page", error)))
            }
            _ => Ok(words),
        }
    }
}

fn refused(topic: &str, source: KafkaError) -> Error {
    Error::Consume {
        topic: topic.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;
    use crate::kafka::{EmbeddedBroker, write_acknowledged};
    use crate::output_record::OutputRecord;

    #[test]
    fn records_of_several_topics_come_from_where_it_begins() {
        let broker = EmbeddedBroker::start(&[("usage", 1), ("anomaly", 1)]).unwrap();
        let brokers = broker.bootstrap_servers();
        let kafka = config_of(&[("kafka.brokers", &brokers)]).subscription();
        let write = |topic: &str, value: &str| {
            let record = OutputRecord {
                topic: topic.to_owned(),
                partition: -1,
                offset: -1,
                key: None,
                value: Some(value.as_bytes().to_vec()),
                headers: Vec::new(),
                brief: None,
            };
            write_acknowledged(&kafka.cluster, &record).unwrap();
        };
        for value in ["1", "2", "3"] {
            write("usage", value);
        }
        let start = |topic: &str, offset| TailStart {
            topic: topic.to_owned(),
            partition: 0,
            offset,
        };
        let mut tail = Tail::open(&kafka, &[start("usage", 1), start("anomaly", 0)], 0).unwrap();
        write("anomaly", "a");
        let mut values: Vec<String> = Vec::new();
        let deadline = instant() + Duration::from_secs(20);
        while values.len() < 3 && instant() < deadline {
            let heard = tail.next(Duration::from_millis(100)).unwrap();
            let records = heard.blocks.values().flat_map(RecordBlock::iter);
            values.extend(records.map(|record| String::from_utf8_lossy(record.value.unwrap()).into_owned()));
        }
        values.sort_unstable();
        assert_eq!(values, ["2", "3", "a"]);
    }

    #[test]
    fn a_place_that_is_gone_is_an_error() {
        let broker = EmbeddedBroker::start(&[("usage", 1)]).unwrap();
        let brokers = broker.bootstrap_servers();
        let kafka = config_of(&[("kafka.brokers", &brokers)]).subscription();
        let start = TailStart {
            topic: "usage".to_owned(),
            partition: 0,
            offset: 1_000,
        };
        let mut tail = Tail::open(&kafka, &[start], 0).unwrap();
        let deadline = instant() + Duration::from_secs(20);
        let error = loop {
            match tail.next(Duration::from_millis(100)) {
                Err(error) => break error,
                Ok(_) => assert!(instant() < deadline, "nothing is said"),
            }
        };
        assert!(matches!(error, TailError::Gone(_)), "{error}");
    }
}
