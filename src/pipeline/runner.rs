//! The one loop: take blocks in, commit what is due, answer the group, and stop in good order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::info;

use super::PipelineError;
use super::lag::{Backlog, Reached};
use super::membership::{self, Membership};
use super::open_transactions::OpenTransactions;
use super::progress::{PartitionProgress, Progress};
use super::schema_lookup::{Held, SchemaLookup, learned};
use super::sink::{Assigned, BeforeRebalance, CommitOutcome, Committer, FinishedCommit, Sink, SinkPosition};
use super::stop::{Ended, STOP_LIMIT, in_time, until};
use super::targets::Targets;
use crate::clock;
use crate::kafka::{Control, Delivery, GroupOffset, Source, Start};
use crate::reading::RecordBlock;
use crate::registry::Registry;

/// How often the loop looks whether a commit is due.
const TICK: Duration = Duration::from_millis(50);

/// How often a run that waits for a commit reports that it is alive.
const WAITING_TICK: Duration = Duration::from_secs(1);

/// How often an available-now run asks its sink whether it is over.
const COMPLETION_TICK: Duration = Duration::from_millis(200);

/// How long a sink may take to come to rest: the group waits for it.
const REST_WITHIN: Duration = Duration::from_secs(3);

/// The commit on its way.
type InFlight<C> = JoinHandle<Result<FinishedCommit<C>, PipelineError>>;

/// One process's run of a sink.
pub struct Runner<S: Sink> {
    source: Source,
    sink: S,
    /// `None` while a commit is on its way, which has it.
    committer: Option<S::Committer>,
    in_flight: Option<InFlight<S::Committer>>,
    /// When the last commit began.
    commit_began_at: Instant,
    /// Where the run ends by itself, if it does.
    targets: Option<Targets>,
    last_epoch: u64,
    backlog: Backlog,
    membership: Membership,
    open_transactions: OpenTransactions,
    progress: watch::Sender<Progress<S::Progress>>,
    /// Where schemas are to be had, if records need any.
    lookup: Option<SchemaLookup>,
    /// The block that waits for schemas. Nothing behind it is taken from the source.
    held: Option<Held>,
}

impl<S: Sink> Runner<S> {
    /// A run that has not joined the group yet.
    pub fn new(source: Source, sink: S, committer: S::Committer, targets: Option<Targets>) -> Self {
        let held_back = targets
            .as_ref()
            .map_or(Vec::new(), |targets| targets.held_back().to_vec());
        let (progress, _) = watch::channel(Progress {
            held_back,
            ..Progress::default()
        });
        Runner {
            source,
            sink,
            committer: Some(committer),
            in_flight: None,
            commit_began_at: clock::instant(),
            targets,
            last_epoch: 0,
            backlog: Backlog::default(),
            membership: Membership::default(),
            open_transactions: OpenTransactions::default(),
            progress,
            lookup: None,
            held: None,
        }
    }

    /// The same, with the schemas of records and a registry to ask for more, if they need any.
    #[must_use]
    pub(crate) fn asking(mut self, registry: Option<Arc<Registry>>) -> Self {
        let schemas = self.sink.schemas();
        self.lookup = registry
            .zip(schemas)
            .and_then(|(registry, schemas)| SchemaLookup::open(registry, schemas));
        self
    }

    /// The sink, to listen to what it has to say.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// How far the run is; changes several times a second while it goes on.
    pub fn progress(&self) -> watch::Receiver<Progress<S::Progress>> {
        self.progress.subscribe()
    }

    /// Runs until `stop` resolves or, with targets, until they are committed; then commits what was ingested and leaves the
    /// group.
    ///
    /// # Errors
    /// Whatever ended the run before that. Nothing is lost: the next start goes on from the positions that are committed.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> Result<Progress<S::Progress>, PipelineError> {
        let ended = until(stop, self.consume()).await;
        let is_idle = matches!(ended, Ended::OnRequest) && self.membership.is_without_assignment();
        let finished = match ended {
            Ended::OnRequest if is_idle && self.targets.is_some() => Err(PipelineError::NothingAssigned {
                group: self.source.group_name().to_owned(),
            }),
            Ended::OnRequest => self.finish(Some(clock::instant() + STOP_LIMIT)).await,
            Ended::ByItself(Ok(())) => self.finish(None).await,
            Ended::ByItself(Err(error)) => Err(error),
        };
        self.progress
            .send_modify(|progress| progress.was_stopped_without_partitions = is_idle);
        self.report();
        self.sink.on_end();
        let progress = self.progress.borrow().clone();
        self.source.stop().await;
        finished.map(|()| progress)
    }

    /// Consumes until the targets are committed, if there are any. It may be dropped whatever it waits for.
    ///
    /// The order of the branches matters. The group's decisions come first, because the polling thread waits for the
    /// answer; then the commit that is over, which makes room; then the clock, so that a steady stream of blocks cannot
    /// keep commits from being due.
    async fn consume(&mut self) -> Result<(), PipelineError> {
        // A process that joins and leaves at once makes all others of the group wait.
        if self.is_complete().await? {
            return Ok(());
        }
        self.source.join()?;
        self.membership.ask(clock::instant());
        let mut tick = interval(TICK);
        let mut completion = interval(COMPLETION_TICK);
        loop {
            let is_full = self.in_flight.is_some() && self.sink.is_full();
            let has_room = !is_full && self.held.is_none();
            tokio::select! {
                biased;
                Some(control) = self.source.control.recv() => self.answer(control).await?,
                finished = ended(&mut self.in_flight) => {
                    self.take_back(finished?);
                    self.commit_if_urgent();
                }
                _ = tick.tick() => {
                    self.commit_if_due(false);
                    self.report();
                    self.report_membership();
                    self.sink.on_tick();
                }
                () = learned(&mut self.held), if !is_full => self.release(),
                _ = completion.tick(), if self.targets.is_some() => if self.is_complete().await? {
                    return Ok(());
                },
                delivery = self.source.deliveries.recv(), if has_room => match delivery {
                    Some(delivery) => self.deliver(delivery)?,
                    None => return Err(PipelineError::ConsumerEnded),
                },
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> Result<(), PipelineError> {
        match delivery {
            Delivery::Block(block) => self.hold_or_ingest(block),
            Delivery::EndReached { partition, epoch } => {
                self.backlog.note_end(partition);
                let targets = self.targets.as_ref();
                if let Some(end) = targets.and_then(|targets| targets.end_of(partition)) {
                    self.sink.note_end(partition, epoch, end);
                }
            }
            Delivery::Undecodable {
                partition,
                epoch,
                offsets,
                cause,
            } => self.sink.pass_undecodable(partition, epoch, offsets, &cause),
            Delivery::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn hold_or_ingest(&mut self, block: RecordBlock) {
        let Some(lookup) = &mut self.lookup else {
            return self.ingest(&block);
        };
        let progress = self.progress.clone();
        let waits = move |why| {
            progress.send_modify(|progress| progress.waits_for_schemas = Some(why));
        };
        match lookup.hold(block, waits) {
            Ok(held) => self.held = Some(held),
            // As nearly always: all of its schemas are known.
            Err(block) => self.ingest(&block),
        }
    }

    /// Ingests the block that was held: its schemas are known.
    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.progress
                .send_modify(|progress| progress.waits_for_schemas = None);
            self.ingest(&held.block);
        }
    }

    fn ingest(&mut self, block: &RecordBlock) {
        self.backlog.note_block(block, clock::instant());
        self.sink.ingest(block);
        self.commit_if_urgent();
    }

    /// Begins a commit without waiting for one to be due, where the sink does not want to wait.
    fn commit_if_urgent(&mut self) {
        if self.sink.is_urgent() {
            self.commit_if_due(true);
        }
    }

    /// Begins a commit if none is on its way and one is due, or `now`.
    fn commit_if_due(&mut self, now: bool) {
        let since_last = clock::instant().duration_since(self.commit_began_at);
        if !now && !self.sink.is_due(since_last, self.targets.as_ref()) {
            return;
        }
        let Some(committer) = self.committer.take() else {
            return;
        };
        let Some(batch) = self.sink.seal() else {
            self.committer = Some(committer);
            return;
        };
        self.commit_began_at = clock::instant();
        self.backlog.note_sealed();
        let group = self.source.group();
        self.in_flight = Some(tokio::spawn(committer.commit(batch, group)));
    }

    /// Takes the committer back from a commit that is over.
    fn take_back(&mut self, finished: FinishedCommit<S::Committer>) {
        self.committer = Some(finished.committer);
        match finished.outcome {
            CommitOutcome::Committed(receipt) => {
                self.sink.committed(receipt);
                self.backlog.note_committed();
                let took = clock::instant().duration_since(self.commit_began_at);
                self.progress.send_modify(|progress| {
                    progress.commits.note(took, clock::now_ms());
                    self.sink.report(&mut progress.sink);
                });
            }
            CommitOutcome::Overtaken { why } => {
                self.progress
                    .send_modify(|progress| progress.commits.overtaken += 1);
                self.sink.drop_uncommitted(&why);
                self.backlog.clear();
                self.source.reposition();
            }
        }
    }

    /// Waits for the commit on its way, if there is one.
    async fn wait_for_commit(&mut self) -> Result<(), PipelineError> {
        while self.in_flight.is_some() {
            tokio::select! {
                finished = ended(&mut self.in_flight) => self.take_back(finished?),
                () = tokio::time::sleep(WAITING_TICK) => self.report(),
            }
        }
        Ok(())
    }

    /// Commits everything that was ingested.
    async fn commit_all(&mut self) -> Result<(), PipelineError> {
        loop {
            self.wait_for_commit().await?;
            self.commit_if_due(true);
            if self.in_flight.is_none() {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, control: Control) -> Result<(), PipelineError> {
        // First, so that the next owner finds the positions where this process left them.
        self.sink.come_to_rest(REST_WITHIN).await;
        match S::BEFORE_REBALANCE {
            BeforeRebalance::WaitForCommit => self.wait_for_commit().await?,
            BeforeRebalance::CommitAll => self.commit_all().await?,
        }
        match control {
            Control::Assign { partitions, answer } => {
                self.membership.assign(partitions.len());
                let starts = self.assign(partitions).await?;
                // A consumer that no longer waits is being stopped.
                let _ = answer.send(starts);
            }
            Control::Revoke { partitions, answer } => {
                self.sink.revoke(&partitions).await;
                for &partition in &partitions {
                    self.backlog.forget(partition);
                }
                info!(?partitions, "gave partitions up");
                let _ = answer.send(());
            }
        }
        Ok(())
    }

    async fn assign(&mut self, partitions: Vec<GroupOffset>) -> Result<Vec<Start>, PipelineError> {
        let Some(committer) = &mut self.committer else {
            let why = "partitions assigned during a commit".to_owned();
            return Err(PipelineError::Internal(why));
        };
        let mut assigned = Vec::with_capacity(partitions.len());
        for group in partitions {
            self.last_epoch += 1;
            self.backlog.forget(group.partition);
            assigned.push(Assigned {
                group,
                epoch: self.last_epoch,
            });
        }
        self.sink.assign(committer, assigned, &self.source).await
    }

    /// Whether a run with targets is over.
    async fn is_complete(&mut self) -> Result<bool, PipelineError> {
        let (Some(targets), Some(committer)) = (&self.targets, &mut self.committer) else {
            return Ok(false);
        };
        self.sink.is_complete(committer, targets, &self.source).await
    }

    /// Commits what was ingested at the end of a run; with a deadline, as far as there is time.
    async fn finish(&mut self, deadline: Option<Instant>) -> Result<(), PipelineError> {
        self.sink.on_stop();
        self.sink.come_to_rest(REST_WITHIN).await;
        match deadline {
            Some(_) => in_time(STOP_LIMIT, self.commit_all()).await?,
            None => self.commit_all().await?,
        }
        let time_left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(clock::instant())
        });
        self.sink.keep(time_left).await;
        Ok(())
    }

    /// Reports, once, that the group has given nothing for long.
    fn report_membership(&mut self) {
        if self.membership.is_overdue(clock::instant()) {
            let name = self.source.group_name().to_owned();
            tokio::spawn(membership::report(
                self.source.group(),
                name,
                self.source.has_joined(),
            ));
        }
    }

    fn report(&mut self) {
        let now = clock::instant();
        let partitions = self.sink.positions().into_iter().map(|position| {
            let SinkPosition {
                partition,
                committed,
                ingested,
                watermark_ms,
            } = position;
            let reached = Reached { committed, ingested };
            PartitionProgress {
                partition,
                lag: self
                    .backlog
                    .lag(partition, reached, self.source.end(partition), now),
                watermark_ms,
            }
        });
        let partitions: Vec<PartitionProgress> = partitions.collect();
        self.open_transactions.warn(self.source.topic(), &partitions, now);
        self.progress.send_modify(|progress| {
            progress.ingested = self.sink.ingested();
            progress.partitions = partitions;
            self.sink.report(&mut progress.sink);
        });
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The end of the commit on its way; never, if there is none.
async fn ended<C: Committer>(
    in_flight: &mut Option<InFlight<C>>,
) -> Result<FinishedCommit<C>, PipelineError> {
    match in_flight {
        Some(task) => {
            let ended = task.await;
            *in_flight = None;
            ended?
        }
        None => std::future::pending().await,
    }
}
