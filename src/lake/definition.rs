//! The definition of a table: its columns, and the settings it was created with, kept in its metadata.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use super::actions::{MetadataAction, ProtocolAction};
use super::columns::Columns;
use super::settings::TableSpec;
use super::table_properties;
use crate::decode::ValueKind;
use crate::table::{Buckets, Layout};
use crate::window::Windows;

/// A table as the settings define it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Their names; the types are fixed.
    pub columns: Columns,
    /// What rows are totals of.
    pub value_kind: ValueKind,
    /// How rows are laid out over files.
    pub layout: Layout,
    /// Whether readings have a key; otherwise the key column is null.
    pub is_keyed: bool,
    /// The prefix of this pipeline's positions in the log.
    pub pipeline: String,
    /// The topic whose readings the table holds.
    pub topic: String,
    /// The settings that are fixed for a table's life, by property name.
    fixed: BTreeMap<&'static str, (&'static str, String)>,
    retention: BTreeMap<&'static str, String>,
}

/// The property that holds the version of a table's format: of its properties, positions and hidden column.
const FORMAT_VERSION: &str = "streamgauge.formatVersion";
/// The version that this program writes and reads.
const OUR_FORMAT_VERSION: &str = "1";
/// The source of keys of a topic that is one series.
const NO_KEY: &str = "none";
/// The property that names the column of measures, in tables that have one.
const MEASURE_COLUMN: &str = "streamgauge.measureColumn";

/// The property that says what values are, in tables of counters. Those of gauges were made without it.
const VALUE_KIND: &str = "streamgauge.valueKind";
const VALUE_KIND_SETTING: &str = "reading.value_kind";

/// The most rows in one file: about 128 MiB. It bounds the memory of a merge.
const MAX_FILE_ROWS: usize = 2_000_000;
/// The most bytes of keys in one file, for the same reason: several files are encoded in parallel. (Arrow panics
/// beyond 2 GiB.)
const MAX_FILE_KEY_BYTES: usize = 64 << 20;

impl Definition {
    /// The table that the settings define.
    pub fn new(spec: &TableSpec) -> Self {
        let (table, windows) = (&spec.table, spec.windows);
        let kind = spec.value_kind;
        let columns = Columns::new(table, kind);
        let measured = columns
            .measure
            .clone()
            .map(|name| (MEASURE_COLUMN, ("table.measure_column", name)));
        let kind_property =
            (kind != ValueKind::Gauge).then(|| (VALUE_KIND, (VALUE_KIND_SETTING, kind.name().to_owned())));
        let fixed = [
            ("streamgauge.pipeline", ("table.pipeline", table.pipeline.clone())),
            ("streamgauge.topic", ("kafka.topic", spec.topic.clone())),
            (
                "streamgauge.window",
                ("window.length", duration_text(windows.length_ms)),
            ),
            (
                "streamgauge.windowOffset",
                ("window.offset", duration_text(windows.offset_ms)),
            ),
            ("streamgauge.key", ("reading.key", spec.key.clone())),
            (
                "streamgauge.buckets",
                ("table.buckets", table.buckets.to_string()),
            ),
            (
                "streamgauge.bucketHash",
                ("table.bucket_hash", table.bucket_hash.name().to_owned()),
            ),
        ];
        let interval = |value: Duration| format!("interval {} seconds", value.as_secs());
        let retention = [
            (
                "delta.logRetentionDuration",
                interval(spec.maintenance.log_retention),
            ),
            (
                "delta.deletedFileRetentionDuration",
                interval(spec.maintenance.vacuum_retention),
            ),
        ];
        Definition {
            columns,
            value_kind: kind,
            layout: Layout {
                windows,
                buckets: Buckets {
                    count: table.buckets,
                    hash: table.bucket_hash,
                },
                max_file_rows: MAX_FILE_ROWS,
                max_file_key_bytes: MAX_FILE_KEY_BYTES,
            },
            is_keyed: spec.key != NO_KEY,
            pipeline: table.pipeline.clone(),
            topic: spec.topic.clone(),
            fixed: fixed.into_iter().chain(measured).chain(kind_property).collect(),
            retention: retention.into(),
        }
    }

    /// The columns as (name, Delta type).
    fn delta_columns(&self) -> Vec<(&str, &'static str)> {
        let columns = &self.columns;
        let mut all: Vec<(&str, &'static str)> = vec![(&columns.key, "string")];
        all.extend(columns.measure.iter().map(|name| (name.as_str(), "string")));
        all.extend([(columns.start.as_str(), "timestamp"), (&columns.end, "timestamp")]);
        let values = columns.values.cells().into_iter();
        all.extend(values.map(|(name, _)| (name.as_str(), "double")));
        all.push((&columns.count, "long"));
        all
    }

    /// The columns as an Arrow schema.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.delta_columns().into_iter().map(|(name, delta_type)| {
            let data_type = match delta_type {
                "string" => DataType::Utf8,
                "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                "long" => DataType::Int64,
                _ => DataType::Float64,
            };
            Field::new(name, data_type, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The actions that create the table: the oldest protocol, which every reader supports, and the metadata.
    pub(crate) fn creation(&self, id: &str, created_ms: i64) -> (ProtocolAction, MetadataAction) {
        let fields: Vec<_> = self
            .delta_columns()
            .into_iter()
            .map(|(name, delta_type)| json!({"name": name, "type": delta_type, "nullable": true, "metadata": {}}))
            .collect();
        let fixed = self
            .fixed
            .iter()
            .map(|(&name, (_, value))| (name.to_owned(), value.clone()));
        let retention = self
            .retention
            .iter()
            .map(|(&name, value)| (name.to_owned(), value.clone()));
        let description = match self.value_kind {
            ValueKind::Gauge => "Windowed averages, kept by streamgauge",
            ValueKind::Counter => "Windowed increases of counters, kept by streamgauge",
        };
        let metadata = MetadataAction {
            id: id.to_owned(),
            name: None,
            description: Some(description.to_owned()),
            format: json!({"provider": "parquet", "options": {}}),
            schema_string: json!({"type": "struct", "fields": fields}).to_string(),
            partition_columns: Vec::new(),
            configuration: std::iter::once((FORMAT_VERSION.to_owned(), OUR_FORMAT_VERSION.to_owned()))
                .chain(fixed)
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

    /// Checks that this program can write a table's protocol.
    ///
    /// # Errors
    /// The mismatch as a sentence.
    pub(crate) fn check_protocol(&self, protocol: &ProtocolAction) -> Result<(), String> {
        if protocol.min_reader_version == 1 && protocol.min_writer_version <= 2 {
            return Ok(());
        }
        let features: Vec<&str> = protocol
            .writer_features
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let features = match features.is_empty() {
            true => String::new(),
            false => format!(" (features: {})", features.join(", ")),
        };
        Err(format!(
            "it needs Delta reader version {} and writer version {}, this program writes 1 and 2{features}",
            protocol.min_reader_version, protocol.min_writer_version
        ))
    }

    /// Checks that a table has these columns and settings.
    ///
    /// # Errors
    /// Every mismatch, with both values.
    pub(crate) fn check_metadata(&self, metadata: &MetadataAction) -> Result<(), String> {
        let (found, wanted) = (value_kind_name(metadata), self.value_kind.name());
        if found != wanted && metadata.configuration.contains_key(FORMAT_VERSION) {
            // Its columns are others, too, and say nothing more.
            return Err(format!(
                "it was made with {VALUE_KIND_SETTING} = {found}, the setting is {wanted}"
            ));
        }
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
        match metadata.configuration.get(FORMAT_VERSION).and_then(Option::as_deref) {
            Some(OUR_FORMAT_VERSION) => {}
            Some(other) => mismatches.push(format!(
                "its {FORMAT_VERSION} is {other}, and this program writes {OUR_FORMAT_VERSION}: use the version of streamgauge \
                 that made it, or a newer one"
            )),
            None => mismatches.push(format!(
                "{FORMAT_VERSION} is missing from its properties (was it made by another program?)"
            )),
        }
        mismatches.extend(table_properties::unfit(metadata));
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

/// What the values of a table are, as its properties have it.
fn value_kind_name(metadata: &MetadataAction) -> &str {
    let found = metadata.configuration.get(VALUE_KIND).and_then(Option::as_deref);
    found.unwrap_or(ValueKind::Gauge.name())
}

/// A duration as the table's properties have it: `1h 30m`.
fn duration_text(duration_ms: i64) -> String {
    humantime::format_duration(Duration::from_millis(duration_ms.unsigned_abs())).to_string()
}

/// The same table with what it was made with in the place of what the settings say, for commands that look after any
/// table of ours.
///
/// # Errors
/// The property that is missing or makes no sense.
pub(super) fn as_made(spec: &TableSpec, metadata: &MetadataAction) -> Result<TableSpec, String> {
    let property = |name: &str| {
        let value = metadata.configuration.get(name).and_then(Option::as_deref);
        value
            .ok_or_else(|| format!("{name} is missing from its properties (was it made by another program?)"))
    };
    let duration_ms = |name: &str| {
        humantime::parse_duration(property(name)?)
            .map(|duration| duration.as_millis() as i64)
            .map_err(|error| format!("{name} is not a duration: {error}"))
    };
    let mut made = spec.clone();
    made.table.pipeline = property("streamgauge.pipeline")?.to_owned();
    made.topic = property("streamgauge.topic")?.to_owned();
    made.windows = Windows {
        length_ms: duration_ms("streamgauge.window")?,
        offset_ms: duration_ms("streamgauge.windowOffset")?,
    };
    made.key = property("streamgauge.key")?.to_owned();
    made.table.buckets = property("streamgauge.buckets")?
        .parse()
        .map_err(|error| format!("streamgauge.buckets: {error}"))?;
    made.table.bucket_hash = serde_json::from_value(json!(property("streamgauge.bucketHash")?))
        .map_err(|error| format!("streamgauge.bucketHash: {error}"))?;
    made.value_kind = serde_json::from_value(json!(value_kind_name(metadata)))
        .map_err(|error| format!("{VALUE_KIND}: {error}"))?;
    let is_gauge = made.value_kind == ValueKind::Gauge;
    let columns = metadata
        .columns()
        .map_err(|error| format!("its schema cannot be read: {error}"))?;
    let table = &mut made.table;
    // Not all tables have this column.
    let measure_column = metadata.configuration.get(MEASURE_COLUMN).cloned().flatten();
    let has_measures = measure_column.is_some();
    table.measure_column = measure_column.unwrap_or_default();
    let names = [
        Some(&mut table.key_column),
        has_measures.then_some(&mut table.measure_column),
        Some(&mut table.start_column),
        Some(&mut table.end_column),
        is_gauge.then_some(&mut table.average_column),
        is_gauge.then_some(&mut table.minimum_column),
        is_gauge.then_some(&mut table.maximum_column),
        is_gauge.then_some(&mut table.sum_column),
        (!is_gauge).then_some(&mut table.increase_column),
        Some(&mut table.count_column),
    ];
    for (name, (found, _)) in names.into_iter().flatten().zip(columns) {
        *name = found;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::config_of;

    fn spec(settings: &[(&str, &str)]) -> TableSpec {
        config_of(settings).pipeline.table_spec()
    }

    const OTHERS: [(&str, &str); 8] = [
        ("table.pipeline", "p"),
        ("kafka.topic", "power"),
        ("window.length", "1m 30s"),
        ("window.offset", "250ms"),
        ("reading.key", "meter.id"),
        ("table.buckets", "4"),
        ("table.bucket_hash", "crc32"),
        ("table.sum_column", "sum_kw"),
    ];

    /// Of a table with another text the settings are said to be others.
    #[test]
    fn a_tables_properties_are_these() {
        let properties = |spec: &TableSpec| {
            let fixed = Definition::new(spec).fixed;
            let texts: Vec<String> = fixed
                .iter()
                .map(|(name, (_, value))| format!("{name}={value}"))
                .collect();
            texts.join(" ")
        };
        assert_eq!(
            properties(&spec(&[])),
            "streamgauge.bucketHash=murmur2 streamgauge.buckets=1 streamgauge.key=none streamgauge.pipeline=streamgauge \
             streamgauge.topic=usage streamgauge.window=1h streamgauge.windowOffset=0s"
        );
        assert_eq!(
            properties(&spec(&OTHERS)),
            "streamgauge.bucketHash=crc32 streamgauge.buckets=4 streamgauge.key=meter.id streamgauge.pipeline=p \
             streamgauge.topic=power streamgauge.window=1m 30s streamgauge.windowOffset=250ms"
        );
    }

    #[test]
    fn a_table_says_what_it_was_made_with() {
        let made = spec(&OTHERS);
        let (_, metadata) = Definition::new(&made).creation("id", 0);
        assert_eq!(as_made(&spec(&[]), &metadata), Ok(made));

        let counters = spec(&[
            ("reading.value_kind", "counter"),
            ("table.increase_column", "increase_kwh"),
        ]);
        let (_, metadata_of_counters) = Definition::new(&counters).creation("id", 0);
        assert_eq!(as_made(&spec(&[]), &metadata_of_counters), Ok(counters.clone()));
        let mixed = Definition::new(&spec(&[])).check_metadata(&metadata_of_counters);
        let words = "it was made with reading.value_kind = counter, the setting is gauge";
        assert_eq!(mixed, Err(words.to_owned()));
        let mixed = Definition::new(&counters).check_metadata(&metadata);
        let words = "it was made with reading.value_kind = gauge, the setting is counter";
        assert_eq!(mixed, Err(words.to_owned()));
        assert_eq!(
            Definition::new(&counters).check_metadata(&metadata_of_counters),
            Ok(())
        );

        let mut broken = metadata.clone();
        broken
            .configuration
            .insert("streamgauge.window".to_owned(), Some("long".to_owned()));
        let error = as_made(&spec(&[]), &broken).unwrap_err();
        assert!(
            error.starts_with("streamgauge.window is not a duration"),
            "{error}"
        );
        broken.configuration.remove("streamgauge.key");
        broken.configuration.remove("streamgauge.window");
        let error = as_made(&spec(&[]), &broken).unwrap_err();
        assert!(error.starts_with("streamgauge.window is missing"), "{error}");
    }
}
