//! The one loop: take blocks in, commit what is pending, answer the group, and stop in good order.
//!
//! The order of effects that exactly-once rests on, in one place:
//!
//! 1. A block goes through [`Aggregator::step`]; what departs becomes letters.
//! 2. Sealing gives a batch: rows, positions, letters. What comes later belongs to the next one.
//! 3. The letters are written in a Kafka transaction together with the group's offsets ([`Outbox`]).
//! 4. Rows and positions are committed to the table in one log entry ([`Lake::commit`]).
//! 5. The positions are published as the group's offsets.
//!
//! A crash between any two of them is repaired by starting from the table's positions: letters below the group's
//! offset are not written again, everything else is. If another process turns out to have committed our positions,
//! or the group has moved on, everything pending is dropped and taken up again from the table.
//!
//! Absent from this room: decisions about records, the format of anything, printing.

mod assignment;
mod backlog;
mod detection;
mod error;
mod letters;
mod mail;
mod progress;
mod settle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::clock;
use crate::config::Config;
use crate::decode::{Counts, Decoder};
use crate::kafka::{Control, Delivery, Source, TopicSpec, ensure_topics};
use crate::lake::{Lake, Maintenance, OpenMode};
use crate::operator::{Aggregator, Rules};
use crate::reading::RecordBlock;
use crate::table::Known;

pub use backlog::{Lag, Oldest};
pub use detection::{Detection, DetectionProgress};
pub use error::PipelineError;
pub use progress::{Commits, PartitionProgress, Progress, lag_records};

use assignment::Targets;
use backlog::Backlog;
use letters::Letters;
use settle::{Settled, Settlement, Writer};

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// Until it is told to stop.
    Continuous,
    /// Until the ends that the topic had at the start, committed.
    AvailableNow,
}

impl RunMode {
    /// The mode of the flag `--available-now`.
    pub fn of(available_now: bool) -> Self {
        if available_now {
            RunMode::AvailableNow
        } else {
            RunMode::Continuous
        }
    }
}

/// A running aggregation of one process.
pub struct Pipeline {
    config: Config,
    lake: Arc<Lake>,
    aggregator: Aggregator,
    letters: Letters,
    source: Source,
    /// What a commit needs and only one may have at a time; `None` while one is on its way.
    writer: Option<Writer>,
    in_flight: Option<JoinHandle<Result<Settlement, PipelineError>>>,
    targets: Option<Targets>,
    maintenance: Option<JoinHandle<()>>,
    next_epoch: u64,
    /// When the last commit began.
    committed_at: Instant,
    backlog: Backlog,
    counts: Counts,
    progress: watch::Sender<Progress>,
}

impl Pipeline {
    /// Opens the table, makes missing topics and joins the group.
    ///
    /// # Errors
    /// What the table, the store or the cluster has against it, in one sentence.
    pub async fn start(config: Config, mode: RunMode) -> Result<Self, PipelineError> {
        let (lake, known) = Lake::open(&config, OpenMode::Create).await?;
        let kafka = &config.kafka;
        let mut topics = vec![TopicSpec::readings(kafka)];
        topics.extend(TopicSpec::letters(kafka, config.window.late));
        ensure_topics(kafka, &topics).await?;
        let targets = match mode {
            RunMode::Continuous => None,
            RunMode::AvailableNow => Some(Targets::at_the_end_of(kafka, &known.image).await?),
        };
        let rules = Rules::new(Decoder::new(&config.reading), &config.window);
        let lake = Arc::new(lake);
        let (progress, _) = watch::channel(Progress::default());
        Ok(Pipeline {
            source: Source::start(kafka)?,
            aggregator: Aggregator::new(rules),
            letters: Letters::new(&config),
            writer: Some(Writer::new(Arc::clone(&lake), &config, known)),
            in_flight: None,
            targets,
            maintenance: None,
            next_epoch: 0,
            committed_at: clock::instant(),
            backlog: Backlog::default(),
            counts: Counts::default(),
            progress,
            lake,
            config,
        })
    }

    /// What the run has come to; changes several times a second while it goes on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Runs until `stop` resolves or, in available-now mode, until the end; then commits what is complete and leaves
    /// the group.
    ///
    /// # Errors
    /// Whatever ended the run before that. Nothing is lost: the next start goes on from the table.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Progress, PipelineError> {
        let ran = self.consume(stop).await;
        let finished = match ran {
            Ok(()) => self.finish().await,
            Err(error) => Err(error),
        };
        if let Some(maintenance) = self.maintenance.take() {
            maintenance.abort();
        }
        self.report();
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
            let has_room = self.has_room();
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                Some(control) = self.source.control.recv() => self.answer(control).await?,
                settlement = ended(&mut self.in_flight) => self.take_back(settlement?)?,
                _ = tick.tick() => {
                    self.commit_if_due(false)?;
                    self.report();
                }
                _ = completion.tick(), if self.targets.is_some() => if self.is_complete().await? {
                    return Ok(());
                },
                delivery = self.source.deliveries.recv(), if has_room => match delivery {
                    Some(Delivery::Block(block)) => self.take_in(&block)?,
                    Some(Delivery::EndReached { partition, epoch }) => self.note_end(partition, epoch),
                    Some(Delivery::Failed(error)) => return Err(error.into()),
                    None => return Err(PipelineError::ConsumerEnded),
                },
            }
        }
    }

    /// Whether another block may be taken in: what waits for a commit is bounded.
    fn has_room(&self) -> bool {
        self.in_flight.is_none() || !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.aggregator.pending_rows() >= self.config.commit.max_pending_rows
            || self.letters.byte_count() >= self.config.commit.max_pending_bytes
    }

    fn take_in(&mut self, block: &RecordBlock) -> Result<(), PipelineError> {
        self.backlog.take_in(block, clock::instant());
        let departures = self.aggregator.step(block);
        self.letters.add(block, departures);
        if self.is_full() {
            self.commit_if_due(true)
        } else {
            Ok(())
        }
    }

    fn note_end(&mut self, partition: i32, epoch: u64) {
        self.backlog.reach_end(partition);
        if let Some(targets) = &self.targets
            && let Some(end) = targets.end_of(partition)
        {
            self.aggregator.note_end(partition, epoch, end);
        }
    }

    /// Begins a commit if none is on its way and one is due, or `now`.
    fn commit_if_due(&mut self, now: bool) -> Result<(), PipelineError> {
        let is_idle = self.aggregator.pending_rows() == 0;
        let interval = if is_idle {
            self.config.commit.idle_interval
        } else {
            self.config.commit.interval
        };
        let elapsed = clock::instant().duration_since(self.committed_at);
        // What the run waits for need not wait for the interval.
        let is_due = now || elapsed >= interval || self.has_reached_targets();
        if !is_due || self.in_flight.is_some() {
            return Ok(());
        }
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let Some(batch) = self.aggregator.seal() else {
            self.writer = Some(writer);
            return Ok(());
        };
        self.committed_at = clock::instant();
        self.backlog.seal();
        let letters = self.letters.take();
        self.in_flight = Some(tokio::spawn(writer.settle(batch, letters, self.source.group())));
        Ok(())
    }

    /// Takes the writer back from a commit that is over.
    fn take_back(&mut self, settlement: Settlement) -> Result<(), PipelineError> {
        match settlement.settled {
            Settled::Committed {
                version,
                files,
                positions,
                counts,
            } => {
                self.aggregator.committed(&positions);
                self.backlog.commit();
                self.counts.add(&counts);
                let took = clock::instant().duration_since(self.committed_at);
                self.progress.send_modify(|progress| {
                    progress.version = Some(version);
                    progress.files = Some(files);
                    progress.commits.note(took, clock::now_ms());
                });
            }
            Settled::Overtaken { why } => {
                warn!("{why}; dropping what is pending and going on from the table's positions");
                self.progress
                    .send_modify(|progress| progress.commits.overtaken += 1);
                self.drop_pending();
                self.source.reposition();
            }
        }
        self.writer = Some(settlement.writer);
        Ok(())
    }

    fn drop_pending(&mut self) {
        let partitions: Vec<i32> = self
            .aggregator
            .positions()
            .map(|(partition, _)| partition)
            .collect();
        for partition in partitions {
            self.aggregator.revoke(partition);
            self.backlog.forget(partition);
        }
        self.letters.clear();
    }

    /// Waits for the commit on its way, if there is one.
    async fn settle(&mut self) -> Result<(), PipelineError> {
        while self.in_flight.is_some() {
            tokio::select! {
                settlement = ended(&mut self.in_flight) => self.take_back(settlement?)?,
                () = tokio::time::sleep(WAITING_TICK) => self.report(),
            }
        }
        Ok(())
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
                // Settled first, so that the next owner finds the positions where this process left them.
                self.settle().await?;
                for &partition in &partitions {
                    self.aggregator.revoke(partition);
                    self.letters.drop_partition(partition);
                    self.backlog.forget(partition);
                }
                info!(?partitions, "gave partitions up");
                if partitions.contains(&MAINTAINING_PARTITION)
                    && let Some(maintenance) = self.maintenance.take()
                {
                    maintenance.abort();
                }
                let _ = answer.send(());
            }
        }
        Ok(())
    }

    /// Commits what is complete at the end of a run.
    async fn finish(&mut self) -> Result<(), PipelineError> {
        self.settle().await?;
        self.commit_if_due(true)?;
        self.settle().await
    }

    /// The holder of partition 0 keeps the table healthy.
    fn start_maintenance(&mut self, known: &Known) {
        if !self.config.maintenance.enabled || self.maintenance.is_some() {
            return;
        }
        let allowed_delay_ms = self.config.window.watermark.as_millis() as i64;
        let maintenance = Maintenance::new(
            Arc::clone(&self.lake),
            self.config.maintenance.clone(),
            allowed_delay_ms,
            Known::new(known.image.clone()),
        );
        self.maintenance = Some(tokio::spawn(maintenance.run()));
    }

    fn report(&self) {
        let allowed_delay_ms = self.config.window.watermark.as_millis() as i64;
        let committed = self.aggregator.committed_offsets();
        let partitions = committed
            .zip(self.aggregator.positions())
            .map(|((partition, next_offset), (_, position))| PartitionProgress {
                partition,
                lag: self
                    .backlog
                    .lag(partition, next_offset, self.source.end_offset(partition)),
                watermark_ms: position
                    .largest_event_time_ms
                    .map(|largest| largest - allowed_delay_ms),
            })
            .collect();
        self.progress.send_modify(|progress| {
            progress.counts = self.counts.clone();
            progress.taken_in = self.aggregator.taken_in();
            progress.pending_rows = self.aggregator.pending_rows();
            progress.partitions = partitions;
        });
    }
}

/// How often it is looked whether a commit is due.
const TICK: Duration = Duration::from_millis(50);

/// How often a run that waits for a commit says that it is alive.
const WAITING_TICK: Duration = Duration::from_secs(1);

/// How often an available-now run looks into the table's log whether it is over.
const COMPLETION_TICK: Duration = Duration::from_millis(200);

/// Whoever holds this partition maintains the table, so that one process does.
const MAINTAINING_PARTITION: i32 = 0;

/// The end of the task on its way; never, if there is none.
async fn ended<T>(in_flight: &mut Option<JoinHandle<Result<T, PipelineError>>>) -> Result<T, PipelineError> {
    match in_flight {
        Some(task) => {
            let ended = task.await;
            *in_flight = None;
            ended.map_err(|error| PipelineError::Internal(error.to_string()))?
        }
        None => std::future::pending().await,
    }
}
