//! Where to start in an assigned partition, and where an available-now run ends.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::{MAINTAINING_PARTITION, Pipeline, PipelineError};
use crate::config::KafkaConfig;
use crate::kafka::{Cluster, GroupOffset, Start};
use crate::reading::Position;
use crate::table::Image;

/// Ends of the topic's partitions when the run began.
#[derive(Debug)]
pub struct Targets {
    ends: BTreeMap<i32, i64>,
}

impl Targets {
    /// Asks the cluster for the ends, and checks that the table's positions do not lie outside of what there is.
    pub async fn at_the_end_of(kafka: &KafkaConfig, image: &Image) -> Result<Self, PipelineError> {
        let ranges = ranges(kafka, None).await?;
        for (&partition, &range) in &ranges {
            let position = image
                .positions
                .get(&partition)
                .map(|position| position.next_offset);
            start_offset(kafka, TABLE, partition, position, range)?;
        }
        Ok(Targets::from_ranges(&ranges))
    }

    /// The ends of these ranges.
    pub fn from_ranges(ranges: &BTreeMap<i32, (i64, i64)>) -> Self {
        // An empty partition is done whatever its offsets: there may be no record to get to its end by.
        let ends = ranges
            .iter()
            .filter(|(_, (low, high))| low < high)
            .map(|(&partition, &(_, high))| (partition, high));
        Targets { ends: ends.collect() }
    }

    /// The partitions that had records.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.ends.keys().copied()
    }

    /// The end of a partition, if it held records.
    pub fn end_of(&self, partition: i32) -> Option<i64> {
        self.ends.get(&partition).copied()
    }

    /// Whether all ends are reached.
    pub fn are_reached(&self, next_offset: impl Fn(i32) -> i64) -> bool {
        self.ends
            .iter()
            .all(|(&partition, &end)| next_offset(partition) >= end)
    }
}

/// First and next offset of partitions; of all of them under `None`.
pub async fn ranges(
    kafka: &KafkaConfig,
    partitions: Option<Vec<i32>>,
) -> Result<BTreeMap<i32, (i64, i64)>, PipelineError> {
    let kafka = kafka.clone();
    let ask = move || -> Result<_, crate::kafka::Error> {
        let cluster = Cluster::connect(&kafka)?;
        let partitions = match partitions {
            Some(partitions) => partitions,
            None => (0..cluster.partition_count(&kafka.topic)?.unwrap_or(0)).collect(),
        };
        partitions
            .into_iter()
            .map(|partition| Ok((partition, cluster.watermarks(&kafka.topic, partition)?)))
            .collect()
    };
    let asked = tokio::task::spawn_blocking(ask).await;
    Ok(asked.map_err(|error| PipelineError::Internal(error.to_string()))??)
}

/// Who has the position that the aggregating side starts at.
const TABLE: &str = "table";

/// The offset to start at: the holder's position, or for a partition it does not know the first there is.
pub fn start_offset(
    kafka: &KafkaConfig,
    holder: &'static str,
    partition: i32,
    position: Option<i64>,
    (low, high): (i64, i64),
) -> Result<i64, PipelineError> {
    let position = match position {
        None => return Ok(low),
        Some(position) if (low..=high).contains(&position) => return Ok(position),
        Some(position) => position,
    };
    let (found, missing) = if position < low {
        (
            format!("the topic begins at {low}"),
            format!(
                "{} records are missing (deleted by retention or by hand)",
                low - position
            ),
        )
    } else {
        (
            format!("the topic ends at {high}"),
            "the topic was made anew, and what it held before is gone".to_owned(),
        )
    };
    if kafka.accept_gap {
        warn!(
            partition,
            position, "{found}: {missing}; going on at {low} (kafka.accept_gap)"
        );
        return Ok(low);
    }
    let topic = kafka.topic.clone();
    Err(PipelineError::Gap {
        topic,
        partition,
        holder,
        position,
        found,
        missing,
    })
}

impl Pipeline {
    /// Takes partitions over at the table's positions and says where to start in each.
    pub(super) async fn assign(&mut self, partitions: Vec<GroupOffset>) -> Result<Vec<Start>, PipelineError> {
        let Some(mut writer) = self.writer.take() else {
            return Err(PipelineError::Internal(
                "partitions assigned during a commit".to_owned(),
            ));
        };
        let assigned: Vec<i32> = partitions.iter().map(|group| group.partition).collect();
        let ranges = ranges(&self.config.kafka, Some(assigned.clone())).await?;
        writer.note_group_offsets(&partitions);
        let known = writer.refreshed().await?.clone();
        self.writer = Some(writer);
        let mut starts = Vec::with_capacity(assigned.len());
        for partition in assigned {
            self.next_epoch += 1;
            let position = known.image.position(partition);
            let is_known = known.image.positions.contains_key(&partition);
            let (low, high) = ranges.get(&partition).copied().unwrap_or_default();
            let offset = start_offset(
                &self.config.kafka,
                TABLE,
                partition,
                is_known.then_some(position.next_offset),
                (low, high),
            )?;
            self.aggregator
                .assign(partition, self.next_epoch, position, offset);
            self.letters.drop_partition(partition);
            self.backlog.forget(partition);
            info!(
                partition,
                offset,
                end = high,
                version = known.image.version,
                "took a partition over"
            );
            starts.push(Start {
                partition,
                offset,
                epoch: self.next_epoch,
            });
            if partition == MAINTAINING_PARTITION {
                self.start_maintenance(&known);
            }
        }
        Ok(starts)
    }

    /// Whether everything an available-now run waits for has been taken in here.
    pub(super) fn has_reached_targets(&self) -> bool {
        let Some(targets) = &self.targets else {
            return false;
        };
        let positions: BTreeMap<i32, Position> = self.aggregator.positions().collect();
        targets
            .ends
            .keys()
            .any(|partition| positions.contains_key(partition))
            && positions.iter().all(|(partition, position)| {
                targets
                    .end_of(*partition)
                    .is_none_or(|end| position.next_offset >= end)
            })
    }

    /// Whether an available-now run is over: the table has the ends of all partitions, whoever committed them.
    pub(super) async fn is_complete(&mut self) -> Result<bool, PipelineError> {
        let Some(targets) = &self.targets else {
            return Ok(false);
        };
        if self.aggregator.has_progress() || self.in_flight.is_some() {
            return Ok(false);
        }
        let Some(mut writer) = self.writer.take() else {
            return Ok(false);
        };
        let image = &writer.refreshed().await?.image;
        let is_complete = targets.are_reached(|partition| image.position(partition).next_offset);
        self.writer = Some(writer);
        Ok(is_complete)
    }
}
