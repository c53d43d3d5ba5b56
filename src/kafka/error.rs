//! What goes wrong between us and a Kafka cluster.

use super::Fault;

/// What goes wrong between us and a Kafka cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster cannot be reached, or does not let us in.
    #[error("{}", fault.sentence(brokers))]
    Connection { brokers: String, fault: Fault },
    /// The broker knows us, and does not let us do this.
    #[error("not allowed to {}", .0)]
    NotAllowed(Right),
    /// librdkafka does not take a property or a combination of them.
    #[error("librdkafka refuses the settings ({cause}); correct kafka.properties (-X)")]
    Settings { cause: String },
    /// The file that holds a property cannot be read.
    #[error("the file of kafka.property_files.{name} cannot be read ({cause})")]
    PropertyFile { name: String, cause: String },
    /// The topic is not there and we were told not to make it.
    #[error("topic {topic} does not exist; create it, or set kafka.create_topics = true")]
    TopicMissing { topic: String },
    /// The cluster does not make the topic.
    #[error(
        "the broker does not create topic {topic} ({cause}); create it by hand or change the settings in [kafka]"
    )]
    TopicRefused { topic: String, cause: String },
    /// The topic was made, but does not become usable.
    #[error(
        "topic {topic} was created, but not all of its partitions have a leader after {seconds} s; try again"
    )]
    TopicNotReady { topic: String, seconds: u64 },
    /// The topic is there and cannot be looked at.
    #[error("topic {topic} cannot be used ({cause})")]
    TopicUnusable { topic: String, cause: String },
    /// A connected cluster left a request without a good answer.
    #[error("the broker at {brokers} did not answer a request for {what} ({cause})")]
    Request {
        brokers: String,
        what: &'static str,
        cause: String,
    },
    /// The records to go on with are gone.
    #[error(
        "topic {topic} no longer holds the records to go on with ({cause}); start again to learn how many are missing"
    )]
    PositionGone { topic: String, cause: String },
    /// The topic can no longer be consumed.
    #[error("topic {topic} cannot be consumed any more ({cause})")]
    Consume { topic: String, cause: String },
    /// The program is being shut down.
    #[error("stopped before the topics were looked at")]
    Stopping,
    /// The embedded broker did not come up.
    #[error("the embedded broker does not start ({cause})")]
    Embedded { cause: String },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing a setting.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connection { fault, .. } => fault.kind == super::FaultKind::Transport,
            Error::TopicNotReady { .. } | Error::Request { .. } => true,
            Error::NotAllowed(_)
            | Error::Settings { .. }
            | Error::PropertyFile { .. }
            | Error::TopicMissing { .. }
            | Error::TopicRefused { .. }
            | Error::TopicUnusable { .. }
            | Error::PositionGone { .. }
            | Error::Consume { .. }
            | Error::Stopping
            | Error::Embedded { .. } => false,
        }
    }
}

/// Something a broker lets one do or not, on a resource of this name. Its text says how to be allowed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    DescribeTopic(String),
    ReadTopic(String),
    WriteTopic(String),
    CreateTopic(String),
    UseGroup(String),
    UseTransactionalId(String),
    WriteIdempotently,
}

impl std::fmt::Display for Right {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, resource, name, acl, msk): (_, _, &str, _, _) = match self {
            Right::DescribeTopic(name) => ("look at", "topic", name, "DESCRIBE", "DescribeTopic"),
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
