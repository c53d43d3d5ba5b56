//! Avro's binary encoding, by the schema that it was written with: a tree with the names of the schema.
//!
//! Numbers, texts and nested records are what they are in JSON; a union is the value in it. Timestamps and dates become
//! texts, which need no unit, decimals the double nearest to them, and other bytes base64. What a message announces is held
//! against its length before it is believed.

mod fingerprint;
mod schema;

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, TimeDelta};
use uuid::Uuid;

use super::Unusable;
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};
use crate::notation::base64;
pub(crate) use fingerprint::{Fingerprint, single_object};
pub(crate) use schema::Schema;
use schema::{Clock, DECIMAL_BYTES, Type, Unit};

/// How deep records, lists and maps may lie within each other.
const DEEPEST: usize = 60;
/// Values that a message may have for each of its bytes, beyond a few: records and nulls need none.
const VALUES_PER_BYTE: usize = 4;
const FEW_VALUES: usize = 1_000;

/// The value of a message.
///
/// # Errors
/// The [`Rejection`] of bytes that are not of this schema; it names the byte and the field.
pub(super) fn read<'a>(bytes: &'a [u8], schema: &'a Schema) -> Result<Tree<'a>, Rejection> {
    let mut reader = Reader {
        bytes,
        at: 0,
        schema,
        values_left: bytes
            .len()
            .saturating_mul(VALUES_PER_BYTE)
            .saturating_add(FEW_VALUES),
    };
    let read = reader
        .value(schema.root, 0)
        .and_then(|tree| match bytes.len() - reader.at {
            0 => Ok(tree),
            left => Err(format!(
                "{left} bytes are left behind the message: is it of this schema?"
            )),
        });
    read.map_err(|fault| Rejection::new(Reason::InvalidAvro, format!("byte {}: {fault}", reader.at)))
}

/// What was expected where the bytes are something else.
type Fault = String;

struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes that have been read.
    at: usize,
    schema: &'a Schema,
    values_left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, place: usize, depth: usize) -> Result<Tree<'a>, Fault> {
        if depth > DEEPEST {
            return Err(format!("values lie within each other more than {DEEPEST} deep"));
        }
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or("it announces more values than its bytes can hold")?;
        Ok(match self.schema.type_at(place) {
            Type::Null => Tree::Null,
            Type::Boolean => match self.fixed::<1>()? {
                [0] => Tree::Bool(false),
                [1] => Tree::Bool(true),
                [other] => return Err(format!("{other} is neither true nor false")),
            },
            Type::Whole => Tree::Integer(self.whole()?),
            Type::Float => double(f32::from_le_bytes(self.fixed()?).into()),
            Type::Double => double(f64::from_le_bytes(self.fixed()?)),
            Type::Bytes => Tree::Text(base64::encode(self.delimited()?).into()),
            Type::Fixed(size) => Tree::Text(base64::encode(self.take(*size)?).into()),
            Type::Text => match std::str::from_utf8(self.delimited()?) {
                Ok(text) => Tree::Text(text.into()),
                Err(_) => Tree::Unusable(Unusable::NotUnicode),
            },
            Type::Enumeration(symbols) => {
                let number = self.whole()?;
                let symbol = usize::try_from(number)
                    .ok()
                    .and_then(|number| symbols.get(number));
                let symbol = symbol.ok_or_else(|| {
                    format!("{number} is not one of the {} symbols of an enum", symbols.len())
                })?;
                Tree::Text(symbol.as_str().into())
            }
            Type::Record(fields) => self.record(fields, depth)?,
            Type::List(items) => {
                let mut list = Vec::new();
                self.blocks(|reader| {
                    let item = reader.value(*items, depth + 1);
                    list.push(item.map_err(|fault| inside(&list.len().to_string(), fault))?);
                    Ok(())
                })?;
                Tree::List(list)
            }
            Type::Map(values) => {
                let mut members = Vec::new();
                self.blocks(|reader| {
                    let name = std::str::from_utf8(reader.delimited()?);
                    let name = name.map_err(|_| "the name of a member is not Unicode")?;
                    let value = reader.value(*values, depth + 1);
                    members.push((name.into(), value.map_err(|fault| inside(name, fault))?));
                    Ok(())
                })?;
                Tree::Map(members)
            }
            Type::Union(branches) => {
                let number = self.whole()?;
                let branch = usize::try_from(number)
                    .ok()
                    .and_then(|number| branches.get(number));
                let branch = branch.ok_or_else(|| {
                    format!(
                        "{number} is not one of the {} branches of a union",
                        branches.len()
                    )
                })?;
                self.value(*branch, depth + 1)?
            }
            Type::Date => date(self.whole()?),
            Type::Timestamp(unit, clock) => timestamp(self.whole()?, *unit, *clock),
            Type::Decimal { size, scale } => {
                let digits = match size {
                    Some(size) => self.take(*size)?,
                    None => self.delimited()?,
                };
                decimal(digits, *scale)
            }
            Type::Uuid => Tree::Text(Uuid::from_bytes(self.fixed()?).to_string().into()),
        })
    }

    fn record(&mut self, fields: &'a [(String, usize)], depth: usize) -> Result<Tree<'a>, Fault> {
        let mut members = Vec::with_capacity(fields.len().min(self.bytes.len()));
        for (name, place) in fields {
            let value = self.value(*place, depth + 1);
            members.push((
                Cow::Borrowed(name.as_str()),
                value.map_err(|fault| inside(name, fault))?,
            ));
        }
        Ok(Tree::Map(members))
    }

    /// Reads the items of an array or a map: blocks of a count and so many items, up to one of none.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        loop {
            let count = self.whole()?;
            if count < 0 {
                // The bytes of the block, for those who pass over it.
                self.whole()?;
            }
            if count == 0 {
                return Ok(());
            }
            let left = self.bytes.len() - self.at;
            if count.unsigned_abs() > left as u64 {
                return Err(format!(
                    "{} items are announced, and {left} bytes are left",
                    count.unsigned_abs()
                ));
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }

    /// A whole number: seven bits in a byte, the lowest first, the sign in the lowest of all.
    fn whole(&mut self) -> Result<i64, Fault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    fn delimited(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.whole()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(format!("{length} bytes are announced")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let left = self.bytes.len() - self.at;
        if length > left {
            return Err(format!("{length} bytes are announced, and {left} are left"));
        }
        self.at += length;
        Ok(&self.bytes[self.at - length..self.at])
    }

    fn fixed<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let found = self.bytes[self.at..].first_chunk();
        let found = *found.ok_or("it ends in the middle of a value")?;
        self.at += LENGTH;
        Ok(found)
    }
}

/// A fault within a field; the innermost names are the ones that fit.
fn inside(name: &str, fault: Fault) -> Fault {
    const LONG: usize = 140;
    let separator = if fault.contains(": ") { "." } else { ": " };
    if fault.len() + name.len() > LONG {
        return fault;
    }
    format!("{name}{separator}{fault}")
}

fn double(number: f64) -> Tree<'static> {
    if number.is_finite() {
        Tree::Float(number)
    } else {
        Tree::Unusable(Unusable::NotFinite)
    }
}

/// The date as text.
fn date(days: i64) -> Tree<'static> {
    let date = TimeDelta::try_days(days).and_then(|days| NaiveDate::default().checked_add_signed(days));
    let text = date.map_or_else(|| format!("{days} days since 1970"), |date| date.to_string());
    Tree::Text(text.into())
}

/// The instant as text, which says by itself what unit it has, also where no calendar has it: a number would be taken for one
/// of another unit.
fn timestamp(number: i64, unit: Unit, clock: Clock) -> Tree<'static> {
    let time = match unit {
        Unit::Milliseconds => DateTime::from_timestamp_millis(number),
        Unit::Microseconds => DateTime::from_timestamp_micros(number),
        Unit::Nanoseconds => Some(DateTime::from_timestamp_nanos(number)),
    };
    let Some(time) = time else {
        return Tree::Text(format!("{number} {} since 1970", unit.name()).into());
    };
    let zone = match clock {
        Clock::Utc => "Z",
        Clock::Local => "",
    };
    Tree::Text(format!("{}{zone}", time.format("%Y-%m-%dT%H:%M:%S%.f")).into())
}

/// The double nearest to a decimal, whose digits are a number in two's complement, the highest byte first.
fn decimal(digits: &[u8], scale: u32) -> Tree<'static> {
    let fill = if digits.first().is_some_and(|first| first & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let needless = digits.iter().take_while(|byte| **byte == fill).count();
    let digits = &digits[needless.min(digits.len().saturating_sub(DECIMAL_BYTES))..];
    let is_negative = fill != 0;
    if digits.len() > DECIMAL_BYTES
        || digits
            .first()
            .is_some_and(|first| (first & 0x80 != 0) != is_negative)
    {
        return Tree::Unusable(Unusable::OutOfRange);
    }
    let start = if is_negative { -1_i128 } else { 0 };
    let unscaled = digits
        .iter()
        .fold(start, |number, byte| number << 8 | i128::from(*byte));
    let parsed = format!("{unscaled}e-{scale}").parse();
    parsed.map_or(Tree::Unusable(Unusable::OutOfRange), Tree::Float)
}

#[cfg(test)]
mod tests;
