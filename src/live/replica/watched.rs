//! Whether the topics are still those that are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Interruption, ReplicaSpec};
use crate::clock;
use crate::kafka::Cluster;

/// The topics as they were when they began to be read.
pub(super) struct Watched {
    pub partitions: i32,
    pub id: Option<Arc<str>>,
    pub has_anomalies: bool,
    pub cluster: Cluster,
    pub failed_since: Option<Instant>,
}

/// Questions that are not answered for so long say nothing yet.
const LOOK_PATIENCE: Duration = Duration::from_secs(600);

impl Watched {
    /// Looks whether they are the same. Returns whether that could be seen.
    pub(super) fn look(&mut self, spec: &ReplicaSpec) -> Result<bool, Interruption> {
        let topic = &spec.kafka.source.topic;
        let looked = self.cluster.partition_count(topic).and_then(|partitions| {
            let anomalies = self
                .cluster
                .partition_count(&spec.pipeline.detect.anomaly_topic)?;
            Ok((partitions, anomalies))
        });
        let (partitions, anomalies) = match looked {
            Ok(found) => found,
            Err(error) => {
                let since = *self.failed_since.get_or_insert_with(clock::instant);
                let is_long = clock::instant().duration_since(since) > LOOK_PATIENCE;
                return if is_long { Err(error.into()) } else { Ok(false) };
            }
        };
        self.failed_since = None;
        let id = self.cluster.topic_id(topic);
        let is_same = partitions == Some(self.partitions)
            && (id == self.id || id.is_none())
            && anomalies.is_some() == self.has_anomalies;
        if is_same {
            Ok(true)
        } else {
            Err(Interruption::TopicsChanged)
        }
    }
}
