//! Settings under which a sample can be read.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use toml::Value;

use super::candidates;
use super::profile::{Field, Profile, TimeForm};
use crate::decode::{FormatName, Path, Reason, Settings, Tree};

/// A setting of `[reading]`, and why it is proposed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proposed {
    /// The name within `[reading]`.
    pub name: &'static str,
    /// As the settings file has it.
    pub value: Value,
    /// Behind it, as a comment.
    pub why: String,
}

impl Proposed {
    /// A preset by its name.
    pub(super) fn preset(name: &str) -> Self {
        text("preset", name, "docs/presets.md".to_owned())
    }

    /// A format, where it is not the default.
    pub(super) fn format(format: FormatName) -> Option<Self> {
        (format != FormatName::Json).then(|| text("format", format.name(), String::new()))
    }
}

/// The same settings, and a reason that is no error.
pub(super) fn skipping(proposed: &[Proposed], reason: Reason) -> Vec<Proposed> {
    let mut proposed = proposed.to_vec();
    let name = Value::String(reason.name().to_owned());
    let skip = proposed.iter_mut().find(|setting| setting.name == "skip");
    match skip.map(|setting| &mut setting.value) {
        Some(Value::Array(reasons)) => reasons.push(name),
        _ => proposed.push(Proposed {
            name: "skip",
            value: Value::Array(vec![name]),
            why: format!("{} records are no errors", reason.name()),
        }),
    }
    proposed
}

/// The settings of `in_force` with these in the place of its own; `None` if they do not go together.
pub(super) fn applied(in_force: &Settings, proposed: &[Proposed]) -> Option<Settings> {
    let mut table = toml::Table::try_from(in_force).ok()?;
    for setting in proposed {
        table.insert(setting.name.to_owned(), setting.value.clone());
    }
    table.try_into().ok()
}

/// What the fields of the sample suggest, whatever the settings in force are; `None` without a number to read.
pub(super) fn of_fields(
    documents: &[Tree<'_>],
    whole: &Profile,
    has_keys: bool,
    zone: Tz,
) -> Option<(Vec<Proposed>, Vec<String>)> {
    let each = array_of_readings(documents, whole);
    let elements = each.as_ref().map(|path| elements(documents, path));
    let profile = elements.as_ref().unwrap_or(whole);

    let time = candidates::times(profile).into_iter().next();
    let values = candidates::values(profile, time);
    let (&value, others) = values.split_first()?;
    let time = candidates::time_beside(profile, value).or(time);
    let mut proposed = Vec::new();
    if let Some(each) = &each {
        proposed.push(text(
            "each",
            each,
            "each item of this array is a reading".to_owned(),
        ));
    }
    proposed.extend(time_settings(time, zone));
    proposed.push(text("value_field", &value.path, in_how_many(value, profile)));
    if value.comma_numbers > 0 {
        let why = "its texts have a comma before the fraction".to_owned();
        proposed.push(text("decimal", ",", why));
    }
    let mut taken = vec![value.path.as_str()];
    taken.extend(time.map(|time| time.path.as_str()));
    let is_everywhere = value.numeric() == profile.documents;
    let measure = candidates::measure(profile, &taken).filter(|_| is_everywhere);
    let condition = (value.present < profile.documents && each.is_none())
        .then(|| condition(documents, profile, value))
        .flatten();
    if let Some(measure) = measure {
        let why = format!("{} measures under one name", measure.distinct.len());
        proposed.push(text("measure_field", &measure.path, why));
        taken.push(&measure.path);
    }
    let key = key_setting(profile, &taken, has_keys);
    let mut notes = Vec::new();
    if key.is_none() {
        let may_be_keys = candidates::kinds(profile).map(|field| field.path.as_str());
        let may_be_keys: Vec<&str> = may_be_keys
            .filter(|path| !taken.contains(path))
            .take(10)
            .collect();
        if !may_be_keys.is_empty() {
            let names = may_be_keys.join(", ");
            notes.push(format!(
                "all are one series without a key; one of these may tell series apart: {names}"
            ));
        }
    }
    proposed.extend(key);
    let others_are_skipped = condition.is_some();
    proposed.extend(condition);
    proposed.extend(skipped(value, profile, others_are_skipped));
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().take(10).map(|field| field.path.as_str()).collect();
        notes.push(format!("other fields of numbers: {}", names.join(", ")));
    }
    Some((proposed, notes))
}

/// The settings of the time; `zone` is the one of times without an offset.
fn time_settings(time: Option<&Field>, zone: Tz) -> Vec<Proposed> {
    let Some(time) = time else {
        let why = "no field reads as a time: the record's Kafka timestamp".to_owned();
        return vec![text("time_field", "@record", why)];
    };
    let form = time.time_form().unwrap_or(TimeForm::Text);
    let example = time.distinct.keys().next().cloned().unwrap_or_default();
    let field = text("time_field", &time.path, format!("such as {example}"));
    let how = match time.ambiguous.reading() {
        Some(reading) => text(reading.setting, &reading.value, reading.why),
        None => text("time_format", form.setting(), String::new()),
    };
    let zone = (time.wall_times > 0).then(|| {
        let why = "of times without an offset: is it this one?".to_owned();
        text("time_zone", zone.name(), why)
    });
    [field, how].into_iter().chain(zone).collect()
}

fn key_setting(profile: &Profile, taken: &[&str], has_keys: bool) -> Option<Proposed> {
    let key = candidates::keys(profile, taken).into_iter().next();
    match key {
        Some(key) => {
            let why = format!("{} different values", key.distinct.len());
            Some(text("key", &key.path, why))
        }
        None if has_keys => Some(text("key", "message", "the Kafka message key".to_owned())),
        None => None,
    }
}

/// The reasons that are no errors, since many documents have no value.
fn skipped(value: &Field, profile: &Profile, others_are_skipped: bool) -> Option<Proposed> {
    let is_missing = value.present < profile.documents && !others_are_skipped;
    let reasons = [(is_missing, "missing_field"), (value.nulls > 0, "null_field")];
    let reasons: Vec<Value> = reasons
        .iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, reason)| Value::String((*reason).to_owned()))
        .collect();
    (!reasons.is_empty()).then(|| Proposed {
        name: "skip",
        value: Value::Array(reasons),
        why: format!("records without {} are no errors", value.path),
    })
}

/// What the documents that have the value have in common, and the others have not.
fn condition(documents: &[Tree<'_>], profile: &Profile, value: &Field) -> Option<Proposed> {
    let steps = |path: &str| Path::parse(path).ok();
    let value_path = steps(&value.path)?;
    candidates::kinds(profile).find_map(|field| {
        let path = steps(&field.path)?;
        let (mut with, mut without) = (BTreeSet::new(), BTreeSet::new());
        let mut documents_with = 0;
        for document in documents {
            let Some(Tree::Text(kind)) = document.find(path.steps()) else {
                continue;
            };
            let has_value = document
                .find(value_path.steps())
                .is_some_and(|found| *found != Tree::Null);
            documents_with += usize::from(has_value);
            let side = if has_value { &mut with } else { &mut without };
            side.insert(kind.to_string());
        }
        // A field that differs in each document says nothing about kinds.
        let repeats = with.len() * 2 <= documents_with;
        (repeats && !without.is_empty() && with.is_disjoint(&without)).then(|| {
            let texts: Vec<String> = with.iter().map(|kind| format!("{kind:?}")).collect();
            let condition = match texts.as_slice() {
                [one] => format!("{} == {one}", field.path),
                several => format!("{} in [{}]", field.path, several.join(", ")),
            };
            Proposed {
                name: "where",
                value: Value::Array(vec![Value::String(condition)]),
                why: format!("only these have {}; the others are skipped", value.path),
            }
        })
    })
}

/// The profile of whole documents.
pub(super) fn profile(documents: &[Tree<'_>]) -> Profile {
    let mut profile = Profile::default();
    for document in documents {
        profile.add(document, &[]);
    }
    profile
}

/// The path of an array whose items hold the readings, if the documents themselves hold none.
fn array_of_readings(documents: &[Tree<'_>], whole: &Profile) -> Option<String> {
    if documents
        .iter()
        .any(|document| matches!(document.unshared(), Tree::List(_)))
    {
        return Some("@value".to_owned());
    }
    let time = candidates::times(whole).into_iter().next();
    let outside = candidates::values(whole, time);
    let arrays = whole
        .arrays
        .iter()
        .filter(|(_, count)| **count * 2 > whole.documents);
    let mut holding = arrays.filter(|(path, _)| {
        let inside = elements(documents, path);
        let time = candidates::times(&inside).into_iter().next();
        !candidates::values(&inside, time).is_empty()
    });
    let (path, _) = holding.next()?;
    outside.is_empty().then(|| path.clone())
}

/// The profile of the items of an array.
fn elements(documents: &[Tree<'_>], path: &str) -> Profile {
    let mut profile = Profile::default();
    let Ok(path) = Path::parse(path) else {
        return profile;
    };
    for document in documents {
        let around: &[&Tree<'_>] = if path.steps().is_empty() { &[] } else { &[document] };
        if let Some(Tree::List(items)) = document.find(path.steps()).map(Tree::unshared) {
            for item in items {
                profile.add(item, around);
            }
        }
    }
    profile
}

fn in_how_many(field: &Field, profile: &Profile) -> String {
    match field.numeric() {
        all if all == profile.documents => "a number in all of them".to_owned(),
        some => format!("a number in {some} of {}", profile.documents),
    }
}

fn text(name: &'static str, value: &str, why: String) -> Proposed {
    Proposed {
        name,
        value: Value::String(value.to_owned()),
        why,
    }
}
