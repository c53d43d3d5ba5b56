//! The topic: made if it is missing, written to, and read whole.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::parse::parse;
use super::{FeedbackError, Opinion, Opinions};
use crate::kafka::{Cluster, Subscription, TopicSpec};
use crate::kafka::{ensure_topics, newest_values, require_compacted, write_acknowledged};
use crate::output_record::OutputRecord;

/// Hexadecimal digits of a silence's id: enough to be told apart, and to be typed.
const ID_LENGTH: usize = 12;

/// An id for a new silence.
pub(crate) fn new_silence_id() -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(ID_LENGTH);
    id
}

/// Makes the topic if it is missing, and refuses one that would forget by age what people say.
///
/// # Errors
/// [`FeedbackError::Kafka`].
pub(super) async fn ensure(kafka: &Subscription, topic: &str) -> Result<(), FeedbackError> {
    ensure_topics(kafka, &[TopicSpec::compacted(topic.to_owned())]).await?;
    Ok(require_compacted(&kafka.cluster, topic).await?)
}

/// Writes a message, and waits until the broker has it.
///
/// # Errors
/// [`FeedbackError::Malformed`] if no reader would take it, and [`FeedbackError::Kafka`].
pub(crate) async fn write(
    kafka: &Subscription,
    topic: &str,
    opinion: &Opinion,
    now: DateTime<Utc>,
) -> Result<(), FeedbackError> {
    parse(opinion.key().as_bytes(), opinion.json().as_bytes())?;
    ensure(kafka, topic).await?;
    let record = OutputRecord {
        topic: topic.to_owned(),
        partition: -1,
        offset: -1,
        key: Some(opinion.key().into_bytes()),
        value: Some(opinion.json().into_bytes()),
        headers: opinion.headers(&Uuid::new_v4().to_string(), now),
        brief: None,
    };
    let cluster = kafka.cluster.clone();
    let written = tokio::task::spawn_blocking(move || write_acknowledged(&cluster, &record));
    Ok(written.await??)
}

/// All that is said now; nothing if there is no such topic.
///
/// # Errors
/// [`FeedbackError::Kafka`].
pub(crate) async fn newest(kafka: &Subscription, topic: &str) -> Result<Opinions, FeedbackError> {
    let (kafka, name) = (kafka.clone(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let is_there = Cluster::connect(&kafka)?.partition_count(&name)?.is_some();
        is_there.then(|| newest_values(&kafka, &name)).transpose()
    });
    let mut opinions = Opinions::default();
    for (key, value) in read.await??.unwrap_or_default() {
        if let Err(malformed) = opinions.fold(&key, Some(&value)) {
            let key = String::from_utf8_lossy(&key);
            tracing::warn!(topic, %key, %malformed, "a message of what people say is passed over");
        }
    }
    Ok(opinions)
}
