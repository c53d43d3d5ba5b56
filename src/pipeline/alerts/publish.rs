//! The alerts' memory on its way into its topic, with the positions that it is of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::PipelineError;
use super::super::offsets::OffsetOwner;
use super::super::sink::{CommitOutcome, Committer, FinishedCommit};
use super::super::topic::TopicWatch;
use super::super::transaction::{TransactionOutcome, TransactionWriter};
use crate::alerts::{StateChanges, StateKey, StateRecord};
use crate::kafka::{ALERTS, Group, Subscription, TransactionalProducer};
use crate::output_record::OutputRecord;

/// What a transaction needs.
pub struct StatePublisher {
    transactions: TransactionWriter,
    state_topic: String,
    /// Whose state it is.
    group: String,
    owner: OffsetOwner,
    /// Of the topic of anomalies.
    heard: TopicWatch,
}

/// What is sealed for one transaction.
pub struct SealedState {
    /// What the memory holds otherwise than before.
    pub(crate) changes: StateChanges,
    /// Partitions and next offsets.
    pub offsets: Vec<(i32, i64)>,
    /// When it was sealed.
    pub sealed_at: Instant,
}

/// A transaction that was committed.
pub struct Receipt {
    /// Partitions and next offsets.
    pub offsets: Vec<(i32, i64)>,
    /// When it was sealed: the group knew this process at some time after that.
    pub sealed_at: Instant,
}

/// The offsets do not depend on any rules.
const NO_RULES: u32 = 0;

impl Committer for StatePublisher {
    type Batch = SealedState;
    type Receipt = Receipt;

    /// Writes the memory and the positions in one transaction.
    async fn commit(
        mut self,
        sealed: SealedState,
        mut group: Group,
    ) -> Result<FinishedCommit<Self>, PipelineError> {
        let outcome = match self.heard.look(&self.transactions).await? {
            Some(why) => CommitOutcome::Overtaken { why },
            None => {
                let SealedState {
                    changes,
                    offsets,
                    sealed_at,
                } = sealed;
                let outputs = self.outputs(changes);
                let generation = group.take_generation();
                match self
                    .transactions
                    .write(outputs, offsets.clone(), generation)
                    .await?
                {
                    TransactionOutcome::Committed => CommitOutcome::Committed(Receipt { offsets, sealed_at }),
                    TransactionOutcome::Overtaken { why } => CommitOutcome::Overtaken { why },
                }
            }
        };
        Ok(FinishedCommit {
            committer: self,
            outcome,
        })
    }
}

impl StatePublisher {
    /// A publisher that has not talked to the cluster yet.
    pub(super) fn new(
        kafka: &Subscription,
        state_topic: &str,
        owner: OffsetOwner,
        give_up_after: Duration,
    ) -> Self {
        let producer = TransactionalProducer::new(kafka, ALERTS);
        let metadata = owner.metadata(NO_RULES, None);
        StatePublisher {
            transactions: TransactionWriter::new(producer, metadata, give_up_after),
            state_topic: state_topic.to_owned(),
            group: kafka.source.group.clone(),
            owner,
            heard: TopicWatch::new(),
        }
    }

    /// Takes note of which topic is read from now on.
    pub(super) fn note_topic(&mut self, id: Option<Arc<str>>) {
        let metadata = self.owner.metadata(NO_RULES, id.as_deref());
        self.transactions.set_offset_metadata(metadata);
        self.heard.note(id);
    }

    /// Connects, so that the first message need not wait for it.
    pub(super) async fn connect(&self) {
        self.transactions.connect().await;
    }

    fn outputs(&self, changes: StateChanges) -> Vec<OutputRecord> {
        let output = |(key, record): (StateKey, Option<StateRecord>)| OutputRecord {
            topic: self.state_topic.clone(),
            partition: key.partition(),
            offset: -1,
            key: Some(key.encode(&self.group)),
            value: record.map(|record| record.encode()),
            headers: Vec::new(),
            brief: None,
        };
        changes.into_iter().map(output).collect()
    }
}
