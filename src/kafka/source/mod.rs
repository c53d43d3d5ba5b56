//! The consuming side: one thread that polls the consumer group and hands blocks of records on.
//!
//! The positions come from the table, not from Kafka: on assignment they are put into the partition list *before*
//! it is assigned (a seek afterwards would race with the first fetch). Each assignment of a partition has an epoch,
//! which its blocks carry, so that nobody can mistake records of an earlier assignment for current ones.
//!
//! Nothing slow happens on this thread. When the loop does not take blocks, the partitions are paused and polling
//! goes on, so that a slow commit does not cost the membership in the group.

mod callbacks;
mod poller;

use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{debug, error};

use super::{Error, client_config, refused_settings};
use crate::config::KafkaConfig;
use crate::reading::RecordBlock;
use callbacks::SourceContext;
use poller::Poller;

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
    thread: JoinHandle<()>,
    topic: String,
}

enum Command {
    /// Start anew from the table's positions in all assigned partitions.
    Reposition,
    Stop,
}

/// Blocks on their way to the loop. Few: what waits here is memory.
const DELIVERIES: usize = 8;

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
            ("statistics.interval.ms", "1000"),
            // A prefetched record costs several hundred bytes beside its own; more of them do not make it faster.
            ("queued.min.messages", "20000"),
            ("queued.max.messages.kbytes", "16384"),
            // By default librdkafka waits a second before it fetches again for a full queue; that is most of a backfill.
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
        let context = SourceContext::new(control_sender);
        let consumer: Arc<BaseConsumer<SourceContext>> = Arc::new(
            config
                .create_with_context(context)
                .map_err(|error| refused_settings(&error))?,
        );
        consumer
            .subscribe(&[&kafka.topic])
            .map_err(|error| refused_settings(&error))?;
        let poller = Poller::new(
            Arc::clone(&consumer),
            command_receiver,
            delivery_sender,
            &kafka.topic,
        );
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
            thread,
            topic: kafka.topic.clone(),
        })
    }

    /// The group as it is now, for whoever commits offsets to it.
    pub fn group(&self) -> Group {
        Group {
            consumer: Arc::clone(&self.consumer),
            topic: self.topic.clone(),
            generation: self.consumer.group_metadata(),
        }
    }

    /// The end of a partition, as of the last second, if that is known already.
    pub fn end_offset(&self, partition: i32) -> Option<i64> {
        self.consumer.context().end_offset(partition)
    }

    /// Asks for all assigned partitions to be assigned anew, from the table's positions.
    pub fn reposition(&self) {
        // A thread that ended has told why; the receiver of that message decides.
        let _ = self.commands.send(Command::Reposition);
    }

    /// Leaves the group and ends the thread.
    pub async fn stop(self) {
        let Source {
            control,
            deliveries,
            commands,
            thread,
            ..
        } = self;
        let _ = commands.send(Command::Stop);
        // Nobody answers the group's decisions any more, also those that wait already: dropped, they are refused.
        drop(control);
        drop(deliveries);
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            error!("the polling thread did not end well");
        }
    }
}

/// The consumer group, as far as committing offsets to it goes.
pub struct Group {
    consumer: Arc<BaseConsumer<SourceContext>>,
    topic: String,
    generation: Option<ConsumerGroupMetadata>,
}

impl Group {
    /// The generation of the group when this was made: a transaction that carries it is refused once the group has
    /// moved on. `None` if the group was not joined.
    pub fn take_generation(&mut self) -> Option<ConsumerGroupMetadata> {
        self.generation.take()
    }

    /// What the group has committed for these partitions. Blocks, also for the end of transactions on their way.
    ///
    /// # Errors
    /// [`Error::Consume`] if the broker does not say.
    pub fn committed(&self, partitions: &[i32]) -> Result<Vec<GroupOffset>, Error> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        callbacks::group_offsets(&self.consumer, &list).map_err(|error| Error::Consume {
            topic: self.topic.clone(),
            cause: error.to_string(),
        })
    }

    /// Publishes positions as the group's offsets; for lag monitoring, and as the position of what was written beside
    /// the table. Blocks until the broker has answered, so that no later commit of offsets can be overtaken by it.
    pub fn publish(&self, positions: &[(i32, i64)], metadata: &str) {
        let list = offset_list(&self.topic, positions, metadata);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Sync) {
            debug!(%error, "publishing the group's offsets failed; the table has the positions");
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
