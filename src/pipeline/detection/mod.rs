//! The loop of the detecting side: take blocks in, publish what is found, keep the state, answer the group.
//!
//! The order of effects that exactly-once rests on:
//!
//! 1. A block goes through [`Watcher::step`]; what is found waits.
//! 2. The anomalies that wait are published in a Kafka transaction together with the group's offsets, which are this
//!    side's only positions. A process that the group has moved on from is refused by the broker.
//! 3. Now and then the state, as it was when such a transaction was put together, goes to the object store, once the
//!    transaction is committed.
//!
//! Whoever takes a partition over starts from its newest snapshot at or below the group's offset, and replays the
//! records up to that offset in silence. So a crash between any two of them repeats no anomaly and loses none.

mod publish;
mod recover;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::PipelineError;
use super::assignment::{Targets, ranges};
use super::backlog::Backlog;
use super::letters::TELL_INTERVAL;
use super::progress::{Commits, PartitionProgress};
use super::{COMPLETION_TICK, RunMode, TICK, WAITING_TICK, ended};
use crate::clock;
use crate::config::{Config, KafkaConfig};
use crate::detect::{Anomaly, Severity};
use crate::kafka::{Control, Delivery, Source, TopicSpec, ensure_topics};
use crate::lake::{OpenMode, SnapshotStore};
use crate::reading::RecordBlock;
use crate::telemetry::OncePer;
use crate::watch::{Findings, Tally, Watch, Watcher};

use publish::{Publication, Published, Publisher};

/// A running detection of one process.
pub struct Detection {
    config: Config,
    /// As the settings have it, but with the detecting side's own group.
    kafka: KafkaConfig,
    watcher: Watcher,
    source: Source,
    snapshots: SnapshotStore,
    /// Found, and not on their way yet.
    waiting: Vec<Anomaly>,
    /// By assigned partition, the group's offset.
    committed: BTreeMap<i32, i64>,
    /// What a transaction needs; `None` while one is on its way.
    publisher: Option<Publisher>,
    in_flight: Option<JoinHandle<Result<Publication, PipelineError>>>,
    keeping: Option<JoinHandle<()>>,
    keep_next: Instant,
    /// When the last transaction began.
    published_at: Instant,
    backlog: Backlog,
    targets: Option<Targets>,
    next_epoch: u64,
    told: OncePer<&'static str>,
    clipped: u64,
    counted_clipped_at: Instant,
    progress: watch::Sender<DetectionProgress>,
    /// Where published anomalies are shown, if anywhere.
    listener: Option<mpsc::UnboundedSender<Anomaly>>,
}

/// A detection so far.
#[derive(Debug, Clone, Default)]
pub struct DetectionProgress {
    pub tally: Tally,
    /// Anomalies whose transaction is committed, by detector and severity.
    pub published: BTreeMap<(&'static str, Severity), u64>,
    /// Transactions with anomalies or positions.
    pub commits: Commits,
    /// The assigned partitions.
    pub partitions: Vec<PartitionProgress>,
    /// Series with detectors.
    pub series: usize,
}

impl DetectionProgress {
    /// Anomalies whose transaction is committed.
    pub fn published_count(&self) -> u64 {
        self.published.values().sum()
    }
}

/// Anomalies that may wait for a transaction before no more blocks are taken in.
const MOST_WAITING: usize = 10_000;

impl Detection {
    /// Makes missing topics, opens the snapshots' place and joins the group.
    ///
    /// # Errors
    /// What the settings, the store or the cluster have against it, in one sentence.
    pub async fn start(config: Config, mode: RunMode) -> Result<Self, PipelineError> {
        let watch = Watch::new(&config)?;
        let snapshots = SnapshotStore::open(&config, OpenMode::Create).await?;
        let kafka = config.detect_kafka();
        let anomalies = TopicSpec::anomalies(&kafka, &config.detect.anomaly_topic);
        ensure_topics(&kafka, &[TopicSpec::readings(&kafka), anomalies]).await?;
        let ranges = ranges(&kafka, None).await?;
        if config.reading.key == "none" && ranges.len() > 1 {
            warn!(
                partitions = ranges.len(),
                "reading.key is \"none\", so the readings of each partition are judged as a series of their own; \
                 for one series use a topic of one partition, or give the readings a key"
            );
        }
        let publisher = Publisher::new(&config, &kafka, watch.fingerprint());
        publisher.connect().await;
        let (progress, _) = watch::channel(DetectionProgress::default());
        let now = clock::instant();
        Ok(Detection {
            targets: (mode == RunMode::AvailableNow).then(|| Targets::from_ranges(&ranges)),
            watcher: Watcher::new(watch),
            source: Source::start(&kafka)?,
            snapshots,
            waiting: Vec::new(),
            committed: BTreeMap::new(),
            publisher: Some(publisher),
            in_flight: None,
            keeping: None,
            keep_next: now + config.detect.snapshot_interval,
            published_at: now,
            backlog: Backlog::default(),
            next_epoch: 0,
            told: OncePer::new(TELL_INTERVAL),
            clipped: 0,
            counted_clipped_at: now,
            progress,
            listener: None,
            kafka,
            config,
        })
    }

    /// What the detection has come to; changes several times a second while it goes on.
    pub fn progress(&self) -> watch::Receiver<DetectionProgress> {
        self.progress.subscribe()
    }

    /// The anomalies published from now on.
    pub fn anomalies(&mut self) -> mpsc::UnboundedReceiver<Anomaly> {
        let (listener, anomalies) = mpsc::unbounded_channel();
        self.listener = Some(listener);
        anomalies
    }

    /// Runs until `stop` resolves or, in available-now mode, until the end; then publishes what was found, keeps the
    /// state and leaves the group.
    ///
    /// # Errors
    /// Whatever ended the run before that. Nothing is lost: the next start goes on from the group's offsets.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<DetectionProgress, PipelineError> {
        let ran = self.consume(stop).await;
        let finished = match ran {
            Ok(()) => self.finish().await,
            Err(error) => Err(error),
        };
        self.report();
        self.tell_clipped(Duration::ZERO);
        let progress = self.progress.borrow().clone();
        self.source.stop().await;
        finished.map(|()| progress)
    }

    async fn consume(&mut self, stop: impl Future<Output = ()>) -> Result<(), PipelineError> {
        let mut stop = std::pin::pin!(stop);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut completion = tokio::time::interval(COMPLETION_TICK);
        completion.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.waiting.len() < MOST_WAITING;
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                Some(control) = self.source.control.recv() => self.answer(control).await?,
                publication = ended(&mut self.in_flight) => self.take_back(publication?),
                _ = tick.tick() => {
                    self.publish_if_due(false);
                    self.report();
                    self.tell_clipped(TELL_INTERVAL);
                }
                _ = completion.tick(), if self.targets.is_some() => if self.is_complete().await? {
                    return Ok(());
                },
                delivery = self.source.deliveries.recv(), if has_room => match delivery {
                    Some(Delivery::Block(block)) => self.take_in(&block),
                    Some(Delivery::EndReached { partition, epoch }) => self.note_end(partition, epoch),
                    Some(Delivery::Failed(error)) => return Err(error.into()),
                    None => return Err(PipelineError::ConsumerEnded),
                },
            }
        }
    }

    fn take_in(&mut self, block: &RecordBlock) {
        self.backlog.take_in(block, clock::instant());
        let Findings { anomalies, rejected } = self.watcher.step(block);
        for (offset, rejection) in rejected {
            let kind = rejection.reason.name();
            if let Some(held_back) = self.told.ask(kind, clock::instant()) {
                let partition = block.partition;
                let detail = rejection.detail;
                warn!(
                    kind,
                    partition,
                    offset,
                    more_since_last_told = held_back,
                    "not judged: {detail}"
                );
            }
        }
        self.waiting.extend(anomalies);
        if !self.waiting.is_empty() {
            self.publish_if_due(true);
        }
    }

    fn note_end(&mut self, partition: i32, epoch: u64) {
        self.backlog.reach_end(partition);
        if let Some(end) = self
            .targets
            .as_ref()
            .and_then(|targets| targets.end_of(partition))
        {
            self.watcher.note_end(partition, epoch, end);
        }
    }

    /// Begins a transaction if none is on its way and one is due, or `now`.
    fn publish_if_due(&mut self, now: bool) {
        if self.publisher.is_none() {
            return;
        }
        let elapsed = clock::instant().duration_since(self.published_at);
        let is_due = now || elapsed >= self.config.detect.commit_interval || self.targets.is_some();
        let offsets = self.offsets();
        if !is_due || (offsets.is_empty() && self.waiting.is_empty()) {
            return;
        }
        let Some(publisher) = self.publisher.take() else {
            return;
        };
        self.published_at = clock::instant();
        self.backlog.seal();
        let snapshots = self.due_snapshots(&offsets);
        let anomalies = std::mem::take(&mut self.waiting);
        let group = self.source.group();
        self.in_flight = Some(tokio::spawn(
            publisher.publish(anomalies, offsets, snapshots, group),
        ));
    }

    /// The positions that are ahead of the group's offsets.
    fn offsets(&self) -> Vec<(i32, i64)> {
        let positions = self.watcher.positions();
        positions
            .map(|(partition, position)| (partition, position.next_offset))
            .filter(|(partition, next)| {
                self.committed
                    .get(partition)
                    .is_none_or(|committed| next > committed)
            })
            .collect()
    }

    /// Takes the publisher back from a transaction that is over.
    fn take_back(&mut self, publication: Publication) {
        self.publisher = Some(publication.publisher);
        match publication.published {
            Published::Committed {
                anomalies,
                offsets,
                snapshots,
            } => {
                self.committed.extend(offsets);
                self.backlog.commit();
                let took = clock::instant().duration_since(self.published_at);
                self.progress.send_modify(|progress| {
                    progress.commits.note(took, clock::now_ms());
                    for anomaly in &anomalies {
                        let kind = (anomaly.verdict.detector, anomaly.severity());
                        *progress.published.entry(kind).or_default() += 1;
                    }
                });
                if let Some(listener) = &self.listener {
                    for anomaly in anomalies {
                        // Whoever no longer listens needs no more of them.
                        let _ = listener.send(anomaly);
                    }
                }
                if !snapshots.is_empty() {
                    self.keeping = Some(tokio::spawn(recover::keep(self.snapshots.clone(), snapshots)));
                }
                if !self.waiting.is_empty() {
                    self.publish_if_due(true);
                }
            }
            Published::Overtaken { why } => {
                warn!("{why}; dropping what is pending and going on from the group's offsets");
                self.progress
                    .send_modify(|progress| progress.commits.overtaken += 1);
                self.drop_all();
                self.source.reposition();
            }
        }
    }

    fn drop_all(&mut self) {
        self.waiting.clear();
        self.committed.clear();
        let partitions: Vec<i32> = self.watcher.partitions().collect();
        for partition in partitions {
            self.watcher.revoke(partition);
            self.backlog.forget(partition);
        }
    }

    /// Publishes all that was found and every position, and waits for it.
    async fn settle(&mut self) -> Result<(), PipelineError> {
        loop {
            while self.in_flight.is_some() {
                tokio::select! {
                    publication = ended(&mut self.in_flight) => self.take_back(publication?),
                    () = tokio::time::sleep(WAITING_TICK) => self.report(),
                }
            }
            self.publish_if_due(true);
            if self.in_flight.is_none() {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, control: Control) -> Result<(), PipelineError> {
        match control {
            Control::Assign { partitions, answer } => {
                self.settle().await?;
                let starts = self.assign(partitions).await?;
                // A consumer that no longer waits is being stopped.
                let _ = answer.send(starts);
            }
            Control::Revoke { partitions, answer } => {
                // Settled and kept first, so that the next owner has nothing to replay.
                self.settle().await?;
                self.keep_all(&partitions).await;
                for partition in &partitions {
                    self.watcher.revoke(*partition);
                    self.committed.remove(partition);
                    self.backlog.forget(*partition);
                }
                info!(?partitions, "gave partitions up");
                let _ = answer.send(());
            }
        }
        Ok(())
    }

    /// Publishes what was found at the end of a run, and keeps the state.
    async fn finish(&mut self) -> Result<(), PipelineError> {
        self.settle().await?;
        let partitions: Vec<i32> = self.watcher.partitions().collect();
        self.keep_all(&partitions).await;
        Ok(())
    }

    /// Says what detectors cannot judge well because of their settings, once in an interval.
    fn tell_clipped(&mut self, interval: Duration) {
        let now = clock::instant();
        if now.duration_since(self.counted_clipped_at) < interval {
            return;
        }
        self.counted_clipped_at = now;
        let clipped = self.watcher.clipped();
        if clipped > self.clipped {
            let values = clipped - self.clipped;
            warn!(
                values,
                "values lie beyond the limits of [half_space_trees] and count as the limit; correct its scale or limits"
            );
        }
        self.clipped = clipped;
    }

    fn report(&self) {
        let partitions = self
            .committed
            .iter()
            .map(|(&partition, &next_offset)| PartitionProgress {
                partition,
                lag: self
                    .backlog
                    .lag(partition, next_offset, self.source.end_offset(partition)),
                watermark_ms: self.watcher.watermark_ms(partition),
            })
            .collect();
        self.progress.send_modify(|progress| {
            progress.tally = self.watcher.tally().clone();
            progress.partitions = partitions;
            progress.series = self.watcher.series_count();
        });
    }
}
