//! OpenTelemetry's metrics in Protobuf, by the encoding's specification, OpenTelemetry's tables of fields and the manual:
//! requests, and what is to be read of them. A message that lies in pieces is read by putting the pieces together, which
//! Protobuf says is the same.

use super::binary::{MAX_BYTES, Stream, Value, checked_time, content, key_of, number_of, odd_double, varint};
use super::judge::Reading;
use super::messages::Message;
use super::mutate::{one_in, pick};
use super::protobuf::{Fault, delimited, fields, tagged};
use crate::stream::Random;

pub struct Otlp;

struct Point {
    value: Option<Value>,
    time_ns: u64,
    is_without_value: bool,
    meter: Option<Value>,
}

impl Stream for Otlp {
    const NAME: &'static str = "fuzz-otlp";

    fn settings() -> Vec<(&'static str, String)> {
        vec![
            ("READING__FORMAT", "otlp-proto".to_owned()),
            ("READING__TIME_FIELD", "time".to_owned()),
            ("READING__TIME_FORMAT", "epoch_ns".to_owned()),
            ("READING__VALUE_FIELD", "value".to_owned()),
            ("READING__KEY", "attributes.meter".to_owned()),
        ]
    }

    fn message(random: &mut Random, now_ms: i64) -> Vec<u8> {
        let mut request = Vec::new();
        for _ in 0..=random.below(2) {
            request.extend(delimited(1, &resource_metrics(random, now_ms)));
        }
        if one_in(random, 300) {
            request.extend(delimited(900, &[0; MAX_BYTES]));
        }
        request
    }

    fn decode(message: &Message) -> Result<Vec<Reading>, &'static str> {
        let points = request(content(message)?).map_err(|_| "invalid_protobuf")?;
        let points = points.ok_or("missing_field")?;
        let with_value = points
            .iter()
            .filter(|point| !point.is_without_value && point.value.is_some());
        with_value
            .map(|point| {
                let value = number_of(point.value.as_ref())?;
                let at_ms = match point.time_ns {
                    0 => return Err("missing_field"),
                    time_ns => checked_time((time_ns / 1_000_000) as i64, message)?,
                };
                let key = key_of(point.meter.as_ref())?;
                Ok(Reading { key, at_ms, value })
            })
            .collect()
    }
}

fn resource_metrics(random: &mut Random, now_ms: i64) -> Vec<u8> {
    let resource = delimited(
        1,
        &delimited(1, &attribute(b"service.name", &delimited(1, b"gauge"))),
    );
    let mut metrics = delimited(1, &delimited(1, b"scope"));
    for _ in 0..=random.below(3) {
        metrics.extend(delimited(2, &metric(random, now_ms)));
    }
    let scope = delimited(2, &metrics);
    match one_in(random, 4) {
        true => [scope, unknown(random), resource].concat(),
        false => [resource, scope].concat(),
    }
}

fn metric(random: &mut Random, now_ms: i64) -> Vec<u8> {
    let name = match one_in(random, 20) {
        true => delimited(1, b"\xff"),
        false => delimited(1, b"power"),
    };
    let mut data = Vec::new();
    for _ in 0..random.below(3) {
        data.extend(delimited(1, &point(random, now_ms)));
    }
    let sum = [&data[..], &tagged(2, 0, &varint(2)), &tagged(3, 0, &[1])].concat();
    let data = match random.below(8) {
        0 => delimited(7, &sum),
        // A histogram, which is passed over.
        1 => delimited(9, &data),
        // Both, of which the last counts.
        2 => [delimited(5, &data), delimited(7, &sum)].concat(),
        // In two pieces.
        3 => [
            delimited(5, &data),
            delimited(5, &delimited(1, &point(random, now_ms))),
        ]
        .concat(),
        _ => delimited(5, &data),
    };
    [name, unknown(random), data].concat()
}

fn point(random: &mut Random, now_ms: i64) -> Vec<u8> {
    let time_ns = match random.below(10) {
        0 => *pick(
            random,
            &[0, 1, u64::MAX, 1 << 63, 253_402_214_400_000_000, 253_402_214_400],
        ),
        _ => (now_ms as u64) * 1_000_000 - random.below(60_000_000_000),
    };
    let time = tagged(3, 1, &time_ns.to_le_bytes());
    let double = tagged(4, 1, &odd_double(random).to_le_bytes());
    let whole = tagged(6, 1, &(random.below(1 << 62) as i64 - (1 << 61)).to_le_bytes());
    let value = match random.below(8) {
        0 => Vec::new(),
        1 | 2 => whole,
        3 => [whole, double].concat(),
        4 => [double, whole].concat(),
        _ => double,
    };
    let flags = match random.below(12) {
        0 => tagged(8, 0, &varint(1)),
        1 => tagged(8, 0, &varint(random.below(1 << 40))),
        _ => Vec::new(),
    };
    let start = tagged(2, 1, &[0; 8]);
    [start, attributes(random), unknown(random), value, time, flags].concat()
}

fn attributes(random: &mut Random) -> Vec<u8> {
    let meter = format!("meter-{}", random.below(8));
    let meter = delimited(1, meter.as_bytes());
    let value = match random.below(16) {
        0 => return Vec::new(),
        1 => tagged(2, 0, &[1]),
        2 => tagged(3, 0, &varint(random.below(1 << 62) << 1)),
        3 => tagged(4, 1, &odd_double(random).to_le_bytes()),
        4 => delimited(5, &delimited(1, &meter)),
        5 => delimited(6, &delimited(1, &attribute(b"a", &meter))),
        6 => delimited(7, &[random.below(256) as u8; 7][..random.below(8) as usize]),
        7 => delimited(1, b"\xff"),
        8 => Vec::new(),
        9 => [meter, tagged(3, 0, &[7])].concat(),
        10 => [tagged(3, 0, &[7]), meter].concat(),
        11 => delimited(1, "k".repeat(random.below(40) as usize).as_bytes()),
        _ => meter,
    };
    let named = delimited(7, &attribute(b"meter", &value));
    match random.below(10) {
        0 => [delimited(7, &attribute(b"\xff", &value)), named].concat(),
        1 => [named, delimited(7, &attribute(b"meter", &delimited(1, b"last")))].concat(),
        _ => named,
    }
}

fn attribute(name: &[u8], value: &[u8]) -> Vec<u8> {
    [delimited(1, name), delimited(2, value)].concat()
}

/// A field that OpenTelemetry may add one day, or nothing.
fn unknown(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => tagged(100, 0, &varint(random.below(1 << 40))),
        1 => tagged(101, 5, &[1; 4]),
        2 => delimited(102, b"\xff\x00"),
        3 => tagged(0x1fff_ffff, 1, &[1; 8]),
        4 if one_in(random, 4) => tagged(0x2000_0000, 0, &[1]),
        _ => Vec::new(),
    }
}

/// The points of a request; `None` where it has no resource at all.
fn request(bytes: &[u8]) -> Result<Option<Vec<Point>>, Fault> {
    let mut points = None;
    for (number, field) in fields(bytes)? {
        if number == 1 {
            points
                .get_or_insert_with(Vec::new)
                .extend(of_resource(field.bytes()?)?);
        }
    }
    Ok(points)
}

fn of_resource(bytes: &[u8]) -> Result<Vec<Point>, Fault> {
    let mut points = Vec::new();
    for (number, field) in fields(bytes)? {
        match number {
            1 => key_values(field.bytes()?, 1)?,
            2 => points.extend(of_scope(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(points)
}

fn of_scope(bytes: &[u8]) -> Result<Vec<Point>, Fault> {
    let mut points = Vec::new();
    for (number, field) in fields(bytes)? {
        match number {
            1 => {
                let scope = field.bytes()?;
                for (number, field) in fields(scope)? {
                    if matches!(number, 1 | 2) {
                        field.bytes()?;
                    }
                }
                key_values(scope, 3)?;
            }
            2 => points.extend(of_metric(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(points)
}

fn of_metric(bytes: &[u8]) -> Result<Vec<Point>, Fault> {
    // Of gauge and sum the last one, with all of its pieces.
    let mut data: (u64, Vec<u8>) = (0, Vec::new());
    for (number, field) in fields(bytes)? {
        match number {
            1 | 3 => drop(field.bytes()?),
            5 | 7 => {
                let piece = field.bytes()?;
                data_points(number, piece)?;
                if data.0 != number {
                    data = (number, Vec::new());
                }
                data.1.extend_from_slice(piece);
            }
            _ => {}
        }
    }
    data_points(data.0, &data.1)
}

/// The points of a gauge (field 5) or a sum (field 7).
fn data_points(kind: u64, bytes: &[u8]) -> Result<Vec<Point>, Fault> {
    let mut points = Vec::new();
    for (number, field) in fields(bytes)? {
        match (number, kind) {
            (1, _) => points.push(data_point(field.bytes()?)?),
            (2 | 3, 7) => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(points)
}

fn data_point(bytes: &[u8]) -> Result<Point, Fault> {
    let mut point = Point {
        value: None,
        time_ns: 0,
        is_without_value: false,
        meter: None,
    };
    for (number, field) in fields(bytes)? {
        match number {
            2 => drop(field.eight()?),
            3 => point.time_ns = u64::from_le_bytes(field.eight()?),
            4 => point.value = Some(Value::Double(f64::from_le_bytes(field.eight()?))),
            6 => point.value = Some(Value::Whole(i64::from_le_bytes(field.eight()?))),
            7 => {
                let (name, value) = key_value(field.bytes()?)?;
                if name.as_deref() == Some("meter") {
                    point.meter = Some(value);
                }
            }
            8 => point.is_without_value = field.varint()? as u32 & 1 != 0,
            _ => {}
        }
    }
    Ok(point)
}

/// Reads the attributes of something, which no reading is made of.
fn key_values(bytes: &[u8], of: u64) -> Result<(), Fault> {
    for (number, field) in fields(bytes)? {
        if number == of {
            key_value(field.bytes()?)?;
        }
    }
    Ok(())
}

fn key_value(bytes: &[u8]) -> Result<(Option<String>, Value), Fault> {
    let (mut name, mut value) = (None, Vec::new());
    for (number, field) in fields(bytes)? {
        match number {
            1 => name = String::from_utf8(field.bytes()?.to_vec()).ok(),
            2 => {
                let piece = field.bytes()?;
                any_value(piece)?;
                value.extend_from_slice(piece);
            }
            _ => {}
        }
    }
    Ok((name, any_value(&value)?))
}

fn any_value(bytes: &[u8]) -> Result<Value, Fault> {
    let mut value = Value::Null;
    for (number, field) in fields(bytes)? {
        value = match number {
            1 => {
                let text = std::str::from_utf8(field.bytes()?);
                text.map_or(Value::NotText, |text| Value::Text(text.to_owned()))
            }
            2 => {
                field.varint()?;
                Value::Boolean
            }
            3 => Value::Whole(field.varint()? as i64),
            4 => double(f64::from_le_bytes(field.eight()?)),
            5 => {
                for (number, field) in fields(field.bytes()?)? {
                    if number == 1 {
                        any_value(field.bytes()?)?;
                    }
                }
                Value::Container
            }
            6 => {
                key_values(field.bytes()?, 1)?;
                Value::Container
            }
            7 => Value::Text(base64(field.bytes()?)),
            _ => value,
        };
    }
    Ok(value)
}

/// An attribute, which is the same as in JSON: what JSON has no number for is a text there.
fn double(number: f64) -> Value {
    if number.is_nan() {
        return Value::Text("NaN".to_owned());
    }
    match number {
        f64::INFINITY => Value::Text("Infinity".to_owned()),
        f64::NEG_INFINITY => Value::Text("-Infinity".to_owned()),
        _ => Value::Double(number),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, place| {
            bits << 8 | usize::from(three.get(place).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}
