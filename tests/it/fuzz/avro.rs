//! Avro by its specification: messages of one schema that has each kind of type, and what is to be read of them.

use super::binary::{
    MAX_BYTES, Stream, Value, checked_time, content, key_of, number_of, odd_double, read_varint, varint,
};
use super::double::nearest;
use super::judge::Reading;
use super::messages::Message;
use super::mutate::{odd_number, one_in, pick};
use crate::stream::Random;

const SCHEMA: &str = r#"{"type": "record", "name": "R", "namespace": "org.grid", "fields": [
    {"name": "meter", "type": ["string", "long", "null", "double"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "value", "type": ["null", "double", "float", "int", "string", "boolean",
        {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}, {"type": "array", "items": "R"}]},
    {"name": "tags", "type": {"type": "map", "values": ["null",
        {"type": "enum", "name": "Quality", "symbols": ["GOOD", "BAD"]}, {"type": "array", "items": "long"}]}},
    {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 3}},
    {"name": "again", "type": ["null", "org.grid.R"]}]}"#;
/// Records within each other that are surely too many; a few are not.
const TOO_DEEP: usize = 64;

pub struct Avro;

/// What is wrong with the bytes does not matter.
struct Fault;

struct Record {
    meter: Value,
    at_us: i64,
    value: Value,
}

impl Stream for Avro {
    const NAME: &'static str = "fuzz-avro";

    fn settings() -> Vec<(&'static str, String)> {
        vec![
            ("READING__FORMAT", "avro".to_owned()),
            ("READING__AVRO_SCHEMA", SCHEMA.to_owned()),
            ("READING__TIME_FIELD", "at".to_owned()),
            ("READING__TIME_FORMAT", "text".to_owned()),
            ("READING__VALUE_FIELD", "value".to_owned()),
            ("READING__KEY", "meter".to_owned()),
        ]
    }

    fn message(random: &mut Random, now_ms: i64) -> Vec<u8> {
        let deep = match random.below(40) {
            0 => TOO_DEEP,
            1..5 => 1 + random.below(5) as usize,
            _ => 0,
        };
        let mut message = Vec::new();
        for depth in 0..=deep {
            message.extend(fields(random, now_ms));
            // The branch of what is again a record.
            message.push(if depth < deep { 2 } else { 0 });
        }
        if one_in(random, 300) {
            message.resize(MAX_BYTES + 1, 0);
        }
        message
    }

    fn decode(message: &Message) -> Result<Vec<Reading>, &'static str> {
        let mut reader = Reader {
            left: content(message)?,
        };
        let record = reader.record(0).map_err(|_| "invalid_avro")?;
        if !reader.left.is_empty() {
            return Err("invalid_avro");
        }
        let value = number_of(Some(&record.value))?;
        let at_ms = checked_time(record.at_us.div_euclid(1_000), message)?;
        let key = key_of(Some(&record.meter))?;
        Ok(vec![Reading { key, at_ms, value }])
    }
}

/// The fields in front of the last one.
fn fields(random: &mut Random, now_ms: i64) -> Vec<u8> {
    let meter = format!("meter-{}", random.below(8)).into_bytes();
    let meter = match random.below(12) {
        0 => branch(1, whole(random.below(1 << 40) as i64 - 5)),
        1 => branch(2, Vec::new()),
        2 => branch(3, odd_double(random).to_le_bytes().to_vec()),
        3 => branch(0, delimited(b"\xff\xfe")),
        4 => branch(0, delimited("k".repeat(random.below(40) as usize).as_bytes())),
        _ => branch(0, delimited(&meter)),
    };
    let at_us = match random.below(10) {
        0 => *pick(
            random,
            &[
                i64::MIN,
                i64::MAX,
                -1,
                0,
                -2_208_988_800_000_001,
                253_402_214_400_000_000,
            ],
        ),
        1 => (random.below(1 << 62) as i64).wrapping_sub(1 << 61),
        _ => now_ms * 1_000 - random.below(60_000_000) as i64,
    };
    let value = match random.below(12) {
        0 => branch(0, Vec::new()),
        1 => branch(2, (odd_double(random) as f32).to_le_bytes().to_vec()),
        2 => branch(3, whole(random.below(1 << 31) as i64 - (1 << 30))),
        3 => branch(4, delimited(odd_number(random).as_bytes())),
        4 => branch(5, vec![random.below(3) as u8]),
        5 | 6 => {
            let length = random.below(20) as usize;
            let digits: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            let fill = *pick(random, &[0, 0xff]);
            let extended = [vec![fill; random.below(9) as usize], digits].concat();
            branch(6, delimited(&extended))
        }
        7 => branch(7, vec![0]),
        _ => branch(1, odd_double(random).to_le_bytes().to_vec()),
    };
    let id = [random.below(256) as u8, 0, 0xff];
    [meter, whole(at_us), value, tags(random), id.to_vec()].concat()
}

fn tags(random: &mut Random) -> Vec<u8> {
    let count = random.below(3);
    let mut entries = Vec::new();
    for number in 0..count {
        entries.extend(delimited(format!("tag-{number}").as_bytes()));
        entries.extend(match random.below(3) {
            0 => branch(0, Vec::new()),
            1 => branch(1, whole(random.below(3) as i64)),
            _ => branch(2, [whole(2), whole(-5), whole(i64::MAX), whole(0)].concat()),
        });
    }
    match (count, one_in(random, 3)) {
        (0, _) => vec![0],
        // A block may say how many bytes it has, behind a count below zero.
        (_, true) => [
            whole(-(count as i64)),
            whole(entries.len() as i64),
            entries,
            vec![0],
        ]
        .concat(),
        (_, false) => [whole(count as i64), entries, vec![0]].concat(),
    }
}

fn branch(number: i64, value: Vec<u8>) -> Vec<u8> {
    [whole(number), value].concat()
}

fn delimited(bytes: &[u8]) -> Vec<u8> {
    [whole(bytes.len() as i64), bytes.to_vec()].concat()
}

/// A whole number with its sign in the lowest bit.
fn whole(number: i64) -> Vec<u8> {
    varint((number as u64) << 1 ^ (number >> 63) as u64)
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn record(&mut self, depth: usize) -> Result<Record, Fault> {
        if depth >= TOO_DEEP / 2 {
            return Err(Fault);
        }
        let meter = match self.whole()? {
            0 => self.text()?,
            1 => Value::Whole(self.whole()?),
            2 => Value::Null,
            3 => Value::Double(self.double()?),
            _ => return Err(Fault),
        };
        let at_us = self.whole()?;
        let value = match self.whole()? {
            0 => Value::Null,
            1 => Value::Double(self.double()?),
            2 => Value::Double(f32::from_le_bytes(self.fixed()?).into()),
            3 => Value::Whole(self.whole()?),
            4 => self.text()?,
            5 => self.boolean()?,
            6 => decimal(self.delimited()?),
            7 => {
                self.blocks(|reader| reader.record(depth + 1).map(drop))?;
                Value::Container
            }
            _ => return Err(Fault),
        };
        self.blocks(Reader::tag)?;
        self.fixed::<3>()?;
        match self.whole()? {
            0 => {}
            1 => drop(self.record(depth + 1)?),
            _ => return Err(Fault),
        }
        Ok(Record { meter, at_us, value })
    }

    fn tag(&mut self) -> Result<(), Fault> {
        std::str::from_utf8(self.delimited()?).map_err(|_| Fault)?;
        match self.whole()? {
            0 => Ok(()),
            1 => match self.whole()? {
                0 | 1 => Ok(()),
                _ => Err(Fault),
            },
            2 => self.blocks(|reader| reader.whole().map(drop)),
            _ => Err(Fault),
        }
    }

    /// The items of an array or a map, in blocks up to an empty one. No item of this schema is without a byte.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        loop {
            let count = self.whole()?;
            if count < 0 {
                self.whole()?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }

    fn whole(&mut self) -> Result<i64, Fault> {
        let (number, left) = read_varint(self.left).ok_or(Fault)?;
        self.left = left;
        let half = (number / 2) as i64;
        Ok(if number % 2 == 0 { half } else { -half - 1 })
    }

    fn double(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_le_bytes(self.fixed()?))
    }

    fn boolean(&mut self) -> Result<Value, Fault> {
        match self.fixed()? {
            [0 | 1] => Ok(Value::Boolean),
            [_] => Err(Fault),
        }
    }

    fn text(&mut self) -> Result<Value, Fault> {
        let text = std::str::from_utf8(self.delimited()?);
        Ok(text.map_or(Value::NotText, |text| Value::Text(text.to_owned())))
    }

    fn delimited(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.whole()?).map_err(|_| Fault)?;
        let (found, left) = self.left.split_at_checked(length).ok_or(Fault)?;
        self.left = left;
        Ok(found)
    }

    fn fixed<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (found, left) = self.left.split_first_chunk().ok_or(Fault)?;
        self.left = left;
        Ok(*found)
    }
}

/// A number of thousandths in two's complement, the highest byte first; one of more than 128 bits is not read.
fn decimal(bytes: &[u8]) -> Value {
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let fill = if is_negative { 0xff } else { 0 };
    let (extra, digits) = bytes.split_at(bytes.len().saturating_sub(16));
    let has_sign = digits.first().is_none_or(|byte| (*byte >= 0x80) == is_negative);
    if extra.iter().any(|byte| *byte != fill) || !has_sign {
        return Value::OutOfRange;
    }
    let mut wide = [fill; 16];
    wide[16 - digits.len()..].copy_from_slice(digits);
    Value::Double(nearest(&format!("{}e-3", i128::from_be_bytes(wide))))
}
