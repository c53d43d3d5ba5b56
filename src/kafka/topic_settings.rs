//! The topic settings that matter here: the largest message and the accepted timestamps.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};

use super::embedded::is_embedded;
use super::topics::{PATIENCE, admin, off_the_runtime};
use super::{Error, plain_error};
use super::{Settings, Subscription};

/// The settings of a topic, as far as the broker reveals them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// The largest record batch in bytes, after compression.
    pub(crate) max_message_bytes: Option<usize>,
    /// How far a record's timestamp may be ahead of the broker's clock; `None` if the broker sets the
    /// timestamp.
    pub(crate) timestamp_ahead_ms: Option<i64>,
    /// False for a topic that loses records by their age.
    pub(crate) is_compacted: Option<bool>,
}

/// Bounds timestamps where topics are made by us. Kafka's default from version 4.0 on, an hour, is as much as the default of
/// `window.watermark`: with `reading.max_ahead` on top of it, one record makes all timely readings late. (Before 3.6 there
/// is no such setting.)
pub(super) const TIMESTAMP_BOUND: (&str, &str) = ("message.timestamp.after.max.ms", "300000");
/// What becomes of old records.
pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
/// The newest of each key stays.
pub(super) const COMPACT: &str = "compact";
/// A topic that takes timestamps further ahead than this has no bound worth the name.
const FURTHEST_AHEAD_MS: i64 = 86_400_000;
/// A reading may be ahead of the clock by so much of `window.watermark` at most: the rest is for readings that are on their
/// way for a while.
const SHARE_OF_WATERMARK: u32 = 2;

impl TopicSettings {
    fn new(resource: &ConfigResource) -> Self {
        let value = |name: &str| resource.get(name)?.value.clone();
        let is_by_producer = value("message.timestamp.type").as_deref() != Some("LogAppendTime");
        // Brokers before 3.6 have one bound for past and future.
        let ahead = value(TIMESTAMP_BOUND.0).or_else(|| value("message.timestamp.difference.max.ms"));
        let bound_ms = ahead.and_then(|ahead| ahead.parse().ok()).unwrap_or(i64::MAX);
        TopicSettings {
            max_message_bytes: value("max.message.bytes").and_then(|bytes| bytes.parse().ok()),
            timestamp_ahead_ms: is_by_producer.then_some(bound_ms),
            is_compacted: value(CLEANUP_POLICY).map(|policy| policy == COMPACT),
        }
    }

    /// What is wrong with a topic of readings whose producers may choose any timestamp, or one so far ahead that, with
    /// `reading.max_ahead` on top of it, a single record makes timely readings late.
    pub(crate) fn complaint_about_timestamps(
        &self,
        topic: &str,
        max_ahead: Duration,
        watermark: Duration,
    ) -> Option<String> {
        let (name, value) = TIMESTAMP_BOUND;
        let bound_ms = self.timestamp_ahead_ms.unwrap_or(0);
        if bound_ms > FURTHEST_AHEAD_MS {
            return Some(format!(
                "topic {topic} lets a producer choose any timestamp, so that reading.max_ahead does not hold back a \
                 device that sets it: a single record could close all windows; set the topic's {name} = {value}, or \
                 message.timestamp.type = LogAppendTime"
            ));
        }
        let bound = Duration::from_millis(bound_ms.max(0).unsigned_abs());
        let furthest = bound.saturating_add(max_ahead);
        if furthest.saturating_mul(SHARE_OF_WATERMARK) <= watermark {
            return None;
        }
        let (advice, taken) = match self.timestamp_ahead_ms {
            Some(_) => (
                format!("set the topic's {name} = {value} (or message.timestamp.type = LogAppendTime), "),
                format!("timestamps up to {} ahead of the clock", text(bound)),
            ),
            None => (String::new(), "the broker's timestamps".to_owned()),
        };
        Some(format!(
            "topic {topic} takes {taken}, and reading.max_ahead = {} beyond them: a single record could move the watermark {} \
             ahead, which is more than half of window.watermark = {}, and make timely readings late; {advice}lower \
             reading.max_ahead, or raise window.watermark",
            text(max_ahead),
            text(furthest),
            text(watermark),
        ))
    }

    /// A complaint about a topic that accepts smaller messages than the readings topic.
    pub(crate) fn complaint_about_size(&self, topic: &str, readings: &TopicSettings) -> Option<String> {
        let (own, needed) = (self.max_message_bytes?, readings.max_message_bytes?);
        (own < needed).then(|| {
            format!(
                "topic {topic} accepts messages of {own} bytes, the readings topic {needed}: larger records will be cut; \
                 raise its max.message.bytes"
            )
        })
    }
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// The settings of topics, in the given order; `None` for a topic that does not exist or may not be
/// described.
///
/// # Errors
/// [`Error::Request`] if the broker does not answer.
pub(crate) async fn topic_settings(
    kafka: &Settings,
    topics: &[String],
) -> Result<Vec<Option<TopicSettings>>, Error> {
    let admin = off_the_runtime({
        let kafka = kafka.clone();
        move || admin(&kafka)
    })
    .await??;
    let resources: Vec<ResourceSpecifier<'_>> = topics
        .iter()
        .map(|topic| ResourceSpecifier::Topic(topic))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let answers = admin.describe_configs(&resources, &options).await;
    let answers = answers.map_err(|error| Error::Request {
        brokers: kafka.brokers.clone(),
        what: "the settings of topics",
        cause: plain_error(&error),
    })?;
    let settings = answers.into_iter().map(|answer| {
        answer
            .ok()
            .filter(|resource| !resource.entries.is_empty())
            .map(|resource| TopicSettings::new(&resource))
    });
    Ok(settings.collect())
}

/// Refuses a topic that would lose the newest value of a key by its age. A topic whose settings cannot be read is taken
/// as it is.
///
/// # Errors
/// [`Error::TopicUnusable`] if it is not compacted, and those of [`topic_settings`].
pub(crate) async fn require_compacted(kafka: &Settings, topic: &str) -> Result<(), Error> {
    if is_embedded(&kafka.brokers) {
        // It keeps everything as long as it runs.
        return Ok(());
    }
    let settings = topic_settings(kafka, &[topic.to_owned()]).await?;
    let is_compacted = settings
        .into_iter()
        .next()
        .flatten()
        .and_then(|settings| settings.is_compacted);
    match is_compacted {
        Some(false) => Err(Error::TopicUnusable {
            topic: topic.to_owned(),
            cause: format!(
                "it is not compacted, so that its retention would delete what must be kept; set its {CLEANUP_POLICY} = \
                 {COMPACT}"
            ),
        }),
        Some(true) => Ok(()),
        None => {
            tracing::warn!(
                topic,
                "cannot read the settings of the topic; it must be compacted"
            );
            Ok(())
        }
    }
}

/// Warns of a readings topic whose timestamps may move the watermark too far. `config check` reports settings that the
/// broker does not reveal. Never wait for this: an embedded broker leaves the request unanswered.
pub(crate) async fn warn_of_timestamps(kafka: Subscription, max_ahead: Duration, watermark: Duration) {
    let topics = [kafka.source.topic.clone()];
    match topic_settings(&kafka.cluster, &topics).await {
        Ok(settings) => {
            let settings = settings.into_iter().next().flatten();
            let topic = &kafka.source.topic;
            let complaint = settings
                .and_then(|settings| settings.complaint_about_timestamps(topic, max_ahead, watermark));
            if let Some(complaint) = complaint {
                tracing::warn!("{complaint}");
            }
        }
        Err(error) => tracing::debug!(%error, "the topic's settings are unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// What is said of a topic with this bound under `reading.max_ahead` = 5 min and a watermark of so many minutes.
    fn complaint(ahead_ms: Option<i64>, watermark_min: u32) -> Option<String> {
        let settings = TopicSettings {
            timestamp_ahead_ms: ahead_ms,
            ..TopicSettings::default()
        };
        settings.complaint_about_timestamps("usage", 5 * MINUTE, watermark_min * MINUTE)
    }

    #[test]
    fn an_unbounded_timestamp_causes_a_complaint() {
        let said = complaint(Some(i64::MAX), 60).unwrap();
        assert!(said.contains("any timestamp"), "{said}");
        assert_eq!(complaint(None, 60), None, "the broker sets them");
    }

    #[test]
    fn a_bound_that_leaves_the_watermark_no_room_is_complained_about() {
        // What Kafka has as its default, under our defaults: 65 minutes ahead close windows that timely readings are of.
        let said = complaint(Some(3_600_000), 60).unwrap();
        for part in [
            "timestamps up to 1h ahead",
            "reading.max_ahead = 5m",
            "1h 5m ahead",
            "window.watermark = 1h",
            "message.timestamp.after.max.ms = 300000",
        ] {
            assert!(said.contains(part), "{part} in: {said}");
        }
        assert_eq!(complaint(Some(3_600_000), 130), None);
        assert_eq!(complaint(Some(300_000), 60), None, "a topic that we make");
        assert_eq!(complaint(Some(300_000), 20), None);
        assert!(complaint(Some(300_000), 19).is_some());
        let said = complaint(None, 9).unwrap();
        assert!(!said.contains("message.timestamp"), "{said}");
        let settings = TopicSettings::default();
        let nothing_ahead = settings.complaint_about_timestamps("usage", Duration::ZERO, Duration::ZERO);
        assert_eq!(nothing_ahead, None);
    }

    #[test]
    fn an_output_topic_of_smaller_messages_causes_a_complaint() {
        let of = |bytes| TopicSettings {
            max_message_bytes: bytes,
            ..TopicSettings::default()
        };
        let readings = of(Some(1_048_588));
        assert!(
            of(Some(1_000_000))
                .complaint_about_size("usage.dlq", &readings)
                .is_some()
        );
        assert!(
            of(Some(16_777_216))
                .complaint_about_size("usage.dlq", &readings)
                .is_none()
        );
        assert!(of(None).complaint_about_size("usage.dlq", &readings).is_none());
    }
}
