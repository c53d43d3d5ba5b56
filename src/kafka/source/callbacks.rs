//! The callbacks of the consumer: changes of partitions, statistics, trouble. They run on the polling thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as ResponseCode;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Control, GroupOffset, Start};
use crate::clock;
use crate::kafka::LoggingContext;

/// How long a revoked partition waits for the loop: well below `max.poll.interval.ms`.
const REVOKE_WAIT: Duration = Duration::from_secs(60);
const GROUP_OFFSETS_WAIT: Duration = Duration::from_secs(10);
const GROUP_OFFSETS_LIMIT: Duration = Duration::from_secs(120);

/// What the callbacks share with the polling thread and with the [`Source`](super::Source).
pub struct SourceContext {
    logging: LoggingContext,
    control: mpsc::UnboundedSender<Control>,
    epochs: Epochs,
    /// Changes of partitions so far; whoever holds something by partition looks whether it is still good.
    changes: AtomicU64,
    /// By partition, the end of what may be read, as of the last statistics.
    ends: Mutex<BTreeMap<i32, i64>>,
    /// Why a change of partitions failed.
    failure: Mutex<Option<KafkaError>>,
}

/// Epoch of each assigned partition. Only the polling thread touches it, but callbacks share their context.
type Epochs = Mutex<Vec<(i32, u64)>>;

impl SourceContext {
    /// A context without partitions, whose changes `control` is asked about.
    pub fn new(control: mpsc::UnboundedSender<Control>) -> Self {
        SourceContext {
            logging: LoggingContext::default(),
            control,
            epochs: Epochs::default(),
            changes: AtomicU64::new(0),
            ends: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The epoch of a partition, if it is assigned.
    pub fn epoch(&self, partition: i32) -> Option<u64> {
        let epochs = self.epochs();
        epochs
            .iter()
            .find(|(known, _)| *known == partition)
            .map(|&(_, epoch)| epoch)
    }

    /// How often partitions changed so far.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The end of a partition, if librdkafka has told already.
    pub fn end_offset(&self, partition: i32) -> Option<i64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(&partition).copied()
    }

    /// Why a change of partitions failed, once.
    pub fn take_failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, change: Result<(), KafkaError>) {
        if let Err(error) = change {
            // Told by the polling thread; until then nothing is consumed.
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn epochs(&self) -> MutexGuard<'_, Vec<(i32, u64)>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, partitions: &[i32]) {
        self.epochs()
            .retain(|(partition, _)| !partitions.contains(partition));
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Assigns the assigned partitions anew, from where the loop says.
    pub fn reposition(&self, consumer: &BaseConsumer<Self>) {
        let assigned = consumer.assignment();
        self.note(assigned.and_then(|mut assigned| {
            consumer.incremental_unassign(&assigned)?;
            self.assign(consumer, &mut assigned)
        }));
    }

    /// Asks the loop where to start, puts that into the list, and assigns it.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let Some(starts) = self.starts(consumer, list)? else {
            // The loop is on its way out, and so is this consumer. The group counts them as ours all the same, and will
            // want them back: what librdkafka does not hold it cannot give up, and then it would never leave the group.
            consumer.incremental_assign(list)?;
            return consumer.pause(list);
        };
        for mut element in list.elements() {
            if let Some(start) = starts.iter().find(|start| start.partition == element.partition()) {
                element.set_offset(Offset::Offset(start.offset))?;
            }
        }
        let assigned: Vec<i32> = starts.iter().map(|start| start.partition).collect();
        self.forget(&assigned);
        self.epochs()
            .extend(starts.iter().map(|start| (start.partition, start.epoch)));
        consumer.incremental_assign(list)
    }

    /// What the loop says where to start, if there still is a loop.
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
        let asked = self.control.send(Control::Assign { partitions, answer });
        Ok(asked.ok().and_then(|()| starts.recv().ok()))
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
pub fn group_offsets(
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
        // The last stable offset: what lies in a transaction that is still open cannot be read yet.
        let ends = partitions
            .filter(|partition| partition.ls_offset >= 0)
            .map(|partition| (partition.partition, partition.ls_offset));
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
    }
}
