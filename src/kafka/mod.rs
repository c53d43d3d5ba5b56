//! The Kafka room: clients, topics, the consumer, the transactional producer, and a broker inside this
//! process.
//!
//! All of it uses librdkafka, which reports some causes only in its log (why no broker answers, for example).
//! `Faults` remembers them and turns them into one sentence of [`Error`].

mod client;
mod cluster;
mod compacted;
mod delivery;
mod diagnosis;
mod embedded;
mod error;
mod fault;
mod msk_iam;
mod rights;
mod sample;
mod settings;
mod source;
mod tail;
mod topic_id;
mod topic_settings;
mod topics;
mod transactional_producer;

pub use client::client_config;
pub(crate) use client::{LoggingContext, plain_error, refused_settings, warn_of_risks};
pub use cluster::Cluster;
pub(crate) use cluster::{PartitionEnds, partition_ends};
pub(crate) use compacted::{CompactedReader, Heard, newest_values};
pub use delivery::Deliveries;
pub(crate) use delivery::{DeliveryContext, write_acknowledged};
pub(crate) use embedded::EmbeddedBroker;
pub use error::{Error, Right};
pub use fault::Fault;
pub(crate) use fault::{FaultKind, Faults};
pub(crate) use msk_iam::TokenSource;
pub(crate) use rights::Rights;
pub(crate) use sample::{Sample, sample};
pub(crate) use settings::{KafkaAuth, is_topic_name};
pub use settings::{OnUndecodable, Settings, SourceSettings, Subscription};
pub use source::{Control, Delivery, Generation, Group, GroupOffset, Source, Start};
pub(crate) use source::{GroupMember, PartitionEnd, listed};
pub(crate) use tail::{Tail, TailBatch, TailError, TailStart};
pub(crate) use topic_settings::{require_compacted, topic_settings, warn_of_timestamps};
pub(crate) use topics::{TopicSpec, ensure_topics, may_create};
pub(crate) use transactional_producer::{ALERTS, ANOMALIES, SoleProducer, TABLE_SINK, transactional_id};
pub use transactional_producer::{ProducerError, TransactionalProducer};
