//! A consumer that does nothing with what it gets.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use streamgauge::clock;

use super::feed::PARTITIONS;

const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Polls so many records out of the topic as fast as librdkafka can, and prints the seconds from the first assigned
/// partition to the last record.
pub fn run(brokers: &str, topic: &str, readings: u64) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "consume-only")
        .set("enable.auto.commit", "false")
        // By default a full queue puts the next fetch off for a second, and that is all one would measure.
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    let started = clock::instant();
    consumer.assign(&assignment)?;
    for consumed in 0..readings {
        match consumer.poll(SILENCE_LIMIT) {
            Some(message) => drop(message.context("a record cannot be consumed")?),
            None => bail!("no record within {SILENCE_LIMIT:?} after {consumed}"),
        }
    }
    println!("{}", (clock::instant() - started).as_secs_f64());
    Ok(())
}
