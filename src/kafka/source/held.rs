//! Handles batches that librdkafka cannot unpack.
//!
//! A partition whose next batch cannot be unpacked is *held*: paused at that offset, reported at once, and
//! inspected again every second by a [`Probe`]. Then it becomes readable (from another replica, or after the
//! broker recovers), or the run ends when the patience is over, or `kafka.on_undecodable = "skip"` skips and
//! counts the batch. The other partitions go on.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, info, warn};

use super::Delivery;
use super::poller::Poller;
use super::probe::{Found, Probe, Undecodable};
use super::stuck::{HeldAt, Progress, Stuck};
use crate::clock;
use crate::kafka::Error;
use crate::kafka::OnUndecodable;
use crate::telemetry::events;

const SEEK_WAIT: Duration = Duration::from_secs(10);
/// How long one round of inspections may take, because rebalances wait for the next `poll`.
const INSPECTIONS_WAIT: Duration = Duration::from_secs(20);
/// The interval between two searches for partitions that are silent although they have records.
const SILENCE_INTERVAL: Duration = Duration::from_secs(5);

impl Poller {
    /// Finds and holds the partitions that an error about records concerns, because the error names none.
    /// False if consuming cannot go on.
    pub(super) fn hold_undecodable(&mut self, error: &KafkaError) -> bool {
        let reason = self.consumer.context().take_reason();
        self.drop_stale_blocks();
        let Some(probe) = self.probe(false) else {
            return true;
        };
        let mut is_found = false;
        let deadline = clock::instant() + INSPECTIONS_WAIT;
        for progress in self.progress.clone() {
            if self.is_held(progress.partition) || clock::instant() >= deadline {
                continue;
            }
            if let Found::Undecodable(found) = probe.inspect(progress.partition, progress.next_offset) {
                is_found = true;
                if !self.hold(progress, found, &probe, false) {
                    return false;
                }
            }
        }
        if !is_found {
            debug!(%error, reason, "the batch can be unpacked now");
            // After a wrong checksum librdkafka has moved past the batch, so its records would be lost
            // without a seek.
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BadMessage) {
                return self.seek_back();
            }
        }
        true
    }

    /// Inspects held partitions again and searches for silent ones. False if consuming cannot go on.
    pub(super) fn inspect_held(&mut self) -> bool {
        let now = clock::instant();
        if self.stuck.iter().any(|stuck| stuck.is_due(now)) && !self.inspect_again() {
            return false;
        }
        if now.duration_since(self.inspected_at) >= SILENCE_INTERVAL {
            self.inspected_at = now;
            // In paused partitions silence is normal.
            return self.is_paused || self.inspect_silent();
        }
        true
    }

    fn inspect_again(&mut self) -> bool {
        self.drop_stale_blocks();
        let deadline = clock::instant() + INSPECTIONS_WAIT;
        let (due, others): (Vec<Stuck>, Vec<Stuck>) = std::mem::take(&mut self.stuck)
            .into_iter()
            .partition(|stuck| stuck.is_due(clock::instant()));
        self.stuck = others;
        for mut stuck in due {
            let probe = self.probe(stuck.by_sum);
            let Some(probe) = probe.filter(|_| clock::instant() < deadline) else {
                stuck.postpone(clock::instant());
                self.stuck.push(stuck);
                continue;
            };
            let (partition, offset) = (stuck.partition, stuck.offset);
            let can_go_on = match probe.inspect(partition, offset) {
                Found::Readable => {
                    info!(partition, offset, "the batch can be unpacked now");
                    self.resume_at(partition, offset)
                }
                Found::Undecodable(_) => {
                    stuck.note_inspection(clock::instant());
                    self.resolve(stuck, &probe)
                }
                Found::Nothing => {
                    stuck.postpone(clock::instant());
                    self.stuck.push(stuck);
                    true
                }
            };
            if !can_go_on {
                return false;
            }
        }
        true
    }

    /// Inspects partitions that are silent although they have records: librdkafka stays silent about some
    /// batches that it cannot read.
    fn inspect_silent(&mut self) -> bool {
        self.drop_stale_blocks();
        let now = clock::instant();
        let silent: Vec<Progress> = self
            .progress
            .iter()
            .filter(|progress| {
                let end = self.consumer.context().end(progress.partition);
                let end = end.map(|end| end.offset);
                progress.is_silent(end, now) && !self.is_held(progress.partition)
            })
            .copied()
            .collect();
        if silent.is_empty() {
            return true;
        }
        let Some(probe) = self.probe(true) else {
            return true;
        };
        let deadline = now + INSPECTIONS_WAIT;
        for progress in silent {
            if clock::instant() >= deadline {
                break;
            }
            let (partition, offset) = (progress.partition, progress.next_offset);
            match probe.inspect(partition, offset) {
                Found::Readable => {}
                Found::Undecodable(found) => {
                    if !self.hold(progress, found, &probe, true) {
                        return false;
                    }
                }
                Found::Nothing => {
                    if self.log_limiter.admit("silent", clock::instant()).is_some() {
                        warn!(
                            partition,
                            offset, "no records arrive although the partition does not end here"
                        );
                    }
                }
            }
            // The next inspection waits for another silence.
            if let Some(progress) = self.progress_of(partition) {
                progress.moved_at = clock::instant();
            }
        }
        true
    }

    /// Pauses a partition at the batch and reports it. False if consuming cannot go on.
    fn hold(&mut self, progress: Progress, found: Undecodable, probe: &Probe, by_sum: bool) -> bool {
        let Progress {
            partition,
            epoch,
            next_offset,
            ..
        } = progress;
        // Transaction markers may lie between the last record and the batch.
        let offset = found.batch.unwrap_or(next_offset).max(next_offset);
        warn!(
            event = events::PARTITION_HELD,
            topic = self.kafka.source.topic,
            partition,
            offset,
            "the batch at this offset cannot be unpacked: {}",
            found.cause
        );
        // Deliver the records before the batch, because the partition stops here.
        self.flush_block(partition);
        match self.seek(partition, offset) {
            Ok(true) => {}
            // librdkafka is not fetching the partition yet. It will meet the batch again and be held then;
            // pausing it now would lose its start offset.
            Ok(false) => return true,
            Err(error) => return self.fail_consuming(error),
        }
        if let Err(error) = self.consumer.pause(&self.list_of(partition)) {
            return self.fail_consuming(error);
        }
        let held = HeldAt {
            partition,
            epoch,
            offset,
        };
        let stuck = Stuck::new(held, found, by_sum, clock::instant());
        self.resolve(stuck, probe)
    }

    /// Decides about a held partition: skip the batch, fail (false), or keep holding.
    fn resolve(&mut self, stuck: Stuck, probe: &Probe) -> bool {
        let (partition, offset) = (stuck.partition, stuck.offset);
        if self.kafka.source.on_undecodable == OnUndecodable::Skip
            && let Some(end) = probe.end_of_batch(partition, offset, stuck.found.batch)
        {
            self.waiting.push_back(Delivery::Undecodable {
                partition,
                epoch: stuck.epoch,
                offsets: offset..end,
                cause: stuck.found.cause,
            });
            return self.resume_at(partition, end);
        }
        if stuck.is_hopeless(self.patience, clock::instant()) {
            self.fail(Error::Undecodable {
                topic: self.kafka.source.topic.clone(),
                partition,
                offset,
                cause: stuck.found.cause,
            });
            return false;
        }
        self.stuck.push(stuck);
        true
    }

    /// Resumes a held partition at an offset. False if consuming cannot go on.
    fn resume_at(&mut self, partition: i32, offset: i64) -> bool {
        self.note_progress(partition, offset);
        match self.seek(partition, offset) {
            Ok(true) => self.resume(partition),
            Ok(false) => self.fail_consuming(KafkaError::Seek("the partition is not fetched".to_owned())),
            Err(error) => self.fail_consuming(error),
        }
    }

    /// Resumes fetching, unless all partitions are paused. False if consuming cannot go on.
    fn resume(&mut self, partition: i32) -> bool {
        if self.is_paused {
            return true;
        }
        match self.consumer.resume(&self.list_of(partition)) {
            Ok(()) => true,
            Err(error) => self.fail_consuming(error),
        }
    }

    /// Seeks every partition that is not held back to the record after the last one that arrived.
    fn seek_back(&mut self) -> bool {
        for progress in self.progress.clone() {
            if !self.is_held(progress.partition)
                && let Err(error) = self.seek(progress.partition, progress.next_offset)
            {
                return self.fail_consuming(error);
            }
        }
        true
    }

    /// Seeks in a partition. False if librdkafka does not fetch the partition yet: it was just assigned and
    /// will start at its assigned offset.
    fn seek(&self, partition: i32, offset: i64) -> Result<bool, KafkaError> {
        let mut list = self.list_of(partition);
        list.set_partition_offset(&self.kafka.source.topic, partition, Offset::Offset(offset))?;
        let sought = self.consumer.seek_partitions(list, SEEK_WAIT)?;
        match sought
            .elements()
            .first()
            .map_or(Ok(()), |element| element.error())
        {
            Ok(()) => Ok(true),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn fail_consuming(&mut self, source: KafkaError) -> bool {
        self.fail(Error::Consume {
            topic: self.kafka.source.topic.clone(),
            source,
        });
        false
    }

    fn list_of(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.kafka.source.topic, partition);
        list
    }

    /// The partitions of a list that are not held.
    pub(super) fn without_held(&self, list: &TopicPartitionList) -> TopicPartitionList {
        let mut others = TopicPartitionList::with_capacity(list.count());
        for element in list.elements() {
            if !self.is_held(element.partition()) {
                others.add_partition(element.topic(), element.partition());
            }
        }
        others
    }

    /// True if a partition is held.
    pub(super) fn is_held(&self, partition: i32) -> bool {
        self.stuck.iter().any(|stuck| stuck.partition == partition)
    }

    /// Notes how far a partition has been read.
    pub(super) fn note_progress(&mut self, partition: i32, next_offset: i64) {
        if let Some(progress) = self.progress_of(partition) {
            progress.next_offset = next_offset;
            progress.moved_at = clock::instant();
            progress.is_at_end = false;
        }
    }

    /// How far a partition has been read, if it is assigned.
    pub(super) fn progress_of(&mut self, partition: i32) -> Option<&mut Progress> {
        self.progress
            .iter_mut()
            .find(|progress| progress.partition == partition)
    }

    /// Follows a rebalance: a newly assigned partition starts at its assigned offset and is not held.
    pub(super) fn follow_assignment(&mut self) {
        let assigned = self.consumer.context().assigned();
        let is_current = |partition: i32, epoch: u64| {
            let found = assigned.iter().find(|start| start.partition == partition);
            found.is_some_and(|start| start.epoch == epoch)
        };
        self.progress
            .retain(|progress| is_current(progress.partition, progress.epoch));
        for start in &assigned {
            if self.progress_of(start.partition).is_none() {
                self.progress.push(Progress {
                    partition: start.partition,
                    epoch: start.epoch,
                    next_offset: start.offset,
                    moved_at: clock::instant(),
                    is_at_end: false,
                });
            }
        }
        let (held, stale) = std::mem::take(&mut self.stuck)
            .into_iter()
            .partition(|stuck| is_current(stuck.partition, stuck.epoch));
        self.stuck = held;
        // Undo the pause, in case the new assignment inherits it.
        for Stuck { partition, .. } in stale {
            let resumed = self.consumer.resume(&self.list_of(partition));
            debug!(partition, ?resumed, "no longer held");
        }
    }

    /// A consumer for inspections. If it cannot be created, that is logged and consuming goes on.
    fn probe(&mut self, checks_sums: bool) -> Option<Probe> {
        match Probe::new(&self.kafka, checks_sums) {
            Ok(probe) => Some(probe),
            Err(error) => {
                if self.log_limiter.admit("probe", clock::instant()).is_some() {
                    warn!("cannot inspect what cannot be unpacked: {error}");
                }
                None
            }
        }
    }
}
