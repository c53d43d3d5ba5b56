//! What the oracles of binary formats have in common: what a field holds, what becomes of it, and mutations of bytes.

use super::double::nearest;
use super::judge::{LARGEST, Reading, TIMES_MS, text_number};
use super::messages::Message;
use super::mutate::{mutate_bytes, one_in, pick};
use crate::stream::Random;

/// Bounds of the settings that the binary streams are tried with.
pub const MAX_BYTES: usize = 2_000;
pub const MAX_KEY_BYTES: usize = 24;
pub const MAX_AHEAD_MS: i64 = 600_000;
pub const MAX_BEHIND_MS: i64 = 40 * 365 * 86_400_000;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean,
    Whole(i64),
    Double(f64),
    Text(String),
    /// A text that is not Unicode.
    NotText,
    /// A number that is not read for its size.
    OutOfRange,
    /// Something that is not a single value.
    Container,
}

/// A stream of a binary format.
pub trait Stream {
    const NAME: &'static str;

    /// Settings beside the bounds, as the program's environment takes them.
    fn settings() -> Vec<(&'static str, String)>;

    /// A message whose reading is about the time `now_ms`; it may be odd, and its bytes are those of the format.
    fn message(random: &mut Random, now_ms: i64) -> Vec<u8>;

    /// The readings of a message, or why there are none.
    fn decode(message: &Message) -> Result<Vec<Reading>, &'static str>;
}

/// The settings of a stream with the bounds.
pub fn environment<S: Stream>() -> Vec<(String, String)> {
    let bounds = [
        ("READING__MAX_BYTES", MAX_BYTES.to_string()),
        ("READING__MAX_KEY_BYTES", MAX_KEY_BYTES.to_string()),
        ("READING__MAX_AHEAD", format!("{MAX_AHEAD_MS}ms")),
        ("READING__MAX_BEHIND", format!("{MAX_BEHIND_MS}ms")),
    ];
    let all = S::settings().into_iter().chain(bounds);
    all.map(|(name, value)| (format!("STREAMGAUGE__{name}"), value))
        .collect()
}

/// Messages of a stream, most of which something happened to.
pub struct Producer {
    random: Random,
    now_ms: i64,
    previous: Vec<u8>,
}

impl Producer {
    pub fn new(seed: u64) -> Self {
        Producer {
            random: Random(seed),
            now_ms: 1_710_050_400_000,
            previous: Vec::new(),
        }
    }

    pub fn message<S: Stream>(&mut self) -> Message {
        let random = &mut self.random;
        self.now_ms += random.below(10_000) as i64;
        let mut value = S::message(random, self.now_ms);
        match random.below(4) {
            0 => mutate_bytes(random, &mut value, &self.previous),
            1 => mutate_binary(random, &mut value),
            _ => {}
        }
        self.previous.clone_from(&value);
        Message {
            partition: 0,
            timestamp_ms: (!one_in(random, 200)).then_some(self.now_ms),
            key: None,
            value: (!one_in(random, 200)).then_some(value),
        }
    }
}

/// Changes that meet lengths, counts and signs rather than characters.
fn mutate_binary(random: &mut Random, bytes: &mut Vec<u8>) {
    const ODD: [&[u8]; 8] = [
        &[0],
        &[1],
        &[0x7f],
        &[0x80],
        &[0xff],
        &[0x80, 0x80, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xff; 11],
    ];
    let odd = |random: &mut Random| ODD[random.below(ODD.len() as u64) as usize];
    for _ in 0..=random.below(2) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(6) {
            0 => bytes[at] = bytes[at].wrapping_add(1),
            1 => bytes[at] = bytes[at].wrapping_sub(2),
            2 => bytes.truncate(at),
            3 => bytes.extend_from_slice(odd(random)),
            _ => drop(bytes.splice(at..=at, odd(random).iter().copied())),
        }
    }
}

/// The bytes of a message, if it has any and not too many.
pub fn content(message: &Message) -> Result<&[u8], &'static str> {
    match message.value.as_deref().unwrap_or_default() {
        [] => Err("empty"),
        bytes if bytes.len() > MAX_BYTES => Err("too_large"),
        bytes => Ok(bytes),
    }
}

/// A value as the manual says.
pub fn number_of(value: Option<&Value>) -> Result<f64, &'static str> {
    let number = match value.ok_or("missing_field")? {
        Value::Null => return Err("null_field"),
        Value::Whole(number) => *number as f64,
        Value::Double(number) if !number.is_finite() => return Err("not_finite"),
        Value::Double(number) => *number,
        Value::Text(text) => match nearest(&text_number(text)?) {
            number if number.is_finite() => number,
            _ => return Err("out_of_range"),
        },
        Value::OutOfRange => return Err("out_of_range"),
        Value::Boolean | Value::NotText | Value::Container => return Err("wrong_type"),
    };
    match number {
        number if number.abs() > LARGEST => Err("out_of_range"),
        // There is one zero.
        number => Ok(if number == 0.0 { 0.0 } else { number }),
    }
}

/// A time, within the bounds about the record's own.
pub fn checked_time(at_ms: i64, message: &Message) -> Result<i64, &'static str> {
    if !TIMES_MS.contains(&at_ms) {
        return Err("invalid_time");
    }
    match at_ms - message.timestamp_ms.ok_or("no_timestamp")? {
        ahead_ms if ahead_ms > MAX_AHEAD_MS => Err("too_far_ahead"),
        ahead_ms if ahead_ms < -MAX_BEHIND_MS => Err("too_far_behind"),
        _ => Ok(at_ms),
    }
}

/// A key that is a field.
pub fn key_of(value: Option<&Value>) -> Result<String, &'static str> {
    let key = match value.ok_or("missing_key")? {
        Value::Text(text) => text.clone(),
        Value::Whole(number) => number.to_string(),
        Value::Double(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            (*number as i64).to_string()
        }
        _ => return Err("invalid_key"),
    };
    if key.len() > MAX_KEY_BYTES {
        return Err("invalid_key");
    }
    Ok(key)
}

/// A number in seven bits a byte, the lowest first.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The same read from the beginning of bytes, and what is behind it; of a tenth byte one bit counts.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1 + bytes.iter().take(10).position(|byte| *byte < 0x80)?;
    let number = bytes[..length]
        .iter()
        .rev()
        .fold(0_u128, |number, byte| number << 7 | u128::from(byte & 0x7f));
    Some((number as u64, &bytes[length..]))
}

/// A double of any kind.
pub fn odd_double(random: &mut Random) -> f64 {
    const ODD: [f64; 10] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        1e288,
        1.000_000_000_000_000_2e288,
        -1e300,
        9_007_199_254_740_993.0,
    ];
    match random.below(3) {
        0 => *pick(random, &ODD),
        1 => f64::from_bits(random.below(1 << 31) << 33 | random.below(1 << 31) << 2),
        _ => random.below(2_000_000) as f64 / 1e3 - 300.0,
    }
}
