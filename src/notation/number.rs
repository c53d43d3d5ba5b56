//! Numbers written as text.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The character between the whole and the fraction of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecimalMark {
    /// `1234.5`. Nothing may stand between the digits of thousands.
    #[default]
    #[serde(rename = ".")]
    Point,
    /// `1234,5`, or in groups of three digits `1.234,5`, `1 234,5`, `1'234,5`.
    #[serde(rename = ",")]
    Comma,
}

/// The reason why a text is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say what is wrong")]
pub enum NumberError {
    #[error("it is empty")]
    Empty,
    #[error("it is not a finite number")]
    NotFinite,
    #[error("it is not a number")]
    NotANumber,
    /// With [`DecimalMark::Point`]: it would be one with a decimal comma, and perhaps another with commas between
    /// thousands.
    #[error("its comma may be a decimal comma, or stand between thousands")]
    HasComma,
    /// With [`DecimalMark::Comma`]: the marks between thousands are not in front of groups of three digits.
    #[error("its point is not in front of three digits, as one between thousands would be")]
    BadGroups,
}

/// The double nearest to a number such as `118.5`, `+.5`, `00123.456` or `1e-3`, with ASCII white space around it.
///
/// # Errors
/// [`NumberError`] for every other text, `118.5 W` and `0x10` among them.
pub fn parse(text: &str, decimal: DecimalMark) -> Result<f64, NumberError> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    if is_not_finite(text) {
        return Err(NumberError::NotFinite);
    }
    match decimal {
        DecimalMark::Point => plain(text).ok_or_else(|| point_error(text)),
        DecimalMark::Comma => plain(&with_point(text)?).ok_or(NumberError::NotANumber),
    }
}

fn point_error(text: &str) -> NumberError {
    let has_only_marks = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte));
    if has_only_marks && text.contains(',') && text.bytes().any(|byte| byte.is_ascii_digit()) {
        NumberError::HasComma
    } else {
        NumberError::NotANumber
    }
}

/// What printf, Go, Java, Python and JavaScript write in place of a number.
fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    ["nan", "inf", "infinity"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name))
}

/// A number with a decimal point and no groups. Rust's own parser takes no other texts, once those that are not finite
/// are out of the way.
fn plain(text: &str) -> Option<f64> {
    let begins_as_number = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
    text.as_bytes()
        .first()
        .filter(|byte| begins_as_number(byte))
        .and_then(|_| text.parse().ok())
}

/// A number with a decimal comma, written with a point and without groups.
fn with_point(text: &str) -> Result<Cow<'_, str>, NumberError> {
    let (whole, fraction) = text
        .split_once(',')
        .map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    if fraction.is_some_and(|fraction| fraction.contains([',', '.'])) {
        return Err(NumberError::NotANumber);
    }
    let is_mark =
        |character: char| matches!(character, '.' | ' ' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}');
    if !whole.contains(is_mark) {
        return Ok(match fraction {
            None => Cow::Borrowed(text),
            Some(_) => Cow::Owned(text.replacen(',', ".", 1)),
        });
    }
    let unsigned = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    check_groups(unsigned, is_mark)?;
    let digits = whole.replace(is_mark, "");
    Ok(Cow::Owned(match fraction {
        None => digits,
        Some(fraction) => format!("{digits}.{fraction}"),
    }))
}

/// One to three digits, then groups of three, with the same mark before each of them.
fn check_groups(whole: &str, is_mark: impl Fn(char) -> bool) -> Result<(), NumberError> {
    let mut marks = whole.chars().filter(|character| is_mark(*character));
    let first_mark = marks.next();
    if marks.any(|mark| Some(mark) != first_mark) {
        return Err(NumberError::NotANumber);
    }
    for (place, group) in whole.split(is_mark).enumerate() {
        if !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotANumber);
        }
        let has_right_length = match place {
            // 0.418 is a fraction.
            0 => (1..=3).contains(&group.len()) && group != "0",
            _ => group.len() == 3,
        };
        if !has_right_length {
            return Err(NumberError::BadGroups);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_nearest_double() {
        for (text, expected) in [
            ("0.11", 0.11),
            (" 118.5\t", 118.5),
            ("00123.456", 123.456),
            ("9876543210", 9_876_543_210.0),
            ("5.", 5.0),
            ("+.5", 0.5),
            ("-0", 0.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
        ] {
            assert_eq!(parse(text, DecimalMark::Point), Ok(expected), "{text:?}");
        }
        for text in ["NaN", "nan", "+Inf", "-Inf", "inf", "Infinity", "-Infinity"] {
            assert_eq!(
                parse(text, DecimalMark::Point),
                Err(NumberError::NotFinite),
                "{text}"
            );
        }
        for text in [
            "118.5 W", "0x10", "1_000", "$1", "(3)", "-", "#N/A", ".", "e5", "1e", "--1", "\u{ff11}",
            "infinit",
        ] {
            assert_eq!(
                parse(text, DecimalMark::Point),
                Err(NumberError::NotANumber),
                "{text}"
            );
        }
        for text in ["1,003", "0,11", "1,234.5", "1.234,5"] {
            assert_eq!(
                parse(text, DecimalMark::Point),
                Err(NumberError::HasComma),
                "{text}"
            );
        }
        assert_eq!(parse(" ", DecimalMark::Point), Err(NumberError::Empty));
    }

    #[test]
    fn a_decimal_comma_is_read_where_it_is_the_mark() {
        for (text, expected) in [
            ("1,5", 1.5),
            ("-0,11", -0.11),
            ("1.234,5", 1234.5),
            ("1 234 567,25", 1_234_567.25),
            ("1\u{a0}234", 1234.0),
            ("-1'234,5", -1234.5),
            ("1,5e3", 1500.0),
            ("7", 7.0),
            ("1.234", 1234.0),
        ] {
            assert_eq!(parse(text, DecimalMark::Comma), Ok(expected), "{text:?}");
        }
        for text in ["1.5", "1234.5", "1.2345", "1234.567,8", ".234", "1..234", "0.418"] {
            assert_eq!(
                parse(text, DecimalMark::Comma),
                Err(NumberError::BadGroups),
                "{text}"
            );
        }
        for text in ["1,234.5", "1,234,567", "1.234 567,8", "1,5 kW", ","] {
            assert_eq!(
                parse(text, DecimalMark::Comma),
                Err(NumberError::NotANumber),
                "{text}"
            );
        }
    }
}
