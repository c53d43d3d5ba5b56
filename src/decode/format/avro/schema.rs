//! Avro's schemas: what lies where in a message, read from the JSON that a registry has of them.
//!
//! Messages are read by the schema that they were written with, so defaults, aliases and the order of fields are of no
//! interest. Types are kept in one list and refer to each other by their places in it: a type may lie in itself. What a
//! schema is without all that, its parsing canonical form, is written while it is read: its fingerprint is of that.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fingerprint::Fingerprint;

/// Types of one schema with those it refers to; no schema of readings has as many.
const MOST_TYPES: usize = 10_000;
/// The largest unscaled number of a decimal that is read has so many bytes.
pub(super) const DECIMAL_BYTES: usize = 16;

/// A schema that messages can be read by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schema {
    pub(super) types: Vec<Type>,
    /// The type of a message.
    pub(super) root: usize,
    /// What messages in the single-object encoding name it by.
    fingerprint: Fingerprint,
}

/// A type, with the places of those in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Null,
    Boolean,
    Whole,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enumeration(Vec<String>),
    Record(Vec<(String, usize)>),
    List(usize),
    Map(usize),
    Union(Vec<usize>),
    /// Days since 1970.
    Date,
    /// A whole number since 1970.
    Timestamp(Unit, Clock),
    /// A number without its point, in as many bytes, or in as many as it says itself.
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// Sixteen bytes.
    Uuid,
}

/// What a timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Microseconds => "microseconds",
            Unit::Nanoseconds => "nanoseconds",
        }
    }
}

/// Whose clock a timestamp shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Utc,
    /// One whose zone is not said.
    Local,
}

impl Schema {
    /// Reads a schema, behind those that it refers to.
    ///
    /// # Errors
    /// A sentence about what cannot be read.
    pub(crate) fn parse<'t>(
        referenced: impl IntoIterator<Item = &'t str>,
        text: &str,
    ) -> Result<Self, String> {
        let mut reader = Reader::default();
        for text in referenced {
            reader.read_text(text)?;
        }
        reader.canonical.clear();
        let root = reader.read_text(text)?;
        match reader.types.len() {
            0..=MOST_TYPES => Ok(Schema {
                types: reader.types,
                root,
                fingerprint: Fingerprint::of(&reader.canonical),
            }),
            count => Err(format!("it has {count} types, more than {MOST_TYPES}")),
        }
    }

    /// The fingerprint of its parsing canonical form, which has no logical types.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn type_at(&self, place: usize) -> &Type {
        self.types.get(place).unwrap_or(&Type::Null)
    }
}

#[derive(Default)]
struct Reader {
    types: Vec<Type>,
    /// By full name.
    named: HashMap<String, usize>,
    /// The parsing canonical form of what was read: <https://avro.apache.org/docs/current/specification/>.
    canonical: String,
}

impl Reader {
    fn read_text(&mut self, text: &str) -> Result<usize, String> {
        // A schema that is a name alone may come without quotes, as registries store it.
        let value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) if primitive(text.trim()).is_some() => Value::String(text.trim().to_owned()),
            Err(error) => return Err(format!("it is not JSON: {error}")),
        };
        self.read(&value, "")
    }

    /// Adds the type of a schema within a namespace. Returns its place.
    fn read(&mut self, schema: &Value, namespace: &str) -> Result<usize, String> {
        match schema {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                self.canonical.push('[');
                let branches = branches.iter().enumerate().map(|(number, branch)| {
                    self.separate(number);
                    self.read(branch, namespace)
                });
                let branches = branches.collect::<Result<Vec<usize>, String>>()?;
                self.canonical.push(']');
                Ok(self.add(Type::Union(branches)))
            }
            Value::Object(members) => match members.get("type") {
                Some(Value::String(kind)) => self.read_kind(kind, members, namespace),
                Some(inner) => self.read(inner, namespace),
                None => Err("a type has no \"type\"".to_owned()),
            },
            other => Err(format!("{} is not a type", shortened(&other.to_string()))),
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> Result<usize, String> {
        if let Some(primitive) = primitive(name) {
            self.canonical += &quoted(name);
            return Ok(self.add(primitive));
        }
        let in_namespace = full_name(name, namespace);
        let found = self.named.get_key_value(&in_namespace);
        let (full_name, place) = found
            .or_else(|| self.named.get_key_value(name))
            .ok_or_else(|| format!("there is no type {}", shortened(&in_namespace)))?;
        self.canonical += &quoted(full_name);
        Ok(*place)
    }

    fn read_kind(
        &mut self,
        kind: &str,
        members: &Map<String, Value>,
        namespace: &str,
    ) -> Result<usize, String> {
        match kind {
            "record" | "error" => self.read_record(members, namespace),
            "enum" => {
                let place = self.add_named(kind, members, namespace)?;
                let symbols = members.get("symbols").and_then(Value::as_array);
                let symbols = symbols.ok_or("an enum has no \"symbols\"")?.iter().map(|symbol| {
                    let symbol = symbol.as_str().ok_or("a symbol of an enum is not a text")?;
                    Ok(symbol.to_owned())
                });
                let symbols = symbols.collect::<Result<Vec<String>, String>>()?;
                let listed: Vec<String> = symbols.iter().map(|symbol| quoted(symbol)).collect();
                self.canonical += &format!("\"symbols\":[{}]}}", listed.join(","));
                self.types[place] = Type::Enumeration(symbols);
                Ok(place)
            }
            "fixed" => {
                let place = self.add_named(kind, members, namespace)?;
                let size = whole(members, "size").ok_or("a fixed type has no \"size\"")?;
                self.canonical += &format!("\"size\":{size}}}");
                self.types[place] = logical(members, &Type::Fixed(size))?;
                Ok(place)
            }
            "array" => {
                let items = members.get("items").ok_or("an array has no \"items\"")?;
                self.canonical += "{\"type\":\"array\",\"items\":";
                let items = self.read(items, namespace)?;
                self.canonical.push('}');
                Ok(self.add(Type::List(items)))
            }
            "map" => {
                let values = members.get("values").ok_or("a map has no \"values\"")?;
                self.canonical += "{\"type\":\"map\",\"values\":";
                let values = self.read(values, namespace)?;
                self.canonical.push('}');
                Ok(self.add(Type::Map(values)))
            }
            name => match primitive(name) {
                Some(primitive) => {
                    self.canonical += &quoted(name);
                    let found = logical(members, &primitive)?;
                    Ok(self.add(found))
                }
                None => self.by_name(name, namespace),
            },
        }
    }

    fn read_record(&mut self, members: &Map<String, Value>, namespace: &str) -> Result<usize, String> {
        // First, because its fields may be of its own type.
        let place = self.add_named("record", members, namespace)?;
        let namespace = namespace_of(members, namespace)?;
        let fields = members.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or("a record has no \"fields\"")?;
        self.canonical += "\"fields\":[";
        let fields = fields.iter().enumerate().map(|(number, field)| {
            let name = field.get("name").and_then(Value::as_str);
            let name = name.ok_or("a field has no \"name\"")?;
            let kind = field.get("type").ok_or("a field has no \"type\"")?;
            self.separate(number);
            self.canonical += &format!("{{\"name\":{},\"type\":", quoted(name));
            let kind = self
                .read(kind, &namespace)
                .map_err(|fault| format!("field {}: {fault}", shortened(name)))?;
            self.canonical.push('}');
            Ok((name.to_owned(), kind))
        });
        let fields = fields.collect::<Result<Vec<_>, String>>()?;
        self.canonical += "]}";
        self.types[place] = Type::Record(fields);
        Ok(place)
    }

    fn add(&mut self, added: Type) -> usize {
        self.types.push(added);
        self.types.len() - 1
    }

    /// A comma in front of all but the first.
    fn separate(&mut self, number: usize) {
        if number > 0 {
            self.canonical.push(',');
        }
    }

    /// Adds a type that others can refer to by name; what it is comes later.
    fn add_named(
        &mut self,
        kind: &str,
        members: &Map<String, Value>,
        namespace: &str,
    ) -> Result<usize, String> {
        let name = text(members, "name").ok_or("a named type has no \"name\"")?;
        let name = full_name(name, &namespace_of(members, namespace)?);
        self.canonical += &format!("{{\"name\":{},\"type\":{},", quoted(&name), quoted(kind));
        let place = self.add(Type::Null);
        match self.named.insert(name.clone(), place) {
            None => Ok(place),
            Some(_) => Err(format!("there are two types {}", shortened(&name))),
        }
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" | "long" => Type::Whole,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::Text,
        _ => return None,
    })
}

/// What a type means, where it says so. What is not known, or not of the right type, is the type itself, as Avro has it.
fn logical(members: &Map<String, Value>, plain: &Type) -> Result<Type, String> {
    use {Clock::*, Unit::*};
    Ok(match (text(members, "logicalType").unwrap_or_default(), plain) {
        ("timestamp-millis", Type::Whole) => Type::Timestamp(Milliseconds, Utc),
        ("timestamp-micros", Type::Whole) => Type::Timestamp(Microseconds, Utc),
        ("timestamp-nanos", Type::Whole) => Type::Timestamp(Nanoseconds, Utc),
        ("local-timestamp-millis", Type::Whole) => Type::Timestamp(Milliseconds, Local),
        ("local-timestamp-micros", Type::Whole) => Type::Timestamp(Microseconds, Local),
        ("local-timestamp-nanos", Type::Whole) => Type::Timestamp(Nanoseconds, Local),
        ("date", Type::Whole) => Type::Date,
        ("uuid", Type::Fixed(16)) => Type::Uuid,
        ("decimal", Type::Bytes | Type::Fixed(_)) => {
            const MOST_DIGITS: usize = 1_000;
            let scale = whole(members, "scale").unwrap_or(0);
            if scale > MOST_DIGITS {
                return Err(format!(
                    "a decimal has {scale} digits behind the point, more than {MOST_DIGITS}"
                ));
            }
            let size = match plain {
                Type::Fixed(size) => Some(*size),
                _ => None,
            };
            let scale = scale as u32;
            Type::Decimal { size, scale }
        }
        _ => plain.clone(),
    })
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name)?.as_str()
}

fn whole(members: &Map<String, Value>, name: &str) -> Option<usize> {
    members.get(name)?.as_u64()?.try_into().ok()
}

/// The namespace of a named type, which is that of what lies in it, too.
fn namespace_of(members: &Map<String, Value>, around: &str) -> Result<String, String> {
    let name = text(members, "name").ok_or("a named type has no \"name\"")?;
    let of_name = name.rsplit_once('.').map(|(namespace, _)| namespace);
    Ok(of_name
        .or_else(|| text(members, "namespace"))
        .unwrap_or(around)
        .to_owned())
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// A name as canonical forms have it: what would need an escape is not in one.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A text from outside, short enough for a sentence.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
