//! The consumer: one thread polls the consumer group and delivers blocks of records.
//!
//! The sink supplies the positions: on assignment they are put into the partition list *before* it is
//! assigned (a later seek would race with the first fetch). Each assignment of a partition has an epoch,
//! which its blocks carry, so that records of an earlier assignment cannot pass for current ones.
//!
//! Nothing slow runs on this thread, but for a look at the topic's ends after librdkafka has lost a position. While the loop does not take blocks, the partitions are paused and
//! polling goes on, so that a slow commit does not cost the membership in the group.

mod callbacks;
mod group;
mod headers;
mod held;
mod members;
mod poller;
mod probe;
mod stuck;

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::mpsc;
use tracing::{debug, error, warn};

use super::{Error, LoggingContext, Subscription, client_config, refused_settings};
use crate::reading::RecordBlock;
use crate::telemetry::events;
use callbacks::SourceContext;
use poller::Poller;

pub(super) use group::offset_list;
pub use group::{Generation, Group};
pub(crate) use members::{GroupMember, listed};
pub(super) use poller::push;
pub(super) use probe::is_about_records;

/// A decision of the group. The loop must answer, and the polling thread waits for the answer.
pub enum Control {
    /// Partitions were assigned. The answer says where to start in each; a dropped answer leaves them paused.
    Assign {
        /// The new partitions, with the group's committed offsets.
        partitions: Vec<GroupOffset>,
        /// Takes a start for each partition that is to be read.
        answer: blocking::SyncSender<Vec<Start>>,
    },
    /// Partitions were revoked. The answer confirms that nothing of them is in flight.
    Revoke {
        /// The partitions to give up.
        partitions: Vec<i32>,
        /// Takes the confirmation; the group waits for it.
        answer: blocking::SyncSender<()>,
    },
}

/// The group's committed offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// Of the subscribed topic.
    pub partition: i32,
    /// The next record to read; `None` where the group has committed nothing.
    pub offset: Option<i64>,
    /// The text that was committed with the offset; empty for none.
    pub metadata: String,
}

/// Where to start in an assigned partition, and the epoch of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Of the subscribed topic.
    pub partition: i32,
    /// The first record to read.
    pub offset: i64,
    /// The number of this assignment, which all of its blocks carry.
    pub epoch: u64,
}

/// The end of a partition and how far it was read, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionEnd {
    /// The last stable offset: below it lies all that may be read.
    pub(crate) offset: i64,
    /// The next record gets this offset. What lies between is in transactions that are open, or behind one.
    pub(crate) high_watermark: i64,
    /// The offset at which reading last came upon the end; negative before that.
    pub(crate) reached_offset: i64,
}

/// A message of the polling thread.
#[derive(Debug)]
pub enum Delivery {
    /// Records of one partition, in order, which follow those of its last block.
    Block(RecordBlock),
    /// Everything the partition held at this moment has been delivered.
    EndReached {
        /// Of the subscribed topic.
        partition: i32,
        /// The assignment that it was read under.
        epoch: u64,
    },
    /// The batch at these offsets, after everything delivered before, cannot be unpacked and was skipped.
    Undecodable {
        /// Of the subscribed topic.
        partition: i32,
        /// The assignment that it was read under.
        epoch: u64,
        /// From the batch's first record to the one that is read next.
        offsets: Range<i64>,
        /// librdkafka's words.
        cause: String,
    },
    /// Consuming cannot go on.
    Failed(Error),
}

/// A running consumer; it joins the group on [`join`](Source::join). Dropping it instead of [`Source::stop`]
/// leaves the group without waiting.
pub struct Source {
    /// Decisions of the group. Answer them at once, whatever else is going on.
    pub control: mpsc::UnboundedReceiver<Control>,
    /// Blocks and events of the assigned partitions, in order within each.
    pub deliveries: mpsc::Receiver<Delivery>,
    consumer: Arc<BaseConsumer<SourceContext>>,
    commands: blocking::Sender<Command>,
    thread: JoinHandle<()>,
    topic: String,
    group: String,
}

enum Command {
    /// Restart all assigned partitions from the sink's positions.
    Reposition,
    Stop,
}

/// The capacity of the channel to the loop, in deliveries. Small, because queued blocks take memory.
const DELIVERIES: usize = 8;

/// Properties that exactly-once depends on; they override the user's.
pub(super) const FIXED_PROPERTIES: [(&str, &str); 7] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("allow.auto.create.topics", "false"),
];

/// A consumer that is assigned its partitions by hand and stays out of every group; `own` properties win over the
/// user's.
///
/// # Errors
/// [`Error::Settings`] and [`Error::PropertyFile`].
pub(super) fn groupless_consumer(
    kafka: &Subscription,
    name: &str,
    own: &[(&str, &str)],
) -> Result<BaseConsumer<LoggingContext>, Error> {
    let mut config = client_config(&kafka.cluster)?;
    // librdkafka requires a name; a consumer that is assigned by hand never joins.
    config.set("group.id", name);
    for (name, value) in FIXED_PROPERTIES.iter().chain(own) {
        config.set(*name, *value);
    }
    config
        .create_with_context(LoggingContext::quiet(&kafka.cluster))
        .map_err(|error| refused_settings(&error))
}

impl Source {
    /// Starts polling; nothing arrives before [`join`](Source::join). `patience` limits how long a partition
    /// may be held at a batch that cannot be unpacked, and `max_header_bytes` how much of a record's headers
    /// is kept.
    ///
    /// # Errors
    /// [`Error::Settings`] for properties librdkafka refuses; [`Error::Thread`].
    pub fn start(kafka: &Subscription, patience: Duration, max_header_bytes: usize) -> Result<Self, Error> {
        let mut config = client_config(&kafka.cluster)?;
        config.set("group.id", &kafka.source.group);
        for (name, default) in [
            ("statistics.interval.ms", "1000"),
            // A prefetched record costs several hundred bytes on top of its own; prefetching more is not
            // faster.
            ("queued.min.messages", "20000"),
            ("queued.max.messages.kbytes", "16384"),
            // By default librdkafka pauses fetching for a second when its queue is full, which dominates a
            // backfill.
            ("fetch.queue.backoff.ms", "2"),
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
        let context = SourceContext::new(&kafka.cluster, control_sender);
        let consumer: Arc<BaseConsumer<SourceContext>> = Arc::new(
            config
                .create_with_context(context)
                .map_err(|error| refused_settings(&error))?,
        );
        let mut poller = Poller::new(Arc::clone(&consumer), command_receiver, delivery_sender, kafka);
        poller.patience = patience;
        poller.max_header_bytes = max_header_bytes;
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())
            .map_err(|source| Error::Thread { source })?;
        Ok(Source {
            control,
            deliveries,
            consumer,
            commands,
            thread,
            topic: kafka.source.topic.clone(),
            group: kafka.source.group.clone(),
        })
    }

    /// Joins the group.
    ///
    /// # Errors
    /// [`Error::Settings`] if librdkafka refuses the topic's name.
    pub fn join(&self) -> Result<(), Error> {
        debug!(
            event = events::GROUP_JOINING,
            topic = self.topic,
            "joining the group"
        );
        self.consumer.context().note_joining();
        self.consumer
            .subscribe(&[&self.topic])
            .map_err(|error| refused_settings(&error))
    }

    /// The topic that is consumed.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The name of the group.
    pub(crate) fn group_name(&self) -> &str {
        &self.group
    }

    /// Whether the group has taken this process in, with or without partitions.
    pub(crate) fn has_joined(&self) -> bool {
        self.consumer.context().has_joined()
    }

    /// The group as it is now, for commits of offsets to it.
    pub fn group(&self) -> Group {
        Group {
            consumer: Arc::clone(&self.consumer),
            topic: self.topic.clone(),
            generation: Generation::now(&self.consumer),
        }
    }

    /// The group's committed offsets of these partitions; empty if the broker does not answer within some
    /// seconds.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub(crate) async fn committed_now(&self, partitions: Vec<i32>) -> Result<Vec<GroupOffset>, Error> {
        let group = self.group();
        let found = tokio::task::spawn_blocking(move || group.committed_now(&partitions)).await;
        found.map(Option::unwrap_or_default).map_err(|_| Error::Stopping)
    }

    /// The end of a partition as of the last second, if it is known.
    pub(crate) fn end(&self, partition: i32) -> Option<PartitionEnd> {
        self.consumer.context().end(partition)
    }

    /// Requests a restart of all assigned partitions from the sink's positions.
    pub fn reposition(&self) {
        // A thread that ended has delivered its reason, which the loop handles.
        let _ = self.commands.send(Command::Reposition);
    }

    /// Leaves the group and ends the thread, if necessary without the broker's answer.
    pub async fn stop(self) {
        let Source {
            control,
            deliveries,
            commands,
            thread,
            consumer,
            ..
        } = self;
        let _ = commands.send(Command::Stop);
        // Dropping the receiver refuses all decisions of the group, including the queued ones.
        drop(control);
        drop(deliveries);
        let leave = move || {
            let ended = thread.join();
            // Dropping the last reference closes the client, which waits for the broker too.
            drop(consumer);
            ended
        };
        match tokio::time::timeout(LEAVE_LIMIT, tokio::task::spawn_blocking(leave)).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => error!("the polling thread panicked"),
            Err(_) => warn!(
                "left without the broker's answer; the broker will remove this process after session.timeout.ms"
            ),
        }
    }
}

/// How long leaving may take. A healthy broker answers at once, or completes a rebalance first.
const LEAVE_LIMIT: Duration = Duration::from_secs(7);
