//! What a run feeds: a sink takes blocks in, seals what is to be committed, and takes partitions over and gives them up.
//!
//! Only the [`Runner`](super::Runner) calls a sink, one method at a time. A commit runs in a task of its own beside that,
//! with the sink's one [`Committer`]: so at most one is on its way, and what it needs cannot be touched meanwhile.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::PipelineError;
use super::targets::Targets;
use crate::decode::Schemas;
use crate::kafka::{Group, GroupOffset, Source, Start};
use crate::reading::RecordBlock;

/// How often a kind of record that a sink rejects is logged; all of them are counted.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Where the records of a topic go, and what remembers how far they have gone there.
pub trait Sink: Send + 'static {
    /// Its name in metrics and logs.
    const NAME: &'static str;
    /// What it wants committed before partitions are assigned or revoked.
    const BEFORE_REBALANCE: BeforeRebalance;
    /// Performs its commits.
    type Committer: Committer;
    /// What its progress holds beside what the runner counts.
    type Progress: Clone + Default + Send + Sync + 'static;

    /// The schemas that must be known before a block is taken in, where its records need any.
    fn schemas(&self) -> Option<Arc<Schemas>> {
        None
    }

    /// Takes in a block. A block of an earlier epoch, and a record below the position, must change nothing.
    fn ingest(&mut self, block: &RecordBlock);

    /// Passes records at these offsets, which cannot be unpacked. As in [`ingest`](Self::ingest), what is below the position
    /// was passed already.
    fn pass_undecodable(&mut self, partition: i32, epoch: u64, offsets: Range<i64>, cause: &str);

    /// Notes that a partition holds no more records below `end_offset`, where the run is to end.
    fn note_end(&mut self, partition: i32, epoch: u64, end_offset: i64);

    /// Whether what waits for a commit has reached its limit. While a commit is on its way, a full sink gets no blocks.
    fn is_full(&self) -> bool;

    /// Whether what waits is to be committed as soon as no other commit is on its way: when the sink is full, unless it says
    /// otherwise.
    fn is_urgent(&self) -> bool {
        self.is_full()
    }

    /// Whether a commit is due by the time `since_last` one began, or because the run has reached its targets.
    fn is_due(&self, since_last: Duration, targets: Option<&Targets>) -> bool;

    /// Takes out what is to be committed; `None` if there is nothing. What comes later belongs to the next commit.
    fn seal(&mut self) -> Option<<Self::Committer as Committer>::Batch>;

    /// Notes that what was sealed is committed.
    fn committed(&mut self, receipt: <Self::Committer as Committer>::Receipt);

    /// Waits for what it does beside commits, for so long at most: partitions are about to be assigned or revoked, or the run
    /// to end. What comes of it is part of the commit that follows.
    fn come_to_rest(&mut self, _within: Duration) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Drops everything that is not committed, together with all partitions, because a commit was overtaken: they are
    /// about to be assigned again, from the positions that others may have moved.
    fn drop_uncommitted(&mut self, why: &str);

    /// Takes partitions over, and says where to start in each. No commit is on its way.
    ///
    /// # Errors
    /// What ends the run: there is no position to start from, or it cannot be had.
    fn assign(
        &mut self,
        committer: &mut Self::Committer,
        assigned: Vec<Assigned>,
        source: &Source,
    ) -> impl Future<Output = Result<Vec<Start>, PipelineError>> + Send;

    /// Gives partitions up, with what is not committed of them. No commit is on its way.
    fn revoke(&mut self, partitions: &[i32]) -> impl Future<Output = ()> + Send;

    /// Whether the targets are committed, by whichever process, and nothing here waits to be. No commit is on its way.
    ///
    /// # Errors
    /// What ends the run: where the positions are kept does not say how far they are.
    fn is_complete(
        &mut self,
        committer: &mut Self::Committer,
        targets: &Targets,
        source: &Source,
    ) -> impl Future<Output = Result<bool, PipelineError>> + Send;

    /// How far it is in the assigned partitions.
    fn positions(&self) -> Vec<SinkPosition>;

    /// Records ingested since the start, committed or not.
    fn ingested(&self) -> u64;

    /// Brings its own part of the progress up to date.
    fn report(&self, progress: &mut Self::Progress);

    /// Called several times a second.
    fn on_tick(&mut self) {}

    /// Called when the run begins to stop, before its last commits.
    fn on_stop(&mut self) {}

    /// Keeps, after the last commit, what makes the next start quicker.
    fn keep(&mut self, _time_left: Duration) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Called when the run is over, however it ended, before the group is left.
    fn on_end(&mut self) {}
}

/// What the commits of a sink need, and only one at a time may have: connections, the version last known.
pub trait Committer: Sized + Send + 'static {
    /// What a commit takes out of its sink.
    type Batch: Send + 'static;
    /// What its sink has to know of a commit.
    type Receipt: Send + 'static;

    /// Commits a batch, and tries until the outcome is clear.
    ///
    /// # Errors
    /// What ends the run: it will not pass by itself, or not in time.
    fn commit(
        self,
        batch: Self::Batch,
        group: Group,
    ) -> impl Future<Output = Result<FinishedCommit<Self>, PipelineError>> + Send;
}

/// A commit that is over, and the committer for the next one.
#[derive(Debug)]
pub struct FinishedCommit<C: Committer> {
    /// For the next commit.
    pub committer: C,
    /// How it ended.
    pub outcome: CommitOutcome<C::Receipt>,
}

/// How a commit ended.
#[derive(Debug)]
pub enum CommitOutcome<Receipt> {
    /// What was sealed is committed.
    Committed(Receipt),
    /// Another process has committed our positions or owns our partitions, or the outcome cannot be known yet.
    Overtaken {
        /// In one sentence, without a full stop.
        why: String,
    },
}

/// What is to be committed before partitions change hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeRebalance {
    /// The commit on its way; what is pending is read again by the next owner.
    WaitForCommit,
    /// Everything that was ingested, so that the next owner reads nothing again.
    CommitAll,
}

/// A partition that the group has assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// What the group has committed for it.
    pub group: GroupOffset,
    /// Distinguishes this assignment from an earlier one of the same partition; its blocks carry it.
    pub epoch: u64,
}

/// How far a sink is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkPosition {
    /// The partition.
    pub partition: i32,
    /// The next offset to commit.
    pub committed: i64,
    /// The next offset to take in.
    pub ingested: i64,
    /// In milliseconds since 1970; none before the first reading.
    pub watermark_ms: Option<i64>,
}
