//! The sink `anomalies`: a detector for each series, and what they find into a topic, each anomaly once.
//!
//! The order of effects that exactly-once rests on:
//!
//! 1. A block goes through `DetectionOperator::step`; what is found waits.
//! 2. The anomalies that wait are published in a Kafka transaction together with the group's offsets, which are this
//!    sink's only positions (`publish`). A process that the group has moved on from is refused by the broker.
//! 3. Now and then the state, as it was when such a transaction was put together, goes to the object store, once the
//!    transaction is committed (`state`).
//!
//! What people say (`answers`) changes the detectors at a place between two records. The places go into a topic of their own
//! (`journal`) in the transaction of step 2, and the next owner replays them, too.
//!
//! The next owner of a partition starts from its newest state file at or below the group's offset, and replays the
//! records up to that offset in silence (`assignment`). So a crash between any two of them repeats no anomaly and loses
//! none.

mod answers;
mod assignment;
mod journal;
mod listeners;
mod notices;
mod publish;
mod start;
mod state;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tracing::{info, warn};

use super::PipelineError;
use super::offsets::{GroupUse, offsets_of_all};
use super::sink::{Assigned, BeforeRebalance, LOG_INTERVAL, Sink, SinkPosition};
use super::state_files::StateKeeper;
use super::targets::Targets;
use crate::clock;
use crate::decode::{Rejection, Schemas};
use crate::detection::{self, AppliedAnswer, DetectionOperator, Findings, PlacedAnswer};
use crate::detectors::{Anomaly, Severity};
use crate::kafka::{ANOMALIES, Source, Start, Subscription};
use crate::reading::RecordBlock;
use crate::telemetry::{LogLimiter, events};

use answers::Listening;
pub use journal::JournalError;
pub(crate) use journal::JournalSpec;
use listeners::Listeners;
use notices::NoticeLog;
use publish::{Publisher, Receipt, SealedAnomalies};

/// What the anomalies' sink has done so far.
#[derive(Debug, Clone, Default)]
pub struct AnomaliesProgress {
    /// Records by what became of them.
    pub counts: detection::Counts,
    /// Anomalies whose transaction is committed, by detector and severity.
    pub published: BTreeMap<(&'static str, Severity), u64>,
    /// Series with detectors.
    pub series: usize,
    /// How many there may be in the assigned partitions.
    pub series_limit: usize,
}

impl AnomaliesProgress {
    /// Anomalies whose transaction is committed, and ends of episodes.
    pub(crate) fn published_count(&self) -> (u64, u64) {
        let of = |is_end: bool| {
            let counts = self.published.iter();
            let counts = counts.filter(|((_, severity), _)| (*severity == Severity::Cleared) == is_end);
            counts.map(|(_, count)| count).sum()
        };
        (of(false), of(true))
    }
}

/// The detection of one process.
pub struct AnomaliesSink {
    /// As the settings have it, but with this sink's own group.
    kafka: Subscription,
    commit_interval: Duration,
    /// How long a broker is asked for the topic's offsets at most.
    give_up_after: Duration,
    operator: DetectionOperator,
    /// Found, and not on their way yet.
    waiting: Vec<Anomaly>,
    /// Answers that got their place, and are not on their way yet.
    placed: Vec<PlacedAnswer>,
    listening: Listening,
    journal: JournalSpec,
    heard_at: Instant,
    /// By assigned partition, the group's offset.
    committed: BTreeMap<i32, i64>,
    /// Offsets that the group had at the start and that do not fit the topic: they are to be replaced.
    unfit: BTreeMap<i32, i64>,
    group_use: GroupUse,
    states: StateKeeper,
    log_limiter: LogLimiter<&'static str>,
    notices: NoticeLog,
    clipped: u64,
    counted_clipped_at: Instant,
    published: BTreeMap<(&'static str, Severity), u64>,
    listeners: Listeners,
}

/// Anomalies that may wait for a transaction before no more blocks are ingested.
const MOST_WAITING: usize = 10_000;
/// How often it is looked whether a stretch that something is said of has a series by now.
const HEAR_INTERVAL: Duration = Duration::from_secs(10);

impl Sink for AnomaliesSink {
    const NAME: &'static str = ANOMALIES;
    const BEFORE_REBALANCE: BeforeRebalance = BeforeRebalance::CommitAll;
    type Committer = Publisher;
    type Progress = AnomaliesProgress;

    fn schemas(&self) -> Option<Arc<Schemas>> {
        self.operator.schemas().map(Arc::clone)
    }

    fn ingest(&mut self, block: &RecordBlock) {
        let findings = self.operator.step(block);
        self.log_rejected(block.partition, &findings.rejected);
        self.listeners.hear_of(&findings);
        self.note_applied(findings.applied);
        self.waiting.extend(findings.anomalies);
    }

    fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>, cause: &str) {
        let passed = self.operator.pass_undecodable(partition, epoch, offsets);
        if !passed.is_empty() {
            warn!(partition, ?passed, "not judged: cannot be unpacked: {cause}");
        }
    }

    fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64) {
        self.operator.note_end(partition, epoch, end_offset);
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// An anomaly waits for nothing but the transaction before it.
    fn is_urgent(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn is_due(&self, since_last: Duration, targets: Option<&Targets>) -> bool {
        since_last >= self.commit_interval || targets.is_some()
    }

    fn seal(&mut self) -> Option<SealedAnomalies> {
        let offsets = self.uncommitted();
        if offsets.is_empty() && self.waiting.is_empty() {
            return None;
        }
        Some(SealedAnomalies {
            states: self.due_states(&offsets),
            anomalies: std::mem::take(&mut self.waiting),
            placed: std::mem::take(&mut self.placed),
            offsets,
        })
    }

    fn committed(&mut self, receipt: Receipt) {
        let Receipt {
            anomalies,
            offsets,
            states,
            placed: _,
        } = receipt;
        for (partition, _) in &offsets {
            self.unfit.remove(partition);
        }
        self.committed.extend(offsets);
        for anomaly in anomalies {
            let kind = (anomaly.verdict.detector, anomaly.severity());
            *self.published.entry(kind).or_default() += 1;
            self.listeners.hear_of_published(anomaly);
        }
        self.states.begin(states);
    }

    fn drop_uncommitted(&mut self, why: &str) {
        warn!(
            event = events::COMMIT_OVERTAKEN,
            "{why}; dropping what is pending and going on from the group's offsets"
        );
        self.waiting.clear();
        self.placed.clear();
        self.committed.clear();
        let partitions: Vec<i32> = self.operator.partitions().collect();
        for partition in partitions {
            self.operator.revoke(partition);
        }
    }

    async fn assign(
        &mut self,
        publisher: &mut Publisher,
        assigned: Vec<Assigned>,
        _source: &Source,
    ) -> Result<Vec<Start>, PipelineError> {
        self.take_over(publisher, assigned).await
    }

    /// The state is kept first, so that the next owner has nothing to replay.
    async fn revoke(&mut self, partitions: &[i32]) {
        self.keep_states(partitions).await;
        for partition in partitions {
            self.operator.revoke(*partition);
            self.committed.remove(partition);
        }
    }

    /// The group has the ends of all partitions, whoever committed them.
    async fn is_complete(
        &mut self,
        _publisher: &mut Publisher,
        targets: &Targets,
        source: &Source,
    ) -> Result<bool, PipelineError> {
        if !self.waiting.is_empty() || !self.uncommitted().is_empty() {
            return Ok(false);
        }
        let looked_at = targets.partitions().chain(self.unfit.keys().copied());
        let committed = offsets_of_all(self.committed.clone(), looked_at, source).await?;
        let is_unfit = |(partition, unfit): (&i32, &i64)| committed.get(partition) == Some(unfit);
        if self.unfit.iter().any(is_unfit) {
            return Ok(false);
        }
        Ok(targets.are_reached(|partition| committed.get(&partition).copied().unwrap_or(0)))
    }

    fn positions(&self) -> Vec<SinkPosition> {
        let positions = self
            .committed
            .iter()
            .map(|(&partition, &committed)| SinkPosition {
                partition,
                committed,
                ingested: self.operator.next_offset(partition).unwrap_or(committed),
                watermark_ms: self.operator.watermark_ms(partition),
            });
        positions.collect()
    }

    fn ingested(&self) -> u64 {
        self.operator.counts().consumed
    }

    fn report(&self, progress: &mut AnomaliesProgress) {
        *progress = AnomaliesProgress {
            counts: self.operator.counts().clone(),
            published: self.published.clone(),
            series: self.operator.series_count(),
            series_limit: self.operator.series_limit(),
        };
    }

    fn on_tick(&mut self) {
        if self.log_clipped(LOG_INTERVAL) {
            self.notices.log(self.operator.notices());
        }
        self.hear(false);
    }

    async fn keep(&mut self, time_left: Duration) {
        let partitions: Vec<i32> = self.operator.partitions().collect();
        let kept = tokio::time::timeout(time_left, self.keep_states(&partitions)).await;
        if kept.is_err() {
            warn!("the detectors' state was not kept in time; the next start replays more of the topic");
        }
    }

    fn on_end(&mut self) {
        self.log_clipped(Duration::ZERO);
        self.notices.log(self.operator.notices());
    }
}

impl AnomaliesSink {
    /// The anomalies published from now on.
    pub(crate) fn anomalies(&self) -> broadcast::Receiver<Anomaly> {
        self.listeners.anomalies.subscribe()
    }

    /// What blocks bring from now on, before it is published: after a commit that was overtaken, the same is found again.
    pub fn findings(&self) -> broadcast::Receiver<Arc<Findings>> {
        self.listeners.findings.subscribe()
    }

    /// Lets partitions wait with what people say now, where that is news, or `all` of it.
    fn hear(&mut self, all: bool) {
        let now = clock::instant();
        let again = now.duration_since(self.heard_at) >= HEAR_INTERVAL;
        let Some(said) = self.listening.news(all || again) else {
            return;
        };
        self.heard_at = now;
        let partitions: Vec<i32> = self.operator.partitions().collect();
        for partition in partitions {
            self.operator.hear(partition, said.of_partition(partition));
        }
    }

    /// Keeps answers for the next transaction.
    fn note_applied(&mut self, applied: Vec<AppliedAnswer>) {
        for AppliedAnswer { placed, series } in applied {
            info!(
                event = events::ANSWER_APPLIED,
                partition = placed.partition,
                about = placed.key,
                before_offset = placed.before_offset,
                series,
                "what somebody said is applied"
            );
            self.placed.push(placed);
        }
    }

    /// The positions that are ahead of the group's offsets.
    fn uncommitted(&self) -> Vec<(i32, i64)> {
        let positions = self.operator.positions();
        positions
            .map(|(partition, position)| (partition, position.next_offset))
            .filter(|(partition, next)| {
                self.committed
                    .get(partition)
                    .is_none_or(|committed| next > committed)
            })
            .collect()
    }

    fn log_rejected(&mut self, partition: i32, rejected: &[(i64, Rejection)]) {
        for (offset, Rejection { reason, detail }) in rejected {
            let kind = reason.name();
            if let Some(suppressed) = self.log_limiter.admit(kind, clock::instant()) {
                warn!(kind, partition, offset, suppressed, "not judged: {detail}");
            }
        }
    }

    /// Logs values that detectors cannot judge well because of their settings, once in an interval; whether it is over.
    fn log_clipped(&mut self, interval: Duration) -> bool {
        let now = clock::instant();
        if now.duration_since(self.counted_clipped_at) < interval {
            return false;
        }
        self.counted_clipped_at = now;
        let clipped = self.operator.clipped();
        if clipped > self.clipped {
            let values = clipped - self.clipped;
            warn!(
                values,
                "values lie beyond the limits of [half_space_trees] and count as the limit; correct its scale or limits"
            );
        }
        self.clipped = clipped;
        true
    }
}
