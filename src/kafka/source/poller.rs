//! The polling thread: collects messages into blocks and delivers the blocks to the loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, warn};

use super::callbacks::SourceContext;
use super::probe::is_about_records;
use super::stuck::{Progress, Stuck};
use super::{Command, Delivery, headers, listed};
use crate::clock;
use crate::kafka::{Error, Right, Subscription, plain_error};
use crate::reading::{Record, RecordBlock};
use crate::telemetry::LogLimiter;

/// A block is delivered when it reaches this size, when its partition's end is reached, or when it has waited (`BLOCK_WAIT`).
const BLOCK_RECORDS: usize = 8_192;
const BLOCK_BYTES: usize = 1 << 20;
/// How long the oldest record of a block may wait for others.
const BLOCK_WAIT: Duration = Duration::from_millis(50);
/// Records between two looks at the clock. A steady trickle never pauses, and must not wait for a full block.
const POLLS: usize = 256;
const POLL_WAIT: Duration = Duration::from_millis(20);
/// The partitions are paused when the loop takes no block for this long.
const PAUSE_AFTER: Duration = Duration::from_secs(20);
/// The interval between two warnings about silent partitions.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How often in a row partitions restart when librdkafka loses a position that the topic still holds.
const MOST_RESETS: u32 = 20;
const RANGE_WAIT: Duration = Duration::from_secs(5);
const MEMBERS_WAIT: Duration = Duration::from_secs(5);
/// How long leaving waits for a join to complete.
const JOIN_WAIT: Duration = Duration::from_secs(5);
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The state of the polling thread.
pub(super) struct Poller {
    pub(super) consumer: Arc<BaseConsumer<SourceContext>>,
    commands: blocking::Receiver<Command>,
    /// To the loop, with room for a few: it is not to be far behind what was fetched.
    deliveries: mpsc::Sender<Delivery>,
    /// Deliveries that the loop has had no room for.
    pub(super) waiting: VecDeque<Delivery>,
    /// The blocks being filled, one per partition, and the arrival of their first record.
    blocks: Vec<(Instant, RecordBlock)>,
    /// Partitions, with their epochs, whose end was reached since the last delivery.
    ended: Vec<(i32, u64)>,
    /// The number of rebalances that the blocks reflect.
    changes: u64,
    pub(super) is_paused: bool,
    full_since: Option<Instant>,
    /// Lost positions since the last record.
    resets: u32,
    pub(super) kafka: Subscription,
    /// How far each assigned partition has been read.
    pub(super) progress: Vec<Progress>,
    /// Partitions that are held at a batch that cannot be unpacked.
    pub(super) stuck: Vec<Stuck>,
    /// How long a partition may be held.
    pub(super) patience: Duration,
    pub(super) inspected_at: Instant,
    pub(super) log_limiter: LogLimiter<&'static str>,
    /// How many bytes of a record's headers are kept.
    pub(super) max_header_bytes: usize,
}

impl Poller {
    /// A poller of a consumer that has not joined yet.
    pub(super) fn new(
        consumer: Arc<BaseConsumer<SourceContext>>,
        commands: blocking::Receiver<Command>,
        deliveries: mpsc::Sender<Delivery>,
        kafka: &Subscription,
    ) -> Self {
        Poller {
            consumer,
            commands,
            deliveries,
            waiting: VecDeque::new(),
            blocks: Vec::new(),
            ended: Vec::new(),
            changes: 0,
            is_paused: false,
            full_since: None,
            resets: 0,
            kafka: kafka.clone(),
            progress: Vec::new(),
            stuck: Vec::new(),
            patience: Duration::ZERO,
            inspected_at: clock::instant(),
            log_limiter: LogLimiter::new(LOG_INTERVAL),
            max_header_bytes: usize::MAX,
        }
    }

    /// Polls until it is stopped or cannot go on, then leaves the group.
    pub(super) fn run(mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Reposition) => self.consumer.context().reposition(&self.consumer),
                Ok(Command::Stop) | Err(blocking::TryRecvError::Disconnected) => break,
                Err(blocking::TryRecvError::Empty) => {}
            }
            // Do not poll on a full channel: the messages would pile up here. While paused, poll only to stay
            // in the group.
            if !self.deliver_waiting() && !self.is_paused {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if !self.poll() || self.has_failed() || !self.inspect_held() {
                break;
            }
        }
        self.leave();
    }

    /// Polls until a block is full or no message arrives, some times at most. False if consuming cannot go on.
    fn poll(&mut self) -> bool {
        let consumer = Arc::clone(&self.consumer);
        // Bounded, so that full channels, commands and block ages are checked even if messages never stop.
        for _ in 0..POLLS {
            let wait = if !self.ended.is_empty() {
                // The loop may be waiting for this end. Add only messages that are already queued.
                Duration::ZERO
            } else if self.blocks.is_empty() {
                // Nothing is delayed by waiting, so save wake-ups.
                POLL_WAIT
            } else {
                // A block is waiting: look again soon whether it has waited long enough.
                Duration::from_millis(1)
            };
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    // The full block is delivered before polling again, and with it what has waited for long.
                    if self.ingest(&message) {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.note_end(partition),
                Some(Err(error)) => return self.survives(&error),
                None => break,
            }
        }
        self.flush_ended();
        self.flush_blocks(BLOCK_WAIT);
        true
    }

    /// Adds a message to its partition's block. True if the block is full.
    fn ingest(&mut self, message: &BorrowedMessage<'_>) -> bool {
        self.resets = 0;
        self.drop_stale_blocks();
        let partition = message.partition();
        // librdkafka may still return messages that it fetched before the pause; they come again after the
        // seek.
        if self.is_held(partition) {
            return false;
        }
        let index = match self
            .blocks
            .iter()
            .position(|(_, block)| block.partition == partition)
        {
            Some(index) => index,
            None => {
                // A partition without an epoch has been revoked; its late messages are ignored.
                let Some(epoch) = self.consumer.context().epoch(partition) else {
                    return false;
                };
                self.blocks
                    .push((clock::instant(), RecordBlock::new(partition, epoch)));
                self.blocks.len() - 1
            }
        };
        let block = &mut self.blocks[index].1;
        push(block, message, self.max_header_bytes);
        let is_full = block.len() >= BLOCK_RECORDS || block.byte_count() >= BLOCK_BYTES;
        self.note_progress(partition, message.offset() + 1);
        if is_full {
            let (_, block) = self.blocks.swap_remove(index);
            self.waiting.push_back(Delivery::Block(block));
        }
        is_full
    }

    /// Drops the blocks of partitions that were revoked or assigned again: their records will be read again,
    /// and the messages of a new assignment must not be added to them.
    pub(super) fn drop_stale_blocks(&mut self) {
        let changes = self.consumer.context().changes();
        if changes != self.changes {
            self.changes = changes;
            let context = self.consumer.context();
            self.blocks
                .retain(|(_, block)| context.epoch(block.partition) == Some(block.epoch));
            self.follow_assignment();
        }
    }

    fn note_end(&mut self, partition: i32) {
        if let Some(epoch) = self.consumer.context().epoch(partition)
            && !self.ended.contains(&(partition, epoch))
        {
            self.ended.push((partition, epoch));
        }
        if let Some(progress) = self.progress_of(partition) {
            progress.is_at_end = true;
        }
    }

    /// Delivers the blocks of partitions whose end was reached, and then the end.
    fn flush_ended(&mut self) {
        self.drop_stale_blocks();
        for (partition, epoch) in std::mem::take(&mut self.ended) {
            self.flush_block(partition);
            self.waiting.push_back(Delivery::EndReached { partition, epoch });
        }
    }

    /// Delivers the block of a partition, if there is one.
    pub(super) fn flush_block(&mut self, partition: i32) {
        let of_partition = |(_, block): &(Instant, RecordBlock)| block.partition == partition;
        if let Some(index) = self.blocks.iter().position(of_partition) {
            let (_, block) = self.blocks.swap_remove(index);
            self.waiting.push_back(Delivery::Block(block));
        }
    }

    /// Delivers blocks whose oldest record has waited for `wait`.
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

    /// Sends waiting deliveries to the loop. False while its channel is full.
    fn deliver_waiting(&mut self) -> bool {
        while let Some(delivery) = self.waiting.pop_front() {
            match self.deliveries.try_send(delivery) {
                Ok(()) => self.full_since = None,
                // The loop has ended. A command to stop follows.
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
                self.consumer.resume(&self.without_held(&assigned))
            }
        });
        match done {
            Ok(()) => self.is_paused = pause,
            Err(error) => warn!(%error, pause, "pausing or resuming the partitions failed"),
        }
    }

    /// True if a rebalance has failed; the loop then gets the error.
    fn has_failed(&mut self) -> bool {
        let failure = self.consumer.context().take_failure();
        let Some(source) = failure else { return false };
        self.fail(Error::Consume {
            topic: self.kafka.source.topic.clone(),
            source,
        });
        true
    }

    /// True if the topic still holds the next record of each partition.
    fn is_still_there(&self) -> bool {
        self.progress.iter().all(|progress| {
            let range =
                self.consumer
                    .fetch_watermarks(&self.kafka.source.topic, progress.partition, RANGE_WAIT);
            range.is_ok_and(|(low, high)| (low..=high).contains(&progress.next_offset))
        })
    }

    /// True if consuming goes on after this error; otherwise the loop gets it.
    fn survives(&mut self, error: &KafkaError) -> bool {
        use RDKafkaErrorCode as Code;
        let failure = match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                let reason = self.consumer.context().take_reason();
                if self.resets < MOST_RESETS && self.is_still_there() {
                    self.resets += 1;
                    warn!(%error, reason, "librdkafka lost a position that the topic still holds; restarting there");
                    self.consumer.context().reposition(&self.consumer);
                    return true;
                }
                Error::PositionGone {
                    topic: self.kafka.source.topic.clone(),
                    cause: format!("{error}: {reason}"),
                }
            }
            Some(Code::TopicAuthorizationFailed) => {
                Error::NotAllowed(Right::ReadTopic(self.kafka.source.topic.clone()))
            }
            Some(Code::GroupAuthorizationFailed) => {
                Error::NotAllowed(Right::UseGroup(self.kafka.source.group.clone()))
            }
            Some(Code::InconsistentGroupProtocol) => self.foreign_group(),
            Some(
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::Fatal,
            ) => Error::Consume {
                topic: self.kafka.source.topic.clone(),
                source: error.clone(),
            },
            Some(code) if is_about_records(code) => return self.hold_undecodable(error),
            _ => {
                debug!(%error, "consuming goes on after an error");
                return true;
            }
        };
        self.fail(failure);
        false
    }

    /// The group has members that share partitions in another way. The broker refuses this process, again and again.
    fn foreign_group(&self) -> Error {
        let group = self.kafka.source.group.clone();
        let members = super::members::list(&self.consumer, &group, MEMBERS_WAIT);
        let members = members.map_or_else(|error| plain_error(&error), |members| listed(&members));
        Error::GroupProtocol { group, members }
    }

    /// Delivers everything consumed, and then the error that ended consuming.
    pub(super) fn fail(&mut self, failure: Error) {
        self.flush_ended();
        self.flush_blocks(Duration::ZERO);
        self.waiting.push_back(Delivery::Failed(failure));
        while let Some(delivery) = self.waiting.pop_front() {
            if self.deliveries.blocking_send(delivery).is_err() {
                break;
            }
        }
    }

    /// Leaves the group, so that its other members get the partitions at once.
    ///
    /// librdkafka sends no LeaveGroup request while it is joining: it waits for its partitions first. The
    /// broker would keep the group waiting for that member until `session.timeout.ms`. So this waits for a
    /// join to complete.
    fn leave(&mut self) {
        if !self.consumer.context().is_joining() {
            return;
        }
        let deadline = clock::instant() + JOIN_WAIT;
        while !self.consumer.context().has_joined() && clock::instant() < deadline {
            let _ = self.consumer.poll(Duration::from_millis(20));
        }
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

/// Appends a message to a block, with its headers up to so many bytes.
pub(in crate::kafka) fn push(
    block: &mut RecordBlock,
    message: &BorrowedMessage<'_>,
    max_header_bytes: usize,
) {
    let record = Record {
        offset: message.offset(),
        timestamp_ms: message
            .timestamp()
            .to_millis()
            .filter(|timestamp| *timestamp >= 0),
        key: message.key(),
        value: message.payload(),
        headers: &[],
    };
    block.push(record, headers::copy(message, max_header_bytes));
}
