//! Kafka: how to reach a cluster, its topics, and a broker that lives inside this process.
//!
//! Everything here speaks through librdkafka. What it hides in its log, such as why no broker answers, is remembered
//! by [`Faults`] and becomes one sentence of [`Error`].

mod client;
mod cluster;
mod embedded;
mod outbox;
mod source;
mod topics;

pub use client::{Fault, FaultKind, Faults, LoggingContext, client_config, plain_error, refused_settings};
pub use cluster::Cluster;
pub use embedded::EmbeddedBroker;
pub use outbox::{Letter, Outbox, OutboxError};
pub use source::{Control, Delivery, Group, GroupOffset, Source, Start};
pub use topics::{TopicSpec, ensure_topics};

/// What goes wrong between us and a Kafka cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or what listens is no Kafka broker.
    #[error("no broker answers at {brokers} ({cause}); start one there, or set kafka.brokers (--brokers)")]
    Unreachable { brokers: String, cause: String },
    /// A host name of the cluster is unknown here.
    #[error("no broker answers at {brokers} ({cause}); correct the host name in kafka.brokers (--brokers)")]
    UnknownHost { brokers: String, cause: String },
    /// The connection is cut as listeners do that expect TLS or SASL, or neither.
    #[error("the broker at {brokers} hangs up ({cause}); check security.protocol in kafka.properties (-X)")]
    SecurityProtocol { brokers: String, cause: String },
    /// The broker answered and said no.
    #[error(
        "the broker at {brokers} refuses the credentials ({cause}); check sasl.* in kafka.properties (-X)"
    )]
    CredentialsRefused { brokers: String, cause: String },
    /// The TLS handshake failed.
    #[error(
        "no TLS connection to {brokers} ({cause}); check security.protocol and ssl.* in kafka.properties (-X)"
    )]
    Tls { brokers: String, cause: String },
    /// librdkafka does not take a property or a combination of them.
    #[error("librdkafka refuses the settings ({cause}); correct kafka.properties (-X)")]
    Settings { cause: String },
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
            Error::Unreachable { .. } | Error::TopicNotReady { .. } | Error::Request { .. } => true,
            Error::UnknownHost { .. }
            | Error::SecurityProtocol { .. }
            | Error::CredentialsRefused { .. }
            | Error::Tls { .. }
            | Error::Settings { .. }
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
