//! The settings of the detecting side: `[detect]` and a section for each detector that has settings.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Config, KafkaConfig, duration, or_suffixed};

/// `[detect]`: what is judged, by what, and where the anomalies go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectConfig {
    pub preset: String,
    pub detector: DetectorName,
    pub input: DetectInput,
    pub threshold: Threshold,
    pub anomaly_topic: String,
    pub group: String,
    pub time_zone: String,
    pub unit: String,
    #[serde(with = "duration")]
    pub commit_interval: Duration,
    pub snapshot_uri: String,
    #[serde(with = "duration")]
    pub snapshot_interval: Duration,
    /// Conditions by pattern of keys.
    pub rules: BTreeMap<String, String>,
}

/// The detectors that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorName {
    AdaptiveBand,
    IsolationForest,
    HalfSpaceTrees,
    /// Rules alone.
    None,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectInput {
    Readings,
    /// Averages of closed windows.
    Windows,
}

/// `detect.threshold`: `auto`, or a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// The detector's own.
    Auto,
    Score(f64),
}

impl Threshold {
    /// The score, given the detector's own.
    pub fn or(self, own: f64) -> f64 {
        match self {
            Threshold::Auto => own,
            Threshold::Score(score) => score,
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Threshold::Auto => serializer.serialize_str("auto"),
            Threshold::Score(score) => serializer.collect_str(score),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(Threshold::Auto);
        }
        match text.trim().parse::<f64>() {
            Ok(score) if score.is_finite() => Ok(Threshold::Score(score)),
            _ => Err(de::Error::custom(format!(
                "{text:?} is neither \"auto\" nor a number"
            ))),
        }
    }
}

/// `[isolation_forest]`: comparing a value with the earlier ones of its slot of the week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationForestConfig {
    pub method: ForestMethod,
    #[serde(with = "duration")]
    pub slot: Duration,
    pub max_history: usize,
    pub minimum_comparables: usize,
}

/// How an isolation forest's score is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForestMethod {
    Exact,
    ScikitLearn,
}

/// `[half_space_trees]`: as River's `HalfSpaceTrees`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalfSpaceTreesConfig {
    pub trees: usize,
    pub height: u32,
    pub window_size: u32,
    pub seed: u32,
    pub scale: f64,
    pub lower_limit: f64,
    pub upper_limit: f64,
    pub order: LearningOrder,
}

/// Whether an observation is judged by what was known before it or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningOrder {
    LearnThenScore,
    ScoreThenLearn,
}

impl Config {
    /// The consumer group of the detecting side.
    pub fn detect_group(&self) -> String {
        or_suffixed(&self.detect.group, &self.kafka.group, "-detect")
    }

    /// The cluster as the detecting side consumes it: in a group of its own.
    pub fn detect_kafka(&self) -> KafkaConfig {
        KafkaConfig {
            group: self.detect_group(),
            ..self.kafka.clone()
        }
    }

    /// Where detectors' state is kept: a local folder or s3://bucket/prefix.
    pub fn snapshot_uri(&self) -> String {
        or_suffixed(
            &self.detect.snapshot_uri,
            self.table.uri.trim_end_matches('/'),
            "-snapshots",
        )
    }

    /// The zone whose days and weeks count.
    pub fn detect_time_zone(&self) -> chrono_tz::Tz {
        // That another name is none has been said when the settings were checked.
        self.detect.time_zone.parse().unwrap_or(self.reading.time_zone)
    }
}
