//! The time, value and key fields out of JSON documents, found by dotted path in one pass.
//!
//! It reads whatever is JSON and says what is wrong with the rest. Most messages never come here: [`super::json_scan`] reads
//! them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::json_fields::{Fields, Members, Role, keep};
use super::lenient::marked;
use super::{Fault, Found, Scalar};
use crate::decode::select::Visit;
use crate::decode::{Reason, Rejection};

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
        let document = ObjectFields {
            members: fields.members(),
            found: &mut found,
            is_document: true,
        };
        if let Err(error) = document.deserialize(&mut reader) {
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

/// Reads one object, following the paths and skipping everything else.
struct ObjectFields<'p, 'f, 'a> {
    members: &'p Members,
    found: &'f mut Found<'a>,
    is_document: bool,
}

impl<'a> DeserializeSeed<'a> for ObjectFields<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.is_document {
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
        while let Some(role) = members.next_key_seed(MemberName(self.members))? {
            match role {
                None => drop(members.next_value::<IgnoredAny>()?),
                Some(Role::Held(fields)) => keep(fields, members.next_value()?, self.found),
                Some(Role::Passed(below)) => {
                    below.forget(self.found);
                    members.next_value_seed(ObjectFields {
                        members: below,
                        found: self.found,
                        is_document: false,
                    })?;
                }
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

/// Looks a member's name up while it is read, so that it need not be kept.
struct MemberName<'p>(&'p Members);

impl<'p, 'a> DeserializeSeed<'a> for MemberName<'p> {
    type Value = Option<&'p Role>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p, 'a> Visitor<'a> for MemberName<'p> {
    type Value = Option<&'p Role>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(name.as_bytes()))
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
