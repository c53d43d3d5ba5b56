//! Kafka: how to reach a cluster, its topics, and a broker that lives inside this process.
//!
//! Everything here speaks through librdkafka. What it hides in its log, such as why no broker answers, is remembered
//! by [`Faults`] and becomes one sentence of [`Error`].

mod client;
mod cluster;
mod diagnosis;
mod embedded;
mod error;
mod fault;
mod msk_iam;
mod outbox;
mod rights;
mod source;
mod topics;

pub use client::{LoggingContext, client_config, plain_error, refused_settings};
pub use cluster::Cluster;
pub use embedded::EmbeddedBroker;
pub use error::{Error, Right};
pub use fault::{Fault, FaultKind, Faults};
pub use msk_iam::{TokenError, TokenSource};
pub use outbox::{ANOMALIES, LETTERS, Letter, Outbox, OutboxError, transactional_id};
pub use rights::Rights;
pub use source::{Control, Delivery, Group, GroupOffset, Source, Start};
pub use topics::{TopicSpec, ensure_topics, may_create};
