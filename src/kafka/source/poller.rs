//! The polling thread: messages into blocks, blocks to the loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, warn};

use super::callbacks::SourceContext;
use super::{Command, Delivery};
use crate::clock;
use crate::config::KafkaConfig;
use crate::kafka::{Error, Right};
use crate::reading::{Headers, Record, RecordBlock};

/// A block is handed on when it is this large, or when nothing came for a moment.
const BLOCK_RECORDS: usize = 8_192;
const BLOCK_BYTES: usize = 1 << 20;
/// How long the oldest record of a block may wait for more.
const BLOCK_WAIT: Duration = Duration::from_millis(50);
/// Records between looks at the clock: a steady trickle never pauses, and must not wait until it fills a block.
const POLLS: usize = 256;
const POLL_WAIT: Duration = Duration::from_millis(20);
/// A loop that takes no block for this long gets the partitions paused.
const PAUSE_AFTER: Duration = Duration::from_secs(20);
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// What the polling thread holds.
pub struct Poller {
    consumer: Arc<BaseConsumer<SourceContext>>,
    commands: blocking::Receiver<Command>,
    deliveries: mpsc::Sender<Delivery>,
    /// Deliveries that the loop had no room for yet.
    waiting: VecDeque<Delivery>,
    /// Blocks being filled, one a partition.
    blocks: Vec<(Instant, RecordBlock)>,
    /// Partitions whose end was reached since the last hand-over, and their epochs.
    ended: Vec<(i32, u64)>,
    /// Changes of partitions that the blocks have seen.
    changes: u64,
    is_paused: bool,
    full_since: Option<Instant>,
    topic: String,
    group: String,
}

impl Poller {
    /// A poller for a subscribed consumer.
    pub fn new(
        consumer: Arc<BaseConsumer<SourceContext>>,
        commands: blocking::Receiver<Command>,
        deliveries: mpsc::Sender<Delivery>,
        kafka: &KafkaConfig,
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
            topic: kafka.topic.clone(),
            group: kafka.group.clone(),
        }
    }

    /// Polls until it is told to stop or cannot go on, then leaves the group.
    pub fn run(mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Reposition) => self.consumer.context().reposition(&self.consumer),
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

    /// Polls until there is something to hand on, or nothing comes. False if consuming cannot go on.
    fn poll(&mut self) -> bool {
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..POLLS {
            // At the end of a partition there is somebody who waits for what came; only what is there already joins it.
            let wait = if !self.ended.is_empty() {
                Duration::ZERO
            } else if self.blocks.is_empty() {
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
                None => break,
            }
        }
        self.flush_ended();
        self.flush_blocks(BLOCK_WAIT);
        true
    }

    /// Adds a message to its partition's block. True if that is full.
    fn take_in(&mut self, message: &BorrowedMessage<'_>) -> bool {
        self.drop_stale_blocks();
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

    /// Drops the blocks of partitions that have been given up or assigned anew: what they hold will be read again,
    /// and what comes now must not be added to them.
    fn drop_stale_blocks(&mut self) {
        let changes = self.consumer.context().changes();
        if changes != self.changes {
            self.changes = changes;
            let context = self.consumer.context();
            self.blocks
                .retain(|(_, block)| context.epoch(block.partition) == Some(block.epoch));
        }
    }

    fn note_end(&mut self, partition: i32) {
        if let Some(epoch) = self.consumer.context().epoch(partition)
            && !self.ended.contains(&(partition, epoch))
        {
            self.ended.push((partition, epoch));
        }
    }

    /// Hands on the blocks of partitions whose end was reached, and that it was.
    fn flush_ended(&mut self) {
        self.drop_stale_blocks();
        for (partition, epoch) in std::mem::take(&mut self.ended) {
            let of_partition = |(_, block): &(Instant, RecordBlock)| block.partition == partition;
            if let Some(index) = self.blocks.iter().position(of_partition) {
                let (_, block) = self.blocks.swap_remove(index);
                self.waiting.push_back(Delivery::Block(block));
            }
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

    /// Whether a change of partitions has failed; the loop is told.
    fn has_failed(&mut self) -> bool {
        let failure = self.consumer.context().take_failure();
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
            Some(Code::TopicAuthorizationFailed) => Error::NotAllowed(Right::ReadTopic(self.topic.clone())),
            Some(Code::GroupAuthorizationFailed) => Error::NotAllowed(Right::UseGroup(self.group.clone())),
            Some(
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::Fatal,
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
        self.flush_ended();
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
