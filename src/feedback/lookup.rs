//! Finds episodes in the topic of anomalies: their series, detector and times.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, Utc};
use serde::Deserialize;

use super::{About, FeedbackError};
use crate::kafka::{self, Subscription, sample};

/// How many of the newest anomalies of a partition are looked at: those of the last days mostly, and then all that a
/// machine has the memory for.
const LOOKS: [usize; 2] = [2_000, 200_000];

/// What the topic of anomalies says of an episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundEpisode {
    /// `None` where the topic is read as one series.
    pub(crate) series: Option<String>,
    pub(crate) measure: Option<String>,
    pub(crate) detector: String,
    pub(crate) since: DateTime<Utc>,
    /// `None` while it is open.
    pub(crate) until: Option<DateTime<Utc>>,
    /// The event time of the newest message.
    pub(crate) newest: DateTime<Utc>,
}

impl FoundEpisode {
    /// The same as what feedback is about.
    pub(crate) fn about(self, id: &str) -> About {
        About::Episode {
            id: id.to_owned(),
            series: Some(self.series),
            measure: self.measure,
            detector: Some(self.detector),
            since: Some(self.since),
            until: self.until,
        }
    }
}

/// What is needed of an anomaly's message.
#[derive(Deserialize)]
struct Message {
    episode: String,
    key: Option<String>,
    measure: Option<String>,
    detector: String,
    ts: DateTime<FixedOffset>,
    since: DateTime<FixedOffset>,
    until: Option<DateTime<FixedOffset>>,
}

/// The episodes of these ids that are among the newest anomalies of a topic, and how many anomalies were looked at.
///
/// # Errors
/// [`FeedbackError::NoAnomalies`], and [`FeedbackError::Kafka`] if the topic cannot be read.
pub(crate) async fn find_episodes(
    kafka: &Subscription,
    topic: &str,
    ids: &BTreeSet<String>,
) -> Result<(BTreeMap<String, FoundEpisode>, usize), FeedbackError> {
    let mut anomalies = kafka.clone();
    topic.clone_into(&mut anomalies.source.topic);
    let ids = ids.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let (mut found, mut looked_at) = (BTreeMap::new(), 0);
        for most in LOOKS {
            let newest = sample(&anomalies, most, 0).map_err(not_there)?;
            let lengths = newest.blocks.iter().map(|block| block.len());
            // Markers of transactions take places, too.
            let is_all = lengths.clone().all(|length| length < most / 2);
            looked_at = lengths.sum();
            for record in newest.blocks.iter().flat_map(|block| block.iter()) {
                note(record.value.unwrap_or_default(), &ids, &mut found);
            }
            if is_all || found.len() == ids.len() {
                break;
            }
        }
        Ok::<_, FeedbackError>((found, looked_at))
    });
    looked.await?
}

fn not_there(error: kafka::Error) -> FeedbackError {
    match error {
        kafka::Error::NothingToSample { topic, brokers } => FeedbackError::NoAnomalies { topic, brokers },
        error => FeedbackError::Kafka(error),
    }
}

/// The episode of this id in a topic of anomalies.
///
/// # Errors
/// [`FeedbackError::NoEpisode`], and those of [`find_episodes`].
pub(crate) async fn find_episode(
    kafka: &Subscription,
    topic: &str,
    id: &str,
) -> Result<FoundEpisode, FeedbackError> {
    let ids = BTreeSet::from([id.to_owned()]);
    let (mut found, looked_at) = find_episodes(kafka, topic, &ids).await?;
    found.remove(id).ok_or_else(|| FeedbackError::NoEpisode {
        episode: id.to_owned(),
        topic: topic.to_owned(),
        looked_at,
    })
}

/// Notes what a message says, if it is of one of these episodes. Messages of an episode are in order.
fn note(value: &[u8], ids: &BTreeSet<String>, found: &mut BTreeMap<String, FoundEpisode>) {
    let Ok(message) = serde_json::from_slice::<Message>(value) else {
        return;
    };
    if !ids.contains(&message.episode) {
        return;
    }
    let episode = FoundEpisode {
        series: message.key,
        measure: message.measure,
        detector: message.detector,
        since: message.since.to_utc(),
        until: message.until.map(|until| until.to_utc()),
        newest: message.ts.to_utc(),
    };
    found.insert(message.episode, episode);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_message_of_an_episode_counts() {
        let message = |episode: &str, ts: &str, until: &str| {
            format!(
                r#"{{"ts":"2026-11-27T{ts}+01:00","value":null,"key":"boiler-7","detector":"rules","episode":"{episode}","since":"2026-11-27T07:00:00+01:00","until":{until}}}"#
            )
        };
        let ids = BTreeSet::from(["usage/0/1/0".to_owned()]);
        let mut found = BTreeMap::new();
        note(b"no anomaly", &ids, &mut found);
        note(
            message("usage/0/2/0", "07:00:00", "null").as_bytes(),
            &ids,
            &mut found,
        );
        assert!(found.is_empty());
        note(
            message("usage/0/1/0", "07:00:00", "null").as_bytes(),
            &ids,
            &mut found,
        );
        assert_eq!(found["usage/0/1/0"].until, None);
        let end = message("usage/0/1/0", "07:30:00", "\"2026-11-27T07:20:00+01:00\"");
        note(end.as_bytes(), &ids, &mut found);
        let episode = &found["usage/0/1/0"];
        assert_eq!(episode.series.as_deref(), Some("boiler-7"));
        assert_eq!(
            [Some(episode.since), episode.until, Some(episode.newest)].map(|time| time.unwrap().to_rfc3339()),
            [
                "2026-11-27T06:00:00+00:00",
                "2026-11-27T06:20:00+00:00",
                "2026-11-27T06:30:00+00:00"
            ]
        );
    }
}
