//! The settings as a file has them: by section.

use serde::{Deserialize, Serialize};

use super::{Config, Process};
use crate::lake::{MaintenanceSettings, TableSettings};
use crate::pipeline::CommitSettings;
use crate::{
    alerts, collect, decode, detection, detectors, kafka, live, pipeline, registry, serve, telemetry, window,
};

/// Which settings exist is decided by `default.toml` alone, before they come here.
#[derive(Serialize, Deserialize)]
pub(super) struct Sections {
    kafka: KafkaSection,
    schema_registry: registry::Settings,
    reading: decode::Settings,
    window: window::Settings,
    table: TableSettings,
    commit: CommitSettings,
    detect: detection::Settings,
    #[serde(flatten)]
    detectors: detectors::Settings,
    maintenance: MaintenanceSettings,
    alert: alerts::Settings,
    collect: CollectSection,
    http: serve::Settings,
    live: live::Settings,
    log: telemetry::Settings,
}

/// `[kafka]`: how the process reaches the cluster, and what the pipeline reads there.
#[derive(Serialize, Deserialize)]
struct KafkaSection {
    #[serde(flatten)]
    cluster: kafka::Settings,
    #[serde(flatten)]
    source: kafka::SourceSettings,
}

/// `[collect]`: a section for each system that readings are collected from.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectSection {
    cloudwatch: collect::Settings,
}

impl From<Sections> for Config {
    fn from(sections: Sections) -> Self {
        Config {
            process: Process {
                kafka: sections.kafka.cluster,
                schema_registry: sections.schema_registry,
                http: sections.http,
                log: sections.log,
            },
            pipeline: pipeline::Settings {
                source: sections.kafka.source,
                reading: sections.reading,
                window: sections.window,
                table: sections.table,
                commit: sections.commit,
                detect: sections.detect,
                detectors: sections.detectors,
                maintenance: sections.maintenance,
            },
            alert: sections.alert,
            live: sections.live,
            collect: sections.collect.cloudwatch,
        }
    }
}

impl From<Config> for Sections {
    fn from(config: Config) -> Self {
        let Config {
            process,
            pipeline,
            alert,
            live,
            collect: cloudwatch,
        } = config;
        Sections {
            kafka: KafkaSection {
                cluster: process.kafka,
                source: pipeline.source,
            },
            schema_registry: process.schema_registry,
            reading: pipeline.reading,
            window: pipeline.window,
            table: pipeline.table,
            commit: pipeline.commit,
            detect: pipeline.detect,
            detectors: pipeline.detectors,
            maintenance: pipeline.maintenance,
            alert,
            collect: CollectSection { cloudwatch },
            http: process.http,
            live,
            log: process.log,
        }
    }
}
