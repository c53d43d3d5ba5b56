//! Where a replica begins: at the newest readings of each partition, with the detecting side's own state where there is one.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tracing::warn;

use super::judging::{Judging, LaterState, Place};
use super::watched::Watched;
use super::{Interruption, ReplicaSpec};
use crate::detection::{DetectionOperator, PlacedAnswer, StateFile};
use crate::kafka::{self, Cluster, Tail, TailStart};
use crate::lake::{OpenMode, StateStore};
use crate::pipeline::anomalies::JournalSpec;

/// Messages of the topic of anomalies that are read at first, of each partition: more than episodes are held.
const ANOMALIES_READ: i64 = 5_000;

/// A replica that is ready to read.
pub(super) struct Opening {
    pub tail: Tail,
    pub judging: Judging,
    pub watched: Watched,
    /// Records up to the end.
    pub to_read: u64,
}

/// Looks at the topics and the state files, and begins.
pub(super) fn open(
    spec: &ReplicaSpec,
    runtime: &Runtime,
    with_history: bool,
) -> Result<Opening, Interruption> {
    let cluster = Cluster::connect(&spec.kafka)?;
    let topic = spec.kafka.source.topic.clone();
    let partitions = cluster
        .partition_count(&topic)?
        .ok_or_else(|| kafka::Error::NothingToSample {
            topic: topic.clone(),
            brokers: spec.kafka.cluster.brokers.clone(),
        })?;
    let detection = spec.pipeline.detection_spec()?.shared_by(partitions as usize);
    let mut operator = DetectionOperator::new(detection);
    let share = if with_history {
        (spec.history_readings as i64 / i64::from(partitions.max(1))).max(1)
    } else {
        0
    };
    let states = runtime.block_on(StateStore::open(&spec.pipeline.state_spec(), OpenMode::MustExist));
    let states = states.ok();
    let mut starts = Vec::new();
    let mut places = BTreeMap::new();
    let mut to_read = 0;
    for partition in 0..partitions {
        let (low, end) = cluster.watermarks(&topic, partition)?;
        let from = end.saturating_sub(share).max(low);
        let states = States {
            store: states.as_ref(),
            runtime,
            partition,
        };
        let (start, later_state) = states.restore(&mut operator, from, end);
        to_read += end.saturating_sub(start.max(low)) as u64;
        let place = Place {
            end,
            next: start.max(low),
            later_state,
        };
        starts.push(TailStart {
            topic: topic.clone(),
            partition,
            offset: place.next,
        });
        places.insert(partition, place);
    }
    let anomaly_topic = &spec.pipeline.detect.anomaly_topic;
    let anomaly_partitions = cluster.partition_count(anomaly_topic)?;
    for partition in 0..anomaly_partitions.unwrap_or(0) {
        let (low, end) = cluster.watermarks(anomaly_topic, partition)?;
        starts.push(TailStart {
            topic: anomaly_topic.clone(),
            partition,
            offset: end.saturating_sub(ANOMALIES_READ).max(low),
        });
    }
    let id = cluster.topic_id(&topic);
    // Where a header is read, its record must have it.
    let header_bytes = spec.pipeline.reading.max_header_bytes;
    Ok(Opening {
        tail: Tail::open(&spec.kafka, &starts, header_bytes)?,
        judging: Judging::new(operator, &topic, places, answers(spec, id.as_ref()), starts.len()),
        watched: Watched {
            partitions,
            id,
            has_anomalies: anomaly_partitions.is_some(),
            cluster,
            failed_since: None,
        },
        to_read,
    })
}

/// The answers that have a place by now, as far as they can be had.
fn answers(spec: &ReplicaSpec, topic_id: Option<&Arc<str>>) -> BTreeMap<i32, Vec<PlacedAnswer>> {
    let pipeline = &spec.pipeline;
    let journal = JournalSpec::new(&pipeline.detect.anomaly_topic, pipeline.detect_group());
    journal.read(&spec.kafka, topic_id).unwrap_or_else(|error| {
        warn!(%error, "the live page judges without what people have said");
        BTreeMap::new()
    })
}

/// The state files of a partition, as far as they can be had.
struct States<'a> {
    store: Option<&'a StateStore>,
    runtime: &'a Runtime,
    partition: i32,
}

impl States<'_> {
    /// Gives the operator a state shortly before `from`; else it begins without one there, and takes the oldest one after it
    /// over later. Returns where it begins, and that later state.
    fn restore(&self, operator: &mut DetectionOperator, from: i64, end: i64) -> (i64, Option<LaterState>) {
        let offsets = self.offsets();
        for offset in shortly_before(&offsets, from, end) {
            let Some(contents) = self.read(offset) else {
                continue;
            };
            let opened = StateFile::open(contents, operator.spec(), self.partition);
            match opened.and_then(|state| operator.resume(state, 0, offset, 0)) {
                Ok(()) => return (offset, None),
                Err(error) => {
                    let partition = self.partition;
                    warn!(partition, offset, %error, "the live page cannot use a state file");
                }
            }
        }
        operator.assign(self.partition, 0, from, 0);
        // From the first record on it comes to the same.
        let later = (from > 0).then(|| first_after(&offsets, from, end)).flatten();
        let later_state = later.and_then(|offset| {
            let contents = self.read(offset)?;
            Some(LaterState { offset, contents })
        });
        (from, later_state)
    }

    /// Largest first.
    fn offsets(&self) -> Vec<i64> {
        let Some(store) = self.store else {
            return Vec::new();
        };
        self.runtime
            .block_on(store.offsets(self.partition))
            .unwrap_or_else(|error| {
                let partition = self.partition;
                warn!(partition, %error, "the live page cannot look for state files");
                Vec::new()
            })
    }

    fn read(&self, offset: i64) -> Option<Box<dyn Read>> {
        let read = self.runtime.block_on(self.store?.read(self.partition, offset));
        read.ok()
            .flatten()
            .map(|contents| Box::new(contents) as Box<dyn Read>)
    }
}

/// Of state files those before the readings that are nearer to them than the readings are many, the nearest first.
fn shortly_before(newest_first: &[i64], from: i64, end: i64) -> impl Iterator<Item = i64> {
    let nearest = from.saturating_sub(end - from);
    newest_first
        .iter()
        .copied()
        .filter(move |offset| (nearest..=from).contains(offset))
}

/// The oldest of state files among the readings. One beyond the end is of another topic of this name.
fn first_after(newest_first: &[i64], from: i64, end: i64) -> Option<i64> {
    let mut oldest_first = newest_first.iter().rev().copied();
    oldest_first.find(|offset| (from..=end).contains(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_shortly_before_the_readings_serves_or_the_oldest_among_them() {
        let before = |offsets: &[i64], from| shortly_before(offsets, from, 1_000).collect::<Vec<_>>();
        assert_eq!(before(&[900, 700, 450, 400, 100], 500), [450, 400, 100]);
        assert_eq!(before(&[400], 900), Vec::<i64>::new(), "too far away");
        assert_eq!(before(&[500], 500), [500]);
        assert_eq!(first_after(&[900, 700, 450, 100], 500, 1_000), Some(700));
        assert_eq!(
            first_after(&[2_000, 0], 500, 1_000),
            None,
            "one of another topic is not taken"
        );
    }
}
