//! Which fields of a profile are likely the time, the value and the key.

use super::profile::{Field, Profile};

/// What times, values and keys are commonly called; the likeliest first.
const TIMES: &[&str] = &[
    "ts",
    "timestamp",
    "@timestamp",
    "time",
    "datetime",
    "date_time",
    "event_time",
    "measured_at",
    "at",
    "when",
    "t",
    "epoch",
    "date",
    "last_seen",
    "last_updated",
    "timeunixnano",
];
const VALUES: &[&str] = &[
    "value",
    "val",
    "reading",
    "measurement",
    "usage",
    "usage_kw",
    "kw",
    "power",
    "kwh",
    "energy",
    "load",
    "demand",
    "consumption",
    "temperature",
    "humidity",
    "pressure",
    "v",
    "state",
];
const KEYS: &[&str] = &[
    "meter",
    "meter_id",
    "device",
    "dev",
    "site",
    "device_id",
    "deviceid",
    "sensor",
    "sensor_id",
    "entity_id",
    "instance",
    "instanceid",
    "instance_id",
    "host",
    "hostname",
    "station",
    "station_id",
    "serial",
    "serial_number",
    "mrid",
    "tag",
    "node",
    "room",
    "location",
    "name",
    "id",
    "key",
];
/// In names of measurements, wherever they stand.
const PARTS_OF_VALUES: &[&str] = &[
    "value", "usage", "power", "watt", "energy", "temp", "humid", "volt", "current", "percent", "pct",
    "level", "rate",
];
/// What the field is commonly called that says what was measured.
const MEASURES: &[&str] = &[
    "metric_name",
    "metricname",
    "metric",
    "measure",
    "measurement",
    "measurand",
    "quantity",
    "parameter",
    "property",
    "__name__",
    "name",
];
/// Parts of the names of numbers that are no measurements.
const NO_VALUES: &[&str] = &[
    "id",
    "seq",
    "sequence",
    "offset",
    "partition",
    "version",
    "index",
    "port",
    "pid",
    "code",
    "lat",
    "lon",
    "latitude",
    "longitude",
];
/// In names of a time, wherever they stand.
const PARTS_OF_TIMES: &[&str] = &["time", "date", "_at", "ts", "seen", "updated"];

/// The share of documents, in percent, that a field must be in to be proposed as time or key.
const NEARLY_ALL: usize = 90;

/// The fields that read as times, the likeliest first.
pub(super) fn times(profile: &Profile) -> Vec<&Field> {
    let is_time = |field: &&Field| {
        let name = last_name(field);
        let looks_like =
            TIMES.contains(&name.as_str()) || PARTS_OF_TIMES.iter().any(|part| name.contains(part));
        field.time_form().is_some()
            && is_in_nearly_all(profile, field)
            && (field.numeric() == 0 || looks_like)
    };
    ranked(profile.fields.iter().filter(is_time), |field| rank(field, TIMES))
}

/// The time that lies beside a value, in the same object, wherever the value does.
pub(super) fn time_beside<'p>(profile: &'p Profile, value: &Field) -> Option<&'p Field> {
    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    let is_beside = |field: &&Field| {
        field.time_form().is_some()
            && field.present >= value.present
            && parent(&field.path).is_some()
            && parent(&field.path) == parent(&value.path)
            && (field.numeric() == 0 || rank(field, TIMES) < TIMES.len())
    };
    profile.fields.iter().find(is_beside)
}

/// The field that says what was measured, where the documents bring several measures under one name.
pub(super) fn measure<'p>(profile: &'p Profile, taken: &[&str]) -> Option<&'p Field> {
    let is_measure = |field: &&Field| {
        rank(field, MEASURES) < MEASURES.len()
            && !taken.contains(&field.path.as_str())
            && field.other_texts == profile.documents
            && field.time_form().is_none()
            && field.distinct.len() > 1
            && !field.has_more_values
    };
    ranked(profile.fields.iter().filter(is_measure), |field| {
        rank(field, MEASURES) * 10 + depth(field)
    })
    .first()
    .copied()
}

/// The fields of numbers that may be measurements, the likeliest first.
pub(super) fn values<'p>(profile: &'p Profile, time: Option<&Field>) -> Vec<&'p Field> {
    let is_value = |field: &&Field| {
        let name = last_name(field);
        let is_other = NO_VALUES.iter().any(|other| is_word_of(&name, other));
        let is_time = field.time_form().is_some() || time.is_some_and(|time| time.path == field.path);
        // The place in an array says nothing about what lies there.
        let is_item = name.bytes().all(|byte| byte.is_ascii_digit());
        field.numeric() * 2 > field.present - field.nulls && !is_other && !is_time && !is_item
    };
    ranked(profile.fields.iter().filter(is_value), |field| {
        let name = last_name(field);
        let is_told = PARTS_OF_VALUES.iter().any(|part| name.contains(part));
        let common = rank(field, VALUES) + if is_told { 0 } else { VALUES.len() };
        let is_rare = usize::from(!is_in_nearly_all(profile, field));
        let is_count = usize::from(field.is_counting());
        (common + is_rare * 10 + is_count * 3) * 100 + depth(field)
    })
}

/// The fields that may tell series apart, the likeliest first.
pub(super) fn keys<'p>(profile: &'p Profile, taken: &[&str]) -> Vec<&'p Field> {
    let is_key = |field: &&Field| {
        let seen = field.distinct.len();
        let is_named = KEYS.iter().any(|name| last_name(field) == *name);
        let repeats = seen * 2 <= profile.documents.max(2) && !field.has_more_values;
        let is_text = field.other_texts > 0 || (is_named && field.numeric() > 0 && field.is_counting());
        let is_told = is_named || KEYS.iter().any(|part| is_word_of(&last_name(field), part));
        is_in_nearly_all(profile, field)
            && field.nulls == 0
            && field.time_form().is_none()
            && !taken.contains(&field.path.as_str())
            && is_text
            && repeats
            && (seen > 1 && is_told)
    };
    ranked(profile.fields.iter().filter(is_key), |field| {
        rank(field, KEYS) * 10 + depth(field)
    })
}

/// Text fields of few values, which may say what kind of document it is.
pub(super) fn kinds(profile: &Profile) -> impl Iterator<Item = &Field> {
    const MOST: usize = 50;
    profile.fields.iter().filter(|field| {
        is_in_nearly_all(profile, field)
            && field.other_texts > 0
            && field.time_form().is_none()
            && (2..=MOST).contains(&field.distinct.len())
            && !field.has_more_values
    })
}

fn is_in_nearly_all(profile: &Profile, field: &Field) -> bool {
    field.present * 100 >= profile.documents * NEARLY_ALL
}

fn ranked<'p, R: Ord>(fields: impl Iterator<Item = &'p Field>, rank: impl Fn(&Field) -> R) -> Vec<&'p Field> {
    let mut fields: Vec<&Field> = fields.collect();
    fields.sort_by_key(|field| rank(field));
    fields
}

/// The place of a field's name among common ones.
fn rank(field: &Field, common: &[&str]) -> usize {
    let name = last_name(field);
    let exact = common.iter().position(|common| name == *common);
    exact.unwrap_or_else(|| {
        let part = common.iter().position(|common| is_word_of(&name, common));
        common.len() + part.unwrap_or(common.len())
    })
}

fn depth(field: &Field) -> usize {
    field.path.matches('.').count()
}

fn last_name(field: &Field) -> String {
    let name = field.path.rsplit('.').next().unwrap_or_default();
    name.to_lowercase()
}

/// Whether a word is one of those that a name is made of: `id` of `reading_id` and `readingId`, not of `humidity`.
fn is_word_of(name: &str, word: &str) -> bool {
    name.split(|letter: char| !letter.is_alphanumeric())
        .any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_whole() {
        assert!(is_word_of("reading_id", "id"));
        assert!(!is_word_of("humidity", "id"));
    }
}
