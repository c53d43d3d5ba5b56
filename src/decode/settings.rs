//! `[reading]`: how a record's bytes become readings.

mod check;
mod fields;
mod names;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Reason;
use super::select::{Condition, Path, ValuePaths};
use crate::notation::number::DecimalMark;
use crate::notation::zone::AmbiguousTime;
use crate::settings::{Fingerprint, duration};

pub use fields::{AvroSchema, KeySetting, KeySource, OptionalPath, TimeField};
pub use names::{DateOrderName, FormatName, KeyFormat, Stamp, TimeFormats, ValueFormat, ValueKind};

/// The settings in `[reading]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml describes each setting")]
pub struct Settings {
    /// Empty: none.
    pub preset: String,
    pub format: FormatName,
    /// Of messages without the id of one.
    pub avro_schema: AvroSchema,
    /// Where the elements of a record lie, if it is not one itself.
    pub each: OptionalPath,
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
    /// What is not an error here.
    pub skip: Vec<Reason>,
    pub time_field: TimeField,
    pub value_field: ValuePaths,
    pub measure_field: OptionalPath,
    /// How many samples the value is the sum of.
    pub count_field: OptionalPath,
    pub key: KeySetting,
    pub key_separator: String,
    /// Of message keys.
    pub key_format: KeyFormat,
    pub value_format: ValueFormat,
    pub value_kind: ValueKind,
    pub decimal: DecimalMark,
    pub time_format: TimeFormats,
    pub date_order: DateOrderName,
    pub time_zone: chrono_tz::Tz,
    pub ambiguous_time: AmbiguousTime,
    pub stamp: Stamp,
    #[serde(with = "duration")]
    pub max_ahead: Duration,
    #[serde(with = "duration")]
    pub max_behind: Duration,
    pub max_bytes: usize,
    pub max_key_bytes: usize,
    pub max_header_bytes: usize,
}

impl Settings {
    /// Whether each reading names what was measured, so that it needs a column for that.
    pub fn has_measures(&self) -> bool {
        let names_measures = self.value_field.has_measures() || self.measure_field.0.is_some();
        names_measures && !self.key.source().holds_measure()
    }

    /// Every path in these settings, with the setting that it is of.
    pub(super) fn paths(&self) -> Vec<(&'static str, &Path)> {
        let optional = [
            ("reading.each", self.each.0.as_ref()),
            ("reading.time_field", self.time_field.path()),
            ("reading.measure_field", self.measure_field.0.as_ref()),
            ("reading.count_field", self.count_field.0.as_ref()),
        ];
        let single = optional.into_iter().filter_map(|(key, path)| Some((key, path?)));
        let values = self.value_field.paths().map(|path| ("reading.value_field", path));
        let keys = self.key.source().paths().map(|path| ("reading.key", path));
        let conditions = self
            .conditions
            .iter()
            .map(|condition| ("reading.where", condition.path()));
        single.chain(values).chain(keys).chain(conditions).collect()
    }

    /// Whether something of a reading may lie in a header of its record: the time, or the id of its schema.
    pub(crate) fn reads_headers(&self) -> bool {
        let names_schemas = self.format == FormatName::Avro && !self.avro_schema.is_given();
        names_schemas || matches!(self.time_field, TimeField::Header(_))
    }

    /// Whether the fields can be found in one walk through a JSON object, without a tree.
    pub(super) fn are_plain(&self) -> bool {
        let value = self.value_field.only();
        let is_plain = |path: Option<&Path>| path.is_none_or(Path::is_plain);
        self.format == FormatName::Json
            && self.each.0.is_none()
            && self.conditions.is_empty()
            && self.measure_field.0.is_none()
            && self.count_field.0.is_none()
            && is_plain(self.time_field.path())
            && value.is_some_and(Path::is_plain)
            && self.key.source().is_plain()
    }

    /// Adds the settings that decide whether a record holds readings, and which. Others only bound what is copied beside a
    /// rejected record.
    pub fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add("reading.time_field", &self.time_field.to_string());
        fingerprint.add("reading.value_field", &self.value_field.setting().to_string());
        fingerprint.add("reading.key", &self.key.to_string());
        fingerprint.add("reading.time_format", &self.time_format.to_string());
        fingerprint.add("reading.time_zone", self.time_zone.name());
        fingerprint.add("reading.max_ahead", self.max_ahead);
        fingerprint.add("reading.max_behind", self.max_behind);
        fingerprint.add("reading.max_bytes", self.max_bytes);
        fingerprint.add("reading.max_key_bytes", self.max_key_bytes);
        self.add_later_ones_to(fingerprint);
    }

    fn add_later_ones_to(&self, fingerprint: &mut Fingerprint) {
        let conditions = self.conditions.iter().map(|one| String::from(one.clone()));
        let skipped = self.skip.iter().map(|reason| reason.name().to_owned());
        for (name, value, before) in [
            ("reading.format", self.format.name(), "json"),
            ("reading.avro_schema", self.avro_schema.text(), ""),
            ("reading.each", &*self.each.to_string(), ""),
            ("reading.where", &*listed(conditions), ""),
            ("reading.skip", &*listed(skipped), ""),
            ("reading.measure_field", &*self.measure_field.to_string(), ""),
            ("reading.count_field", &*self.count_field.to_string(), ""),
            ("reading.key_separator", &*self.key_separator, "/"),
            ("reading.key_format", self.key_format.name(), "text"),
            ("reading.value_format", self.value_format.name(), "any"),
            ("reading.decimal", names::decimal_name(self.decimal), "."),
            ("reading.date_order", self.date_order.name(), ""),
            ("reading.ambiguous_time", self.ambiguous_time.name(), "in_order"),
            ("reading.stamp", self.stamp.name(), "start"),
            ("reading.value_kind", self.value_kind.name(), "gauge"),
        ] {
            fingerprint.add_later(name, value, before);
        }
        // What lies in a header that was cut off is missing.
        if self.reads_headers() {
            fingerprint.add("reading.max_header_bytes", self.max_header_bytes);
        }
    }
}

/// A list as one text; none is the empty one.
fn listed(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!("{texts:?}"),
    }
}

/// Settings other than the defaults, at least one for each that decides whether a record holds readings, and which. (That of
/// `measure_field` needs a column of the table, too, and that of `avro_schema` its format, which needs a registry else.)
#[cfg(test)]
pub(crate) const FATE_EXAMPLES: [(&str, &str); 32] = [
    ("reading.time_field", "time"),
    ("reading.value_field", "kw"),
    ("reading.key", "message"),
    ("reading.time_format", "epoch_s"),
    ("reading.time_format", "epoch_ms"),
    ("reading.time_zone", "Europe/Berlin"),
    ("reading.max_ahead", "6m"),
    ("reading.max_behind", "41y"),
    ("reading.max_bytes", "1000"),
    ("reading.max_key_bytes", "1000"),
    ("reading.time_field", "@record"),
    ("reading.time_field", "@header.time"),
    ("reading.key", r#"["a", "b"]"#),
    ("reading.key", "labels.*"),
    ("reading.time_format", "epoch_ns"),
    ("reading.time_format", "%d.%m.%Y %H:%M"),
    ("reading.time_format", r#"["text", "epoch"]"#),
    ("reading.format", "influx"),
    ("reading.format", "otlp-json"),
    ("reading.format", "otlp-proto"),
    ("reading.each", "metrics"),
    ("reading.where", "name == 'cpu'"),
    ("reading.skip", "empty"),
    ("reading.count_field", "n"),
    ("reading.key_separator", ";"),
    ("reading.key_format", "long"),
    ("reading.value_format", "switch"),
    ("reading.decimal", ","),
    ("reading.date_order", "dmy"),
    ("reading.ambiguous_time", "later"),
    ("reading.stamp", "end"),
    ("reading.value_kind", "counter"),
];
