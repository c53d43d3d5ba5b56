//! How readings lie in a record's bytes: one file for each format, and what they have in common.
//!
//! A format makes trees of a record's bytes, and a [`Selection`] finds the fields of readings in them. Where plain JSON
//! objects hold one reading each, the fields are found without trees. [`Decoder`](super::Decoder) decides what the fields
//! mean and whether they are acceptable. So a format knows no times, no bounds and no Kafka record, only bytes, and headers
//! where these say how to read them.

pub(crate) mod avro;
mod influx;
mod json;
mod json_fields;
pub(super) mod json_scan;
mod json_tree;
pub(super) mod lenient;
mod otlp;
pub(super) mod otlp_proto;

use std::borrow::Cow;
use std::sync::Arc;

use super::payload::Wrapping;
use super::schemas::{Schema, Schemas};
use super::select::{Selection, Visit};
use super::settings::{FormatName, Settings};
use super::tree::Tree;
use super::{Reason, Rejection};
use crate::reading::Header;

/// A format, with the places of the fields in it.
#[derive(Debug, Clone)]
pub(super) enum Format {
    /// JSON objects of one reading each, as under the default settings.
    Plain(json_fields::Fields),
    Trees {
        name: FormatName,
        selection: Box<Selection>,
        schemas: SchemaSource,
    },
}

/// Where the schemas of messages are that do not hold them. Formats other than Avro need none.
#[derive(Debug, Clone)]
pub(crate) enum SchemaSource {
    /// All messages have this one.
    Given(Arc<avro::Schema>),
    /// Each has the one whose id is in front of it.
    ById(Arc<Schemas>),
}

impl SchemaSource {
    /// The one of the settings, or those that were learned.
    pub(crate) fn new(settings: &Settings, learned: Arc<Schemas>) -> Self {
        match settings.avro_schema.schema() {
            Some(schema) => SchemaSource::Given(Arc::clone(schema)),
            None => SchemaSource::ById(learned),
        }
    }
}

/// Why the readings of a record were not all visited.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the visitor returned.
    Rejected(Rejection),
    /// From here on the bytes are not of the format. So many documents before were visited.
    Malformed { rejection: Rejection, documents: usize },
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Fault::Rejected(rejection)
    }
}

impl Format {
    /// The format of these settings.
    pub(super) fn new(settings: &Settings, learned: Arc<Schemas>) -> Self {
        match settings.value_field.only() {
            Some(value) if settings.are_plain() => Format::Plain(json_fields::Fields::new(
                settings.time_field.path(),
                value,
                settings.key.source().only_field(),
            )),
            _ => Format::Trees {
                name: settings.format,
                selection: Box::new(Selection::new(settings)),
                schemas: SchemaSource::new(settings, learned),
            },
        }
    }

    /// Visits what the fields of each reading hold, in the order in which the readings lie in `bytes`, without those of the
    /// first `passed` documents.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn read<'a>(
        &'a self,
        headers: &[Header],
        bytes: &'a [u8],
        passed: usize,
        visit: &mut Visit<'_, 'a>,
    ) -> Result<(), Fault> {
        let (name, selection, schemas) = match self {
            Format::Plain(fields) => return json::read(bytes, fields, passed, visit),
            Format::Trees {
                name,
                selection,
                schemas,
            } => (name, selection, schemas),
        };
        match name {
            FormatName::Json if selection.takes_whole_values() => {
                Ok(selection.read(&json_tree::scalar(bytes), visit)?)
            }
            _ => trees(*name, schemas, headers, bytes, passed, &mut |tree| {
                selection.read(&tree, visit)
            }),
        }
    }

    /// Whether another reading of JSON that is almost JSON can help.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Format::Plain(_) => true,
            Format::Trees { name, .. } => matches!(name, FormatName::Json | FormatName::OtlpJson),
        }
    }

    /// What may be around a record.
    pub(super) fn wrapping(&self) -> Wrapping {
        match self {
            Format::Plain(_) => Wrapping::Text,
            Format::Trees { name, .. } => name.wrapping(),
        }
    }

    /// The schemas that are to be learned before records can be read.
    pub(super) fn learned(&self) -> Option<&Arc<Schemas>> {
        match self {
            Format::Trees {
                name: FormatName::Avro,
                schemas: SchemaSource::ById(learned),
                ..
            } => Some(learned),
            _ => None,
        }
    }

    /// Why bytes are rejected that are not of this format.
    pub(super) fn malformed(&self) -> Reason {
        match self {
            Format::Plain(_) => Reason::InvalidJson,
            Format::Trees { name, .. } => match name {
                FormatName::Json | FormatName::OtlpJson => Reason::InvalidJson,
                FormatName::Influx => Reason::InvalidLine,
                FormatName::OtlpProto => Reason::InvalidProtobuf,
                FormatName::Avro => Reason::InvalidAvro,
            },
        }
    }
}

/// Visits the trees that `bytes` hold, without those of the first `passed` documents.
///
/// # Errors
/// [`Fault`].
pub(super) fn trees<'a>(
    name: FormatName,
    schemas: &'a SchemaSource,
    headers: &[Header],
    bytes: &'a [u8],
    passed: usize,
    visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
) -> Result<(), Fault> {
    match name {
        FormatName::Json => json_tree::read(bytes, passed, visit),
        FormatName::OtlpJson => json_tree::read(bytes, passed, &mut |document| otlp::read(document, visit)),
        FormatName::OtlpProto => {
            let document = otlp_proto::document(bytes).map_err(|rejection| Fault::Malformed {
                rejection,
                documents: 0,
            })?;
            otlp::read(document, visit).map_err(Fault::Rejected)
        }
        FormatName::Influx => influx::read(bytes, visit).map_err(Fault::Rejected),
        FormatName::Avro => by_schema(schemas, headers, bytes, visit),
    }
}

/// Visits the tree of a message whose schema lies elsewhere.
fn by_schema<'a>(
    schemas: &'a SchemaSource,
    headers: &[Header],
    bytes: &'a [u8],
    visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
) -> Result<(), Fault> {
    let mut avro = |schema, content| Ok(visit(avro::read(content, schema)?)?);
    match schemas {
        SchemaSource::Given(schema) => avro(schema, bytes),
        SchemaSource::ById(learned) => match learned.split(headers, bytes) {
            Ok((Schema::Avro(schema), content)) => avro(schema, content),
            // Registries keep schemas of JSON, too.
            Ok((_, content)) => json_tree::read(content, 0, visit),
            // It may look like something.
            Err(rejection) if rejection.reason == Reason::InvalidAvro => Err(Fault::Malformed {
                rejection,
                documents: 0,
            }),
            Err(rejection) => Err(Fault::Rejected(rejection)),
        },
    }
}

/// What the fields of a reading hold, as they were found; `None` where the record lacks one.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub time: Option<Scalar<'a>>,
    pub value: Option<Scalar<'a>>,
    pub key: Option<Scalar<'a>>,
    /// What few readings have; boxed, because most have none of it.
    pub beside: Option<Box<Beside<'a>>>,
    /// What was measured, where there are several measures; never empty.
    pub measure: Option<Cow<'a, str>>,
}

/// What only a selection over trees finds.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    /// How many samples the value is the sum of, where the settings name such a field.
    pub count: Option<Scalar<'a>>,
    /// Why there is no key.
    pub key_fault: Option<Rejection>,
}

/// A single value, as far as a field can make use of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// Beyond the range of `Integer`.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A text of ASCII characters alone. Times are read of its bytes; to make a `str` of it costs as much as to find it.
    Ascii(&'a [u8]),
    Nested,
    Unusable(Unusable),
}

/// What a format has and no field can make use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// NaN or infinity in place of a number.
    NotFinite,
    /// A number that no double can hold.
    OutOfRange,
    /// A text of JSON that is not Unicode.
    NotText,
    /// The same in a binary format, whose bytes are what they should be all the same.
    NotUnicode,
    /// Objects and arrays within each other beyond any use.
    TooDeep,
}

impl Unusable {
    /// What it is, for details.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Unusable::NotFinite => "NaN or infinity",
            Unusable::OutOfRange => "a number no double can hold",
            Unusable::NotText | Unusable::NotUnicode => "a text that is not Unicode",
            Unusable::TooDeep => "nested too deep",
        }
    }

    /// Why a reading is rejected that has it in a field.
    pub(super) fn reason(self) -> Reason {
        match self {
            Unusable::NotFinite => Reason::NotFinite,
            Unusable::OutOfRange => Reason::OutOfRange,
            Unusable::NotText => Reason::InvalidJson,
            Unusable::TooDeep | Unusable::NotUnicode => Reason::WrongType,
        }
    }
}

/// The text of an [`Scalar::Ascii`].
pub(super) fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

impl Scalar<'_> {
    /// Whether it is written as a number.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_) => true,
            Scalar::Unusable(kind) => matches!(kind, Unusable::NotFinite | Unusable::OutOfRange),
            Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) | Scalar::Ascii(_) | Scalar::Nested => false,
        }
    }

    /// The value in words, short enough for a header.
    pub(super) fn describe(&self) -> String {
        match self {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Unsigned(value) => value.to_string(),
            Scalar::Float(value) => value.to_string(),
            Scalar::Text(text) => format!("the text {:?}", text.chars().take(60).collect::<String>()),
            Scalar::Ascii(text) => Scalar::Text(ascii(text).into()).describe(),
            Scalar::Nested => "an object or array".to_owned(),
            Scalar::Unusable(kind) => kind.describe().to_owned(),
        }
    }
}
