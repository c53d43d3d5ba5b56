//! The consumer group as those see it who commit offsets to it.
//!
//! A transaction carries the group's generation (KIP-447), and the broker refuses it once the group has moved on. That alone
//! says nothing of partitions: the group also moves on when another process joins, and what this process has not given up
//! is still its own then. So a refused transaction may carry the new generation, if this process
//! - has been the same member of the group since its partitions were assigned: a member that was shut out comes back
//!   under another id, and others may have had its partitions meanwhile;
//! - has not given up partitions without the loop's answer: with it, no commit is on its way.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, error, warn};

use super::GroupOffset;
use super::callbacks::{self, SourceContext};
use super::members::{self, GroupMember};
use crate::kafka::Error;
use crate::kafka::error::is_of_another_generation;
use crate::kafka::topic_id::topic_id;

/// How long a cluster may take to list a group's members.
const MEMBERS_WAIT: Duration = Duration::from_secs(10);

/// The consumer group, as far as committing offsets to it goes.
pub struct Group {
    pub(super) consumer: Arc<BaseConsumer<SourceContext>>,
    pub(super) topic: String,
    pub(super) generation: Option<Generation>,
}

/// The broker distinguishes members of the group from former ones by it.
pub struct Generation {
    consumer: Arc<BaseConsumer<SourceContext>>,
    metadata: ConsumerGroupMetadata,
    /// Times that partitions had been given up without the loop's answer, before the metadata were read.
    given_up: u64,
}

impl Generation {
    /// The generation of now, if this process holds its partitions as a member of the group.
    pub(super) fn now(consumer: &Arc<BaseConsumer<SourceContext>>) -> Option<Self> {
        let given_up = consumer.context().given_up();
        let metadata = consumer.group_metadata()?;
        // Looked at after the metadata were read: they are good if nothing has been lost by now.
        is_member(consumer).then(|| Generation {
            consumer: Arc::clone(consumer),
            metadata,
            given_up,
        })
    }

    /// What a transaction carries.
    pub fn metadata(&self) -> &ConsumerGroupMetadata {
        &self.metadata
    }

    /// The generation of now, if this process has held its partitions all the time since this one. Blocks for a moment.
    pub fn renewed(&self) -> Option<Self> {
        let renewed = Generation::now(&self.consumer)?;
        // Counted before partitions are given up: whatever was read while they were ours has the same count.
        (self.consumer.context().given_up() == self.given_up).then_some(renewed)
    }
}

/// Whether the group knows this process as the member that its partitions were assigned to.
fn is_member(consumer: &BaseConsumer<SourceContext>) -> bool {
    !consumer.assignment_lost() && consumer.context().is_held_by(&member_id(consumer))
}

/// The id that the group knows this process by; empty before it has joined, and once it was shut out.
pub(super) fn member_id(consumer: &BaseConsumer<SourceContext>) -> String {
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives as long as the consumer. The text is null or ends in a zero, and is freed once, after it was
    // copied.
    unsafe {
        let text = native::rd_kafka_memberid(client);
        if text.is_null() {
            return String::new();
        }
        let id = CStr::from_ptr(text).to_string_lossy().into_owned();
        native::rd_kafka_mem_free(client, text.cast());
        id
    }
}

impl Group {
    /// The generation of the group when this was made. `None` if this process is not its member, or not any more.
    pub fn take_generation(&mut self) -> Option<Generation> {
        self.generation.take()
    }

    /// What the group has committed for these partitions. Blocks, also for the end of transactions on their way.
    ///
    /// # Errors
    /// [`Error::Consume`] if the broker does not say.
    pub fn committed(&self, partitions: &[i32]) -> Result<Vec<GroupOffset>, Error> {
        let list = self.partition_list(partitions);
        callbacks::group_offsets(&self.consumer, &list).map_err(|source| Error::Consume {
            topic: self.topic.clone(),
            source,
        })
    }

    /// What the group has committed for these partitions, if the broker says so within some seconds.
    pub(crate) fn committed_now(&self, partitions: &[i32]) -> Option<Vec<GroupOffset>> {
        let list = self.partition_list(partitions);
        callbacks::committed(&self.consumer, &list)
            .inspect_err(|error| debug!(%error, "the group's offsets are not known"))
            .ok()
    }

    fn partition_list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    /// The members of a group.
    ///
    /// # Errors
    /// [`Error::Consume`] if the broker does not say.
    pub(crate) fn members(&self, group: &str) -> Result<Vec<GroupMember>, Error> {
        let listed = members::list(&self.consumer, group, MEMBERS_WAIT);
        listed.map_err(|source| Error::Consume {
            topic: self.topic.clone(),
            source,
        })
    }

    /// The id of the topic that is consumed, as of now.
    pub fn topic_id(&self) -> Option<Arc<str>> {
        topic_id(self.consumer.client(), &self.topic)
    }

    /// Publishes positions as the group's offsets; for lag monitoring, and as the position of what was written beside
    /// the table. Blocks until the broker has answered, so that no later commit of offsets can be overtaken by it.
    pub fn publish(&self, positions: &[(i32, i64)], metadata: &str) {
        let list = offset_list(&self.topic, positions, metadata);
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {}
            // The group has moved on, and the next owner publishes its own.
            Err(error) if error.rdkafka_error_code().is_some_and(is_of_another_generation) => {
                debug!(%error, "publishing the group's offsets failed; the table has the positions");
            }
            Err(error) => {
                warn!(%error, "publishing the group's offsets failed; the table has the positions, Kafka's lag is wrong until the next commit");
            }
        }
    }
}

/// A partition list with offsets and their metadata.
pub(in crate::kafka) fn offset_list(
    topic: &str,
    positions: &[(i32, i64)],
    metadata: &str,
) -> TopicPartitionList {
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
