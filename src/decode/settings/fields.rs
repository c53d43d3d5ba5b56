//! Settings that say where something lies: in a field of the value, or beside it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::avro;
use crate::decode::select::{KeyPart, Path};
use crate::settings::OneOrMany;

/// A path, or none where the setting is empty. `[]` is the record itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptionalPath(pub(crate) Option<Path>);

impl TryFrom<String> for OptionalPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = match text.as_str() {
            "" => None,
            "[]" => Some(Path::parse("@value")?),
            text => Some(Path::parse(text)?),
        };
        Ok(OptionalPath(path))
    }
}

impl From<OptionalPath> for String {
    fn from(path: OptionalPath) -> String {
        path.to_string()
    }
}

impl fmt::Display for OptionalPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_ref().map_or("", Path::as_str))
    }
}

/// Where the time of a reading lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TimeField {
    /// A field of the value.
    Field(Path),
    /// It is the record's own timestamp.
    Record,
    /// A header of this name.
    Header(String),
}

impl TimeField {
    /// The field, if it lies in the value.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            TimeField::Field(path) => Some(path),
            TimeField::Record | TimeField::Header(_) => None,
        }
    }
}

impl TryFrom<String> for TimeField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("@header.") {
            Some("") => Err("@header. needs a header's name behind it".to_owned()),
            Some(name) => Ok(TimeField::Header(name.to_owned())),
            None if text == "@record" => Ok(TimeField::Record),
            None => Path::parse(&text).map(TimeField::Field),
        }
    }
}

impl From<TimeField> for String {
    fn from(field: TimeField) -> String {
        field.to_string()
    }
}

impl fmt::Display for TimeField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeField::Field(path) => path.fmt(formatter),
            TimeField::Record => formatter.write_str("@record"),
            TimeField::Header(name) => write!(formatter, "@header.{name}"),
        }
    }
}

/// The setting `reading.avro_schema`: a schema as JSON, or none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AvroSchema {
    text: String,
    schema: Option<Arc<avro::Schema>>,
}

impl AvroSchema {
    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The schema, if there is one.
    pub(in crate::decode) fn schema(&self) -> Option<&Arc<avro::Schema>> {
        self.schema.as_ref()
    }

    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.schema.is_some()
    }
}

impl PartialEq for AvroSchema {
    fn eq(&self, other: &AvroSchema) -> bool {
        self.text == other.text
    }
}

impl TryFrom<String> for AvroSchema {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let schema = match text.trim() {
            "" => None,
            text => Some(Arc::new(avro::Schema::parse([], text)?)),
        };
        Ok(AvroSchema { text, schema })
    }
}

impl From<AvroSchema> for String {
    fn from(schema: AvroSchema) -> String {
        schema.text
    }
}

/// The setting `reading.key`, as it was written and as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct KeySetting {
    setting: OneOrMany,
    source: KeySource,
}

/// What a series is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The topic is one series.
    None,
    /// The Kafka message key.
    Message,
    /// Fields of the value; at least one.
    Fields(Vec<KeyPart>),
}

impl KeySetting {
    /// What series are told by.
    pub fn source(&self) -> &KeySource {
        &self.source
    }
}

impl KeySource {
    /// The only field, if it is one.
    pub(crate) fn only_field(&self) -> Option<&Path> {
        match self {
            KeySource::Fields(parts) => match parts.as_slice() {
                [KeyPart::Field(path)] => Some(path),
                _ => None,
            },
            KeySource::None | KeySource::Message => None,
        }
    }

    /// Whether it needs no tree.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            KeySource::None | KeySource::Message => true,
            KeySource::Fields(_) => self.only_field().is_some_and(Path::is_plain),
        }
    }

    /// Whether the measure is a part of it.
    pub(crate) fn holds_measure(&self) -> bool {
        matches!(self, KeySource::Fields(parts) if parts.contains(&KeyPart::Measure))
    }

    /// The fields in it.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let parts: &[KeyPart] = match self {
            KeySource::Fields(parts) => parts,
            KeySource::None | KeySource::Message => &[],
        };
        parts.iter().filter_map(|part| match part {
            KeyPart::Field(path) => Some(path),
            KeyPart::Measure => None,
        })
    }
}

const NAMES: [(&str, KeySource); 2] = [("none", KeySource::None), ("message", KeySource::Message)];

impl TryFrom<OneOrMany> for KeySetting {
    type Error = String;

    fn try_from(setting: OneOrMany) -> Result<Self, String> {
        let named = |text: &str| {
            NAMES
                .iter()
                .find(|(name, _)| text.trim().eq_ignore_ascii_case(name))
        };
        let source = match &setting {
            OneOrMany::One(text) => match named(text) {
                Some((name, source)) if name == text => source.clone(),
                Some((name, _)) => {
                    return Err(format!(
                        "did you mean {name:?}? For a field of this name write \"\\\\{}\"",
                        text.trim()
                    ));
                }
                None => KeySource::Fields(vec![part(text)?]),
            },
            OneOrMany::Many(texts) => {
                if let Some(name) = texts.iter().find(|text| named(text).is_some()) {
                    return Err(format!(
                        "a list names fields of the value; for a field of this name write \"\\\\{name}\""
                    ));
                }
                let parts = texts
                    .iter()
                    .map(|text| part(text))
                    .collect::<Result<Vec<_>, _>>()?;
                if parts.is_empty() {
                    return Err("the list must name a field at least".to_owned());
                }
                KeySource::Fields(parts)
            }
        };
        Ok(KeySetting { setting, source })
    }
}

impl FromStr for KeySetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        KeySetting::try_from(OneOrMany::One(text.to_owned()))
    }
}

fn part(text: &str) -> Result<KeyPart, String> {
    match text {
        "@measure" => Ok(KeyPart::Measure),
        path => Path::parse(path).map(KeyPart::Field),
    }
}

impl From<KeySetting> for OneOrMany {
    fn from(key: KeySetting) -> OneOrMany {
        key.setting
    }
}

impl fmt::Display for KeySetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.fmt(formatter)
    }
}
