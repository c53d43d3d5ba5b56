//! Anomalies on their way out, with the positions that they were found up to.

use crate::config::{Config, KafkaConfig};
use crate::detect::{Anomaly, MessageContext};
use crate::kafka::{ANOMALIES, Group, Letter, Outbox};

use super::super::PipelineError;
use super::super::mail::{Mail, Mailed};

/// What a transaction needs.
pub struct Publisher {
    mail: Mail,
    topic: String,
    context: MessageContext,
}

/// A partition's state when a transaction was put together.
pub struct TakenSnapshot {
    pub partition: i32,
    pub offset: i64,
    pub contents: Vec<u8>,
}

/// A transaction that is over, and the publisher for the next one.
pub struct Publication {
    pub published: Published,
    pub publisher: Publisher,
}

/// How it ended.
pub enum Published {
    Committed {
        anomalies: Vec<Anomaly>,
        offsets: Vec<(i32, i64)>,
        snapshots: Vec<TakenSnapshot>,
    },
    /// Somebody else owns our partitions, or nobody knows yet whether it was committed.
    Overtaken { why: String },
}

impl Publisher {
    /// A publisher that has not talked to the cluster yet. Offsets carry the fingerprint of the settings they came
    /// about under, for whoever looks at the group.
    pub fn new(config: &Config, kafka: &KafkaConfig, fingerprint: u32) -> Self {
        let outbox = Outbox::new(kafka, ANOMALIES);
        let metadata = format!("streamgauge-detect:{fingerprint:08x}");
        Publisher {
            mail: Mail::new(outbox, metadata, config.commit.give_up_after),
            topic: config.detect.anomaly_topic.clone(),
            context: MessageContext::new(config),
        }
    }

    /// Connects, so that the first anomaly need not wait for it.
    pub async fn connect(&self) {
        self.mail.connect().await;
    }

    /// Publishes anomalies and positions in one transaction.
    ///
    /// # Errors
    /// What will not pass by itself, and the last error once it is time to give up.
    pub async fn publish(
        self,
        anomalies: Vec<Anomaly>,
        offsets: Vec<(i32, i64)>,
        snapshots: Vec<TakenSnapshot>,
        mut group: Group,
    ) -> Result<Publication, PipelineError> {
        let letters = anomalies.iter().map(|anomaly| self.letter(anomaly)).collect();
        let generation = group.take_generation();
        let published = match self.mail.write(letters, offsets.clone(), generation).await? {
            Mailed::Committed => Published::Committed {
                anomalies,
                offsets,
                snapshots,
            },
            Mailed::Overtaken { why } => Published::Overtaken { why },
        };
        Ok(Publication {
            published,
            publisher: self,
        })
    }

    fn letter(&self, anomaly: &Anomaly) -> Letter {
        Letter {
            topic: self.topic.clone(),
            partition: anomaly.partition,
            offset: anomaly.offset,
            key: anomaly.message_key().map(<[u8]>::to_vec),
            value: Some(anomaly.json(&self.context).into_bytes()),
            headers: anomaly.headers(&self.context),
        }
    }
}
