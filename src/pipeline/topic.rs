//! The topic as it is now, compared with the positions of a table or a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::PipelineError;
use super::offsets::topic_id_of;
use super::transaction::TransactionWriter;
use crate::clock;
use crate::kafka::{Cluster, Error, GroupOffset, Subscription};

/// Which topic it is, and what its partitions hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    /// Kafka's id of it; `None` where it cannot be had.
    pub id: Option<Arc<str>>,
    /// First and next offset, by partition.
    pub ranges: BTreeMap<i32, (i64, i64)>,
}

impl Topic {
    /// Asks the cluster about these partitions; about all of them under `None`. A broker that cannot answer at the moment is
    /// asked again for half a minute, or `give_up_after` if that is less.
    pub(super) async fn look(
        kafka: &Subscription,
        partitions: Option<Vec<i32>>,
        give_up_after: Duration,
    ) -> Result<Self, PipelineError> {
        let kafka = kafka.clone();
        let patience = PATIENCE.min(give_up_after);
        let deadline = clock::instant() + patience;
        let ask = move || -> Result<Topic, Error> {
            let cluster = Cluster::connect(&kafka)?.with_patience(patience);
            // The id first: should the topic be recreated now, then the ranges are of one with another id.
            let id = cluster.topic_id(&kafka.source.topic);
            let partitions = match partitions {
                Some(partitions) => partitions,
                None => (0..partition_count(&cluster, &kafka.source.topic, deadline)?).collect(),
            };
            let range = |partition| Ok((partition, cluster.watermarks(&kafka.source.topic, partition)?));
            let ranges = partitions.into_iter().map(range).collect::<Result<_, Error>>()?;
            Ok(Topic { id, ranges })
        };
        Ok(tokio::task::spawn_blocking(ask).await??)
    }

    /// First and next offset of a partition.
    pub(super) fn range(&self, partition: i32) -> (i64, i64) {
        self.ranges.get(&partition).copied().unwrap_or_default()
    }

    /// Whether positions of the topic with this id belong to another topic than this one.
    pub(super) fn is_another_than(&self, known: Option<&Arc<str>>) -> bool {
        matches!((known, &self.id), (Some(known), Some(id)) if known != id)
    }

    /// Refuses to go on with positions of the topic with this id if it is another one, unless the settings accept that.
    /// The answer is whether it is, and accepted.
    pub(super) fn accept(
        &self,
        kafka: &Subscription,
        holder: &'static str,
        known: Option<&Arc<str>>,
    ) -> Result<bool, PipelineError> {
        let (Some(known), Some(found)) = (known, &self.id) else {
            return Ok(false);
        };
        if known == found {
            return Ok(false);
        }
        if kafka.source.accept_gap {
            warn!(
                topic = kafka.source.topic,
                id_before = %known,
                id = %found,
                "the topic was recreated, and what it held before is gone; going on at its beginning (kafka.accept_gap)"
            );
            return Ok(true);
        }
        Err(PipelineError::TopicReplaced {
            topic: kafka.source.topic.clone(),
            holder,
            known: Arc::clone(known),
            found: Arc::clone(found),
        })
    }
}

/// The reason why nothing more may be committed for the topic with the id `known`: it has another id now. `found` is
/// the answer of the cluster, if there was one.
pub(super) fn replaced(known: &str, found: Option<&str>) -> Option<String> {
    let found = found.filter(|found| *found != known)?;
    Some(format!(
        "the topic was recreated while it was read (its id was {known}, and is {found})"
    ))
}

/// Looks now and then whether the topic that a process reads is still the one that it was.
pub(super) struct TopicWatch {
    id: Option<Arc<str>>,
    looked_at: Instant,
}

/// The interval between looks. Offsets name the topic that they are of, so that one of the time between cannot be mistaken for
/// one of the new topic.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl TopicWatch {
    /// A watch over no topic yet.
    pub(super) fn new() -> Self {
        TopicWatch {
            id: None,
            looked_at: clock::instant(),
        }
    }

    /// Takes note of which topic is read from now on.
    pub(super) fn note(&mut self, id: Option<Arc<str>>) {
        self.id = id;
        self.looked_at = clock::instant();
    }

    /// Kafka's id of the topic that is read, where it can be had.
    pub(super) fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// The reason why nothing more may be committed, if the topic is not the one any more that was read.
    ///
    /// # Errors
    /// [`PipelineError::Internal`].
    pub(super) async fn look(
        &mut self,
        transactions: &TransactionWriter,
    ) -> Result<Option<String>, PipelineError> {
        let Some(known) = self.id.clone() else {
            return Ok(None);
        };
        if clock::instant().duration_since(self.looked_at) < LOOK_INTERVAL {
            return Ok(None);
        }
        let found = transactions.topic_id().await?;
        self.looked_at = clock::instant();
        Ok(replaced(&known, found.as_deref()))
    }
}

/// Who has the position of a sink that starts from the group's offsets.
const GROUP: &str = "group";

/// Where a sink that starts from the group's offset goes on in a partition, and whether that is where the offset is.
///
/// # Errors
/// [`PipelineError::Gap`] and [`PipelineError::TopicReplaced`], unless the settings accept them.
pub(super) fn group_position(
    kafka: &Subscription,
    group: &GroupOffset,
    topic: &Topic,
) -> Result<(i64, bool), PipelineError> {
    let range = topic.range(group.partition);
    let of = group.offset.and_then(|_| topic_id_of(&group.metadata));
    if topic.accept(kafka, GROUP, of.as_ref())? {
        return Ok((range.0, false));
    }
    let offset = start_offset(kafka, GROUP, group.partition, group.offset, range)?;
    Ok((offset, group.offset.is_none_or(|found| found == offset)))
}

/// The time for which a broker that cannot answer at the moment is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

/// The number of partitions of a topic that exists, although the asked broker may not know of it yet.
fn partition_count(cluster: &Cluster, topic: &str, deadline: Instant) -> Result<i32, Error> {
    loop {
        if let Some(count) = cluster.partition_count(topic)? {
            return Ok(count);
        }
        if clock::instant() >= deadline {
            let topic = topic.to_owned();
            return Err(Error::TopicMissing { topic });
        }
        std::thread::sleep(PAUSE);
    }
}

/// The offset to start at: the holder's position, or for a partition it does not know the first there is.
pub(super) fn start_offset(
    kafka: &Subscription,
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
                low.saturating_sub(position)
            ),
        )
    } else {
        (
            format!("the topic ends at {high}"),
            "the topic was recreated, and what it held before is gone".to_owned(),
        )
    };
    if kafka.source.accept_gap {
        warn!(
            partition,
            position, "{found}: {missing}; going on at {low} (kafka.accept_gap)"
        );
        return Ok(low);
    }
    let topic = kafka.source.topic.clone();
    Err(PipelineError::Gap {
        topic,
        partition,
        holder,
        position,
        found,
        missing,
    })
}
