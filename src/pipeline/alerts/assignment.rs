//! Where to start in an assigned partition: at the group's offset, with what the state has of it.

use std::collections::BTreeMap;

use tracing::info;

use super::super::PipelineError;
use super::super::sink::Assigned;
use super::super::topic::{Topic, group_position};
use super::publish::StatePublisher;
use super::state::records;
use super::{AlertsSink, Position};
use crate::clock;
use crate::kafka::{GroupOffset, Start};
use crate::telemetry::events;

impl AlertsSink {
    /// Takes partitions over at the group's offsets, with their open episodes and the messages that were not sent.
    pub(super) async fn take_over(
        &mut self,
        publisher: &mut StatePublisher,
        assigned: Vec<Assigned>,
    ) -> Result<Vec<Start>, PipelineError> {
        let offsets: Vec<GroupOffset> = assigned.iter().map(|assigned| assigned.group.clone()).collect();
        self.group_use.check(&offsets)?;
        let partitions: Vec<i32> = offsets.iter().map(|group| group.partition).collect();
        let topic = Topic::look(&self.kafka, Some(partitions.clone()), self.give_up_after).await?;
        publisher.note_topic(topic.id.clone());
        let mut starts = Vec::with_capacity(assigned.len());
        for Assigned { group, epoch } in assigned {
            let (offset, is_fit) = group_position(&self.kafka, &group, &topic)?;
            let position = Position {
                epoch,
                next: offset,
                committed: group.offset.filter(|_| is_fit),
            };
            self.positions.insert(group.partition, position);
            starts.push(Start {
                partition: group.partition,
                offset,
                epoch,
            });
        }
        let restored = self.restore(&partitions).await?;
        for start in &starts {
            let restored = restored.get(&start.partition).copied().unwrap_or_default();
            info!(
                event = events::PARTITION_ASSIGNED,
                partition = start.partition,
                offset = start.offset,
                end = topic.range(start.partition).1,
                restored,
                "took a partition over"
            );
        }
        Ok(starts)
    }

    /// Reads the state of these partitions; gives how many records each has.
    async fn restore(&mut self, partitions: &[i32]) -> Result<BTreeMap<i32, usize>, PipelineError> {
        let mut restored = BTreeMap::new();
        if partitions.is_empty() {
            return Ok(restored);
        }
        for (key, record) in records(&self.kafka, &self.state_topic).await? {
            if partitions.contains(&key.partition()) {
                *restored.entry(key.partition()).or_default() += 1;
                self.operator.assign(key, record, clock::utc_now());
            }
        }
        Ok(restored)
    }
}
