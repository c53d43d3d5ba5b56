//! Creates missing topics.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::client::plain_code;
use super::topic_settings::{CLEANUP_POLICY, COMPACT, TIMESTAMP_BOUND};
use super::{Cluster, Error, Fault, FaultKind, LoggingContext, Right};
use super::{Settings, SourceSettings, Subscription};
use super::{client_config, plain_error, refused_settings};
use crate::clock::instant;
use crate::window::LatePolicy;

/// How long the cluster may take to create topics, and then to elect a leader for every partition.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// The largest record that an output topic must hold, whatever the source topic allows: 16 MiB.
const ANY_RECORD_BYTES: &str = "16777216";

/// The topic to create if it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    /// -1 leaves the number to the broker.
    pub(crate) partitions: i32,
    /// Settings of the topic, such as `retention.ms`.
    pub(crate) properties: Vec<(String, String)>,
}

impl TopicSpec {
    /// The readings topic.
    pub(crate) fn readings(source: &SourceSettings) -> Self {
        Self {
            name: source.topic.clone(),
            partitions: source.partitions,
            properties: vec![(TIMESTAMP_BOUND.0.to_owned(), TIMESTAMP_BOUND.1.to_owned())],
        }
    }

    /// The topic of late readings: the original record plus headers.
    fn late(source: &SourceSettings) -> Self {
        Self::for_any_record(source.late_topic(), source.partitions)
    }

    /// The topic of dead letters, some of which are dead because of their size.
    fn dead_letters(source: &SourceSettings) -> Self {
        Self::for_any_record(source.dead_letter_topic(), source.partitions)
    }

    /// The output topics of the table sink.
    pub(crate) fn side_outputs(source: &SourceSettings, late: LatePolicy) -> Vec<Self> {
        let late = (late == LatePolicy::Divert).then(|| Self::late(source));
        late.into_iter().chain([Self::dead_letters(source)]).collect()
    }

    /// The topic of anomalies. Their keys may be as long as the settings allow.
    pub(crate) fn anomalies(source: &SourceSettings, name: &str) -> Self {
        Self::for_any_record(name.to_owned(), source.partitions)
    }

    /// A topic that keeps the newest value of each key, for ever.
    pub(crate) fn compacted(name: String) -> Self {
        Self {
            name,
            partitions: 1,
            properties: vec![(CLEANUP_POLICY.to_owned(), COMPACT.to_owned())],
        }
    }

    fn bounds_timestamps(&self) -> bool {
        self.properties.iter().any(|(name, _)| name == TIMESTAMP_BOUND.0)
    }

    fn without_timestamp_bound(&self) -> Self {
        let mut spec = self.clone();
        spec.properties.retain(|(name, _)| name != TIMESTAMP_BOUND.0);
        spec
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

/// Creates the missing topics, and returns once they can be written to.
///
/// Existing topics stay as they are. Another process may create one at the same moment.
///
/// # Errors
/// Those of [`Cluster::connect`]; [`Error::TopicMissing`] if the settings forbid creating topics;
/// [`Error::TopicRefused`] and [`Error::TopicNotReady`] if the cluster does not create one.
pub(crate) async fn ensure_topics(kafka: &Subscription, topics: &[TopicSpec]) -> Result<(), Error> {
    let (kafka_settings, wanted) = (kafka.clone(), topics.to_vec());
    let (cluster, missing) = off_the_runtime(move || find_missing(&kafka_settings, wanted)).await??;
    let Some(first) = missing.first() else {
        return Ok(());
    };
    if !kafka.source.create_topics {
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

fn find_missing(kafka: &Subscription, wanted: Vec<TopicSpec>) -> Result<(Cluster, Vec<TopicSpec>), Error> {
    let cluster = Cluster::connect(kafka)?;
    let mut missing = Vec::new();
    for topic in wanted {
        if cluster.partition_count(&topic.name)?.is_none() {
            missing.push(topic);
        }
    }
    Ok((cluster, missing))
}

/// Checks that the cluster would create these topics, without creating them.
///
/// # Errors
/// As [`ensure_topics`].
pub(crate) async fn may_create(kafka: &Subscription, topics: &[TopicSpec]) -> Result<(), Error> {
    create(kafka, topics, true).await
}

async fn create(kafka: &Subscription, topics: &[TopicSpec], validate_only: bool) -> Result<(), Error> {
    let unbounded = request_topics(kafka, topics, validate_only).await?;
    if !unbounded.is_empty() {
        tracing::debug!("this broker has no bound on timestamps");
        request_topics(kafka, &unbounded, validate_only).await?;
    }
    Ok(())
}

/// Requests topics. Returns those to request again: a broker before 3.6 refuses [`TIMESTAMP_BOUND`].
async fn request_topics(
    kafka: &Subscription,
    topics: &[TopicSpec],
    validate_only: bool,
) -> Result<Vec<TopicSpec>, Error> {
    let admin = off_the_runtime({
        let cluster = kafka.cluster.clone();
        move || admin(&cluster)
    })
    .await??;
    let requests: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| request(topic, kafka.source.replication_factor))
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
        .validate_only(validate_only);
    let results = admin
        .create_topics(&requests, &options)
        .await
        .map_err(|error| Error::Request {
            brokers: kafka.cluster.brokers.clone(),
            what: "new topics",
            cause: plain_error(&error),
        })?;
    let mut unbounded = Vec::new();
    for result in results {
        match result {
            Ok(topic) if validate_only => tracing::debug!(topic, "could be created"),
            Ok(topic) => tracing::info!(topic, "created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((
                topic,
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => return Err(Error::NotAllowed(Right::CreateTopic(topic))),
            Err((topic, code)) => match topics.iter().find(|spec| spec.name == topic) {
                Some(spec) if code == RDKafkaErrorCode::InvalidConfig && spec.bounds_timestamps() => {
                    unbounded.push(spec.without_timestamp_bound());
                }
                _ => {
                    return Err(Error::TopicRefused {
                        topic,
                        cause: plain_code(code),
                    });
                }
            },
        }
    }
    Ok(unbounded)
}

/// An admin client for one request. Blocks if it needs a token.
pub(super) fn admin(kafka: &Settings) -> Result<AdminClient<LoggingContext>, Error> {
    let context = LoggingContext::quiet(kafka);
    let tokens = context.tokens().cloned();
    let admin: AdminClient<LoggingContext> = client_config(kafka)?
        .create_with_context(context)
        .map_err(|error| refused_settings(&error))?;
    // rdkafka serves no callbacks of an admin client, so the client could never request a token itself.
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

/// Runs blocking work outside the runtime's own threads. A panic of the work continues in the caller.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopping),
        },
    }
}
