//! `[kafka]`: how the cluster is reached, which a process does in one way, and a topic in it with the group that
//! consumes it, which are a pipeline's own.

mod reserved;
mod security;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::{Violations, or_suffixed};

/// The settings in `[kafka]` about the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    pub brokers: String,
    pub(crate) auth: KafkaAuth,
    /// Empty: found.
    pub aws_region: String,
    /// librdkafka properties, passed through.
    pub properties: BTreeMap<String, String>,
    /// Files that hold the values of librdkafka properties.
    pub property_files: BTreeMap<String, PathBuf>,
}

/// How we prove to the brokers who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KafkaAuth {
    /// As the librdkafka properties say.
    Properties,
    /// With AWS credentials, as Amazon MSK takes them.
    MskIam,
}

/// The settings in `[kafka]` about the topic of the readings, and the topics beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct SourceSettings {
    pub topic: String,
    /// Empty: derived.
    pub group: String,
    pub create_topics: bool,
    pub partitions: i32,
    pub replication_factor: i32,
    /// Empty: derived; see `SourceSettings::late_topic`.
    pub late_topic: String,
    /// Empty: derived; see `SourceSettings::dead_letter_topic`.
    pub dead_letter_topic: String,
    pub transactional_id: String,
    pub accept_gap: bool,
    pub on_undecodable: OnUndecodable,
}

/// What becomes of records that cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUndecodable {
    /// The run ends, if it lasts.
    Stop,
    /// They are counted as dead letters, and passed.
    Skip,
}

/// A topic in a cluster, and the group that consumes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// How the brokers are reached.
    pub cluster: Settings,
    /// The topic, its group, and the topics of side outputs.
    pub source: SourceSettings,
}

const TOPIC_NAME: &str = "must be a topic name: 1 to 249 letters, digits, dots, underscores and dashes";

/// Whether Kafka takes a name for a topic.
pub(crate) fn is_topic_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&name.len()) && name.bytes().all(is_allowed) && name != "." && name != ".."
}

impl Settings {
    /// Whether a librdkafka property is set, be it through a file.
    pub(crate) fn has_property(&self, name: &str) -> bool {
        self.properties.contains_key(name) || self.property_files.contains_key(name)
    }

    /// Adds the rules of `[kafka]` about the cluster that these settings break.
    pub(crate) fn check(&self, violations: &mut Violations) {
        let has_addresses = self.brokers.split(',').all(|address| !address.trim().is_empty());
        violations.require(
            has_addresses,
            "kafka.brokers",
            "must be addresses such as \"localhost:9092\", separated by commas",
        );
        let set = self.properties.keys().map(|name| ("properties", name));
        let in_files = self.property_files.keys().map(|name| ("property_files", name));
        for (map, name) in set.chain(in_files) {
            if let Some(advice) = reserved::advice(name) {
                violations.require(false, &format!("kafka.{map}.{name}"), advice);
            }
        }
        security::check(self, violations);
    }
}

impl Subscription {
    /// The same topic as another group consumes it.
    #[must_use]
    pub fn in_group(mut self, group: String) -> Self {
        self.source.group = group;
        self
    }
}

impl SourceSettings {
    /// The topic of diverted late readings.
    pub(crate) fn late_topic(&self) -> String {
        or_suffixed(&self.late_topic, &self.topic, ".late")
    }

    /// The topic of dead letters.
    pub(crate) fn dead_letter_topic(&self) -> String {
        or_suffixed(&self.dead_letter_topic, &self.topic, ".dlq")
    }

    /// Adds the rules of `[kafka]` about topics that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        violations.require(is_topic_name(&self.topic), "kafka.topic", TOPIC_NAME);
        for (key, topic) in [
            ("kafka.late_topic", self.late_topic()),
            ("kafka.dead_letter_topic", self.dead_letter_topic()),
        ] {
            // A name that is wrong because `kafka.topic` is has been complained about already.
            if is_topic_name(&self.topic) {
                violations.require(is_topic_name(&topic), key, TOPIC_NAME);
            }
            self.check_other(key, &topic, violations);
        }
        let is_count = |number: i32| number >= 1 || number == -1;
        const COUNT: &str = "must be 1 or more, or -1 for what the broker has as its default";
        violations.require(is_count(self.partitions), "kafka.partitions", COUNT);
        violations.require(
            is_count(self.replication_factor),
            "kafka.replication_factor",
            COUNT,
        );
    }

    /// Adds the rules that another topic of this setting breaks.
    pub(crate) fn check_output(&self, key: &str, topic: &str, violations: &mut Violations) {
        violations.require(is_topic_name(topic), key, TOPIC_NAME);
        self.check_other(key, topic, violations);
    }

    fn check_other(&self, key: &str, topic: &str, violations: &mut Violations) {
        violations.require(
            topic != self.topic,
            key,
            "must not be the topic of the readings, `kafka.topic`",
        );
    }
}
