//! The time, value and key fields out of a JSON document, found by dotted path in one pass without allocation.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Reason, Rejection};

/// Where the fields are.
#[derive(Debug, Clone)]
pub struct FieldPaths {
    names: [Option<String>; FIELDS],
    segments: [Vec<String>; FIELDS],
}

const FIELDS: usize = 3;
const TIME: usize = 0;
const VALUE: usize = 1;

impl FieldPaths {
    /// Dotted paths of the time, the value and, where a field holds it, the key.
    pub fn new(time: &str, value: &str, key: Option<&str>) -> Self {
        let names = [
            Some(time.to_owned()),
            Some(value.to_owned()),
            key.map(str::to_owned),
        ];
        let segments = names.clone().map(|name| match name {
            Some(path) => path.split('.').map(str::to_owned).collect(),
            None => Vec::new(),
        });
        FieldPaths { names, segments }
    }

    /// The time field's dotted path.
    pub fn time_name(&self) -> &str {
        self.names[TIME].as_deref().unwrap_or_default()
    }

    /// The value field's dotted path.
    pub fn value_name(&self) -> &str {
        self.names[VALUE].as_deref().unwrap_or_default()
    }

    /// Which fields continue with the member `name` below the path they share with `inside`, at `depth`.
    fn matching(&self, inside: Candidates, depth: usize, name: &str) -> Candidates {
        std::array::from_fn(|field| {
            inside[field]
                && self.segments[field]
                    .get(depth)
                    .is_some_and(|segment| segment == name)
        })
    }
}

/// The fields, one flag each, whose path may still lead through the object being read.
type Candidates = [bool; FIELDS];

/// What the fields hold; `None` where the document lacks one.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    pub time: Option<Scalar<'a>>,
    pub value: Option<Scalar<'a>>,
    pub key: Option<Scalar<'a>>,
}

/// A JSON value, as far as a field can make use of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Nested,
}

impl Scalar<'_> {
    /// The value in words, short enough for a header.
    pub fn describe(&self) -> String {
        match self {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Float(value) => value.to_string(),
            Scalar::Text(text) => format!("the text {:?}", text.chars().take(60).collect::<String>()),
            Scalar::Nested => "an object or array".to_owned(),
        }
    }
}

/// Reads the fields of a JSON document. Of a repeated member the last counts.
pub fn fields<'a>(bytes: &'a [u8], paths: &FieldPaths) -> Result<Fields<'a>, Rejection> {
    let mut found = Fields::default();
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let object = ObjectFields {
        paths,
        found: &mut found,
        inside: [true; FIELDS],
        depth: 0,
    };
    object
        .deserialize(&mut document)
        .and_then(|()| document.end())
        .map_err(|error| not_json(bytes, &error))?;
    Ok(found)
}

/// Python writes NaN and infinities as bare words; that deserves a better reason than "not JSON".
fn not_json(bytes: &[u8], error: &serde_json::Error) -> Rejection {
    let at = bytes.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let bare_word = ["NaN", "Infinity", "-Infinity"]
        .iter()
        .any(|word| at.starts_with(word.as_bytes()))
        || (at.starts_with(b"I") && bytes.get(error.column().saturating_sub(2)) == Some(&b'-'));
    let overflow = error.to_string().starts_with("number out of range");
    if error.line() == 1 && bare_word {
        Rejection::new(
            Reason::NotFinite,
            format!("NaN or infinity in place of a number: {error}"),
        )
    } else if overflow {
        Rejection::new(
            Reason::OutOfRange,
            format!("a number no double can hold: {error}"),
        )
    } else {
        Rejection::new(Reason::InvalidJson, error.to_string())
    }
}

/// Reads one object, following the candidates' paths and skipping everything else.
struct ObjectFields<'p, 'f, 'a> {
    paths: &'p FieldPaths,
    found: &'f mut Fields<'a>,
    inside: Candidates,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for ObjectFields<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth == 0 {
            // The document itself must be an object; further down another type only means the field is missing.
            deserializer.deserialize_map(self)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'a> Visitor<'a> for ObjectFields<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut members: M) -> Result<(), M::Error> {
        while let Some(matching) = members.next_key_seed(MemberName {
            paths: self.paths,
            inside: self.inside,
            depth: self.depth,
        })? {
            let is_leaf =
                |field: usize| matching[field] && self.paths.segments[field].len() == self.depth + 1;
            if matching == [false; FIELDS] {
                members.next_value::<IgnoredAny>()?;
            } else if (0..FIELDS).any(is_leaf) {
                let scalar: Scalar<'a> = members.next_value()?;
                for (field, slot) in [&mut self.found.time, &mut self.found.value, &mut self.found.key]
                    .into_iter()
                    .enumerate()
                {
                    if is_leaf(field) {
                        *slot = Some(scalar.clone());
                    }
                }
            } else {
                members.next_value_seed(ObjectFields {
                    paths: self.paths,
                    found: self.found,
                    inside: matching,
                    depth: self.depth + 1,
                })?;
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<(), S::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Compares a member's name with the paths while it is read, so that it need not be kept.
struct MemberName<'p> {
    paths: &'p FieldPaths,
    inside: Candidates,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for MemberName<'_> {
    type Value = Candidates;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Candidates, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for MemberName<'_> {
    type Value = Candidates;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Candidates, E> {
        Ok(self.paths.matching(self.inside, self.depth, name))
    }
}

impl<'a> Deserialize<'a> for Scalar<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'a> Visitor<'a> for ScalarVisitor {
    type Value = Scalar<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Scalar<'a>, S::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<M: MapAccess<'a>>(self, mut members: M) -> Result<Scalar<'a>, M::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}
