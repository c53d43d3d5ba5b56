//! The consuming side: one thread that polls the consumer group and hands blocks of records on.
//!
//! The positions come from the table, not from Kafka: on assignment they are put into the partition list *before*
//! it is assigned (a seek afterwards would race with the first fetch). Each assignment of a partition has an epoch,
//! which its blocks carry, so that nobody can mistake records of an earlier assignment for current ones.
//!
//! Nothing slow happens on this thread. When the loop does not take blocks, the partitions are paused and polling
//! goes on, so that a slow commit does not cost the membership in the group.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as ResponseCode;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, error, warn};

use super::{Error, LoggingContext, client_config, refused_settings};
use crate::clock;
use crate::config::KafkaConfig;
use crate::reading::{Headers, Record, RecordBlock};

/// What the group decides; the loop must answer, and the polling thread waits for it.
pub enum Control {
    /// Partitions were assigned. The answer says where to start in each; a dropped answer leaves them alone.
    Assign {
        partitions: Vec<GroupOffset>,
        answer: blocking::SyncSender<Vec<Start>>,
    },
    /// Partitions were taken away. The answer says that nothing of them is on its way any more.
    Revoke {
        partitions: Vec<i32>,
        answer: blocking::SyncSender<()>,
    },
}

/// What the group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    pub partition: i32,
    pub offset: Option<i64>,
    pub metadata: String,
}

/// Where to start in an assigned partition; its blocks will carry the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub partition: i32,
    pub offset: i64,
    pub epoch: u64,
}

/// What the polling thread delivers.
#[derive(Debug)]
pub enum Delivery {
    Block(RecordBlock),
    /// Everything the partition held at this moment has been delivered.
    EndReached {
        partition: i32,
        epoch: u64,
    },
    /// Consuming cannot go on.
    Failed(Error),
}

/// A running consumer. Dropping it without [`Source::stop`] leaves the group, too, but waits for nothing.
pub struct Source {
    /// Decisions of the group; answer these at once, whatever else is going on.
    pub control: mpsc::UnboundedReceiver<Control>,
    pub deliveries: mpsc::Receiver<Delivery>,
    consumer: Arc<BaseConsumer<SourceContext>>,
    commands: blocking::Sender<Command>,
    thread: Option<JoinHandle<()>>,
    topic: String,
}

enum Command {
    /// Start anew from the table's positions in all assigned partitions.
    Reposition,
    Stop,
}

/// Blocks on their way to the loop. Few: what waits here is memory.
const DELIVERIES: usize = 8;
/// A block is handed on when it is this large, or when nothing came for a moment.
const BLOCK_RECORDS: usize = 8_192;
const BLOCK_BYTES: usize = 1 << 20;
/// How long the oldest record of a block may wait for more.
const BLOCK_WAIT: Duration = Duration::from_millis(50);
const POLL_WAIT: Duration = Duration::from_millis(20);
/// A loop that takes no block for this long gets the partitions paused.
const PAUSE_AFTER: Duration = Duration::from_secs(20);
/// How long a revoked partition waits for the loop: well below `max.poll.interval.ms`.
const REVOKE_WAIT: Duration = Duration::from_secs(60);
const GROUP_OFFSETS_WAIT: Duration = Duration::from_secs(10);
const GROUP_OFFSETS_LIMIT: Duration = Duration::from_secs(120);
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Properties that exactly-once depends on; they win over the user's.
const FIXED_PROPERTIES: [(&str, &str); 7] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("allow.auto.create.topics", "false"),
];

impl Source {
    /// Joins the group and starts polling.
    ///
    /// # Errors
    /// [`Error::Settings`] for properties librdkafka refuses.
    pub fn start(kafka: &KafkaConfig) -> Result<Self, Error> {
        let mut config = client_config(kafka);
        config.set("group.id", &kafka.group);
        for (name, default) in [
            ("statistics.interval.ms", "5000"),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.message.max.bytes", "4194304"),
        ] {
            if config.get(name).is_none() {
                config.set(name, default);
            }
        }
        for (name, value) in FIXED_PROPERTIES {
            config.set(name, value);
        }
        let (control_sender, control) = mpsc::unbounded_channel();
        let (delivery_sender, deliveries) = mpsc::channel(DELIVERIES);
        let (commands, command_receiver) = blocking::channel();
        let context = SourceContext {
            logging: LoggingContext::default(),
            control: control_sender,
            epochs: Epochs::default(),
            lag_records: AtomicI64::new(-1),
            failure: Mutex::default(),
        };
        let consumer: Arc<BaseConsumer<SourceContext>> = Arc::new(
            config
                .create_with_context(context)
                .map_err(|error| refused_settings(&error))?,
        );
        consumer
            .subscribe(&[&kafka.topic])
            .map_err(|error| refused_settings(&error))?;
        let poller = Poller {
            consumer: Arc::clone(&consumer),
            commands: command_receiver,
            deliveries: delivery_sender,
            waiting: VecDeque::new(),
            blocks: Vec::new(),
            is_paused: false,
            full_since: None,
            topic: kafka.topic.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())
            .map_err(|error| Error::Settings {
                cause: error.to_string(),
            })?;
        Ok(Source {
            control,
            deliveries,
            consumer,
            commands,
            thread: Some(thread),
            topic: kafka.topic.clone(),
        })
    }

    /// The group as it is now: a transaction that carries it is refused once the group has moved on.
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Publishes positions as the group's offsets, without waiting; for lag monitoring, and as the position of what
    /// was written beside the table.
    pub fn publish(&self, positions: &[(i32, i64)], metadata: &str) {
        let list = offset_list(&self.topic, positions, metadata);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            debug!(%error, "publishing the group's offsets failed; the table has the positions");
        }
    }

    /// Records between the positions and the ends of the assigned partitions, as of the last few seconds.
    pub fn lag_records(&self) -> Option<i64> {
        let lag = self.consumer.context().lag_records.load(Ordering::Relaxed);
        (lag >= 0).then_some(lag)
    }

    /// Asks for all assigned partitions to be assigned anew, from the table's positions.
    pub fn reposition(&self) {
        // A thread that ended has told why; the receiver of that message decides.
        let _ = self.commands.send(Command::Reposition);
    }

    /// Leaves the group and ends the thread.
    pub async fn stop(mut self) {
        let _ = self.commands.send(Command::Stop);
        // Nobody answers the group's decisions any more, so they must not be waited for.
        self.control.close();
        self.deliveries.close();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            if joined.await.is_err() {
                error!("the polling thread did not end well");
            }
        }
    }
}

/// A partition list with offsets and their metadata.
pub(super) fn offset_list(topic: &str, positions: &[(i32, i64)], metadata: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for &(partition, offset) in positions {
        let mut element = list.add_partition(topic, partition);
        element.set_metadata(metadata);
        if let Err(error) = element.set_offset(Offset::Offset(offset)) {
            error!(partition, offset, %error, "an offset librdkafka does not take");
        }
    }
    list
}

/// The callbacks of the consumer; they run on the polling thread.
struct SourceContext {
    logging: LoggingContext,
    control: mpsc::UnboundedSender<Control>,
    epochs: Epochs,
    lag_records: AtomicI64,
    /// Why a change of partitions failed.
    failure: Mutex<Option<KafkaError>>,
}

/// Epoch of each assigned partition. Only the polling thread touches it, but callbacks share their context.
type Epochs = Mutex<Vec<(i32, u64)>>;

impl SourceContext {
    fn epoch(&self, partition: i32) -> Option<u64> {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs
            .iter()
            .find(|(known, _)| *known == partition)
            .map(|&(_, epoch)| epoch)
    }

    fn forget(&self, partitions: &[i32]) {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.retain(|(partition, _)| !partitions.contains(partition));
    }

    /// Asks the loop where to start, puts that into the list, and assigns it.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = group_offsets(consumer, list)?;
        let (answer, starts) = blocking::sync_channel(1);
        let asked = self.control.send(Control::Assign { partitions, answer });
        // Without an answer the loop is on its way out, and so is this consumer.
        let Some(starts) = asked.ok().and_then(|()| starts.recv().ok()) else {
            return consumer.incremental_assign(&TopicPartitionList::new());
        };
        for mut element in list.elements() {
            if let Some(start) = starts.iter().find(|start| start.partition == element.partition()) {
                element.set_offset(Offset::Offset(start.offset))?;
            }
        }
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.retain(|(partition, _)| !starts.iter().any(|start| start.partition == *partition));
        epochs.extend(starts.iter().map(|start| (start.partition, start.epoch)));
        consumer.incremental_assign(list)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions: Vec<i32> = list
            .elements()
            .iter()
            .map(|element| element.partition())
            .collect();
        self.forget(&partitions);
        let (answer, settled) = blocking::sync_channel(1);
        if self.control.send(Control::Revoke { partitions, answer }).is_ok()
            && settled.recv_timeout(REVOKE_WAIT) == Err(blocking::RecvTimeoutError::Timeout)
        {
            warn!("giving partitions up while a commit is on its way; the table's log decides what counts");
        }
        consumer.incremental_unassign(list)
    }
}

/// What the group has committed. A transaction on its way makes this wait until it is decided.
fn group_offsets(
    consumer: &BaseConsumer<SourceContext>,
    list: &TopicPartitionList,
) -> Result<Vec<GroupOffset>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(list.count());
    for element in list.elements() {
        asked.add_partition(element.topic(), element.partition());
    }
    let deadline = clock::instant() + GROUP_OFFSETS_LIMIT;
    let committed = loop {
        match consumer.committed_offsets(asked.clone(), GROUP_OFFSETS_WAIT) {
            Ok(committed) => break committed,
            // The broker may be away for a while, or a transaction undecided.
            Err(error) if clock::instant() < deadline => {
                debug!(%error, "asking for the group's offsets again")
            }
            Err(error) => return Err(error),
        }
    };
    let offsets = committed.elements();
    Ok(offsets
        .iter()
        .map(|element| GroupOffset {
            partition: element.partition(),
            offset: element.offset().to_raw().filter(|offset| *offset >= 0),
            metadata: element.metadata().to_owned(),
        })
        .collect())
}

impl ClientContext for SourceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logging.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let partitions = statistics
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values());
        let lag = partitions
            .map(|partition| partition.consumer_lag)
            .filter(|lag| *lag >= 0)
            .sum();
        self.lag_records.store(lag, Ordering::Relaxed);
    }
}

impl ConsumerContext for SourceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: ResponseCode, list: &mut TopicPartitionList) {
        let done = match code {
            ResponseCode::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            // Told by the polling thread; until then nothing is consumed.
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = Some(error);
        }
    }
}

/// The polling thread.
struct Poller {
    consumer: Arc<BaseConsumer<SourceContext>>,
    commands: blocking::Receiver<Command>,
    deliveries: mpsc::Sender<Delivery>,
    /// Deliveries that the loop had no room for yet.
    waiting: VecDeque<Delivery>,
    /// Blocks being filled, one a partition.
    blocks: Vec<(Instant, RecordBlock)>,
    is_paused: bool,
    full_since: Option<Instant>,
    topic: String,
}

impl Poller {
    fn run(mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Reposition) => self.reposition(),
                Ok(Command::Stop) | Err(blocking::TryRecvError::Disconnected) => break,
                Err(blocking::TryRecvError::Empty) => {}
            }
            if !self.hand_on() && !self.is_paused {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if !self.poll() || self.has_failed() {
                break;
            }
        }
        self.leave();
    }

    /// Polls until a block is full or nothing comes. False if consuming cannot go on.
    fn poll(&mut self) -> bool {
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..BLOCK_RECORDS {
            let wait = if self.blocks.is_empty() {
                POLL_WAIT
            } else {
                Duration::from_millis(1)
            };
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    if self.take_in(&message) {
                        return true;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.note_end(partition),
                Some(Err(error)) => return self.survives(&error),
                None => {
                    self.flush_blocks(BLOCK_WAIT);
                    return true;
                }
            }
        }
        self.flush_blocks(BLOCK_WAIT);
        true
    }

    /// Adds a message to its partition's block. True if that is full.
    fn take_in(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let partition = message.partition();
        let index = match self
            .blocks
            .iter()
            .position(|(_, block)| block.partition == partition)
        {
            Some(index) => index,
            None => {
                // A partition without an epoch is no longer ours; its last messages mean nothing.
                let Some(epoch) = self.consumer.context().epoch(partition) else {
                    return false;
                };
                self.blocks
                    .push((clock::instant(), RecordBlock::new(partition, epoch)));
                self.blocks.len() - 1
            }
        };
        let block = &mut self.blocks[index].1;
        let record = Record {
            offset: message.offset(),
            timestamp_ms: message
                .timestamp()
                .to_millis()
                .filter(|timestamp| *timestamp >= 0),
            key: message.key(),
            value: message.payload(),
        };
        block.push(record, headers(message));
        let is_full = block.len() >= BLOCK_RECORDS || block.byte_count() >= BLOCK_BYTES;
        if is_full {
            let (_, block) = self.blocks.swap_remove(index);
            self.waiting.push_back(Delivery::Block(block));
        }
        is_full
    }

    fn note_end(&mut self, partition: i32) {
        if let Some(index) = self
            .blocks
            .iter()
            .position(|(_, block)| block.partition == partition)
        {
            let (_, block) = self.blocks.swap_remove(index);
            self.waiting.push_back(Delivery::Block(block));
        }
        if let Some(epoch) = self.consumer.context().epoch(partition) {
            self.waiting.push_back(Delivery::EndReached { partition, epoch });
        }
    }

    /// Hands on blocks whose oldest record waited for `wait`.
    fn flush_blocks(&mut self, wait: Duration) {
        let mut kept = Vec::with_capacity(self.blocks.len());
        for (since, block) in self.blocks.drain(..) {
            if clock::instant().duration_since(since) >= wait {
                self.waiting.push_back(Delivery::Block(block));
            } else {
                kept.push((since, block));
            }
        }
        self.blocks = kept;
    }

    /// Gives waiting deliveries to the loop. False while it has no room for more.
    fn hand_on(&mut self) -> bool {
        while let Some(delivery) = self.waiting.pop_front() {
            match self.deliveries.try_send(delivery) {
                Ok(()) => self.full_since = None,
                Err(TrySendError::Closed(_)) => return true,
                Err(TrySendError::Full(delivery)) => {
                    self.waiting.push_front(delivery);
                    let since = *self.full_since.get_or_insert_with(clock::instant);
                    if clock::instant().duration_since(since) > PAUSE_AFTER && !self.is_paused {
                        self.pause(true);
                    }
                    return false;
                }
            }
        }
        if self.is_paused {
            self.pause(false);
        }
        true
    }

    fn pause(&mut self, pause: bool) {
        let done = self.consumer.assignment().and_then(|assigned| {
            if pause {
                self.consumer.pause(&assigned)
            } else {
                self.consumer.resume(&assigned)
            }
        });
        match done {
            Ok(()) => self.is_paused = pause,
            Err(error) => warn!(%error, pause, "pausing or resuming the partitions failed"),
        }
    }

    /// Assigns the assigned partitions anew, from where the loop says.
    fn reposition(&mut self) {
        self.blocks.clear();
        let context = self.consumer.context();
        let done = self.consumer.assignment().and_then(|mut assigned| {
            self.consumer.incremental_unassign(&assigned)?;
            context.assign(&self.consumer, &mut assigned)
        });
        if let Err(error) = done {
            *context.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Whether a change of partitions has failed; the loop is told.
    fn has_failed(&mut self) -> bool {
        let failure = self
            .consumer
            .context()
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(error) = failure else { return false };
        self.fail(Error::Consume {
            topic: self.topic.clone(),
            cause: error.to_string(),
        });
        true
    }

    /// Whether consuming goes on after this error; if not, the loop is told.
    fn survives(&mut self, error: &KafkaError) -> bool {
        use RDKafkaErrorCode as Code;
        let failure = match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Error::PositionGone {
                topic: self.topic.clone(),
                cause: error.to_string(),
            },
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::Fatal,
            ) => Error::Consume {
                topic: self.topic.clone(),
                cause: error.to_string(),
            },
            _ => {
                debug!(%error, "consuming goes on after an error");
                return true;
            }
        };
        self.fail(failure);
        false
    }

    /// Tells the loop why consuming has ended, behind everything consumed.
    fn fail(&mut self, failure: Error) {
        self.flush_blocks(Duration::ZERO);
        self.waiting.push_back(Delivery::Failed(failure));
        while let Some(delivery) = self.waiting.pop_front() {
            if self.deliveries.blocking_send(delivery).is_err() {
                break;
            }
        }
    }

    /// Leaves the group, so that others get the partitions at once.
    fn leave(&mut self) {
        self.consumer.unsubscribe();
        let deadline = clock::instant() + CLOSE_WAIT;
        while clock::instant() < deadline {
            let is_assigned = self
                .consumer
                .assignment()
                .is_ok_and(|assigned| assigned.count() > 0);
            if !is_assigned {
                break;
            }
            let _ = self.consumer.poll(Duration::from_millis(20));
        }
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Option<Headers> {
    let headers = message.headers()?;
    Some(
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    )
}
