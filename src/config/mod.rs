//! The settings: one commented `default.toml`, which is also the reference, and the rooms' own structs, composed.
//!
//! [`load()`] lays flags over the environment over a file over the defaults and says where each value came from.
//! Each room knows what its settings mean and which values make sense. No room depends on this one.

mod calendar;
#[cfg(test)]
mod check_tests;
mod convert;
mod document;
mod error;
mod list;
#[cfg(test)]
mod list_tests;
mod load;
mod presets;
mod secret;
mod sections;
mod settings;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::decode::FormatName;
use crate::kafka::is_topic_name;
use crate::printable::REDACTED;
use crate::settings::{Violation, Violations};
use crate::{alerts, collect, kafka, live, pipeline, registry, serve, telemetry};
use sections::Sections;

pub use error::ConfigError;
#[cfg(test)]
pub(crate) use load::config_of;
pub use load::{Loaded, Overrides, load};
pub(crate) use load::{default_file, reading_presets};
pub use settings::Origin;
pub(crate) use settings::Setting;

/// The embedded reference: every setting with its default and its meaning.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// All settings: what the process is, what its pipeline is, whom it tells, and what it collects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Sections", into = "Sections")]
pub struct Config {
    /// One of each in a process, whatever runs in it.
    pub process: Process,
    /// From one topic to its table and its anomalies.
    pub pipeline: pipeline::Settings,
    /// Of who is told of anomalies, and how.
    pub alert: alerts::Settings,
    /// Of the live page, and SQL over HTTP.
    pub live: live::Settings,
    /// Of what brings readings into the topic.
    pub collect: collect::Settings,
}

/// The settings of a process, whatever it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// `[kafka]`, as far as it is about the cluster.
    pub kafka: kafka::Settings,
    /// `[schema_registry]`.
    pub schema_registry: registry::Settings,
    /// `[http]`.
    pub http: serve::Settings,
    /// `[log]`.
    pub log: telemetry::Settings,
}

impl Config {
    /// The topic in the cluster of the process.
    pub fn subscription(&self) -> kafka::Subscription {
        self.pipeline.subscription(&self.process.kafka)
    }

    /// The topic of what people say of anomalies.
    pub fn feedback_topic(&self) -> String {
        self.alert.feedback_topic(&self.pipeline.detect.anomaly_topic)
    }
}

/// Every rule that these settings break.
fn violations(config: &Config) -> Vec<Violation> {
    let mut violations = Violations::default();
    let Config {
        process,
        pipeline,
        alert,
        live,
        collect,
    } = config;
    process.kafka.check(&mut violations);
    check_secrets(config, &mut violations);
    process.schema_registry.check(&mut violations);
    pipeline.check(&mut violations);
    alert.check(&mut violations);
    check_feedback_topic(config, &mut violations);
    let reading = &pipeline.reading;
    violations.require(
        reading.format != FormatName::Avro
            || reading.avro_schema.is_given()
            || process.schema_registry.has_schemas(),
        "schema_registry.url",
        "must be set where reading.format is \"avro\", and neither schema_registry.files nor reading.avro_schema is",
    );
    violations.require(
        process.schema_registry.files.is_empty() || !reading.avro_schema.is_given(),
        "schema_registry.files",
        "must be empty where reading.avro_schema is set: its messages have nothing in front",
    );
    collect.check(&mut violations);
    process.http.check(&mut violations);
    live.check(&mut violations);
    process.log.check(&mut violations);
    violations.into_vec()
}

/// What people say has a topic of its own.
fn check_feedback_topic(config: &Config, violations: &mut Violations) {
    const KEY: &str = "alert.feedback_topic";
    let (source, anomaly_topic) = (&config.pipeline.source, &config.pipeline.detect.anomaly_topic);
    let topic = config.feedback_topic();
    // A name that is wrong because `detect.anomaly_topic` is has been complained about already.
    if is_topic_name(anomaly_topic) {
        source.check_output(KEY, &topic, violations);
    }
    violations.require(
        topic != *anomaly_topic && topic != source.late_topic() && topic != source.dead_letter_topic(),
        KEY,
        "must be a topic of its own: not that of anomalies, late readings or dead letters",
    );
}

const HIDDEN: &str = "must be the secret itself, which `config show` has hidden";

/// The output of `config show` can be used as a settings file, but for its secrets.
fn check_secrets(config: &Config, violations: &mut Violations) {
    let maps = [
        ("kafka.properties", &config.process.kafka.properties),
        ("table.storage_options", &config.pipeline.table.storage_options),
    ];
    let registry = &config.process.schema_registry;
    for (name, value) in [("password", &registry.password), ("url", &registry.url)] {
        violations.require(
            !value.contains(REDACTED),
            &format!("schema_registry.{name}"),
            HIDDEN,
        );
    }
    for (map, entries) in maps {
        for (name, value) in entries {
            violations.require(!value.contains(REDACTED), &format!("{map}.{name}"), HIDDEN);
        }
    }
}
