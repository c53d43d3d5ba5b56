//! The topic in which the places of answers are kept, beside that of the anomalies: `<detect.anomaly_topic>.applied`.
//! `docs/formats.md` describes its messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::PipelineError;
use crate::detection::PlacedAnswer;
use crate::detectors::Answer;
use crate::kafka::{self, Cluster, Right, Subscription, newest_values};
use crate::output_record::OutputRecord;

const VERSION: u64 = 1;

/// The topic, and whose entries of it are meant.
#[derive(Debug, Clone)]
pub(crate) struct JournalSpec {
    topic: String,
    group: String,
}

/// Why an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A key of something else.
    #[error("the key is no group, partition and number")]
    Key,
    /// What a newer program wrote.
    #[error("it is of version {0}, and this program knows {VERSION}")]
    Version(u64),
    /// A damaged value.
    #[error(transparent)]
    Value(#[from] serde_json::Error),
}

/// The value of an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    version: u64,
    /// Of the topic of the readings, where it can be had: offsets of another one mean nothing.
    topic_id: Option<Arc<str>>,
    before_offset: i64,
    key: String,
    answer: Answer,
}

impl JournalSpec {
    /// The journal of the group that publishes to this topic of anomalies.
    pub(crate) fn new(anomaly_topic: &str, group: String) -> Self {
        JournalSpec {
            topic: format!("{anomaly_topic}.applied"),
            group,
        }
    }

    /// The name of the topic.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The message of an answer in the topic of readings with this id.
    pub(super) fn output(&self, placed: &PlacedAnswer, topic_id: Option<&Arc<str>>) -> OutputRecord {
        let entry = Entry {
            version: VERSION,
            topic_id: topic_id.cloned(),
            before_offset: placed.before_offset,
            key: placed.key.clone(),
            answer: placed.answer.clone(),
        };
        let key = serde_json::json!([self.group, placed.partition, placed.number]);
        OutputRecord {
            topic: self.topic.clone(),
            partition: placed.partition,
            offset: placed.before_offset,
            key: Some(key.to_string().into_bytes()),
            // Only a map with keys that are no texts could fail.
            value: Some(serde_json::to_vec(&entry).unwrap_or_default()),
            headers: Vec::new(),
            brief: None,
        }
    }

    /// The entry of a message, if it is of this group and of the topic with this id.
    fn entry(
        &self,
        key: &[u8],
        value: &[u8],
        topic_id: Option<&Arc<str>>,
    ) -> Result<Option<PlacedAnswer>, JournalError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let (group, partition, number): (String, i32, u64) =
            serde_json::from_slice(key).map_err(|_| JournalError::Key)?;
        if group != self.group {
            return Ok(None);
        }
        let Version { version } = serde_json::from_slice(value)?;
        if version != VERSION {
            return Err(JournalError::Version(version));
        }
        let entry: Entry = serde_json::from_slice(value)?;
        let is_of_another = matches!((&entry.topic_id, topic_id), (Some(its), Some(ours)) if its != ours);
        Ok((!is_of_another).then_some(PlacedAnswer {
            partition,
            number,
            before_offset: entry.before_offset,
            key: entry.key,
            answer: entry.answer,
        }))
    }

    /// All entries for the topic of readings with this id, by partition; none if there is no such topic, or this process may
    /// not know of it: then it has never written there either. Blocks.
    ///
    /// # Errors
    /// If the topic cannot be read, or holds what is no entry: a replay without it would judge otherwise.
    pub(crate) fn read(
        &self,
        kafka: &Subscription,
        topic_id: Option<&Arc<str>>,
    ) -> Result<BTreeMap<i32, Vec<PlacedAnswer>>, PipelineError> {
        let mut found: BTreeMap<i32, Vec<PlacedAnswer>> = BTreeMap::new();
        let count = match Cluster::connect(kafka)?.partition_count(&self.topic) {
            Err(kafka::Error::NotAllowed(Right::DescribeTopic(_))) => None,
            count => count?,
        };
        if count.is_none() {
            return Ok(found);
        }
        for (key, value) in newest_values(kafka, &self.topic)? {
            let entry = self.entry(&key, &value, topic_id);
            let entry = entry.map_err(|source| PipelineError::Journal {
                topic: self.topic.clone(),
                key: String::from_utf8_lossy(&key).into_owned(),
                source,
            })?;
            if let Some(placed) = entry {
                found.entry(placed.partition).or_default().push(placed);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::detectors::{MessageId, Said, Subject};

    fn placed() -> PlacedAnswer {
        PlacedAnswer {
            partition: 3,
            number: 17,
            before_offset: 1_300,
            key: "usage/3/1234/0".to_owned(),
            answer: Answer {
                about: Subject::Episode(MessageId {
                    offset: 1_234,
                    index: 0,
                }),
                series: Some("boiler-7".to_owned()),
                measure: None,
                said: Said::ExpectedInSlot { until_ms: None },
                by: Some("anna".to_owned()),
            },
        }
    }

    fn journal(group: &str) -> JournalSpec {
        JournalSpec::new("anomaly", group.to_owned())
    }

    #[test]
    fn the_journal_is_written_as_the_manual_says() {
        let id: Arc<str> = "wBnPt1DnRgiz".into();
        let output = journal("streamgauge-detect").output(&placed(), Some(&id));
        assert_eq!(output.topic, "anomaly.applied");
        let (key, value) = (output.key.unwrap(), output.value.unwrap());
        assert_eq!(key, br#"["streamgauge-detect",3,17]"#);
        let expected = json!({
            "version": 1,
            "topic_id": "wBnPt1DnRgiz",
            "before_offset": 1300,
            "key": "usage/3/1234/0",
            "answer": {
                "about": {"episode": {"offset": 1234, "index": 0}},
                "series": "boiler-7",
                "measure": null,
                "said": {"expected_in_slot": {"until_ms": null}},
                "by": "anna",
            },
        });
        assert_eq!(serde_json::from_slice::<Value>(&value).unwrap(), expected);
        let read = |group: &str, id: Option<&Arc<str>>| journal(group).entry(&key, &value, id).unwrap();
        assert_eq!(read("streamgauge-detect", Some(&id)), Some(placed()));
        assert_eq!(read("streamgauge-detect", None), Some(placed()));
        assert_eq!(read("another", Some(&id)), None);
        let recreated: Arc<str> = "another".into();
        assert_eq!(read("streamgauge-detect", Some(&recreated)), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let key = br#"["streamgauge-detect",3,17]"#;
        let refused = |key: &[u8], value: &[u8]| {
            let entry = journal("streamgauge-detect").entry(key, value, None);
            entry.unwrap_err().to_string()
        };
        assert!(refused(b"usage", b"{}").contains("the key is no"));
        assert!(refused(key, br#"{"version":2}"#).contains("of version 2"));
        assert!(refused(key, br#"{"version":1}"#).contains("missing field"));
    }
}
