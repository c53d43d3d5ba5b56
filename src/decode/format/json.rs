//! The time, value and key fields out of a JSON document, found by dotted path in one pass without allocation.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::lenient::marked;
use super::{Fault, Found, Scalar};
use crate::decode::select::{Path, Visit};
use crate::decode::{Reason, Rejection};

/// Which fields of a document are read.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    /// The names of each field's path; none for a field that is not in the document.
    segments: [Vec<String>; FIELDS],
    value_name: String,
}

const FIELDS: usize = 3;

impl Fields {
    /// Paths of the value and, where they are fields, of the time and the key.
    pub(crate) fn new(time: Option<&Path>, value: &Path, key: Option<&Path>) -> Self {
        let names = |path: &Path| path.steps().iter().map(|step| step.name.clone()).collect();
        Fields {
            segments: [time, Some(value), key].map(|path| path.map(names).unwrap_or_default()),
            value_name: value.as_str().to_owned(),
        }
    }

    /// The value's path.
    pub(crate) fn value_name(&self) -> &str {
        &self.value_name
    }

    /// Which fields continue with the member `name` below the path they share with `inside`, at `depth`.
    #[inline]
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

/// Reads the fields of the only JSON document in `bytes`. False if that is not what they are; then `found` is of no use.
#[inline]
pub(crate) fn read_only<'a>(bytes: &'a [u8], fields: &Fields, found: &mut Found<'a>) -> bool {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    whole(fields, found)
        .deserialize(&mut document)
        .and_then(|()| document.end())
        .is_ok()
}

/// Visits the readings of all JSON documents in `bytes`, with white space or nothing between them. Of a repeated member
/// the last counts.
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    fields: &'a Fields,
    passed: usize,
    visit: &mut Visit<'_, 'a>,
) -> Result<(), Fault> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut documents = 0;
    loop {
        let mut found = Found::default();
        if let Err(error) = whole(fields, &mut found).deserialize(&mut reader) {
            return if documents == 0 && bytes.trim_ascii() == b"null" {
                let rejection = Rejection::new(Reason::Empty, "the record is null");
                Ok(visit(Err(rejection), fields.value_name())?)
            } else {
                Err(Fault::Malformed {
                    rejection: Rejection::new(Reason::InvalidJson, error.to_string()),
                    documents,
                })
            };
        }
        documents += 1;
        let is_last = reader.end().is_ok();
        if documents > passed {
            let visited = visit(Ok(&mut found), fields.value_name());
            visited.map_err(|rejection| at_document(rejection, documents, is_last))?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// A rejection in one of several documents says in which.
pub(super) fn at_document(rejection: Rejection, number: usize, is_last: bool) -> Rejection {
    if number == 1 && is_last {
        rejection
    } else {
        rejection.at("document", number)
    }
}

fn whole<'p, 'f, 'a>(fields: &'p Fields, found: &'f mut Found<'a>) -> ObjectFields<'p, 'f, 'a> {
    ObjectFields {
        fields,
        found,
        inside: [true; FIELDS],
        depth: 0,
    }
}

/// Reads one object, following the candidates' paths and skipping everything else.
struct ObjectFields<'p, 'f, 'a> {
    fields: &'p Fields,
    found: &'f mut Found<'a>,
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

impl ObjectFields<'_, '_, '_> {
    /// Forgets what was found below an object of the same name before.
    #[inline]
    fn forget(&mut self, matching: Candidates) {
        let slots = [&mut self.found.time, &mut self.found.value, &mut self.found.key];
        for (slot, is_below) in slots.into_iter().zip(matching) {
            if is_below {
                *slot = None;
            }
        }
    }
}

impl<'a> Visitor<'a> for ObjectFields<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut members: M) -> Result<(), M::Error> {
        while let Some(matching) = members.next_key_seed(MemberName {
            fields: self.fields,
            inside: self.inside,
            depth: self.depth,
        })? {
            let is_leaf =
                |field: usize| matching[field] && self.fields.segments[field].len() == self.depth + 1;
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
                self.forget(matching);
                members.next_value_seed(ObjectFields {
                    fields: self.fields,
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
    fields: &'p Fields,
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
        Ok(self.fields.matching(self.inside, self.depth, name))
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
        Ok(i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'a>, E> {
        Ok(marked(text).map_or_else(|| Scalar::Text(Cow::Owned(text.to_owned())), Scalar::Unusable))
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
