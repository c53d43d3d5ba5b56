//! One batch on its way out, in the order of [`commit`](TableCommitter::commit): a look around, side outputs, log entry,
//! the group's offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};

use super::super::offsets::{GroupUse, OffsetOwner};
use super::super::sink::{CommitOutcome, Committer, FinishedCommit};
use super::super::state_files::TakenState;
use super::super::stop::COURTESY_LIMIT;
use super::super::transaction::{TransactionOutcome, TransactionWriter};
use super::super::{PipelineError, Settings, topic};
use crate::aggregation;
use crate::kafka::{Group, GroupOffset, Subscription, TABLE_SINK, TransactionalProducer};
use crate::lake::{Lake, LakeError};
use crate::output_record::OutputRecord;
use crate::table::{Batch, CachedSnapshot, Counts, Outcome, PositionChange, TopicClaim};
use crate::telemetry::events;

/// What a commit needs: the table as last known, and the transactional producer.
pub(crate) struct TableCommitter {
    lake: Arc<Lake>,
    cached: Option<CachedSnapshot>,
    transactions: TransactionWriter,
    /// By partition, the offset below which side outputs are written already.
    written_below: BTreeMap<i32, i64>,
    owner: OffsetOwner,
    /// A checksum of the settings that decide a record's fate. Under others a record may become a side output that was not, so
    /// what was written under the old ones says nothing about it.
    rules: u32,
    topic_id: Option<Arc<str>>,
    /// Until the first commit, which looks whether somebody else has begun to use the group.
    group_use: Option<Arc<GroupUse>>,
    /// Whether the run is about to end.
    leaving: watch::Receiver<bool>,
}

/// What is sealed for one commit.
pub(crate) struct SealedBatch {
    /// Rows and positions.
    pub(crate) batch: Batch,
    /// Records of the same stretch of the topic that leave beside the table.
    pub(crate) side_outputs: Vec<OutputRecord>,
    /// Registers of counters at these positions, if it is time to keep them.
    pub(crate) registers: Vec<TakenState>,
}

/// A version that was committed.
pub(crate) struct Receipt {
    /// The version.
    pub version: u64,
    /// Its data files.
    pub files: usize,
    /// The positions that it moved.
    pub positions: Vec<PositionChange>,
    /// Records by what became of them.
    pub counts: Counts,
    /// To be kept, now that the positions are committed.
    pub(crate) registers: Vec<TakenState>,
}

impl Committer for TableCommitter {
    type Batch = SealedBatch;
    type Receipt = Receipt;

    async fn commit(
        mut self,
        sealed: SealedBatch,
        group: Group,
    ) -> Result<FinishedCommit<Self>, PipelineError> {
        let SealedBatch {
            batch,
            side_outputs,
            registers,
        } = sealed;
        let (positions, counts) = (batch.positions.clone(), batch.counts.clone());
        let (found, group) = self.look_around(batch.topic.as_ref(), group).await?;
        if let Some(why) = found {
            return Ok(self.finished(CommitOutcome::Overtaken { why }));
        }
        let (written, group) = self.write_side_outputs(side_outputs, &positions, group).await?;
        if let TransactionOutcome::Overtaken { why } = written {
            return Ok(self.finished(CommitOutcome::Overtaken { why }));
        }
        let (version, files) = match self.append(batch).await? {
            CommitOutcome::Committed(appended) => appended,
            CommitOutcome::Overtaken { why } => return Ok(self.finished(CommitOutcome::Overtaken { why })),
        };
        self.publish(group, &positions).await?;
        let receipt = Receipt {
            version,
            files,
            positions,
            counts,
            registers,
        };
        Ok(self.finished(CommitOutcome::Committed(receipt)))
    }
}

impl TableCommitter {
    fn finished(self, outcome: CommitOutcome<Receipt>) -> FinishedCommit<Self> {
        FinishedCommit {
            committer: self,
            outcome,
        }
    }

    /// A committer that starts from a known version.
    pub(crate) fn new(
        lake: Arc<Lake>,
        kafka: &Subscription,
        settings: &Settings,
        cached: CachedSnapshot,
        leaving: watch::Receiver<bool>,
    ) -> Self {
        let owner = OffsetOwner::Table(lake.table_id().to_owned());
        let rules = aggregation::fingerprint(&settings.reading, &settings.window);
        let producer = TransactionalProducer::new(kafka, TABLE_SINK);
        let metadata = owner.metadata(rules, None);
        TableCommitter {
            transactions: TransactionWriter::new(producer, metadata, settings.commit.give_up_after),
            lake,
            cached: Some(cached),
            written_below: BTreeMap::new(),
            owner,
            rules,
            topic_id: None,
            group_use: None,
            leaving,
        }
    }

    /// Whose the offsets are that it commits to the group.
    pub(crate) fn owner(&self) -> &OffsetOwner {
        &self.owner
    }

    /// Has the next commit look whether somebody else has begun to use the group.
    pub(crate) fn watch_group(&mut self, group_use: Arc<GroupUse>) {
        self.group_use = Some(group_use);
    }

    /// Takes note of which topic is consumed from now on.
    pub(crate) fn note_topic(&mut self, id: Option<Arc<str>>) {
        self.transactions
            .set_offset_metadata(self.owner.metadata(self.rules, id.as_deref()));
        self.topic_id = id;
    }

    /// Brings the known version up to date and lends it.
    pub(crate) async fn refreshed(&mut self) -> Result<&CachedSnapshot, LakeError> {
        let cached = match self.cached.take() {
            Some(cached) => self.lake.refresh(cached).await?,
            None => self.lake.reload().await?,
        };
        Ok(self.cached.insert(cached))
    }

    /// Takes note of what the group has committed for partitions that were assigned.
    pub(crate) fn note_group_offsets(&mut self, offsets: &[GroupOffset]) {
        let ours = [
            self.owner.metadata(self.rules, self.topic_id.as_deref()),
            self.owner.metadata(self.rules, None),
        ];
        for group in offsets {
            self.written_below.remove(&group.partition);
            if ours.contains(&group.metadata)
                && let Some(offset) = group.offset
            {
                self.written_below.insert(group.partition, offset);
            }
        }
    }

    /// Commits that positions move which do not fit the topic. If somebody else has moved them, nothing is done.
    pub(crate) async fn accept(&mut self, batch: Batch, group: Group) -> Result<(), PipelineError> {
        let positions = batch.positions.clone();
        let cached = self.cached().await?;
        let ended = self.lake.commit(batch, cached).await?;
        self.cached = Some(ended.cached);
        let Outcome::Committed { version } = ended.outcome else {
            return Ok(());
        };
        let partitions: Vec<i32> = positions.iter().map(|change| change.partition).collect();
        warn!(
            version,
            ?partitions,
            "committed that positions move to where the topic begins"
        );
        // What was written of a topic that is gone says nothing of the new one.
        let back = |change: &PositionChange| change.to.next_offset < change.from.next_offset;
        let back: Vec<_> = positions.into_iter().filter(back).collect();
        for change in &back {
            self.written_below.remove(&change.partition);
        }
        self.publish(group, &back).await
    }

    /// What has to be so before anything of a batch goes out: the topic is the one that its records came from, and the
    /// group is nobody else's. The answer is why it is not to go out.
    ///
    /// A topic's id never comes back. So what was consumed before an answer with the same id was of the same topic.
    async fn look_around(
        &mut self,
        claim: Option<&TopicClaim>,
        group: Group,
    ) -> Result<(Option<String>, Group), PipelineError> {
        let group_use = self.group_use.take();
        let is_claimed = claim.is_some();
        let ask = move || {
            let offsets = group_use
                .as_ref()
                .and_then(|watched| group.committed_now(watched.partitions()));
            let checked = match (group_use, offsets) {
                (Some(watched), Some(offsets)) => watched.check(&offsets),
                _ => Ok(()),
            };
            let id = is_claimed.then(|| group.topic_id()).flatten();
            checked.map(|()| (id, group))
        };
        let (found, group) = tokio::task::spawn_blocking(ask).await??;
        let replaced = claim.and_then(|claim| topic::replaced(&claim.id, found.as_deref()));
        Ok((replaced, group))
    }

    /// Writes the side outputs that are not written yet, in one transaction with the group's offsets up to the end of the
    /// batch; without any there is no transaction.
    async fn write_side_outputs(
        &mut self,
        mut side_outputs: Vec<OutputRecord>,
        positions: &[PositionChange],
        mut group: Group,
    ) -> Result<(TransactionOutcome, Group), PipelineError> {
        side_outputs.retain(|output| {
            self.written_below
                .get(&output.partition)
                .is_none_or(|&below| output.offset >= below)
        });
        if side_outputs.is_empty() {
            return Ok((TransactionOutcome::Committed, group));
        }
        let offsets = next_offsets(positions);
        let generation = group.take_generation();
        let written = self
            .transactions
            .write(side_outputs, offsets.clone(), generation)
            .await?;
        if let TransactionOutcome::Committed = written {
            self.written_below.extend(offsets);
        }
        Ok((written, group))
    }

    /// Commits rows and positions to the table in one log entry: the version, and how many files it has.
    async fn append(&mut self, batch: Batch) -> Result<CommitOutcome<(u64, usize)>, PipelineError> {
        let (rows, counts) = (batch.rows.len(), batch.counts.clone());
        let cached = self.cached().await?;
        let ended = self.lake.commit(batch, cached).await?;
        let files = ended.cached.snapshot.files.len();
        self.cached = Some(ended.cached);
        let why = match ended.outcome {
            Outcome::Committed { version } => {
                info!(
                    event = events::COMMITTED,
                    version,
                    rows,
                    consumed = counts.consumed,
                    aggregated = counts.aggregated,
                    late = counts.late(),
                    dead_lettered = counts.dead(),
                    skipped = (counts.skipped > 0).then_some(counts.skipped),
                    "committed"
                );
                return Ok(CommitOutcome::Committed((version, files)));
            }
            Outcome::PositionsMoved {
                partition,
                expected,
                found,
            } => {
                if expected.next_offset == found.next_offset {
                    format!("the watermark of partition {partition} was set by hand")
                } else {
                    format!(
                        "another process moved partition {partition} from {} to {}",
                        expected.next_offset, found.next_offset
                    )
                }
            }
            Outcome::TopicReplaced { expected, found } => {
                format!("another process reads the recreated topic ({found}, not {expected})")
            }
            Outcome::Superseded => "the commit was superseded".to_owned(),
            Outcome::Incompatible(mismatch) => {
                let table = self.lake.log_store().root_url().to_string();
                return Err(LakeError::Incompatible { table, mismatch }.into());
            }
        };
        Ok(CommitOutcome::Overtaken { why })
    }

    /// Takes the known version out, or reads the table.
    async fn cached(&mut self) -> Result<CachedSnapshot, LakeError> {
        match self.cached.take() {
            Some(cached) => Ok(cached),
            None => self.lake.reload().await,
        }
    }

    /// Publishes what has just been committed, before anything later can be. A run that is about to end commits nothing
    /// later, and does not wait for a broker that does not answer.
    async fn publish(&self, group: Group, positions: &[PositionChange]) -> Result<(), PipelineError> {
        if positions.is_empty() {
            return Ok(());
        }
        let offsets = next_offsets(positions);
        let metadata = self.owner.metadata(self.rules, self.topic_id.as_deref());
        let publishing = tokio::task::spawn_blocking(move || group.publish(&offsets, &metadata));
        let mut leaving = self.leaving.clone();
        let out_of_time = async move {
            // Without a sender there is no run any more.
            let _ = leaving.wait_for(|leaving| *leaving).await;
            tokio::time::sleep(COURTESY_LIMIT).await;
        };
        tokio::select! {
            published = publishing => Ok(published?),
            () = out_of_time => {
                warn!("the broker does not take the group's offsets; the table has the positions");
                Ok(())
            }
        }
    }
}

fn next_offsets(positions: &[PositionChange]) -> Vec<(i32, i64)> {
    positions
        .iter()
        .map(|change| (change.partition, change.to.next_offset))
        .collect()
}
