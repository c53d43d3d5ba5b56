//! Topics for tests, over librdkafka.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::Kafka;
use crate::{block_on, eventually};

const REQUEST_LIMIT: Duration = Duration::from_secs(10);
const TRANSFER_LIMIT: Duration = Duration::from_secs(120);

/// A record to be produced. Without a timestamp it gets the wall clock's.
#[derive(Debug, Clone, Default)]
pub struct NewRecord {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp_ms: Option<i64>,
}

impl NewRecord {
    /// A record with a value and nothing else.
    pub fn new(partition: i32, value: impl Into<Vec<u8>>) -> NewRecord {
        NewRecord {
            partition,
            value: Some(value.into()),
            ..NewRecord::default()
        }
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A transaction that is open; dropped, it stays so until its time is over.
pub struct OpenTransaction {
    producer: BaseProducer<Deliveries>,
}

impl OpenTransaction {
    pub fn commit(self) -> Result<()> {
        Ok(self.producer.commit_transaction(REQUEST_LIMIT)?)
    }
}

/// A member of a consumer group, until it is dropped.
pub struct GroupConsumer {
    _consumer: BaseConsumer,
}

impl Kafka {
    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client_config().create()?)
    }

    pub(super) fn wait_until_it_answers(&self, limit: Duration) -> Result<()> {
        let consumer: BaseConsumer = self.client_config().create()?;
        eventually("an answer of the broker", limit, || {
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(2));
            metadata
                .map(drop)
                .with_context(|| format!("the broker at {} does not answer", self.brokers()))
        })
    }

    /// A topic that keeps its records however old their timestamps are.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(topic, partitions, &[])
    }

    /// Like `create_topic`, with properties such as `max.message.bytes`.
    pub fn create_topic_with(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) -> Result<()> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let new = properties
            .iter()
            .fold(new, |new, (name, value)| new.set(name, value));
        let admin = self.admin()?;
        let results = block_on(admin.create_topics([&new], &admin_options()))?;
        check_topics(results, "made")
    }

    /// Gives a topic more partitions.
    pub fn grow_topic(&self, topic: &str, partitions: usize) -> Result<()> {
        let admin = self.admin()?;
        let results =
            block_on(admin.create_partitions([&NewPartitions::new(topic, partitions)], &admin_options()))?;
        check_topics(results, "grown")
    }

    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        let admin = self.admin()?;
        let results = block_on(admin.delete_topics(&[topic], &admin_options()))?;
        check_topics(results, "deleted")
    }

    /// Makes the broker forget a partition's records below an offset, as retention does.
    pub fn delete_records_below(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let admin = self.admin()?;
        let results = block_on(admin.delete_records(&offsets, &admin_options()))?;
        results
            .elements()
            .iter()
            .try_for_each(|element| element.error())
            .context("records were not deleted")
    }

    /// Produces records in their order and waits until the broker holds all of them.
    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = NewRecord>) -> Result<()> {
        self.produce_with(&[], topic, records)
    }

    /// Like `produce`, with librdkafka properties such as `compression.type`.
    pub fn produce_with(
        &self,
        properties: &[(&str, &str)],
        topic: &str,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<()> {
        let mut config = self.client_config();
        config
            .set("message.max.bytes", "20971520")
            .set("enable.idempotence", "true");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let producer: BaseProducer<Deliveries> = config.create_with_context(Deliveries::default())?;
        for record in records {
            enqueue(&producer, topic, &record)?;
        }
        producer.flush(TRANSFER_LIMIT)?;
        let failed = producer
            .context()
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failed.map_or(Ok(()), |error| Err(error).context("a record was not delivered"))
    }

    /// Writes a record in a transaction that is then aborted.
    pub fn abort_transaction(&self, topic: &str, value: &[u8]) -> Result<()> {
        let mut config = self.client_config();
        let producer: BaseProducer = config
            .set("transactional.id", format!("{topic}-aborted"))
            .create()?;
        producer.init_transactions(REQUEST_LIMIT)?;
        producer.begin_transaction()?;
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(REQUEST_LIMIT)?;
        producer.abort_transaction(REQUEST_LIMIT)?;
        Ok(())
    }

    /// Writes records in a transaction that stays open until it is ended.
    pub fn open_transaction(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<OpenTransaction> {
        let mut config = self.client_config();
        let producer: BaseProducer<Deliveries> = config
            .set("transactional.id", format!("{topic}-open"))
            .set("transaction.timeout.ms", "600000")
            .create_with_context(Deliveries::default())?;
        producer.init_transactions(REQUEST_LIMIT)?;
        producer.begin_transaction()?;
        for record in records {
            enqueue(&producer, topic, &record)?;
        }
        producer.flush(REQUEST_LIMIT)?;
        Ok(OpenTransaction { producer })
    }

    /// Joins a consumer group as another program would, under the name `stranger`, and waits until it has partitions.
    pub fn join_group(&self, group: &str, topic: &str, strategy: &str) -> Result<GroupConsumer> {
        let mut config = self.client_config();
        config
            .set("group.id", group)
            .set("client.id", "stranger")
            .set("partition.assignment.strategy", strategy)
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000");
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(&[topic])?;
        eventually("the group has taken the stranger in", TRANSFER_LIMIT, || {
            let _ = consumer.poll(Duration::from_millis(100));
            match consumer.assignment()?.count() {
                0 => bail!("no partition yet"),
                _ => Ok(()),
            }
        })?;
        Ok(GroupConsumer { _consumer: consumer })
    }

    /// All committed records of a topic up to its end, by partition and offset.
    pub fn read_topic(&self, topic: &str) -> Result<Vec<Record>> {
        let mut config = self.client_config();
        config
            .set("group.id", "streamgauge-test-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        let consumer: BaseConsumer = config.create()?;
        let mut unread = partitions(&consumer, topic)?;
        let mut assignment = TopicPartitionList::new();
        for &partition in &unread {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;

        let deadline = Instant::now() + TRANSFER_LIMIT;
        let mut records = Vec::new();
        while !unread.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records.push(to_record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => unread.retain(|&other| other != partition),
                Some(Err(error)) => return Err(error).with_context(|| format!("{topic} cannot be read")),
                None if Instant::now() > deadline => bail!("{topic} was not read within {TRANSFER_LIMIT:?}"),
                None => {}
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_LIMIT))
        .operation_timeout(Some(REQUEST_LIMIT))
}

fn check_topics(results: Vec<Result<String, (String, RDKafkaErrorCode)>>, done: &str) -> Result<()> {
    for result in results {
        result.map_err(|(topic, error)| anyhow!("topic {topic} was not {done}: {error}"))?;
    }
    Ok(())
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_LIMIT)?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id())
        .collect();
    anyhow::ensure!(!partitions.is_empty(), "there is no topic {topic}");
    Ok(partitions)
}

fn enqueue(producer: &BaseProducer<Deliveries>, topic: &str, record: &NewRecord) -> Result<()> {
    let mut base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(record.partition);
    base.key = record.key.as_deref();
    base.payload = record.value.as_deref();
    base.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value.as_slice()),
                })
            });
        base.headers = Some(headers);
    }
    while let Err((error, refused)) = producer.send(base) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error).context("a record cannot be produced");
        }
        producer.poll(Duration::from_millis(10));
        base = refused;
    }
    producer.poll(Duration::ZERO);
    Ok(())
}

fn to_record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers
            .map(|header| (header.key.to_string(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// Remembers the first delivery that failed.
#[derive(Default)]
struct Deliveries {
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| error.clone());
        }
    }
}
