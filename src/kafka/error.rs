//! Errors of the Kafka room.

use std::io;
use std::path::PathBuf;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Fault;

/// A failure of the cluster, its settings, or this process's access to it.
///
/// A `cause` is text: librdkafka's errors may hold a password, and its log often has the better reason.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum Error {
    /// No broker can be reached, or it refuses the connection.
    #[error("{}", fault.sentence(brokers))]
    Connection { brokers: String, fault: Fault },
    /// Authenticated, but not authorized.
    #[error("not allowed to {}", .0)]
    NotAllowed(Right),
    /// librdkafka refuses a property or a combination of them.
    #[error("librdkafka refuses the settings ({cause}); correct kafka.properties (-X)")]
    Settings { cause: String },
    /// The file of a property cannot be read.
    #[error("cannot read the file of kafka.property_files.{name}: {}: {source}", path.display())]
    PropertyFile {
        name: String,
        path: PathBuf,
        source: io::Error,
    },
    /// The operating system did not start the polling thread.
    #[error(
        "cannot start the polling thread: {source}; check the limits on threads and memory, and start again"
    )]
    Thread { source: io::Error },
    /// The topic does not exist, and the settings forbid creating it.
    #[error("topic {topic} does not exist; create it, or set kafka.create_topics = true")]
    TopicMissing { topic: String },
    /// There is no topic whose records could be looked at.
    #[error("topic {topic} does not exist at {brokers}; check its name (-t) and the cluster (-b)")]
    NothingToSample { topic: String, brokers: String },
    /// The cluster refuses to create the topic.
    #[error(
        "the broker does not create topic {topic} ({cause}); create it by hand or change the settings in [kafka]"
    )]
    TopicRefused { topic: String, cause: String },
    /// The topic was created, but has partitions without a leader.
    #[error(
        "topic {topic} was created, but not all of its partitions have a leader after {seconds} s; try again"
    )]
    TopicNotReady { topic: String, seconds: u64 },
    /// The topic exists but cannot be described.
    #[error("topic {topic} cannot be used ({cause})")]
    TopicUnusable { topic: String, cause: String },
    /// A connected cluster did not answer a request, or answered with an error.
    #[error("the broker at {brokers} did not answer a request for {what} ({cause})")]
    Request {
        brokers: String,
        what: &'static str,
        cause: String,
    },
    /// A message was not acknowledged.
    #[error(
        "topic {topic} has not acknowledged a message ({cause}); write it again: twice is as good as once"
    )]
    Unacknowledged { topic: String, cause: String },
    /// The next records have been deleted.
    #[error(
        "topic {topic} no longer holds the next records ({cause}); start again to see how many are missing"
    )]
    PositionGone { topic: String, cause: String },
    /// A batch that librdkafka cannot unpack.
    #[error(
        "topic {topic}, partition {partition}: the batch at offset {offset} cannot be unpacked ({cause}); if it is only too \
         large, raise receive.message.max.bytes (-X), otherwise set kafka.on_undecodable = \"skip\" to go on without it"
    )]
    Undecodable {
        topic: String,
        partition: i32,
        offset: i64,
        cause: String,
    },
    /// The topic can no longer be consumed.
    #[error("topic {topic} can no longer be consumed ({source})")]
    Consume { topic: String, source: KafkaError },
    /// The group has members that this process cannot be one of.
    #[error(
        "the broker does not take this process into the consumer group {group}: its members ({members}) are other programs' \
         and share partitions in another way; set kafka.group (--group; for detection detect.group) to a name that nobody \
         else uses, or leave it out"
    )]
    GroupProtocol { group: String, members: String },
    /// The process is shutting down.
    #[error("stopped before the topics were checked")]
    Stopping,
    /// The embedded broker did not start.
    #[error("cannot start the embedded broker ({cause})")]
    Embedded { cause: String },
}

impl Error {
    /// True if a retry with the same settings may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connection { fault, .. } => fault.kind == super::FaultKind::Transport,
            Error::TopicNotReady { .. } | Error::Request { .. } | Error::Unacknowledged { .. } => true,
            Error::NotAllowed(_)
            | Error::Settings { .. }
            | Error::PropertyFile { .. }
            | Error::Thread { .. }
            | Error::TopicMissing { .. }
            | Error::NothingToSample { .. }
            | Error::TopicRefused { .. }
            | Error::TopicUnusable { .. }
            | Error::PositionGone { .. }
            | Error::Undecodable { .. }
            | Error::Consume { .. }
            | Error::GroupProtocol { .. }
            | Error::Stopping
            | Error::Embedded { .. } => false,
        }
    }
}

/// An operation on a named resource that needs permission. Its text names the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Describe the topic of this name.
    DescribeTopic(String),
    /// Read the topic of this name.
    ReadTopic(String),
    /// Write to the topic of this name.
    WriteTopic(String),
    /// Create the topic of this name.
    CreateTopic(String),
    /// Join the consumer group of this name, and commit its offsets.
    UseGroup(String),
    /// Open transactions under this id.
    UseTransactionalId(String),
    /// Write idempotently to any topic of the cluster.
    WriteIdempotently,
}

impl std::fmt::Display for Right {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, resource, name, acl, msk): (_, _, &str, _, _) = match self {
            Right::DescribeTopic(name) => ("describe", "topic", name, "DESCRIBE", "DescribeTopic"),
            Right::ReadTopic(name) => ("read", "topic", name, "READ", "ReadData"),
            Right::WriteTopic(name) => ("write to", "topic", name, "WRITE", "WriteData"),
            Right::CreateTopic(name) => ("create", "topic", name, "CREATE", "CreateTopic"),
            Right::UseGroup(name) => (
                "consume as",
                "group",
                name,
                "READ",
                "DescribeGroup and kafka-cluster:AlterGroup",
            ),
            Right::UseTransactionalId(name) => (
                "use",
                "transactional id",
                name,
                "WRITE",
                "DescribeTransactionalId and kafka-cluster:AlterTransactionalId",
            ),
            Right::WriteIdempotently => (
                "write idempotently to",
                "cluster",
                "kafka-cluster",
                "IDEMPOTENT_WRITE",
                "WriteDataIdempotently",
            ),
        };
        write!(
            formatter,
            "{what} {resource} {name}; grant {acl} on the {resource} (Amazon MSK: kafka-cluster:{msk})"
        )
    }
}

/// Whether the broker refuses what a former member of the group, or one of an earlier generation, asks for.
pub(super) fn is_of_another_generation(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::RebalanceInProgress
    )
}
