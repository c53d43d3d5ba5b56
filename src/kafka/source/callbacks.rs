//! The consumer's callbacks: rebalances, statistics, errors. They run on the polling thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as ResponseCode;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::group::member_id;
use super::{Control, GroupOffset, PartitionEnd, Start};
use crate::clock;
use crate::kafka::LoggingContext;
use crate::kafka::Settings;

/// How long a revocation waits for the loop: well below `max.poll.interval.ms`.
const REVOKE_WAIT: Duration = Duration::from_secs(60);
const GROUP_OFFSETS_WAIT: Duration = Duration::from_secs(10);
const GROUP_OFFSETS_LIMIT: Duration = Duration::from_secs(120);

/// The state that the callbacks share with the polling thread and the [`Source`](super::Source).
pub(super) struct SourceContext {
    logging: LoggingContext,
    control: mpsc::UnboundedSender<Control>,
    epochs: Epochs,
    /// The number of rebalances so far, so that holders of state by partition notice a change.
    changes: AtomicU64,
    /// Times that partitions were given up without the loop's answer.
    given_up: AtomicU64,
    /// As which member of the group this process was assigned the partitions that it holds.
    member: Mutex<String>,
    /// Partition ends as of the last statistics.
    ends: Mutex<BTreeMap<i32, PartitionEnd>>,
    /// The error of a failed rebalance.
    failure: Mutex<Option<KafkaError>>,
    /// True once the consumer has subscribed.
    is_joining: AtomicBool,
    /// librdkafka's last error message, because the polled error has only a code.
    reason: Mutex<String>,
    /// True once the group has answered, with or without partitions.
    has_joined: AtomicBool,
}

/// The assigned partitions with their start and epoch. Only the polling thread changes them, but callbacks
/// share their context.
type Epochs = Mutex<Vec<Start>>;

impl SourceContext {
    /// A context without partitions. `control` answers rebalances.
    pub(super) fn new(kafka: &Settings, control: mpsc::UnboundedSender<Control>) -> Self {
        SourceContext {
            logging: LoggingContext::new(kafka),
            control,
            epochs: Epochs::default(),
            changes: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            member: Mutex::default(),
            ends: Mutex::default(),
            failure: Mutex::default(),
            is_joining: AtomicBool::new(false),
            reason: Mutex::default(),
            has_joined: AtomicBool::new(false),
        }
    }

    /// Notes that the consumer is about to subscribe.
    pub(super) fn note_joining(&self) {
        self.is_joining.store(true, Ordering::Relaxed);
    }

    /// True once the consumer has subscribed.
    pub(super) fn is_joining(&self) -> bool {
        self.is_joining.load(Ordering::Relaxed)
    }

    /// True once the group has accepted this process, with or without partitions.
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Relaxed)
    }

    /// The epoch of a partition, if it is assigned.
    pub(super) fn epoch(&self, partition: i32) -> Option<u64> {
        let epochs = self.epochs();
        let found = epochs.iter().find(|start| start.partition == partition);
        found.map(|start| start.epoch)
    }

    /// The assigned partitions with their start and epoch.
    pub(super) fn assigned(&self) -> Vec<Start> {
        self.epochs().clone()
    }

    /// Takes librdkafka's last error message.
    pub(super) fn take_reason(&self) -> String {
        std::mem::take(&mut *self.reason.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of rebalances so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How often partitions were given up without the loop's answer.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Whether the partitions are held as this member of the group.
    pub(super) fn is_held_by(&self, member: &str) -> bool {
        !member.is_empty() && *self.member() == member
    }

    /// The end of a partition, if the statistics have it already.
    pub(super) fn end(&self, partition: i32) -> Option<PartitionEnd> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(&partition).copied()
    }

    /// Takes the error of a failed rebalance.
    pub(super) fn take_failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, change: Result<(), KafkaError>) {
        if let Err(error) = change {
            // The polling thread delivers it; until then nothing is consumed.
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn member(&self) -> MutexGuard<'_, String> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epochs(&self) -> MutexGuard<'_, Vec<Start>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, partitions: &[i32]) {
        self.epochs()
            .retain(|start| !partitions.contains(&start.partition));
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Assigns the assigned partitions again, from the loop's positions.
    pub(super) fn reposition(&self, consumer: &BaseConsumer<Self>) {
        let assigned = consumer.assignment();
        self.note(assigned.and_then(|mut assigned| {
            consumer.incremental_unassign(&assigned)?;
            self.forget(&partitions_of(&assigned));
            self.assign(consumer, &mut assigned)
        }));
    }

    /// Gets the loop's positions, puts them into the list, and assigns it.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let Some(starts) = self.starts(consumer, list)? else {
            // The loop is shutting down, and so is this consumer. Assign all the same, but paused: the group
            // counts these partitions as ours and will revoke them. librdkafka cannot give up what it does
            // not hold, and then would never leave the group.
            consumer.incremental_assign(list)?;
            return consumer.pause(list);
        };
        for mut element in list.elements() {
            if let Some(start) = starts.iter().find(|start| start.partition == element.partition()) {
                element.set_offset(Offset::Offset(start.offset))?;
            }
        }
        // Update the epochs before the first message of the assignment can arrive, so that no block carries
        // an old one.
        let assigned: Vec<i32> = starts.iter().map(|start| start.partition).collect();
        self.forget(&assigned);
        let mut held = self.epochs();
        if held.is_empty() {
            *self.member() = member_id(consumer);
        }
        held.extend(starts);
        drop(held);
        consumer.incremental_assign(list)
    }

    /// The loop's positions; `None` if the loop has ended.
    fn starts(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<Option<Vec<Start>>, KafkaError> {
        if self.control.is_closed() {
            return Ok(None);
        }
        let partitions = group_offsets(consumer, list)?;
        let (answer, starts) = blocking::sync_channel(1);
        let requested = self.control.send(Control::Assign { partitions, answer });
        Ok(requested.ok().and_then(|()| starts.recv().ok()))
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = partitions_of(list);
        self.forget(&partitions);
        let (answer, answered) = blocking::sync_channel(1);
        let asked = self.control.send(Control::Revoke { partitions, answer });
        let answered = asked.ok().map(|()| answered.recv_timeout(REVOKE_WAIT));
        if answered != Some(Ok(())) {
            // Before they are given up: what is on its way must not take a later generation for one of its own, and nothing
            // may go out from here until the loop has dropped them.
            self.given_up.fetch_add(1, Ordering::SeqCst);
            self.member().clear();
        }
        if answered == Some(Err(blocking::RecvTimeoutError::Timeout)) {
            warn!("giving up partitions during a commit; the sink's positions decide whether it counts");
        }
        consumer.incremental_unassign(list)
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    let elements = list.elements();
    elements.iter().map(|element| element.partition()).collect()
}

/// The group's committed offsets. Waits until open transactions are decided.
pub(super) fn group_offsets(
    consumer: &BaseConsumer<SourceContext>,
    list: &TopicPartitionList,
) -> Result<Vec<GroupOffset>, KafkaError> {
    let deadline = clock::instant() + GROUP_OFFSETS_LIMIT;
    loop {
        match committed(consumer, list) {
            Ok(offsets) => return Ok(offsets),
            // The broker may be away, or a transaction undecided. A process that is leaving needs no answer.
            Err(error) if clock::instant() < deadline && !consumer.context().control.is_closed() => {
                debug!(%error, "requesting the group's offsets again")
            }
            Err(error) => return Err(error),
        }
    }
}

/// The group's committed offsets, by a single request.
pub(super) fn committed(
    consumer: &BaseConsumer<SourceContext>,
    list: &TopicPartitionList,
) -> Result<Vec<GroupOffset>, KafkaError> {
    let mut requested = TopicPartitionList::with_capacity(list.count());
    for element in list.elements() {
        requested.add_partition(element.topic(), element.partition());
    }
    let committed = consumer.committed_offsets(requested, GROUP_OFFSETS_WAIT)?;
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
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = LoggingContext::ENABLE_REFRESH_OAUTH_TOKEN;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logging.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
        self.logging.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let partitions = statistics
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values());
        // Up to the last stable offset: what lies in a transaction that is still open cannot be read yet. Both come with
        // each fetch, also at the end.
        let ends = partitions
            .filter(|partition| partition.ls_offset >= 0)
            .map(|partition| {
                let end = PartitionEnd {
                    offset: partition.ls_offset,
                    high_watermark: partition.hi_offset.max(partition.ls_offset),
                    reached_offset: partition.eof_offset,
                };
                (partition.partition, end)
            });
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ends);
    }
}

impl ConsumerContext for SourceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: ResponseCode, list: &mut TopicPartitionList) {
        self.note(match code {
            ResponseCode::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        });
        self.has_joined.store(true, Ordering::Relaxed);
    }
}
