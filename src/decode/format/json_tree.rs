//! JSON documents as trees.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::json::at_document;
use super::lenient::marked;
use super::{Fault, Unusable};
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};

/// How deep objects and arrays may lie within each other and still be looked into.
const DEEPEST: usize = 60;

/// Visits all JSON documents in `bytes`, with white space or nothing between them, without the first `passed`.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    passed: usize,
    visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
) -> Result<(), Fault> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut documents = 0;
    loop {
        let document = AtDepth(0)
            .deserialize(&mut reader)
            .map_err(|error| Fault::Malformed {
                rejection: Rejection::new(Reason::InvalidJson, error.to_string()),
                documents,
            })?;
        documents += 1;
        let is_last = reader.end().is_ok();
        if documents > passed {
            visit(document).map_err(|rejection| at_document(rejection, documents, is_last))?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// A record that is a single value: a JSON document or, as MQTT bridges have it, bare text.
pub(super) fn scalar(bytes: &[u8]) -> Tree<'_> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let document = AtDepth(0).deserialize(&mut reader);
    match document {
        Ok(tree) if reader.end().is_ok() => tree,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Tree::Text(Cow::Borrowed(text.trim())),
            Err(_) => Tree::Unusable(Unusable::NotText),
        },
    }
}

/// A value so deep within others.
#[derive(Clone, Copy)]
struct AtDepth(usize);

impl<'a> DeserializeSeed<'a> for AtDepth {
    type Value = Tree<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Tree<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AtDepth {
    type Value = Tree<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree<'a>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree<'a>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree<'a>, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree<'a>, E> {
        Ok(i64::try_from(value).map_or(Tree::Unsigned(value), Tree::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree<'a>, E> {
        Ok(Tree::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Tree<'a>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree<'a>, E> {
        Ok(marked(text).map_or_else(|| Tree::Text(Cow::Owned(text.to_owned())), Tree::Unusable))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Tree<'a>, S::Error> {
        let Some(inside) = self.deeper() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Tree::Unusable(Unusable::TooDeep));
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<M: MapAccess<'a>>(self, mut members: M) -> Result<Tree<'a>, M::Error> {
        let Some(inside) = self.deeper() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Tree::Unusable(Unusable::TooDeep));
        };
        let mut map = Vec::new();
        while let Some(Name(name)) = members.next_key()? {
            map.push((name, members.next_value_seed(inside)?));
        }
        Ok(Tree::Map(map))
    }
}

impl AtDepth {
    fn deeper(self) -> Option<AtDepth> {
        (self.0 < DEEPEST).then_some(AtDepth(self.0 + 1))
    }
}

/// A member's name, borrowed if it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'a> Visitor<'a> for NameVisitor {
    type Value = Name<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'a str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'a>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}
