//! Making the topics that are missing.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::client::plain_code;
use super::{Cluster, Error, Fault, FaultKind, LoggingContext, Right};
use super::{client_config, plain_error, refused_settings};
use crate::clock::instant;
use crate::config::{KafkaConfig, LatePolicy};

/// How long the cluster may take to make topics, and then to give every partition a leader.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// The largest record that a topic of ours must hold whatever the source topic allows: 16 MiB.
const ANY_RECORD_BYTES: &str = "16777216";

/// A topic as it is to be, should it be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    /// -1 leaves the number to the broker.
    pub partitions: i32,
    /// Settings of the topic, such as `retention.ms`.
    pub properties: Vec<(String, String)>,
}

impl TopicSpec {
    /// The topic of the readings.
    pub fn readings(kafka: &KafkaConfig) -> Self {
        Self {
            name: kafka.topic.clone(),
            partitions: kafka.partitions,
            properties: Vec::new(),
        }
    }

    /// The topic of late readings, which come with headers beside what they were.
    fn late(kafka: &KafkaConfig) -> Self {
        Self::for_any_record(kafka.late_topic(), kafka.partitions)
    }

    /// The topic of dead letters, which may be dead for being too large.
    fn dead_letters(kafka: &KafkaConfig) -> Self {
        Self::for_any_record(kafka.dead_letter_topic(), kafka.partitions)
    }

    /// The topics that leave beside the table.
    pub fn letters(kafka: &KafkaConfig, late: LatePolicy) -> Vec<Self> {
        let late = (late == LatePolicy::Divert).then(|| Self::late(kafka));
        late.into_iter().chain([Self::dead_letters(kafka)]).collect()
    }

    /// The topic of anomalies.
    pub fn anomalies(kafka: &KafkaConfig, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: kafka.partitions,
            properties: Vec::new(),
        }
    }

    fn for_any_record(name: String, partitions: i32) -> Self {
        let properties = vec![("max.message.bytes".to_owned(), ANY_RECORD_BYTES.to_owned())];
        Self {
            name,
            partitions,
            properties,
        }
    }
}

/// Makes those of the topics that are missing, and returns once they can be written to.
///
/// Topics that exist stay as they are. That another process makes one at the same moment is fine.
///
/// # Errors
/// Those of [`Cluster::connect`]; [`Error::TopicMissing`] if topics must not be made; [`Error::TopicRefused`] and
/// [`Error::TopicNotReady`] if the cluster does not make one.
pub async fn ensure_topics(kafka: &KafkaConfig, topics: &[TopicSpec]) -> Result<(), Error> {
    let (kafka_settings, wanted) = (kafka.clone(), topics.to_vec());
    let (cluster, missing) = off_the_runtime(move || find_missing(&kafka_settings, wanted)).await??;
    let Some(first) = missing.first() else {
        return Ok(());
    };
    if !kafka.create_topics {
        return Err(Error::TopicMissing {
            topic: first.name.clone(),
        });
    }
    create(kafka, &missing, false).await?;
    off_the_runtime(move || {
        missing
            .iter()
            .try_for_each(|topic| wait_until_ready(&cluster, &topic.name))
    })
    .await?
}

fn find_missing(kafka: &KafkaConfig, wanted: Vec<TopicSpec>) -> Result<(Cluster, Vec<TopicSpec>), Error> {
    let cluster = Cluster::connect(kafka)?;
    let mut missing = Vec::new();
    for topic in wanted {
        if cluster.partition_count(&topic.name)?.is_none() {
            missing.push(topic);
        }
    }
    Ok((cluster, missing))
}

/// Whether the cluster would make these topics. It makes none.
///
/// # Errors
/// As [`ensure_topics`].
pub async fn may_create(kafka: &KafkaConfig, topics: &[TopicSpec]) -> Result<(), Error> {
    create(kafka, topics, true).await
}

async fn create(kafka: &KafkaConfig, topics: &[TopicSpec], only_asks: bool) -> Result<(), Error> {
    let admin = off_the_runtime({
        let kafka = kafka.clone();
        move || admin(&kafka)
    })
    .await??;
    let requests: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| request(topic, kafka.replication_factor))
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
        .validate_only(only_asks);
    let results = admin
        .create_topics(&requests, &options)
        .await
        .map_err(|error| Error::Request {
            brokers: kafka.brokers.clone(),
            what: "new topics",
            cause: plain_error(&error),
        })?;
    for result in results {
        match result {
            Ok(topic) if only_asks => tracing::debug!(topic, "could be created"),
            Ok(topic) => tracing::info!(topic, "created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((
                topic,
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => return Err(Error::NotAllowed(Right::CreateTopic(topic))),
            Err((topic, code)) => {
                return Err(Error::TopicRefused {
                    topic,
                    cause: plain_code(code),
                });
            }
        }
    }
    Ok(())
}

/// A client to administer the cluster with, for one request. Blocks, if it needs a token.
fn admin(kafka: &KafkaConfig) -> Result<AdminClient<LoggingContext>, Error> {
    let context = LoggingContext::quiet(kafka);
    let tokens = context.tokens().cloned();
    let admin: AdminClient<LoggingContext> = client_config(kafka)?
        .create_with_context(context)
        .map_err(|error| refused_settings(&error))?;
    // rdkafka serves no callbacks of this kind of client, so that it could never ask for a token.
    if let Some(tokens) = tokens {
        tokens.hand_to(admin.inner()).map_err(|error| {
            let (kind, cause) = (FaultKind::NoAwsCredentials, error.to_string());
            Fault { kind, cause }.into_error(&kafka.brokers)
        })?;
    }
    Ok(admin)
}

fn request(topic: &TopicSpec, replication_factor: i32) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(replication_factor);
    let request = NewTopic::new(&topic.name, topic.partitions, replication);
    topic
        .properties
        .iter()
        .fold(request, |request, (name, value)| request.set(name, value))
}

fn wait_until_ready(cluster: &Cluster, topic: &str) -> Result<(), Error> {
    let deadline = instant() + PATIENCE;
    while !cluster.is_ready(topic)? {
        if instant() >= deadline {
            return Err(Error::TopicNotReady {
                topic: topic.to_owned(),
                seconds: PATIENCE.as_secs(),
            });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Runs blocking work beside the runtime's own threads; a panic in it goes on in the caller.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopping),
        },
    }
}
