//! Kafka: readings and watermarks in one transaction, and the watermarks read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::CollectError;
use super::state::Harvest;
use super::watermark::watermarks;
use crate::kafka::{SoleProducer, Subscription, TopicSpec};
use crate::kafka::{ensure_topics, newest_values, require_compacted};
use crate::output_record::OutputRecord;

/// The topics, open for the only collector of its name.
pub(super) struct Store {
    producer: Arc<SoleProducer>,
    transactional_id: String,
    readings_topic: String,
    watermarks_topic: String,
}

/// Behind the name of the topic of readings.
const SUFFIX: &str = ".collector";

/// The topic that watermarks are kept in.
pub(crate) fn watermarks_topic(readings_topic: &str) -> String {
    format!("{readings_topic}{SUFFIX}")
}

/// The name that collectors of the same metrics share, so that there is only one of them.
pub(crate) fn transactional_id(topic: &str, region: &str, namespace: &str) -> String {
    let namespace = namespace.replace('/', "-");
    format!("streamgauge-collect-{topic}-{region}-{namespace}")
}

impl Store {
    /// Makes missing topics, shuts out an older collector of the same name, and reads how far that one came. In this
    /// order: what it commits before it is shut out is read, and afterwards it commits nothing.
    ///
    /// # Errors
    /// [`CollectError`].
    pub(super) async fn open(
        kafka: &Subscription,
        transactional_id: String,
    ) -> Result<(Self, BTreeMap<String, i64>), CollectError> {
        let readings = TopicSpec::readings(&kafka.source);
        let kept = TopicSpec::compacted(watermarks_topic(&readings.name));
        let (readings_topic, watermarks_topic) = (readings.name.clone(), kept.name.clone());
        ensure_topics(kafka, &[readings, kept]).await?;
        require_compacted(&kafka.cluster, &watermarks_topic).await?;
        let (subscription, id, topic) = (kafka.clone(), transactional_id.clone(), watermarks_topic.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let producer = SoleProducer::connect(&subscription.cluster, &id)
                .map_err(|error| CollectError::of_producer(error, &id))?;
            let records = newest_values(&subscription, &topic)?;
            let watermarks =
                watermarks(records).map_err(|source| CollectError::Watermark { topic, source })?;
            Ok::<_, CollectError>((producer, watermarks))
        });
        let (producer, watermarks) = opened.await??;
        let store = Store {
            producer: Arc::new(producer),
            transactional_id,
            readings_topic,
            watermarks_topic,
        };
        Ok((store, watermarks))
    }

    /// Writes readings and watermarks: all of it, or nothing.
    ///
    /// # Errors
    /// [`CollectError`]; after it this store is of no use any more.
    pub(super) async fn commit(&self, harvest: &Harvest) -> Result<(), CollectError> {
        let readings = harvest
            .readings
            .iter()
            .map(|reading| record(&self.readings_topic, &reading.key, Some(&reading.value)));
        let watermarks = harvest.watermarks.iter().map(|watermark| {
            record(
                &self.watermarks_topic,
                &watermark.identity,
                Some(&watermark.value()),
            )
        });
        let tombstones = harvest
            .forgotten
            .iter()
            .map(|identity| record(&self.watermarks_topic, identity, None));
        let records: Vec<OutputRecord> = readings.chain(watermarks).chain(tombstones).collect();
        if records.is_empty() {
            return Ok(());
        }
        let producer = Arc::clone(&self.producer);
        let written = tokio::task::spawn_blocking(move || producer.write(&records)).await?;
        written.map_err(|error| CollectError::of_producer(error, &self.transactional_id))
    }
}

/// A record that comes from no other topic.
fn record(topic: &str, key: &str, value: Option<&str>) -> OutputRecord {
    OutputRecord {
        topic: topic.to_owned(),
        partition: -1,
        offset: -1,
        key: Some(key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
        headers: Vec::new(),
        brief: None,
    }
}
