//! The metadata of a group's offsets: their owner, and the topic's id.
//!
//! Two tables that consume one topic in one group would each get a part of it, in silence. So a start checks the
//! owner of the group's offsets. A table accepts foreign offsets in a group without members: it starts from positions
//! of its own. A detection starts from the group's offsets, so they must be its own even if the group is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::sync::Arc;

use super::PipelineError;
use crate::kafka::{Group, GroupOffset, Source};

/// The owner of a group's offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OffsetOwner {
    /// A table, by its id.
    Table(String),
    /// A detection, by the topic that it publishes to.
    Detection(String),
    /// Alerts, by the topic of their state.
    Alerts(String),
}

const TABLE: &str = "streamgauge";
const DETECTION: &str = "streamgauge-detect";
const ALERTS: &str = "streamgauge-alert";

impl Display for OffsetOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OffsetOwner::Table(id) => write!(formatter, "the table with the id {id}"),
            OffsetOwner::Detection(topic) => write!(formatter, "the detection that publishes to {topic}"),
            OffsetOwner::Alerts(topic) => write!(formatter, "the alerts that are kept in {topic}"),
        }
    }
}

impl OffsetOwner {
    /// The metadata of its offsets: `streamgauge:<table id>:<rules>:<topic id>`,
    /// `streamgauge-detect:<rules>:<topic>:<topic id>` and `streamgauge-alert:<rules>:<topic>:<topic id>`. Without a topic id the last field is absent, as in earlier
    /// versions.
    pub(crate) fn metadata(&self, rules: u32, topic_id: Option<&str>) -> String {
        let mut text = match self {
            OffsetOwner::Table(id) => format!("{TABLE}:{id}:{rules:08x}"),
            OffsetOwner::Detection(topic) => format!("{DETECTION}:{rules:08x}:{topic}"),
            OffsetOwner::Alerts(topic) => format!("{ALERTS}:{rules:08x}:{topic}"),
        };
        if let Some(id) = topic_id {
            text = format!("{text}:{id}");
        }
        text
    }

    /// Whether the group's offsets are its positions.
    fn starts_from_the_group(&self) -> bool {
        matches!(self, OffsetOwner::Detection(_) | OffsetOwner::Alerts(_))
    }

    /// The remedy where another owner uses the group.
    fn advice(&self) -> &'static str {
        match self {
            OffsetOwner::Table(_) => {
                "set kafka.group (--group) to another name, or leave it out: then each table has a group of its own"
            }
            OffsetOwner::Detection(_) => "set detect.group (--group) to another name",
            OffsetOwner::Alerts(_) => "set alert.group (--group) to another name",
        }
    }

    /// The owner in this metadata; `None` where it is not ours or does not name one.
    pub(crate) fn of(metadata: &str) -> Option<Self> {
        let fields: Vec<&str> = metadata.split(':').collect();
        match fields[..] {
            [TABLE, id, _] | [TABLE, id, _, _] => Some(OffsetOwner::Table(id.to_owned())),
            [DETECTION, _, topic] | [DETECTION, _, topic, _] => {
                Some(OffsetOwner::Detection(topic.to_owned()))
            }
            [ALERTS, _, topic] | [ALERTS, _, topic, _] => Some(OffsetOwner::Alerts(topic.to_owned())),
            _ => None,
        }
    }
}

/// The topic that an offset with this metadata is of, if it says so.
pub(super) fn topic_id_of(metadata: &str) -> Option<Arc<str>> {
    let fields: Vec<&str> = metadata.split(':').collect();
    match fields[..] {
        [TABLE | DETECTION | ALERTS, _, _, id] => Some(id.into()),
        _ => None,
    }
}

/// The group's offsets of these partitions: those that are known here, and the others as the broker has them now.
///
/// # Errors
/// If the broker does not say.
pub(super) async fn offsets_of_all(
    known: BTreeMap<i32, i64>,
    partitions: impl Iterator<Item = i32>,
    source: &Source,
) -> Result<BTreeMap<i32, i64>, PipelineError> {
    let unknown: BTreeSet<i32> = partitions
        .filter(|partition| !known.contains_key(partition))
        .collect();
    let mut offsets = known;
    if !unknown.is_empty() {
        let unknown: Vec<i32> = unknown.into_iter().collect();
        let group = source.group();
        let asked = tokio::task::spawn_blocking(move || group.committed(&unknown)).await??;
        offsets.extend(
            asked
                .into_iter()
                .filter_map(|group| Some((group.partition, group.offset?))),
        );
    }
    Ok(offsets)
}

/// A group, and what others had committed to it when this process started.
#[derive(Debug)]
pub(crate) struct GroupUse {
    group: String,
    advice: &'static str,
    own: OffsetOwner,
    partitions: Vec<i32>,
    /// Offsets of others at the start, by partition; only a later change counts.
    abandoned: BTreeMap<i32, Option<i64>>,
}

impl GroupUse {
    /// Checks whether another owner uses the group, before it is joined. The offsets are the group's present ones;
    /// there are none if the broker does not say, and then nothing is found.
    ///
    /// # Errors
    /// [`PipelineError::GroupInUse`], and for a detection [`PipelineError::GroupOfAnother`].
    pub(crate) async fn look(
        group: &str,
        own: OffsetOwner,
        offsets: &[GroupOffset],
        handle: Group,
    ) -> Result<Self, PipelineError> {
        let mut found = GroupUse {
            group: group.to_owned(),
            advice: own.advice(),
            own,
            partitions: offsets.iter().map(|offset| offset.partition).collect(),
            abandoned: BTreeMap::new(),
        };
        let Some(other) = found.first_of_others(offsets) else {
            return Ok(found);
        };
        let name = group.to_owned();
        let members = tokio::task::spawn_blocking(move || handle.members(&name)).await??;
        if !members.is_empty() {
            return Err(found.in_use_by(other));
        }
        if found.own.starts_from_the_group() {
            return Err(PipelineError::GroupOfAnother {
                group: found.group,
                other: other.to_string(),
                advice: found.advice,
            });
        }
        let of_others = offsets.iter().filter(|offset| found.is_of_another(offset));
        found.abandoned = of_others
            .map(|offset| (offset.partition, offset.offset))
            .collect();
        Ok(found)
    }

    /// The partitions of the topic.
    pub(crate) fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    /// Checks whether another owner has committed to the group since this process started.
    ///
    /// # Errors
    /// [`PipelineError::GroupInUse`].
    pub(crate) fn check(&self, offsets: &[GroupOffset]) -> Result<(), PipelineError> {
        self.first_of_others(offsets)
            .map_or(Ok(()), |other| Err(self.in_use_by(other)))
    }

    fn is_of_another(&self, offset: &GroupOffset) -> bool {
        OffsetOwner::of(&offset.metadata).is_some_and(|owner| owner != self.own)
    }

    fn first_of_others(&self, offsets: &[GroupOffset]) -> Option<OffsetOwner> {
        let moved = |offset: &&GroupOffset| self.abandoned.get(&offset.partition) != Some(&offset.offset);
        let mut others = offsets.iter().filter(|offset| self.is_of_another(offset));
        others
            .find(moved)
            .and_then(|offset| OffsetOwner::of(&offset.metadata))
    }

    fn in_use_by(&self, other: OffsetOwner) -> PipelineError {
        PipelineError::GroupInUse {
            group: self.group.clone(),
            other: other.to_string(),
            advice: self.advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_says_whose_it_is_and_of_which_topic() {
        let table = OffsetOwner::Table("6f1c".to_owned());
        let detection = OffsetOwner::Detection("anomaly".to_owned());
        let alerts = OffsetOwner::Alerts("anomaly.alerts".to_owned());
        for (owner, topic, text) in [
            (&table, None, "streamgauge:6f1c:000000ff"),
            (&table, Some("Ab_-9"), "streamgauge:6f1c:000000ff:Ab_-9"),
            (&detection, None, "streamgauge-detect:000000ff:anomaly"),
            (
                &detection,
                Some("Ab_-9"),
                "streamgauge-detect:000000ff:anomaly:Ab_-9",
            ),
            (&alerts, None, "streamgauge-alert:000000ff:anomaly.alerts"),
            (
                &alerts,
                Some("Ab_-9"),
                "streamgauge-alert:000000ff:anomaly.alerts:Ab_-9",
            ),
        ] {
            assert_eq!(owner.metadata(255, topic), text);
            assert_eq!(OffsetOwner::of(text).as_ref(), Some(owner));
            assert_eq!(topic_id_of(text).as_deref(), topic, "{text}");
        }
        // As they were before, by Kafka's tools, and by others.
        for text in ["streamgauge-detect:000000ff", "", "a:b:c", "a:b:c:d"] {
            assert_eq!((OffsetOwner::of(text), topic_id_of(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn only_what_others_commit_from_now_on_counts() {
        let offset = |partition, offset, metadata: &str| GroupOffset {
            partition,
            offset: Some(offset),
            metadata: metadata.to_owned(),
        };
        let found = GroupUse {
            group: "g".to_owned(),
            advice: "",
            own: OffsetOwner::Table("mine".to_owned()),
            partitions: vec![0, 1],
            abandoned: BTreeMap::from([(0, Some(7))]),
        };
        for (offsets, is_fine) in [
            (vec![offset(0, 7, "streamgauge:other:0")], true),
            (vec![offset(0, 8, "streamgauge:other:0")], false),
            (
                vec![offset(0, 8, "streamgauge:mine:0:id"), offset(1, 7, "")],
                true,
            ),
            (
                vec![
                    offset(0, 8, "streamgauge:mine:0"),
                    offset(1, 7, "streamgauge:other:0:id"),
                ],
                false,
            ),
            (vec![offset(1, 7, "streamgauge-detect:0:anomaly")], false),
        ] {
            assert_eq!(found.check(&offsets).is_ok(), is_fine, "{offsets:?}");
        }
    }
}
