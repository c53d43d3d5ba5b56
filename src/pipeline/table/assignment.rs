//! Where to start in an assigned partition: at the table's position, which has to fit the topic.

use std::sync::Arc;

use tracing::{info, warn};

use super::super::PipelineError;
use super::super::sink::Assigned;
use super::super::topic::{Topic, start_offset};
use super::commit::TableCommitter;
use super::{MAINTAINING_PARTITION, TableSink};
use crate::kafka::{Group, GroupOffset, Source, Start, Subscription};
use crate::reading::Position;
use crate::table::{Batch, CachedSnapshot, Counts, PositionChange, Snapshot, TopicClaim};
use crate::telemetry::events;

/// The holder of the position that this sink starts at.
const TABLE: &str = "table";

/// A batch that moves a table's positions to the topic's beginning, if they do not fit it and the settings accept that.
///
/// # Errors
/// [`PipelineError::Gap`] and [`PipelineError::TopicReplaced`], if they do not.
fn acceptance(
    kafka: &Subscription,
    snapshot: &Snapshot,
    topic: &Topic,
) -> Result<Option<Batch>, PipelineError> {
    let cached = snapshot.topic.as_ref().map(|mark| &mark.id);
    let is_recreated = topic.accept(kafka, TABLE, cached)?;
    let mut positions = Vec::new();
    for (&partition, &from) in &snapshot.positions {
        let offset = match topic.ranges.get(&partition) {
            // Nothing of a recreated topic was read yet. One with fewer partitions may get more.
            range if is_recreated => range.map_or(0, |(low, _)| *low),
            Some(&range) => start_offset(kafka, TABLE, partition, Some(from.next_offset), range)?,
            None => from.next_offset,
        };
        // What is late stays late: the readings of the old topic are in the rows.
        let to = Position {
            next_offset: offset,
            ..from
        };
        let epoch = 0;
        positions.extend((from != to).then_some(PositionChange {
            partition,
            epoch,
            from,
            to,
        }));
    }
    if positions.is_empty() && !is_recreated {
        return Ok(None);
    }
    let claim = |id: &Arc<str>| TopicClaim {
        id: Arc::clone(id),
        replaces: cached.filter(|_| is_recreated).cloned(),
    };
    Ok(Some(Batch {
        rows: Vec::new(),
        positions,
        closed_before_ms: i64::MIN,
        counts: Counts::default(),
        topic: topic.id.as_ref().map(claim),
    }))
}

/// Brings the table's positions to where the topic begins, where they do not fit it and the settings accept that. It is
/// committed at once, so that the next start need not accept it again.
pub(super) async fn fit(
    committer: &mut TableCommitter,
    kafka: &Subscription,
    topic: &Topic,
    group: impl Fn() -> Group,
) -> Result<CachedSnapshot, PipelineError> {
    loop {
        let cached = committer.refreshed().await?.clone();
        let Some(batch) = acceptance(kafka, &cached.snapshot, topic)? else {
            return Ok(cached);
        };
        // If another process was faster, the loop checks again what is left to do.
        committer.accept(batch, group()).await?;
    }
}

/// Logs a partition that the table has no position of, although it has positions of others.
fn log_unknown(snapshot: &Snapshot, partition: i32, offset: i64) {
    let Some(&last) = snapshot.positions.keys().next_back() else {
        return;
    };
    if partition > last {
        info!(
            partition,
            offset, "the partition is new to the table: reading it from its beginning"
        );
    } else {
        warn!(
            partition,
            offset,
            "the table has positions of other partitions and none of this one: reading it from its beginning, which is right \
             if it was empty whenever the table was written"
        );
    }
}

impl TableSink {
    /// Takes partitions over at the table's positions and says where to start in each.
    pub(super) async fn take_over(
        &mut self,
        committer: &mut TableCommitter,
        assigned: Vec<Assigned>,
        source: &Source,
    ) -> Result<Vec<Start>, PipelineError> {
        let (kafka, give_up_after) = (&self.kafka, self.commit.give_up_after);
        let (offsets, epochs): (Vec<GroupOffset>, Vec<u64>) = assigned
            .into_iter()
            .map(|Assigned { group, epoch }| (group, epoch))
            .unzip();
        let partitions: Vec<i32> = offsets.iter().map(|group| group.partition).collect();
        if let Some(group_use) = &self.group_use {
            group_use.check(&offsets)?;
        }
        let mut topic = Topic::look(kafka, Some(partitions.clone()), give_up_after).await?;
        committer.note_topic(topic.id.clone());
        committer.note_group_offsets(&offsets);
        let known = committer.refreshed().await?.snapshot.topic.clone();
        if topic.is_another_than(known.map(|mark| mark.id).as_ref()) {
            // Then no position is valid any more, in any process.
            topic = Topic::look(kafka, None, give_up_after).await?;
        }
        let cached = fit(committer, kafka, &topic, || source.group()).await?;
        self.claim = topic.id.clone().map(TopicClaim::of);
        let mut starts = Vec::with_capacity(partitions.len());
        for (partition, epoch) in partitions.into_iter().zip(epochs) {
            starts.push(self.start_partition(partition, epoch, &cached, &topic).await?);
        }
        self.log_register_notices();
        Ok(starts)
    }

    /// Takes one partition over at the table's position, or at its beginning if the table has none.
    async fn start_partition(
        &mut self,
        partition: i32,
        epoch: u64,
        cached: &CachedSnapshot,
        topic: &Topic,
    ) -> Result<Start, PipelineError> {
        let snapshot = &cached.snapshot;
        let position = snapshot.position(partition);
        let (low, high) = topic.range(partition);
        let is_known = snapshot.positions.contains_key(&partition);
        let offset = if is_known { position.next_offset } else { low };
        if !is_known {
            log_unknown(snapshot, partition, offset);
        }
        self.aggregator.assign(partition, epoch, position, offset);
        let read_from = match self.registers {
            Some(_) if is_known => self.resume_registers(partition, position, low).await?,
            _ => offset,
        };
        self.side_outputs.drop_partition(partition);
        info!(
            event = events::PARTITION_ASSIGNED,
            partition,
            offset,
            replayed = (read_from < offset).then_some(offset - read_from),
            end = high,
            version = snapshot.version,
            "took a partition over"
        );
        if partition == MAINTAINING_PARTITION {
            self.start_maintenance(cached);
        }
        Ok(Start {
            partition,
            offset: read_from,
            epoch,
        })
    }
}
