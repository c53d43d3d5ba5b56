//! `[table]` and `[maintenance]`: where the Delta table lies, what it looks like, and what keeps it small and quick.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode::ValueKind;
use crate::printable::acts;
use crate::settings::{LONGER_THAN_NOTHING, Violations, duration};
use crate::table::BucketHash;
use crate::window::Windows;

/// The settings in `[table]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct TableSettings {
    pub uri: String,
    pub name: String,
    pub key_column: String,
    /// Empty: the table has no such column.
    pub measure_column: String,
    pub start_column: String,
    pub end_column: String,
    pub average_column: String,
    pub minimum_column: String,
    pub maximum_column: String,
    pub sum_column: String,
    pub increase_column: String,
    pub count_column: String,
    pub buckets: u32,
    pub bucket_hash: BucketHash,
    pub pipeline: String,
    pub sync_to_disk: bool,
    /// Options of the object store, passed through.
    pub storage_options: BTreeMap<String, String>,
}

/// The settings in `[maintenance]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct MaintenanceSettings {
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

/// A table as a pipeline wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// `[table]`.
    pub table: TableSettings,
    /// `[maintenance]`.
    pub maintenance: MaintenanceSettings,
    /// The topic that its positions are of.
    pub topic: String,
    /// The windows whose totals are the rows.
    pub windows: Windows,
    /// The source of the series' keys, as `reading.key` has it; `none` where all readings are one series.
    pub key: String,
    /// What its rows are totals of.
    pub value_kind: ValueKind,
    /// How long a store may keep failing.
    pub give_up_after: Duration,
}

/// Where state of a pipeline is kept: that of its detectors, or the registers of its counters.
#[derive(Debug, Clone, PartialEq)]
pub struct StateSpec {
    /// A local folder or s3://bucket/prefix.
    pub uri: String,
    /// The table beside it, whose store it is reached like.
    pub table: TableSettings,
    /// The topic that it is of.
    pub topic: String,
    /// Whose it is: the consumer group that judges, or a table. Part of the path, so that each has state of its own.
    pub group: String,
    /// How long a store may keep failing.
    pub give_up_after: Duration,
}

impl TableSettings {
    /// Adds the rules of `[table]` that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        let bucket_and_prefix = ["s3://", "s3a://"]
            .iter()
            .find_map(|scheme| self.uri.strip_prefix(scheme));
        let names_a_bucket = bucket_and_prefix.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let names_a_place = names_a_bucket && !self.uri.trim().is_empty();
        violations.require(
            names_a_place,
            "table.uri",
            "must be a local folder or s3://bucket/prefix",
        );
        violations.require(!self.name.trim().is_empty(), "table.name", "must not be empty");
        violations.require(self.buckets >= 1, "table.buckets", "must be 1 or more");
        let names_a_pipeline = !self.pipeline.is_empty() && !self.pipeline.contains('/');
        violations.require(names_a_pipeline, "table.pipeline", "must be a name without \"/\"");
        self.check_columns(violations);
    }

    fn check_columns(&self, violations: &mut Violations) {
        let columns = [
            ("table.key_column", &self.key_column),
            ("table.measure_column", &self.measure_column),
            ("table.start_column", &self.start_column),
            ("table.end_column", &self.end_column),
            ("table.average_column", &self.average_column),
            ("table.minimum_column", &self.minimum_column),
            ("table.maximum_column", &self.maximum_column),
            ("table.sum_column", &self.sum_column),
            ("table.increase_column", &self.increase_column),
            ("table.count_column", &self.count_column),
        ];
        let is_left_out = |(key, name): &&(&str, &String)| name.is_empty() && *key == "table.measure_column";
        let columns: Vec<_> = columns.iter().filter(|column| !is_left_out(column)).collect();
        for (index, (key, name)) in columns.iter().enumerate() {
            let is_refused =
                |letter: char| acts(letter) || letter.is_whitespace() || ",;{}()=\"'`/\\".contains(letter);
            violations.require(
                !name.is_empty() && !name.contains(is_refused),
                key,
                "must be a column name without spaces, control characters or any of , ; { } ( ) = \" ' ` / \\",
            );
            // Athena and Spark ignore case.
            let twin = columns[..index]
                .iter()
                .find(|(_, other)| other.eq_ignore_ascii_case(name));
            if let Some((other, _)) = twin {
                violations.require(
                    false,
                    key,
                    format!("must not be the name of another column, and `{other}` has it"),
                );
            }
        }
    }
}

impl MaintenanceSettings {
    /// Adds the rules of `[maintenance]` that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        violations.require(
            !self.interval.is_zero(),
            "maintenance.interval",
            LONGER_THAN_NOTHING,
        );
        violations.require(
            !self.cleanup_interval.is_zero(),
            "maintenance.cleanup_interval",
            LONGER_THAN_NOTHING,
        );
        violations.require(
            self.compact_files >= 2,
            "maintenance.compact_files",
            "must be 2 or more",
        );
        violations.require(
            self.target_file_bytes >= 1,
            "maintenance.target_file_bytes",
            "must be 1 or more",
        );
        violations.require(
            self.checkpoint_commits >= 1,
            "maintenance.checkpoint_commits",
            "must be 1 or more",
        );
    }
}
