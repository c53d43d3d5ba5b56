//! What a pipeline is: a topic, how its records are read, and what becomes of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aggregation::AggregationSpec;
use crate::decode;
use crate::detection::{self, DetectionSpec};
use crate::detectors::{self, MessageContext, RuleError};
use crate::kafka::{self, SourceSettings, Subscription};
use crate::lake::{MaintenanceSettings, StateSpec, TableSettings, TableSpec};
use crate::settings::{LONGER_THAN_NOTHING, Violations, duration, or_suffixed};
use crate::window::{self, Windows};

/// The settings of a pipeline, as the rooms that they are for have them.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "sections of default.toml, which describes them")]
pub struct Settings {
    pub source: SourceSettings,
    pub reading: decode::Settings,
    pub window: window::Settings,
    pub table: TableSettings,
    pub commit: CommitSettings,
    pub detect: detection::Settings,
    pub detectors: detectors::Settings,
    pub maintenance: MaintenanceSettings,
}

/// `[commit]`: when the table is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct CommitSettings {
    #[serde(with = "duration")]
    pub interval: Duration,
    #[serde(with = "duration")]
    pub idle_interval: Duration,
    pub max_pending_rows: usize,
    pub max_pending_bytes: usize,
    #[serde(with = "duration")]
    pub give_up_after: Duration,
}

impl CommitSettings {
    /// Adds the rules of `[commit]` that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        for (key, interval) in [
            ("commit.interval", self.interval),
            ("commit.idle_interval", self.idle_interval),
        ] {
            violations.require(!interval.is_zero(), key, LONGER_THAN_NOTHING);
        }
        for (key, most) in [
            ("commit.max_pending_rows", self.max_pending_rows),
            ("commit.max_pending_bytes", self.max_pending_bytes),
        ] {
            violations.require(most >= 1, key, "must be 1 or more");
        }
    }
}

impl Settings {
    /// The consumer group of a table with this id: a table of its own has a group of its own, unless the settings name one.
    pub(crate) fn table_group(&self, table_id: &str) -> String {
        or_suffixed(&self.source.group, &self.table.pipeline, &format!("-{table_id}"))
    }

    /// The consumer group that detects: one for a topic, whatever tables it is read into, so that each anomaly is
    /// reported once.
    pub(crate) fn detect_group(&self) -> String {
        or_suffixed(&self.detect.group, self.group_prefix(), "-detect")
    }

    /// The consumer group that tells receivers, so that each is told once; `group` is what the settings name, if they do.
    pub(crate) fn alert_group(&self, group: &str) -> String {
        or_suffixed(group, self.group_prefix(), "-alert")
    }

    fn group_prefix(&self) -> &str {
        match self.source.group.as_str() {
            "" => &self.table.pipeline,
            group => group,
        }
    }

    /// The topic in this cluster, with the group that the settings name, if they do.
    pub fn subscription(&self, cluster: &kafka::Settings) -> Subscription {
        Subscription {
            cluster: cluster.clone(),
            source: self.source.clone(),
        }
    }

    /// How records become rows.
    pub(crate) fn aggregation_spec(&self) -> AggregationSpec {
        AggregationSpec::new(&self.reading, &self.window)
    }

    /// How readings are judged.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub(crate) fn detection_spec(&self) -> Result<DetectionSpec, RuleError> {
        DetectionSpec::new(
            &self.source.topic,
            &self.reading,
            &self.window,
            &self.detect,
            &self.detectors,
        )
    }

    /// What all anomalies' messages say alike.
    pub(crate) fn message_context(&self) -> MessageContext {
        MessageContext {
            topic: self.source.topic.clone(),
            group: self.detect_group(),
            unit: self.detect.unit.clone(),
            value_name: self.detect.value_name.clone(),
        }
    }

    /// The table that rows go into.
    pub fn table_spec(&self) -> TableSpec {
        TableSpec {
            table: self.table.clone(),
            maintenance: self.maintenance.clone(),
            topic: self.source.topic.clone(),
            windows: Windows::new(&self.window),
            key: self.reading.key.to_string(),
            value_kind: self.reading.value_kind,
            give_up_after: self.commit.give_up_after,
        }
    }

    /// Where detectors' state is kept: a local folder or s3://bucket/prefix.
    pub fn state_uri(&self) -> String {
        or_suffixed(
            &self.detect.state_uri,
            self.table.uri.trim_end_matches('/'),
            "-state",
        )
    }

    /// Where, and how that is reached.
    pub fn state_spec(&self) -> StateSpec {
        StateSpec {
            uri: self.state_uri(),
            table: self.table.clone(),
            topic: self.source.topic.clone(),
            group: self.detect_group(),
            give_up_after: self.commit.give_up_after,
        }
    }

    /// The same for the registers of a table with this id. They belong to the table, so no group can part them from it.
    pub(crate) fn register_spec(&self, table_id: &str) -> StateSpec {
        StateSpec {
            group: format!("{}-{table_id}-registers", self.table.pipeline),
            ..self.state_spec()
        }
    }

    /// Adds the rules that these settings break: each room's own, and those between them.
    pub(crate) fn check(&self, violations: &mut Violations) {
        self.source.check(violations);
        self.reading.check(violations);
        self.window.check(violations);
        self.table.check(violations);
        violations.require(
            !self.reading.has_measures() || !self.table.measure_column.is_empty(),
            "table.measure_column",
            "must be a column's name: reading.value_field or reading.measure_field brings several measures \
             (or put \"@measure\" into reading.key)",
        );
        self.commit.check(violations);
        self.detect.check(violations);
        self.detect.check_slide(self.window.length, violations);
        self.detect.check_value_kind(self.reading.value_kind, violations);
        self.source
            .check_output("detect.anomaly_topic", &self.detect.anomaly_topic, violations);
        violations.require(
            self.detect_group() != self.source.group,
            "detect.group",
            "must not be `kafka.group`: the table and the anomalies have their own positions",
        );
        violations.require(
            self.state_uri() != self.table.uri,
            "detect.state_uri",
            "must not be `table.uri`",
        );
        self.detectors.check(violations);
        self.detectors
            .check_threshold(self.detect.detector, self.detect.threshold, violations);
        self.maintenance.check(violations);
        violations.require(
            self.maintenance.vacuum_retention >= self.commit.give_up_after,
            "maintenance.vacuum_retention",
            "must be at least commit.give_up_after: the files of a commit on its way are in no log entry yet",
        );
    }
}
