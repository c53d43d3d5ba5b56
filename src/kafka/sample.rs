//! The newest records of a topic, read without a group: nobody's position moves, and nobody's partitions do.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::source::{groupless_consumer, is_about_records, push};
use super::{Cluster, Error, LoggingContext, Subscription};
use crate::clock;
use crate::reading::RecordBlock;

/// How long the records of all partitions may take to arrive.
const SAMPLE_WAIT: Duration = Duration::from_secs(20);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Bytes of keys, values and headers of one sample, over all partitions.
const MOST_BYTES: usize = 256 << 20;

/// The newest committed records of a topic.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// One block for each partition, by partition, with its records in the order of the log; empty where there are none.
    pub(crate) blocks: Vec<RecordBlock>,
    /// Batches that could not be unpacked, in librdkafka's words.
    pub(crate) undecodable: Vec<String>,
}

/// Reads up to `per_partition` of the newest committed records of each partition of the topic. Blocks.
///
/// # Errors
/// [`Error::NothingToSample`], and those of [`Cluster::connect`].
pub(crate) fn sample(
    kafka: &Subscription,
    per_partition: usize,
    max_header_bytes: usize,
) -> Result<Sample, Error> {
    let cluster = Cluster::connect(kafka)?;
    let topic = &kafka.source.topic;
    let partitions = cluster
        .partition_count(topic)?
        .ok_or_else(|| Error::NothingToSample {
            topic: topic.clone(),
            brokers: kafka.cluster.brokers.clone(),
        })?;
    let mut sampling = Sampling::new(kafka, max_header_bytes)?;
    let mut from = TopicPartitionList::new();
    for partition in 0..partitions {
        let (low, high) = cluster.watermarks(topic, partition)?;
        let start = high.saturating_sub(per_partition as i64).max(low);
        sampling.sample.blocks.push(RecordBlock::new(partition, 0));
        if start < high
            && from
                .add_partition_offset(topic, partition, Offset::Offset(start))
                .is_ok()
        {
            sampling.open.push(partition);
        }
    }
    sampling.read(&from)
}

struct Sampling {
    consumer: BaseConsumer<LoggingContext>,
    topic: String,
    max_header_bytes: usize,
    /// Partitions whose end was not reached yet.
    open: Vec<i32>,
    sample: Sample,
}

impl Sampling {
    fn new(kafka: &Subscription, max_header_bytes: usize) -> Result<Self, Error> {
        Ok(Sampling {
            consumer: groupless_consumer(kafka, "streamgauge-sample", &[])?,
            topic: kafka.source.topic.clone(),
            max_header_bytes,
            open: Vec::new(),
            sample: Sample::default(),
        })
    }

    fn read(mut self, from: &TopicPartitionList) -> Result<Sample, Error> {
        self.consumer.assign(from).map_err(|source| self.failed(source))?;
        let deadline = clock::instant() + SAMPLE_WAIT;
        let mut bytes = 0;
        while !self.open.is_empty() && bytes < MOST_BYTES && clock::instant() < deadline {
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    if let Some(block) = self.sample.blocks.get_mut(message.partition() as usize) {
                        bytes += message.key_len() + message.payload_len();
                        push(block, &message, self.max_header_bytes);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.open.retain(|&open| open != partition);
                }
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    if code.is_some_and(is_about_records) {
                        self.sample.undecodable.push(super::plain_error(&error));
                        break;
                    }
                    if code.is_some_and(ends_sampling) {
                        return Err(self.failed(error));
                    }
                }
                None => {}
            }
        }
        Ok(self.sample)
    }

    fn failed(&self, source: KafkaError) -> Error {
        Error::Consume {
            topic: self.topic.clone(),
            source,
        }
    }
}

fn ends_sampling(code: rdkafka::error::RDKafkaErrorCode) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::Fatal
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;
    use crate::kafka::EmbeddedBroker;
    use crate::playback::{Pace, Sender, play};
    use crate::recording::{ReadOptions, Recording};

    #[test]
    fn the_newest_records_of_each_partition_are_read() {
        let broker = EmbeddedBroker::start(&[("usage", 2)]).unwrap();
        let brokers = broker.bootstrap_servers();
        let kafka = config_of(&[("kafka.brokers", &brokers)]).subscription();
        let empty = sample(&kafka, 5, usize::MAX).unwrap();
        assert_eq!(empty.blocks.iter().map(RecordBlock::len).sum::<usize>(), 0);

        let city = include_bytes!("../commands/demo/boston_tuesdays.csv");
        let reading = config_of(&[]).pipeline.reading;
        let recording = Recording::read(city.as_slice(), &ReadOptions::new(&reading)).unwrap();
        let sender = Sender::new(&kafka).unwrap();
        play(&recording, &Pace::UNPACED, &sender, |_| {
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let newest = sample(&kafka, 5, usize::MAX).unwrap();
        assert_eq!(newest.blocks.len(), 2);
        let cluster = Cluster::connect(&kafka).unwrap();
        for block in &newest.blocks {
            let (low, high) = cluster.watermarks("usage", block.partition).unwrap();
            let offsets: Vec<i64> = block.iter().map(|record| record.offset).collect();
            let expected: Vec<i64> = ((high - 5).max(low)..high).collect();
            assert_eq!(offsets, expected);
        }

        let missing = config_of(&[("kafka.brokers", &brokers), ("kafka.topic", "other")]).subscription();
        let refused = sample(&missing, 5, usize::MAX).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("topic other does not exist at {brokers}; check its name (-t) and the cluster (-b)")
        );
    }
}
