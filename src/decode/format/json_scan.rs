//! The fields of a message that is one JSON object, as most are, found in one scan of its bytes without allocation.
//!
//! The scan knows how objects, texts and numbers are usually written. What is rarer (escapes, long numbers, arrays, objects
//! that no path leads into) it has read by serde_json, value by value. It gives no reasons: where it cannot go on,
//! [`super::json`] reads the message from its start, and finds the same fields or says what is wrong. So it may give up on
//! anything, and must take nothing that is an error there.
//!
//! Each function takes bytes and returns what is behind that which it has read; `None` is to give up. The small ones are
//! always inlined: a call costs about as much as what they do (ADR 28).

use std::borrow::Cow;

use serde::de::{Deserialize, IgnoredAny};

use super::json_fields::{Fields, Members, Role, keep};
use super::{Found, Scalar};

/// How many objects paths may lead through; serde_json, too, has a limit.
const DEEPEST: usize = 32;

/// Reads the fields of the only JSON document in `bytes`. False if the scan gave up; then `found` is of no use.
#[inline]
pub(crate) fn read_single<'a>(bytes: &'a [u8], fields: &Fields, found: &mut Found<'a>) -> bool {
    let [b'{', inside @ ..] = bytes else {
        return false;
    };
    let behind = object(inside, fields.members(), DEEPEST, found);
    behind.is_some_and(|behind| past_blanks(behind).is_empty())
}

/// An object behind its brace, in which there may be objects so many levels deep.
fn object<'a>(bytes: &'a [u8], members: &Members, levels: usize, found: &mut Found<'a>) -> Option<&'a [u8]> {
    let (mut sign, mut rest) = past_blanks(bytes).split_first()?;
    if *sign == b'}' {
        return Some(rest);
    }
    loop {
        let (b'"', behind) = (sign, rest) else {
            return None;
        };
        let (role, behind) = match members.find_quoted(behind) {
            Some((role, behind)) => (Some(role), behind),
            None => {
                let (name, is_ascii, behind) = plain_text(behind)?;
                // Names are Unicode, also those that nobody reads.
                if !is_ascii && std::str::from_utf8(name).is_err() {
                    return None;
                }
                (members.find(name), behind)
            }
        };
        let (b':', behind) = past_blanks(behind).split_first()? else {
            return None;
        };
        let value = past_blanks(behind);
        rest = match role {
            None => skip(value)?,
            Some(Role::Held(fields)) => {
                let (scalar, rest) = scalar(value)?;
                keep(fields, scalar, found);
                rest
            }
            Some(Role::Passed(below)) => {
                below.forget(found);
                match value {
                    [b'{', inside @ ..] => object(inside, below, levels.checked_sub(1)?, found)?,
                    // Another type only means that the field is missing.
                    _ => by_serde::<Scalar<'_>>(value)?.1,
                }
            }
        };
        match past_blanks(rest).split_first()? {
            (b',', behind) => (sign, rest) = past_blanks(behind).split_first()?,
            (b'}', behind) => return Some(behind),
            _ => return None,
        }
    }
}

/// A value that is read.
#[inline(always)]
fn scalar(bytes: &[u8]) -> Option<(Scalar<'_>, &[u8])> {
    let usual = match bytes {
        [b'"', behind @ ..] => match plain_text(behind) {
            Some((text, true, rest)) => Some((Scalar::Ascii(text), rest)),
            Some((text, false, rest)) => {
                let text = std::str::from_utf8(text).ok()?;
                Some((Scalar::Text(Cow::Borrowed(text)), rest))
            }
            None => None,
        },
        [b'-' | b'0'..=b'9', ..] => short_number(bytes),
        [b'n', b'u', b'l', b'l', rest @ ..] => Some((Scalar::Null, rest)),
        [b't', b'r', b'u', b'e', rest @ ..] => Some((Scalar::Bool(true), rest)),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] => Some((Scalar::Bool(false), rest)),
        _ => None,
    };
    usual.or_else(|| by_serde(bytes))
}

/// A value that nobody reads. Of a text only the form matters.
fn skip(bytes: &[u8]) -> Option<&[u8]> {
    let usual = match bytes {
        [b'"', behind @ ..] => plain_text(behind).map(|(_, _, rest)| rest),
        [b'{' | b'[', ..] => None,
        _ => scalar(bytes).map(|(_, rest)| rest),
    };
    usual.or_else(|| by_serde::<IgnoredAny>(bytes).map(|(_, rest)| rest))
}

/// A value of any kind.
#[inline(never)]
fn by_serde<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
    let value = values.next()?.ok()?;
    Some((value, &bytes[values.byte_offset()..]))
}

/// The contents of a text without escapes behind its first quote, whether they are ASCII, and what is behind them.
#[inline(always)]
fn plain_text(bytes: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    // The high bit of each byte that is below the bound, and maybe that of bytes behind it.
    let below = |bound: u8, word: u64| word.wrapping_sub(u64::from(bound) * ONES) & !word & HIGH_BITS;
    let equal = |byte: u8, word: u64| below(1, word ^ (u64::from(byte) * ONES));
    // All bytes in front of the first that ends a text or is special in it: a quote, a backslash or a control character.
    let mut seen = 0;
    let mut rest = bytes;
    let behind = loop {
        let Some((word, behind)) = rest.split_first_chunk() else {
            break plain_end(rest, &mut seen);
        };
        let word = u64::from_le_bytes(*word);
        let special = equal(b'"', word) | equal(b'\\', word) | below(0x20, word);
        if special != 0 {
            let length = special.trailing_zeros() / 8;
            seen |= word & ((1 << (8 * length)) - 1);
            break &rest[length as usize..];
        }
        seen |= word;
        rest = behind;
    };
    let text = &bytes[..bytes.len() - behind.len()];
    let (b'"', behind) = behind.split_first()? else {
        return None;
    };
    Some((text, seen & HIGH_BITS == 0, behind))
}

/// The same byte by byte, for the end of a message: what begins with the first special byte.
#[inline(never)]
fn plain_end<'a>(bytes: &'a [u8], seen: &mut u64) -> &'a [u8] {
    let mut rest = bytes;
    while let [byte, behind @ ..] = rest
        && !matches!(byte, b'"' | b'\\' | 0..0x20)
    {
        *seen |= u64::from(*byte);
        rest = behind;
    }
    rest
}

/// The most digits that always make an integer of 64 bits.
const MOST_DIGITS: usize = 18;
/// Up to here a double holds every integer.
const LARGEST_EXACT: u64 = 1 << 53;
/// All of them are exact.
const POWERS_OF_TEN: [f64; MOST_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
];

/// A number of few digits, without exponent.
#[inline(always)]
fn short_number(bytes: &[u8]) -> Option<(Scalar<'_>, &[u8])> {
    let (is_negative, unsigned) = match bytes {
        [b'-', unsigned @ ..] => (true, unsigned),
        unsigned => (false, unsigned),
    };
    let (whole, whole_digits, rest) = digits(0, unsigned);
    let has_leading_zero = whole_digits > 1 && unsigned[0] == b'0';
    if whole_digits == 0 || has_leading_zero {
        return None;
    }
    let (number, decimals, rest) = match rest {
        [b'.', behind @ ..] => match digits(whole, behind) {
            (_, 0, _) => return None,
            fraction => fraction,
        },
        _ => (whole, 0, rest),
    };
    if whole_digits + decimals > MOST_DIGITS || matches!(rest, [b'e' | b'E', ..]) {
        return None;
    }
    let scalar = match (decimals, is_negative) {
        (0, false) => Scalar::Integer(number as i64),
        // An integer has no minus zero.
        (0, true) if number > 0 => Scalar::Integer(-(number as i64)),
        (1.., _) if number <= LARGEST_EXACT => {
            // Both are exact, and one division rounds once: to the double nearest to the text (Clinger 1990).
            let magnitude = number as f64 / POWERS_OF_TEN[decimals];
            Scalar::Float(if is_negative { -magnitude } else { magnitude })
        }
        _ => return None,
    };
    Some((scalar, rest))
}

/// A number continued by the digits in front, and how many they are. It is of no use if they are many.
#[inline(always)]
fn digits(number: u64, bytes: &[u8]) -> (u64, usize, &[u8]) {
    let (mut number, mut rest) = (number, bytes);
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = behind;
    }
    (number, bytes.len() - rest.len(), rest)
}

#[inline(always)]
fn past_blanks(bytes: &[u8]) -> &[u8] {
    match bytes {
        [first, ..] if *first > b' ' => bytes,
        [b' ', behind @ ..] if behind.first().is_some_and(|first| *first > b' ') => behind,
        _ => past_several_blanks(bytes),
    }
}

#[inline(never)]
fn past_several_blanks(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] = rest {
        rest = behind;
    }
    rest
}

#[cfg(test)]
mod tests;
