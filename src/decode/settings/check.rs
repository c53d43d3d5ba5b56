//! The rules of `[reading]`.

use super::{FormatName, KeySource, Settings, TimeField, ValueKind};
use crate::decode::Reason;
use crate::decode::select::{KeyPart, Path};
use crate::settings::{Violations, YEAR, is_whole_ms};

/// An anomaly's message holds the key four times, one of them escaped to six times its length.
const LONGEST_KEY_BYTES: usize = 65_536;
const MOST_HEADER_BYTES: usize = 1_048_576;

impl Settings {
    /// Adds the rules of `[reading]` that these settings break.
    pub fn check(&self, violations: &mut Violations) {
        self.check_paths(violations);
        self.check_fields(violations);
        self.check_bounds(violations);
        violations.require(
            !self.avro_schema.is_given() || self.format == FormatName::Avro,
            "reading.avro_schema",
            "must be empty where reading.format is not \"avro\"",
        );
        let is_ours = |reason: &Reason| matches!(reason, Reason::TooManySeries | Reason::Undecodable);
        violations.require(
            !self.skip.iter().any(is_ours),
            "reading.skip",
            "must be reasons of records, and not too_many_series or undecodable",
        );
        violations.require(
            !self.key_separator.is_empty() && !self.key_separator.contains(char::is_control),
            "reading.key_separator",
            "must be a text without control characters",
        );
    }

    /// Each path where it makes sense.
    fn check_paths(&self, violations: &mut Violations) {
        for (key, path) in self.paths() {
            violations.require(
                path.up() == 0 || (self.each.0.is_some() && key != "reading.each"),
                key,
                "must not go outward (^) without reading.each",
            );
            let may_take_all = matches!(key, "reading.value_field" | "reading.key");
            violations.require(
                !path.takes_all() || may_take_all,
                key,
                "must be one field, not all of an object",
            );
            violations.require(
                !path.steps().is_empty() || path.takes_all() || may_be_whole(key),
                key,
                "must be a field; only reading.value_field, reading.each and reading.where take the whole value",
            );
        }
        let has_lines = !matches!(self.format, FormatName::Json | FormatName::Avro);
        violations.require(
            !has_lines || self.each.0.is_none(),
            "reading.each",
            "must be empty: a record of this format is read into its readings by itself",
        );
    }

    /// The fields among each other.
    fn check_fields(&self, violations: &mut Violations) {
        let values: Vec<&Path> = self.value_field.paths().collect();
        violations.require(
            !self.time_field.path().is_some_and(|time| values.contains(&time)),
            "reading.time_field",
            "must not be `reading.value_field`: one field is not both",
        );
        let paths = self.paths();
        let are_fields = |key: &str| !matches!(key, "reading.each" | "reading.where");
        // That the whole value is not a field, where it may not be one, is said already.
        let is_refused = |key: &str, path: &Path| path.steps().is_empty() && !may_be_whole(key);
        for (key, path) in paths
            .iter()
            .filter(|(key, path)| are_fields(key) && !is_refused(key, path))
        {
            let inner = paths
                .iter()
                .find(|(other, inside)| are_fields(other) && path.is_around(inside));
            // The whole value is around everything, and needs no fields in it.
            let rule = inner.map(|(other, inside)| {
                format!("must be a text or number, and `{other}` = {inside} is a field in it")
            });
            violations.require(rule.is_none(), key, rule.unwrap_or_default());
        }
        let is_measured = self.value_field.has_measures() || self.measure_field.0.is_some();
        let names_measure =
            matches!(self.key.source(), KeySource::Fields(parts) if parts.contains(&KeyPart::Measure));
        violations.require(
            is_measured || !names_measure,
            "reading.key",
            "must not name @measure where there is one: reading.value_field is one field, and reading.measure_field empty",
        );
        violations.require(
            self.count_field.0.is_none() || self.value_field.only().is_some(),
            "reading.count_field",
            "must be empty where reading.value_field is several",
        );
        violations.require(
            self.count_field.0.is_none() || self.value_kind == ValueKind::Gauge,
            "reading.count_field",
            "must be empty where reading.value_kind is \"counter\": a register is one value, not the sum of several",
        );
    }

    fn check_bounds(&self, violations: &mut Violations) {
        violations.require(
            is_whole_ms(self.max_ahead) && self.max_ahead <= 100 * YEAR,
            "reading.max_ahead",
            "must be at most 100 years, in whole milliseconds",
        );
        violations.require(
            is_whole_ms(self.max_behind) && self.max_behind <= 1000 * YEAR,
            "reading.max_behind",
            "must be at most 1000 years, in whole milliseconds",
        );
        violations.require(self.max_bytes >= 1, "reading.max_bytes", "must be 1 or more");
        violations.require(
            (1..=LONGEST_KEY_BYTES).contains(&self.max_key_bytes),
            "reading.max_key_bytes",
            "must be from 1 to 65536, so that an anomaly of any series fits into a message of Kafka's default size",
        );
        let needs_headers = matches!(self.time_field, TimeField::Header(_));
        violations.require(
            self.max_header_bytes <= MOST_HEADER_BYTES && (self.max_header_bytes > 0 || !needs_headers),
            "reading.max_header_bytes",
            "must be at most 1048576, and more than 0 where reading.time_field is a header",
        );
    }
}

/// Whether a setting may name the value itself.
fn may_be_whole(key: &str) -> bool {
    matches!(key, "reading.value_field" | "reading.each" | "reading.where")
}
