//! The sink `alerts`: receivers are told of the episodes in the topic of anomalies, each message decided once and sent at
//! least once.
//!
//! The order of effects that this rests on:
//!
//! 1. A message goes through `AlertOperator::step`, which decides who is told; what changes in its memory waits.
//! 2. That goes into the compacted topic of the state in a Kafka transaction together with the group's offsets, which are
//!    this sink's only positions (`publish`). A process that the group has moved on from is refused by the broker.
//! 3. Only then it is sent (`sending`), by a process that the group has known as the owner of the partition a moment ago.
//! 4. That it has arrived is a change of the memory like any other. The next message of the same episode waits for its commit.
//!
//! The next owner of a partition reads its part of the state (`assignment`), and sends what has not arrived, as far as is known: a
//! message may come twice, under the same id, but none after one that followed it.

mod assignment;
mod publish;
mod sending;
mod start;
mod state;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tracing::{error, warn};

use super::PipelineError;
use super::offsets::{GroupUse, offsets_of_all};
use super::sink::{Assigned, BeforeRebalance, Sink, SinkPosition};
use super::targets::Targets;
use crate::alerts::{AlertOperator, Hush, LaneCounts, Settings, Transition};
use crate::clock;
use crate::detectors::MessageContext;
use crate::feedback::{Follower, Judged, Opinions};
use crate::kafka::{ALERTS, Source, Start, Subscription};
use crate::reading::RecordBlock;
use crate::telemetry::{LogLimiter, events};

pub(crate) use start::anomalies_of;
pub(crate) use state::{AlertsState, read_state};

use publish::{Receipt, SealedState, StatePublisher};
use sending::{Lease, Sending};

/// What the alerts' sink has done so far.
#[derive(Debug, Clone, Default)]
pub struct AlertsProgress {
    /// Messages of episodes that were taken in.
    pub heard: u64,
    /// Messages that are no anomalies.
    pub unreadable: u64,
    /// Episodes that are open in the assigned partitions.
    pub open: usize,
    /// What became of the messages to each receiver.
    pub receivers: BTreeMap<String, ReceiverProgress>,
    /// What people have said of the episodes of each detector; `None` is for those whose detector is not said.
    pub judged: BTreeMap<Option<String>, Judged>,
}

/// What became of the messages to one receiver.
#[derive(Debug, Clone, Default)]
pub struct ReceiverProgress {
    /// Those that arrived, those that did not, and those that were not worth sending any more.
    pub(crate) counts: LaneCounts,
    /// Those that wait.
    pub(crate) waiting: usize,
    /// Episodes that it was not told of, by why.
    pub(crate) suppressed: BTreeMap<Hush, u64>,
    /// Since when it has taken none, if the last attempt failed, in milliseconds since 1970.
    pub(crate) failing_since_ms: Option<i64>,
}

/// The alerts of one process.
pub struct AlertsSink {
    /// The topic of anomalies, with this sink's own group.
    kafka: Subscription,
    settings: Settings,
    /// How messages are read.
    context: MessageContext,
    state_topic: String,
    commit_interval: Duration,
    /// How long a broker is asked for the topic's offsets at most.
    give_up_after: Duration,
    operator: AlertOperator,
    /// By assigned partition.
    positions: BTreeMap<i32, Position>,
    group_use: GroupUse,
    sending: Sending,
    lease: Lease,
    /// Reads what people say, as long as it is here.
    _follower: Follower,
    opinions: watch::Receiver<Arc<Opinions>>,
    /// Partitions are about to change hands, or the run ends: nothing is begun.
    is_resting: bool,
    judged: BTreeMap<Option<String>, Judged>,
    heard: u64,
    unreadable: u64,
    log_limiter: LogLimiter<String>,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy)]
struct Position {
    epoch: u64,
    /// The next offset to take in.
    next: i64,
    /// The group's offset; `None` where it does not fit.
    committed: Option<i64>,
}

/// Changes that may wait for a transaction before no more blocks are ingested.
const MOST_CHANGES: usize = 2_000;
/// A receiver that takes nothing for so long is reported, and again so often.
const FAILING_AFTER: Duration = Duration::from_secs(300);
const FAILING_INTERVAL: Duration = Duration::from_secs(600);

impl Sink for AlertsSink {
    const NAME: &'static str = ALERTS;
    const BEFORE_REBALANCE: BeforeRebalance = BeforeRebalance::CommitAll;
    type Committer = StatePublisher;
    type Progress = AlertsProgress;

    fn ingest(&mut self, block: &RecordBlock) {
        let Some(position) = self.positions.get_mut(&block.partition) else {
            return;
        };
        if position.epoch != block.epoch {
            return;
        }
        let now = clock::utc_now();
        for record in block.iter() {
            if record.offset < position.next {
                continue;
            }
            position.next = record.offset + 1;
            match Transition::read(block.partition, record, &self.context, &self.settings) {
                Ok(transition) => {
                    self.heard += 1;
                    self.operator.step(transition, now);
                }
                Err(error) => {
                    self.unreadable += 1;
                    let admitted = self.log_limiter.admit("unreadable".to_owned(), clock::instant());
                    if let Some(suppressed) = admitted {
                        warn!(
                            topic = self.kafka.source.topic,
                            partition = block.partition,
                            offset = record.offset,
                            suppressed,
                            "nobody is told of a message that is no anomaly: {error}"
                        );
                    }
                }
            }
        }
    }

    fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>, cause: &str) {
        if let Some(position) = self.positions.get_mut(&partition)
            && position.epoch == epoch
            && position.next < offsets.end
        {
            warn!(partition, ?offsets, "nobody is told: cannot be unpacked: {cause}");
            self.unreadable += (offsets.end - position.next.max(offsets.start)).unsigned_abs();
            position.next = offsets.end;
        }
    }

    fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        if let Some(position) = self.positions.get_mut(&partition)
            && position.epoch == epoch
        {
            position.next = position.next.max(end_offset);
        }
    }

    fn is_full(&self) -> bool {
        self.operator.change_count() >= MOST_CHANGES
    }

    /// What was decided waits for nothing but the transaction before it, and what arrived for its receipt.
    fn is_urgent(&self) -> bool {
        self.operator.change_count() > 0 || self.lease.is_wanted()
    }

    fn is_due(&self, since_last: Duration, targets: Option<&Targets>) -> bool {
        self.is_urgent() || since_last >= self.commit_interval || targets.is_some()
    }

    fn seal(&mut self) -> Option<SealedState> {
        let is_behind = |position: &Position| position.committed != Some(position.next);
        let offsets = self.positions.iter();
        let offsets: Vec<(i32, i64)> = offsets
            .filter(|(_, position)| self.lease.is_wanted() || is_behind(position))
            .map(|(&partition, position)| (partition, position.next))
            .collect();
        if offsets.is_empty() && self.operator.change_count() == 0 {
            return None;
        }
        Some(SealedState {
            changes: self.operator.seal(),
            offsets,
            sealed_at: clock::instant(),
        })
    }

    fn committed(&mut self, receipt: Receipt) {
        let Receipt { offsets, sealed_at } = receipt;
        for (partition, offset) in offsets {
            if let Some(position) = self.positions.get_mut(&partition) {
                position.committed = Some(offset);
            }
        }
        self.operator.committed();
        self.lease.renew(sealed_at);
        self.send();
    }

    async fn come_to_rest(&mut self, within: Duration) {
        self.is_resting = true;
        let deadline = clock::instant() + within;
        while self.sending.is_busy() {
            let left = deadline.saturating_duration_since(clock::instant());
            match tokio::time::timeout(left, self.sending.finished()).await {
                Ok(finished) => self.sending.note(finished, &mut self.operator, clock::utc_now()),
                Err(_) => return,
            }
        }
    }

    fn drop_uncommitted(&mut self, why: &str) {
        warn!(
            event = events::COMMIT_OVERTAKEN,
            "{why}; dropping what is pending and going on from the group's offsets"
        );
        let partitions: Vec<i32> = self.positions.keys().copied().collect();
        self.forget(&partitions);
    }

    async fn assign(
        &mut self,
        publisher: &mut StatePublisher,
        assigned: Vec<Assigned>,
        _source: &Source,
    ) -> Result<Vec<Start>, PipelineError> {
        self.take_over(publisher, assigned).await
    }

    async fn revoke(&mut self, partitions: &[i32]) {
        self.forget(partitions);
    }

    /// The group has the ends of all partitions, and all that was to be sent was sent, or tried.
    async fn is_complete(
        &mut self,
        _publisher: &mut StatePublisher,
        targets: &Targets,
        source: &Source,
    ) -> Result<bool, PipelineError> {
        if self.is_urgent() || self.sending.is_busy() || self.operator.is_busy() {
            return Ok(false);
        }
        let own = self.positions.iter();
        let own = own.filter_map(|(&partition, position)| Some((partition, position.committed?)));
        let committed = offsets_of_all(own.collect(), targets.partitions(), source).await?;
        Ok(targets.are_reached(|partition| committed.get(&partition).copied().unwrap_or(0)))
    }

    fn positions(&self) -> Vec<SinkPosition> {
        let positions = self.positions.iter().map(|(&partition, position)| SinkPosition {
            partition,
            committed: position.committed.unwrap_or(position.next),
            ingested: position.next,
            watermark_ms: None,
        });
        positions.collect()
    }

    fn ingested(&self) -> u64 {
        self.heard + self.unreadable
    }

    fn report(&self, progress: &mut AlertsProgress) {
        let failing: BTreeMap<&str, DateTime<Utc>> = self
            .operator
            .failing()
            .map(|(receiver, since, _)| (receiver, since))
            .collect();
        let receivers = self.operator.counts().into_iter();
        let receivers = receivers.map(|(receiver, (counts, waiting))| {
            let failing_since = failing.get(&*receiver);
            let suppressed = self.operator.suppressed().iter();
            let suppressed = suppressed.filter(|((of, _), _)| *of == receiver);
            let progress = ReceiverProgress {
                counts,
                waiting,
                suppressed: suppressed.map(|((_, hush), count)| (*hush, *count)).collect(),
                failing_since_ms: failing_since.map(DateTime::timestamp_millis),
            };
            (receiver, progress)
        });
        *progress = AlertsProgress {
            heard: self.heard,
            unreadable: self.unreadable,
            open: self.operator.open_count(),
            receivers: receivers.collect(),
            judged: self.judged.clone(),
        };
    }

    fn on_tick(&mut self) {
        self.is_resting = false;
        let now = clock::utc_now();
        if self.opinions.has_changed().unwrap_or(false) {
            let opinions = Arc::clone(&self.opinions.borrow_and_update());
            self.judged = judged(&opinions);
            self.operator.heed(opinions, now);
        }
        while let Some(finished) = self.sending.finished_now() {
            self.sending.note(finished, &mut self.operator, now);
        }
        self.operator.tick(now);
        self.send();
        self.log_given_up();
        self.log_failing(now);
    }

    fn on_stop(&mut self) {
        self.is_resting = true;
    }

    fn on_end(&mut self) {
        self.log_given_up();
    }
}

impl AlertsSink {
    /// Begins to send what is due, as far as this process is known to own it.
    fn send(&mut self) {
        if self.is_resting {
            return;
        }
        let now = clock::utc_now();
        if !self.lease.holds() {
            // One look is enough to want it renewed: what was due is due again.
            if self
                .sending
                .idle()
                .any(|receiver| self.operator.is_due(receiver, now))
            {
                self.lease.want();
            }
            return;
        }
        let idle: Vec<String> = self.sending.idle().map(str::to_owned).collect();
        for receiver in idle {
            if let Some(attempt) = self.operator.next(&receiver, now) {
                self.sending.begin(attempt, self.lease.until());
            }
        }
    }

    /// Forgets partitions: what is on its way of them is broken off.
    fn forget(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            for receiver in self.sending.break_off(partition) {
                self.operator.interrupt(&receiver);
            }
            self.operator.revoke(partition);
            self.positions.remove(&partition);
        }
    }

    fn log_given_up(&mut self) {
        for given_up in self.operator.take_given_up() {
            error!(
                event = events::ALERT_GIVEN_UP,
                receiver = given_up.receiver,
                reason = given_up.reason,
                id = given_up.id,
                "a message to a receiver is given up"
            );
        }
    }

    fn log_failing(&mut self, now: DateTime<Utc>) {
        let counts = self.operator.counts();
        for (receiver, since, reason) in self.operator.failing() {
            let lasts = (now - since).to_std().unwrap_or_default();
            let key = format!("failing {receiver}");
            if lasts >= FAILING_AFTER && self.log_limiter.admit(key, clock::instant()).is_some() {
                let waiting = counts.get(receiver).map_or(0, |(_, waiting)| *waiting);
                warn!(
                    event = events::ALERT_FAILING,
                    receiver,
                    reason,
                    waiting,
                    "a receiver has not taken a message for {} s",
                    lasts.as_secs()
                );
            }
        }
    }
}

/// How people have judged the episodes of each detector.
fn judged(opinions: &Opinions) -> BTreeMap<Option<String>, Judged> {
    let judged = opinions.judged().into_iter();
    judged
        .map(|(detector, judged)| (detector.map(str::to_owned), judged))
        .collect()
}
