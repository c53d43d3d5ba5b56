//! The settings: one commented `default.toml`, which is also the reference, and these structs of the same shape.
//!
//! [`load`] lays flags over the environment over a file over the defaults and says where each value came from.
//! Nothing outside `commands` and this room reads the environment.

mod check;
mod detect;
mod document;
mod error;
mod load;
mod presets;
mod reserved;
mod rule;
mod secret;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use detect::{
    DetectConfig, DetectInput, DetectorName, ForestMethod, HalfSpaceTreesConfig, IsolationForestConfig,
    LearningOrder, Threshold,
};
pub use error::{ConfigError, SettingError};
pub use load::{DEFAULT_FILE, Loaded, Overrides, default_file, load};
pub use rule::{Condition, ConditionError, Rule, read_conditions};
pub use settings::{Origin, Setting};

/// The embedded reference: every setting with its default and its meaning.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// All settings, by section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub kafka: KafkaConfig,
    pub reading: ReadingConfig,
    pub window: WindowConfig,
    pub table: TableConfig,
    pub commit: CommitConfig,
    pub detect: DetectConfig,
    pub isolation_forest: IsolationForestConfig,
    pub half_space_trees: HalfSpaceTreesConfig,
    pub maintenance: MaintenanceConfig,
    pub http: HttpConfig,
    pub log: LogConfig,
}

/// `[kafka]`: the cluster, the topics and the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    pub brokers: String,
    pub topic: String,
    pub group: String,
    pub create_topics: bool,
    pub partitions: i32,
    pub replication_factor: i32,
    pub late_topic: String,
    pub dead_letter_topic: String,
    pub transactional_id: String,
    pub accept_gap: bool,
    /// librdkafka properties, passed through.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// The topic of diverted late readings.
    pub fn late_topic(&self) -> String {
        or_suffixed(&self.late_topic, &self.topic, ".late")
    }

    /// The topic of dead letters.
    pub fn dead_letter_topic(&self) -> String {
        or_suffixed(&self.dead_letter_topic, &self.topic, ".dlq")
    }
}

fn or_suffixed(configured: &str, topic: &str, suffix: &str) -> String {
    if configured.is_empty() {
        format!("{topic}{suffix}")
    } else {
        configured.to_owned()
    }
}

/// `[reading]`: how a record's bytes become a reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingConfig {
    pub time_field: String,
    pub value_field: String,
    /// `none`, `message`, or a dotted path.
    pub key: String,
    pub time_format: TimeFormat,
    pub time_zone: chrono_tz::Tz,
    #[serde(with = "duration")]
    pub max_ahead: Duration,
    pub max_bytes: usize,
}

/// How the time field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// `2023-01-13 00:00:00`, with `T`, fractions and a zone if need be.
    Text,
    /// Seconds since 1970, whole or with a fraction.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
}

/// `[window]`: the tumbling windows and what is late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    #[serde(with = "duration")]
    pub length: Duration,
    #[serde(with = "duration")]
    pub offset: Duration,
    #[serde(with = "duration")]
    pub watermark: Duration,
    pub late: LatePolicy,
}

/// What becomes of a late reading. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// Kept out of the average and written to the late topic.
    Divert,
    /// Corrects the row it belongs to, however old.
    Upsert,
    /// Only counted.
    Drop,
}

/// `[table]`: where the Delta table lies and what it looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    pub uri: String,
    pub name: String,
    pub key_column: String,
    pub start_column: String,
    pub end_column: String,
    pub average_column: String,
    pub minimum_column: String,
    pub maximum_column: String,
    pub sum_column: String,
    pub count_column: String,
    pub buckets: u32,
    pub bucket_hash: BucketHash,
    pub pipeline: String,
    /// Options of the object store, passed through.
    pub storage_options: BTreeMap<String, String>,
}

/// The hash that spreads keys over buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketHash {
    /// As Java's default partitioner.
    Murmur2,
    /// As librdkafka's default partitioner.
    Crc32,
}

/// `[commit]`: when the table is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitConfig {
    #[serde(with = "duration")]
    pub interval: Duration,
    #[serde(with = "duration")]
    pub idle_interval: Duration,
    pub max_pending_rows: usize,
    pub max_pending_bytes: usize,
    #[serde(with = "duration")]
    pub give_up_after: Duration,
}

/// `[maintenance]`: what keeps the table small and quick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceConfig {
    pub enabled: bool,
    #[serde(with = "duration")]
    pub interval: Duration,
    pub compact_files: usize,
    pub target_file_bytes: u64,
    pub checkpoint_commits: u64,
    #[serde(with = "duration")]
    pub log_retention: Duration,
    #[serde(with = "duration")]
    pub vacuum_retention: Duration,
    #[serde(with = "duration")]
    pub cleanup_interval: Duration,
}

/// `[http]`: metrics and health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// An address such as `127.0.0.1:9464`; empty for none.
    pub listen: String,
}

/// `[log]`: what is logged, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    #[serde(with = "duration")]
    pub status_interval: Duration,
    pub level: String,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// Durations as people write them: `10s`, `1h 30m`.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!(
                "{text:?} is no duration such as \"10s\" or \"1h 30m\": {error}"
            ))
        })
    }
}
