//! Mutations: of the tokens a message is put together from, and of its bytes.

use crate::stream::Random;

/// Values that are odd for any of the fields.
const ODD_TOKENS: [&str; 22] = [
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[1]",
    "{\"a\":1}",
    "\"1.5\"",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "+Infinity",
    "nan",
    "'x'",
    "\"\\u0000\"",
    "\"\\ud83d\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{202e}\"",
    "\"line\nbreak\"",
    "",
    "1 2",
];

const ODD_NUMBERS: [&str; 44] = [
    "0",
    "-0",
    "-0.0",
    "0e0",
    "00",
    "01",
    "-01",
    "1.",
    ".5",
    "-.5",
    "+1",
    "1e",
    "1e+",
    "1.e5",
    "0x10",
    "1_000",
    "1,5",
    "1e5.5",
    "--1",
    "1e288",
    "-1e288",
    "1.0000000000000001e288",
    "1.0000000000000002e288",
    "-1e289",
    "1e308",
    "1e309",
    "-1e400",
    "1e999999999999",
    "1e-400",
    "5e-324",
    "-5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072014e-308",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993",
    "0.1e1",
    "1E2",
    "\u{ff11}\u{ff12}",
];

/// Text that may follow a message.
const ENDS: [&str; 7] = [" \r\n\t", "\u{c}", "\u{a0}", "//", "}", "1", "\u{2028}"];

/// One of a list.
pub fn pick<'a, T>(random: &mut Random, list: &'a [T]) -> &'a T {
    &list[random.below(list.len() as u64) as usize]
}

pub fn one_in(random: &mut Random, count: u64) -> bool {
    random.below(count) == 0
}

/// A token that is odd for any field.
pub fn odd_token(random: &mut Random) -> String {
    (*pick(random, &ODD_TOKENS)).to_owned()
}

/// A number in an odd form, of an odd size, or with many digits.
pub fn odd_number(random: &mut Random) -> String {
    match random.below(6) {
        0 | 1 => (*pick(random, &ODD_NUMBERS)).to_owned(),
        2 => between_two_doubles(random),
        3 => {
            // Most of these are doubles of any size, and some are too large.
            let bits = random.below(1 << 31) << 33 | random.below(1 << 31) << 2;
            let number = f64::from_bits(bits);
            if number.is_finite() {
                format!("{number:?}")
            } else {
                "1e308".to_owned()
            }
        }
        _ => {
            let sign = if one_in(random, 3) { "-" } else { "" };
            let (whole, fraction) = (digits(random), digits(random));
            let exponent = match random.below(4) {
                0 => format!("e{}", random.below(700) as i64 - 350),
                1 => format!("E+{}", random.below(300)),
                _ => String::new(),
            };
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            format!("{sign}{whole}.{fraction}{exponent}")
        }
    }
}

/// A decimal that lies in the middle between two doubles, or next to it by its last digit.
fn between_two_doubles(random: &mut Random) -> String {
    let mantissa = (1_u128 << 53) + u128::from(random.below(1 << 31));
    let middle = (2 * mantissa + 1) << random.below(60);
    match random.below(3) {
        0 => format!("{middle}"),
        1 => format!("{middle}.{}1", "0".repeat(random.below(60) as usize)),
        _ => format!("{}.{}", middle - 1, "9".repeat(1 + random.below(60) as usize)),
    }
}

fn digits(random: &mut Random) -> String {
    let length = match random.below(20) {
        0 => 1 + random.below(1_500),
        1..4 => 1 + random.below(40),
        _ => 1 + random.below(6),
    };
    (0..length)
        .map(|_| char::from(b'0' + random.below(10) as u8))
        .collect()
}

/// Changes a few bytes, or the encoding of all.
pub fn mutate_bytes(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(3) {
        mutate_once(random, bytes, other);
    }
}

fn mutate_once(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    const STRUCTURE: &[u8] = b"{}[]:,\"\\0123456789eE+-. \t\r\nNaInfty";
    let length = bytes.len() as u64;
    if length == 0 {
        return bytes.extend_from_slice(other);
    }
    let at = random.below(length) as usize;
    let end = (at + 1 + random.below(12) as usize).min(bytes.len());
    match random.below(16) {
        0..3 => bytes[at] ^= 1 << random.below(8),
        3 | 4 => bytes[at] = *pick(random, STRUCTURE),
        5 | 6 => bytes.insert(at, *pick(random, STRUCTURE)),
        7 => bytes.insert(at, random.below(256) as u8),
        8 => drop(bytes.drain(at..end)),
        9 => drop(bytes.remove(at)),
        10 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        11 => {
            let from = random.below(other.len() as u64 + 1) as usize;
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        12 => bytes.truncate(at),
        13 => bytes.swap(at, end - 1),
        14 => bytes.insert(at, random.below(32) as u8),
        _ => reencode(random, bytes),
    }
}

fn reencode(random: &mut Random, bytes: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match random.below(8) {
        0 => drop(bytes.splice(0..0, *b"\xef\xbb\xbf")),
        1 => *bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        2 => {
            *bytes = [
                &[0xfe, 0xff][..],
                &text
                    .encode_utf16()
                    .flat_map(u16::to_be_bytes)
                    .collect::<Vec<u8>>(),
            ]
            .concat()
        }
        3 => bytes.push(0),
        4 => bytes.insert(
            0,
            *b" \n\x0c\x0b\xa0".get(random.below(5) as usize).unwrap_or(&b' '),
        ),
        5 => bytes.extend_from_slice(pick(random, &ENDS).as_bytes()),
        6 => {
            *bytes = text
                .chars()
                .map(|character| format!("\\u{:04x}", u32::from(character)))
                .collect::<String>()
                .into_bytes()
        }
        _ => *bytes = bytes.repeat(2),
    }
}
