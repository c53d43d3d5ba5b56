//! OpenTelemetry's metrics in Protobuf, as the document that they are in JSON.
//!
//! The messages are tables of fields, of those that a reading can be made of; what else is in a message is passed over.
//! Texts are borrowed from the record. Absent from here: what the document means, which `otlp` knows for both encodings.

use std::borrow::Cow;

use super::Unusable;
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};
use crate::notation::base64;

type Members<'a> = Vec<(Cow<'a, str>, Tree<'a>)>;

/// Messages within each other that are looked into. Only values of attributes lie deeper.
const DEEPEST: usize = 60;

/// A field of a message: its number, its name in JSON, and what it holds.
type Field = (u64, &'static str, Kind);
type Fields = &'static [Field];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Bool,
    Int32,
    Int64,
    Fixed64,
    SignedFixed64,
    Double,
    Message(&'static Fields),
    Repeated(&'static Fields),
}

static REQUEST: Fields = &[(1, "resourceMetrics", Kind::Repeated(&RESOURCE_METRICS))];
static RESOURCE_METRICS: Fields = &[
    (1, "resource", Kind::Message(&RESOURCE)),
    (2, "scopeMetrics", Kind::Repeated(&SCOPE_METRICS)),
];
static RESOURCE: Fields = &[(1, "attributes", Kind::Repeated(&KEY_VALUE))];
static SCOPE_METRICS: Fields = &[
    (1, "scope", Kind::Message(&SCOPE)),
    (2, "metrics", Kind::Repeated(&METRIC)),
];
static SCOPE: Fields = &[
    (1, "name", Kind::Text),
    (2, "version", Kind::Text),
    (3, "attributes", Kind::Repeated(&KEY_VALUE)),
];
static METRIC: Fields = &[
    (1, "name", Kind::Text),
    (3, "unit", Kind::Text),
    (5, "gauge", Kind::Message(&GAUGE)),
    (7, "sum", Kind::Message(&SUM)),
];
static GAUGE: Fields = &[(1, "dataPoints", Kind::Repeated(&POINT))];
static SUM: Fields = &[
    (1, "dataPoints", Kind::Repeated(&POINT)),
    (2, "aggregationTemporality", Kind::Int32),
    (3, "isMonotonic", Kind::Bool),
];
static POINT: Fields = &[
    (2, "startTimeUnixNano", Kind::Fixed64),
    (3, "timeUnixNano", Kind::Fixed64),
    (4, "asDouble", Kind::Double),
    (6, "asInt", Kind::SignedFixed64),
    (7, "attributes", Kind::Repeated(&KEY_VALUE)),
    (8, "flags", Kind::Int32),
];
static KEY_VALUE: Fields = &[(1, "key", Kind::Text), (2, "value", Kind::Message(&ANY_VALUE))];
static ANY_VALUE: Fields = &[
    (1, "stringValue", Kind::Text),
    (2, "boolValue", Kind::Bool),
    (3, "intValue", Kind::Int64),
    (4, "doubleValue", Kind::Double),
    (5, "arrayValue", Kind::Message(&ARRAY_VALUE)),
    (6, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
    (7, "bytesValue", Kind::Bytes),
];
static ARRAY_VALUE: Fields = &[(1, "values", Kind::Repeated(&ANY_VALUE))];
static KEY_VALUE_LIST: Fields = &[(1, "values", Kind::Repeated(&KEY_VALUE))];

/// The document of an export request.
///
/// # Errors
/// The [`Rejection`] of bytes that are none; it names the byte and the field.
pub(super) fn document(bytes: &[u8]) -> Result<Tree<'_>, Rejection> {
    let mut members = Vec::new();
    let mut reader = Reader { bytes, at: 0 };
    reader
        .message(bytes.len(), REQUEST, 0, &mut members)
        .map_err(|fault| {
            let detail = format!("byte {}: {fault}", reader.at);
            Rejection::new(Reason::InvalidProtobuf, detail)
        })?;
    Ok(Tree::Map(members))
}

/// Whether bytes are an export request that holds a metric at least; traces and logs are none.
pub(in crate::decode) fn is_likely(bytes: &[u8]) -> bool {
    let Ok(Tree::Map(mut members)) = document(bytes) else {
        return false;
    };
    for name in ["resourceMetrics", "scopeMetrics", "metrics"] {
        let list = members.into_iter().find(|(known, _)| known == name);
        let Some((_, Tree::List(items))) = list else {
            return false;
        };
        let Some(Tree::Map(inner)) = items.into_iter().next() else {
            return false;
        };
        members = inner;
    }
    true
}

/// Fields of which a message has one at most: the last that is written.
const ONE_OF: [&[&str]; 3] = [
    &["asDouble", "asInt"],
    &["gauge", "sum"],
    &[
        "stringValue",
        "boolValue",
        "intValue",
        "doubleValue",
        "arrayValue",
        "kvlistValue",
        "bytesValue",
    ],
];
/// The largest number that a field may have.
const LARGEST_NUMBER: u64 = (1 << 29) - 1;

/// What was expected where the bytes are something else.
type Fault = String;

struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes that have been read.
    at: usize,
}

/// How the value of a field is written, which its key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint,
    Fixed64,
    Delimited,
    Fixed32,
}

impl Wire {
    fn of(key: u64) -> Result<Wire, Fault> {
        match key & 7 {
            0 => Ok(Wire::Varint),
            1 => Ok(Wire::Fixed64),
            2 => Ok(Wire::Delimited),
            5 => Ok(Wire::Fixed32),
            other => Err(format!(
                "there is no wire type {other} in OpenTelemetry's metrics"
            )),
        }
    }
}

impl Kind {
    fn wire(self) -> Wire {
        match self {
            Kind::Bool | Kind::Int32 | Kind::Int64 => Wire::Varint,
            Kind::Fixed64 | Kind::SignedFixed64 | Kind::Double => Wire::Fixed64,
            Kind::Text | Kind::Bytes | Kind::Message(&_) | Kind::Repeated(&_) => Wire::Delimited,
        }
    }
}

impl<'a> Reader<'a> {
    /// Adds the fields of a message that ends at `end`.
    fn message(
        &mut self,
        end: usize,
        fields: Fields,
        depth: usize,
        members: &mut Members<'a>,
    ) -> Result<(), Fault> {
        while self.at < end {
            let key = self.varint(end)?;
            let (number, wire) = (key >> 3, Wire::of(key)?);
            if !(1..=LARGEST_NUMBER).contains(&number) {
                return Err(format!("a field has the number {number}"));
            }
            let Some(&(_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) else {
                self.skip(wire, end)?;
                continue;
            };
            if wire != kind.wire() {
                return Err(format!("{name} is written as another type"));
            }
            self.field(name, kind, end, depth, members).map_err(|fault| {
                if fault.len() < 120 {
                    format!("{name}: {fault}")
                } else {
                    fault
                }
            })?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        name: &'static str,
        kind: Kind,
        end: usize,
        depth: usize,
        members: &mut Members<'a>,
    ) -> Result<(), Fault> {
        if let Some(others) = ONE_OF.iter().find(|names| names.contains(&name)) {
            members.retain(|(known, _)| known == name || !others.contains(&&**known));
        }
        let value = match kind {
            Kind::Text => match std::str::from_utf8(self.delimited(end)?) {
                Ok(text) => Tree::Text(text.into()),
                Err(_) => Tree::Unusable(Unusable::NotUnicode),
            },
            Kind::Bytes => Tree::Text(base64::encode(self.delimited(end)?).into()),
            Kind::Bool => Tree::Bool(self.varint(end)? != 0),
            // Negative ones are written with 64 bits, too.
            Kind::Int32 => Tree::Integer(i64::from(self.varint(end)? as u32)),
            Kind::Int64 => Tree::Integer(self.varint(end)? as i64),
            Kind::Fixed64 => unsigned(u64::from_le_bytes(self.fixed(end)?)),
            Kind::SignedFixed64 => Tree::Integer(i64::from_le_bytes(self.fixed(end)?)),
            Kind::Double => double(f64::from_le_bytes(self.fixed(end)?)),
            Kind::Message(fields) => {
                let place = place_of(name, members, Tree::Map(Vec::new()));
                return self.nested(fields, end, depth, place);
            }
            Kind::Repeated(fields) => {
                let place = place_of(name, members, Tree::List(Vec::new()));
                return self.nested(fields, end, depth, place);
            }
        };
        members.push((name.into(), value));
        Ok(())
    }

    /// Reads a message within another into its place, which is a list where there may be several. One that is there already
    /// goes on: the parts of a message may lie apart.
    fn nested(
        &mut self,
        fields: Fields,
        end: usize,
        depth: usize,
        place: &mut Tree<'a>,
    ) -> Result<(), Fault> {
        let length = self.delimited(end)?.len();
        let end = self.at;
        if depth == DEEPEST {
            *place = Tree::Unusable(Unusable::TooDeep);
            return Ok(());
        }
        self.at -= length;
        match place {
            Tree::List(items) => {
                let mut item = Vec::new();
                self.message(end, fields, depth + 1, &mut item)?;
                items.push(Tree::Map(item));
                Ok(())
            }
            Tree::Map(members) => self.message(end, fields, depth + 1, members),
            _ => {
                self.at = end;
                Ok(())
            }
        }
    }

    fn skip(&mut self, wire: Wire, end: usize) -> Result<(), Fault> {
        match wire {
            Wire::Varint => self.varint(end).map(drop),
            Wire::Fixed64 => self.fixed::<8>(end).map(drop),
            Wire::Delimited => self.delimited(end).map(drop),
            Wire::Fixed32 => self.fixed::<4>(end).map(drop),
        }
    }

    fn varint(&mut self, end: usize) -> Result<u64, Fault> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed(end)?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    fn delimited(&mut self, end: usize) -> Result<&'a [u8], Fault> {
        let length = self.varint(end)?;
        let left = end - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                self.at += length;
                Ok(&self.bytes[self.at - length..self.at])
            }
            _ => Err(format!("{length} bytes are announced, and {left} are left")),
        }
    }

    fn fixed<const LENGTH: usize>(&mut self, end: usize) -> Result<[u8; LENGTH], Fault> {
        let found = self.bytes[self.at..end].first_chunk();
        let found = *found.ok_or("it ends in the middle of a value")?;
        self.at += LENGTH;
        Ok(found)
    }
}

/// The member of this name; `empty`, if there is none yet.
fn place_of<'t, 'a>(name: &'static str, members: &'t mut Members<'a>, empty: Tree<'a>) -> &'t mut Tree<'a> {
    let place = members.iter().position(|(known, _)| known == name);
    let place = place.unwrap_or_else(|| {
        members.push((name.into(), empty));
        members.len() - 1
    });
    &mut members[place].1
}

fn unsigned(number: u64) -> Tree<'static> {
    i64::try_from(number).map_or(Tree::Unsigned(number), Tree::Integer)
}

/// JSON has no numbers for the others, only texts.
fn double(number: f64) -> Tree<'static> {
    match number {
        number if number.is_finite() => Tree::Float(number),
        number if number.is_nan() => Tree::Text("NaN".into()),
        number if number > 0.0 => Tree::Text("Infinity".into()),
        _ => Tree::Text("-Infinity".into()),
    }
}

#[cfg(test)]
mod tests;
