//! Where to start in an assigned partition: from its newest state file at or below the group's offset.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::super::PipelineError;
use super::super::sink::Assigned;
use super::super::topic::{Topic, group_position};
use super::AnomaliesSink;
use super::journal::JournalSpec;
use super::publish::Publisher;
use crate::detection::{PlacedAnswer, StateFile, StateFileError};
use crate::kafka::{GroupOffset, Start, Subscription};
use crate::telemetry::events;

impl AnomaliesSink {
    /// Takes partitions over at the group's offsets and says where to start reading in each.
    pub(super) async fn take_over(
        &mut self,
        publisher: &mut Publisher,
        assigned: Vec<Assigned>,
    ) -> Result<Vec<Start>, PipelineError> {
        let offsets: Vec<GroupOffset> = assigned.iter().map(|assigned| assigned.group.clone()).collect();
        self.group_use.check(&offsets)?;
        let partitions = offsets.iter().map(|group| group.partition).collect();
        let topic = Topic::look(&self.kafka, Some(partitions), self.give_up_after).await?;
        publisher.note_topic(topic.id.clone());
        // The group's offsets are known, so all transactions that they came with are over: their answers are there.
        let mut placed = read_journal(self.journal.clone(), self.kafka.clone(), topic.id.clone()).await?;
        let mut starts = Vec::with_capacity(assigned.len());
        for Assigned { group, epoch } in assigned {
            let (partition, range) = (group.partition, topic.range(group.partition));
            let (judged_below, is_fit) = group_position(&self.kafka, &group, &topic)?;
            if !is_fit || group.offset.is_none() {
                // The topic was recreated (Kafka drops the group's offsets with it), or what is missing was accepted: no
                // state fits what comes.
                self.states.store().clear(partition).await?;
            }
            let offset = self.restore(partition, epoch, judged_below, range.0).await?;
            let placed = placed.remove(&partition).unwrap_or_default();
            let answers = placed.len();
            self.operator.load_journal(partition, placed);
            // Where the group's offset does not fit, the new one goes out with the next transaction.
            self.committed.remove(&partition);
            if is_fit {
                self.committed.insert(partition, judged_below);
            }
            info!(
                event = events::PARTITION_ASSIGNED,
                partition,
                offset = judged_below,
                replayed = judged_below - offset,
                end = range.1,
                answers,
                "took a partition over"
            );
            starts.push(Start {
                partition,
                offset,
                epoch,
            });
        }
        self.hear(true);
        Ok(starts)
    }

    /// Restores the newest state at or below `judged_below`; the answer is where to go on reading from.
    async fn restore(
        &mut self,
        partition: i32,
        epoch: u64,
        judged_below: i64,
        low: i64,
    ) -> Result<i64, PipelineError> {
        let offsets = self.states.store().offsets(partition).await?;
        for offset in offsets.into_iter().filter(|offset| *offset <= judged_below) {
            let Some(contents) = self.states.store().read(partition, offset).await? else {
                log_unreadable(partition, offset);
                continue;
            };
            let opened = StateFile::open(contents, self.operator.spec(), partition);
            let start = offset.max(low);
            let resumed = opened.and_then(|state| self.operator.resume(state, epoch, start, judged_below));
            match resumed {
                Ok(()) => {
                    if start > offset {
                        let missing = start - offset;
                        warn!(
                            partition,
                            missing, "records after the state file are gone; the state lacks them"
                        );
                    }
                    return Ok(start);
                }
                Err(StateFileError::Torn) => log_unreadable(partition, offset),
                Err(error) => {
                    warn!(partition, offset, %error, "a state file cannot be used; the state is rebuilt without it");
                }
            }
        }
        self.operator.assign(partition, epoch, low, judged_below);
        Ok(low)
    }
}

/// The answers that have a place, by partition.
async fn read_journal(
    journal: JournalSpec,
    kafka: Subscription,
    topic_id: Option<Arc<str>>,
) -> Result<BTreeMap<i32, Vec<PlacedAnswer>>, PipelineError> {
    tokio::task::spawn_blocking(move || journal.read(&kafka, topic_id.as_ref())).await?
}

/// The group's offsets that do not fit the topic and are accepted to be replaced.
///
/// # Errors
/// [`PipelineError::Gap`] and [`PipelineError::TopicReplaced`], if they are not.
pub(super) fn unfit(
    kafka: &Subscription,
    offsets: &[GroupOffset],
    topic: &Topic,
) -> Result<BTreeMap<i32, i64>, PipelineError> {
    let mut unfit = BTreeMap::new();
    for group in offsets {
        let (_, is_fit) = group_position(kafka, group, topic)?;
        unfit.extend(
            group
                .offset
                .filter(|_| !is_fit)
                .map(|offset| (group.partition, offset)),
        );
    }
    Ok(unfit)
}

fn log_unreadable(partition: i32, offset: i64) {
    warn!(
        partition,
        offset, "a state file cannot be read; the state is rebuilt without it"
    );
}
