//! Anomalies on their way out, with the positions that they were found up to.

use std::sync::Arc;

use crate::detection::PlacedAnswer;
use crate::detectors::{Anomaly, MessageContext};
use crate::kafka::{ANOMALIES, Group, Subscription, TransactionalProducer};
use crate::output_record::{OutputRecord, own_header};

use super::super::offsets::OffsetOwner;
use super::super::sink::{CommitOutcome, Committer, FinishedCommit};
use super::super::state_files::TakenState;
use super::super::topic::TopicWatch;
use super::super::transaction::{TransactionOutcome, TransactionWriter};
use super::super::{PipelineError, Settings};
use super::journal::JournalSpec;

/// What a transaction needs.
pub struct Publisher {
    transactions: TransactionWriter,
    topic: String,
    context: MessageContext,
    owner: OffsetOwner,
    /// Of the settings that the offsets come about under, for whoever looks at the group.
    fingerprint: u32,
    /// Of the topic that is judged.
    judged: TopicWatch,
    journal: JournalSpec,
}

/// What is sealed for one transaction.
pub struct SealedAnomalies {
    /// In the order they were found.
    pub anomalies: Vec<Anomaly>,
    /// Answers that got their place among the records up to there.
    pub(super) placed: Vec<PlacedAnswer>,
    /// Up to where they were found: partitions and next offsets.
    pub offsets: Vec<(i32, i64)>,
    /// The state at these offsets, where it is to be kept.
    pub states: Vec<TakenState>,
}

/// A transaction that was committed, with all that was sealed for it.
pub(super) type Receipt = SealedAnomalies;

impl Committer for Publisher {
    type Batch = SealedAnomalies;
    type Receipt = Receipt;

    /// Publishes anomalies and positions in one transaction.
    async fn commit(
        mut self,
        sealed: SealedAnomalies,
        mut group: Group,
    ) -> Result<FinishedCommit<Self>, PipelineError> {
        let outcome = match self.judged.look(&self.transactions).await? {
            Some(why) => CommitOutcome::Overtaken { why },
            None => {
                let anomalies = sealed.anomalies.iter().map(|anomaly| self.output(anomaly));
                let id = self.judged.id();
                let placed = sealed.placed.iter().map(|placed| self.journal.output(placed, id));
                let outputs = anomalies.chain(placed).collect();
                let offsets = sealed.offsets.clone();
                let generation = group.take_generation();
                match self.transactions.write(outputs, offsets, generation).await? {
                    TransactionOutcome::Committed => CommitOutcome::Committed(sealed),
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

impl Publisher {
    /// A publisher that has not talked to the cluster yet.
    pub(crate) fn new(
        settings: &Settings,
        kafka: &Subscription,
        owner: OffsetOwner,
        fingerprint: u32,
        journal: JournalSpec,
    ) -> Self {
        let producer = TransactionalProducer::new(kafka, ANOMALIES);
        let metadata = owner.metadata(fingerprint, None);
        Publisher {
            transactions: TransactionWriter::new(producer, metadata, settings.commit.give_up_after),
            topic: settings.detect.anomaly_topic.clone(),
            context: settings.message_context(),
            owner,
            fingerprint,
            judged: TopicWatch::new(),
            journal,
        }
    }

    /// Takes note of which topic is judged from now on.
    pub(crate) fn note_topic(&mut self, id: Option<Arc<str>>) {
        let metadata = self.owner.metadata(self.fingerprint, id.as_deref());
        self.transactions.set_offset_metadata(metadata);
        self.judged.note(id);
    }

    /// Connects, so that the first anomaly need not wait for it.
    pub(crate) async fn connect(&self) {
        self.transactions.connect().await;
    }

    /// The message of an anomaly; that of a long key has one with a short key in reserve, should it not fit.
    fn output(&self, anomaly: &Anomaly) -> OutputRecord {
        let mut output = self.plain_output(anomaly);
        output.brief = anomaly.with_short_key().map(|short| {
            let mut brief = self.plain_output(&short);
            let length = anomaly.key.len().to_string();
            brief.headers.push(own_header("key_truncated", &length));
            Box::new(brief)
        });
        output
    }

    fn plain_output(&self, anomaly: &Anomaly) -> OutputRecord {
        OutputRecord {
            topic: self.topic.clone(),
            partition: anomaly.partition,
            offset: anomaly.episode.message.offset,
            key: anomaly.message_key().map(<[u8]>::to_vec),
            value: Some(anomaly.json(&self.context).into_bytes()),
            headers: anomaly.headers(&self.context),
            brief: None,
        }
    }
}
