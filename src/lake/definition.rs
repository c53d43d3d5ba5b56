//! What makes a table this pipeline's own: its columns, and the settings it was made with, kept in its metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use super::log::{MetadataAction, ProtocolAction};
use crate::config::Config;
use crate::decode::KeySource;
use crate::table::{Buckets, Layout};
use crate::window::Windows;

/// The columns' names, in the table's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub key: String,
    pub start: String,
    pub end: String,
    pub average: String,
    pub minimum: String,
    pub maximum: String,
    pub sum: String,
    pub count: String,
}

/// A table as the settings describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub columns: Columns,
    pub layout: Layout,
    /// Whether readings have a key; without one the key column is null.
    pub is_keyed: bool,
    /// Names this pipeline's positions in the log.
    pub pipeline: String,
    pub topic: String,
    /// What must never change over a table's life, by the name it has in the metadata.
    fixed: BTreeMap<&'static str, (&'static str, String)>,
    retention: BTreeMap<&'static str, String>,
}

/// Rows in one shared file at most: about 128 MiB of them, and a bound on the memory of one merge.
const MAX_FILE_ROWS: usize = 2_000_000;

impl Definition {
    /// The table that the settings describe.
    pub fn new(config: &Config) -> Self {
        let table = &config.table;
        let duration = |value| humantime::format_duration(value).to_string();
        let fixed = [
            ("streamgauge.pipeline", ("table.pipeline", table.pipeline.clone())),
            ("streamgauge.topic", ("kafka.topic", config.kafka.topic.clone())),
            (
                "streamgauge.window",
                ("window.length", duration(config.window.length)),
            ),
            (
                "streamgauge.windowOffset",
                ("window.offset", duration(config.window.offset)),
            ),
            ("streamgauge.key", ("reading.key", config.reading.key.clone())),
            (
                "streamgauge.buckets",
                ("table.buckets", table.buckets.to_string()),
            ),
            (
                "streamgauge.bucketHash",
                (
                    "table.bucket_hash",
                    format!("{:?}", table.bucket_hash).to_lowercase(),
                ),
            ),
        ];
        let hours = |value: std::time::Duration| format!("interval {} seconds", value.as_secs());
        let retention = [
            (
                "delta.logRetentionDuration",
                hours(config.maintenance.log_retention),
            ),
            (
                "delta.deletedFileRetentionDuration",
                hours(config.maintenance.vacuum_retention),
            ),
        ];
        Definition {
            columns: Columns {
                key: table.key_column.clone(),
                start: table.start_column.clone(),
                end: table.end_column.clone(),
                average: table.average_column.clone(),
                minimum: table.minimum_column.clone(),
                maximum: table.maximum_column.clone(),
                sum: table.sum_column.clone(),
                count: table.count_column.clone(),
            },
            layout: Layout {
                windows: Windows::new(&config.window),
                buckets: Buckets {
                    count: table.buckets,
                    hash: table.bucket_hash,
                },
                max_file_rows: MAX_FILE_ROWS,
            },
            is_keyed: KeySource::parse(&config.reading.key) != KeySource::None,
            pipeline: table.pipeline.clone(),
            topic: config.kafka.topic.clone(),
            fixed: fixed.into(),
            retention: retention.into(),
        }
    }

    /// Takes over into the settings what a table was made with, for commands that look after any table of ours.
    ///
    /// # Errors
    /// The property that is missing or makes no sense.
    pub fn adopt(config: &mut Config, metadata: &MetadataAction) -> Result<(), String> {
        let property = |name: &str| {
            let value = metadata.configuration.get(name).and_then(Option::as_deref);
            value.ok_or_else(|| {
                format!("{name} is missing from its properties (was it made by another program?)")
            })
        };
        let duration = |name: &str| {
            humantime::parse_duration(property(name)?)
                .map_err(|error| format!("{name} is no duration: {error}"))
        };
        config.table.pipeline = property("streamgauge.pipeline")?.to_owned();
        config.kafka.topic = property("streamgauge.topic")?.to_owned();
        config.window.length = duration("streamgauge.window")?;
        config.window.offset = duration("streamgauge.windowOffset")?;
        config.reading.key = property("streamgauge.key")?.to_owned();
        let buckets = property("streamgauge.buckets")?;
        config.table.buckets = buckets
            .parse()
            .map_err(|error| format!("streamgauge.buckets: {error}"))?;
        config.table.bucket_hash = serde_json::from_value(json!(property("streamgauge.bucketHash")?))
            .map_err(|error| format!("streamgauge.bucketHash: {error}"))?;
        let columns = metadata
            .columns()
            .map_err(|error| format!("its schema cannot be read: {error}"))?;
        let table = &mut config.table;
        let names = [
            &mut table.key_column,
            &mut table.start_column,
            &mut table.end_column,
            &mut table.average_column,
            &mut table.minimum_column,
            &mut table.maximum_column,
            &mut table.sum_column,
            &mut table.count_column,
        ];
        for (name, (found, _)) in names.into_iter().zip(columns) {
            *name = found;
        }
        Ok(())
    }

    /// The columns as (name, Delta type).
    fn delta_columns(&self) -> [(&str, &'static str); 8] {
        let columns = &self.columns;
        [
            (&columns.key, "string"),
            (&columns.start, "timestamp"),
            (&columns.end, "timestamp"),
            (&columns.average, "double"),
            (&columns.minimum, "double"),
            (&columns.maximum, "double"),
            (&columns.sum, "double"),
            (&columns.count, "long"),
        ]
    }

    /// The columns as Arrow has them.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.delta_columns().map(|(name, delta_type)| {
            let data_type = match delta_type {
                "string" => DataType::Utf8,
                "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                "long" => DataType::Int64,
                _ => DataType::Float64,
            };
            Field::new(name, data_type, true)
        });
        Arc::new(Schema::new(fields.to_vec()))
    }

    /// The actions that make the table: the oldest protocol, which every reader knows, and the metadata.
    pub fn creation(&self, id: &str, created_ms: i64) -> (ProtocolAction, MetadataAction) {
        let fields: Vec<_> = self
            .delta_columns()
            .map(|(name, delta_type)| json!({"name": name, "type": delta_type, "nullable": true, "metadata": {}}))
            .into();
        let fixed = self
            .fixed
            .iter()
            .map(|(&name, (_, value))| (name.to_owned(), value.clone()));
        let retention = self
            .retention
            .iter()
            .map(|(&name, value)| (name.to_owned(), value.clone()));
        let metadata = MetadataAction {
            id: id.to_owned(),
            name: None,
            description: Some("Windowed averages, kept by streamgauge".to_owned()),
            format: json!({"provider": "parquet", "options": {}}),
            schema_string: json!({"type": "struct", "fields": fields}).to_string(),
            partition_columns: Vec::new(),
            configuration: fixed
                .chain(retention)
                .map(|(name, value)| (name, Some(value)))
                .collect(),
            created_time: Some(created_ms),
        };
        let protocol = ProtocolAction {
            min_reader_version: 1,
            min_writer_version: 2,
            reader_features: None,
            writer_features: None,
        };
        (protocol, metadata)
    }

    /// Checks that a table's protocol is one this program can write.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check_protocol(&self, protocol: &ProtocolAction) -> Result<(), String> {
        if protocol.min_reader_version == 1 && protocol.min_writer_version <= 2 {
            return Ok(());
        }
        Err(format!(
            "it needs Delta reader version {} and writer version {}, this program writes 1 and 2",
            protocol.min_reader_version, protocol.min_writer_version
        ))
    }

    /// Checks that a table's columns and settings are these.
    ///
    /// # Errors
    /// Everything that does not fit, each with both values named.
    pub fn check_metadata(&self, metadata: &MetadataAction) -> Result<(), String> {
        let mut mismatches = self.column_mismatches(metadata);
        if !metadata.partition_columns.is_empty() {
            mismatches.push(format!(
                "it is partitioned by {}",
                metadata.partition_columns.join(", ")
            ));
        }
        for (name, (setting, wanted)) in &self.fixed {
            match metadata.configuration.get(*name).and_then(Option::as_ref) {
                None => mismatches.push(format!(
                    "{name} is missing from its properties (was it made by another program?)"
                )),
                Some(found) if found != wanted => {
                    mismatches.push(format!(
                        "it was made with {setting} = {found}, the setting is {wanted}"
                    ));
                }
                Some(_) => {}
            }
        }
        if mismatches.is_empty() {
            Ok(())
        } else {
            Err(mismatches.join("; "))
        }
    }

    fn column_mismatches(&self, metadata: &MetadataAction) -> Vec<String> {
        let found = match metadata.columns() {
            Ok(found) => found,
            Err(error) => return vec![format!("its schema cannot be read: {error}")],
        };
        let wanted = self.delta_columns();
        let missing = wanted.iter().filter_map(|&(name, wanted_type)| {
            match found.iter().find(|(found_name, _)| found_name == name) {
                None => Some(format!("the column {name} ({wanted_type}) is missing")),
                Some((_, found_type)) if found_type != wanted_type => {
                    Some(format!("the column {name} is {found_type}, not {wanted_type}"))
                }
                Some(_) => None,
            }
        });
        let extra = found
            .iter()
            .filter(|(name, _)| !wanted.iter().any(|(wanted, _)| wanted == name))
            .map(|(name, found_type)| format!("the column {name} ({found_type}) is not one of ours"));
        missing.chain(extra).collect()
    }
}
