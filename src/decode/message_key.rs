//! Message keys as keys of series.

use std::borrow::Cow;

use super::payload::confluent_schema_id;
use super::settings::KeyFormat;
use super::{Reason, Rejection};

/// The key of a message.
///
/// # Errors
/// The [`Rejection`] of a message without one, and of one that is not of the format.
#[inline]
pub(super) fn read(key: Option<&[u8]>, format: KeyFormat) -> Result<Cow<'_, str>, Rejection> {
    let Some(bytes) = key else {
        return Err(Rejection::new(
            Reason::MissingKey,
            "the record has no message key",
        ));
    };
    match format {
        KeyFormat::Text => match std::str::from_utf8(bytes) {
            Ok(text) if !has_controls(bytes) => Ok(Cow::Borrowed(text)),
            Ok(_) => Err(binary(bytes, "it has control characters")),
            Err(error) => Err(binary(bytes, &error.to_string())),
        },
        KeyFormat::Long => number(bytes, "long", i64::from_be_bytes),
        KeyFormat::Int => number(bytes, "int", i32::from_be_bytes),
    }
}

/// Without a way out in the middle it is a few instructions for any key of usual length.
#[inline]
fn has_controls(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(false, |found, byte| found | byte.is_ascii_control())
}

fn number<const LENGTH: usize, N: ToString>(
    bytes: &[u8],
    name: &str,
    of_bytes: fn([u8; LENGTH]) -> N,
) -> Result<Cow<'static, str>, Rejection> {
    let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| {
        let detail = format!(
            "the message key has {} bytes, and one of reading.key_format = {name:?} {LENGTH}",
            bytes.len()
        );
        Rejection::new(Reason::InvalidKey, detail)
    })?;
    Ok(Cow::Owned(of_bytes(bytes).to_string()))
}

/// A key that is not text, with a guess at what it is.
#[cold]
fn binary(bytes: &[u8], why: &str) -> Rejection {
    let guess = match (bytes.len(), confluent_schema_id(bytes)) {
        (8, _) => "8 bytes: a long? reading.key_format = \"long\"".to_owned(),
        (4, _) => "4 bytes: an int? reading.key_format = \"int\"".to_owned(),
        (length, Some(id)) => {
            format!("{length} bytes: Confluent's wire format with schema id {id}? take a field of the value")
        }
        (length, None) => format!("{length} bytes"),
    };
    let detail = format!("the message key is binary ({guess}): {why}");
    Rejection::new(Reason::InvalidKey, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(key: &[u8], format: KeyFormat) -> String {
        let rejection = read(Some(key), format).expect_err("a rejection");
        assert_eq!(rejection.reason, Reason::InvalidKey);
        rejection.detail
    }

    #[test]
    fn text_is_itself_and_numbers_are_read_as_the_setting_says() {
        for text in ["m1", "", "m1 ", "Zähler", "{\"id\":1}"] {
            assert_eq!(read(Some(text.as_bytes()), KeyFormat::Text).as_deref(), Ok(text));
        }
        assert_eq!(
            read(Some(&8224i64.to_be_bytes()), KeyFormat::Long).as_deref(),
            Ok("8224")
        );
        assert_eq!(read(Some(&[255; 8]), KeyFormat::Long).as_deref(), Ok("-1"));
        assert_eq!(read(Some(&[0, 0, 3, 232]), KeyFormat::Int).as_deref(), Ok("1000"));
        let missing = read(None, KeyFormat::Long).expect_err("no key");
        assert_eq!(missing.reason, Reason::MissingKey);
    }

    #[test]
    fn a_binary_key_is_never_taken_for_text_by_chance() {
        for id in [1i64, 65, 127, 200, 256, 8224] {
            assert!(
                detail(&id.to_be_bytes(), KeyFormat::Text).contains("\"long\""),
                "{id}"
            );
        }
        assert!(detail(&[0, 0, 0, 7], KeyFormat::Text).contains("\"int\""));
        assert!(detail(b"\0\0\0\0\x01\x0cmeter1", KeyFormat::Text).contains("schema id 1"));
        assert!(detail(b"a\nb", KeyFormat::Text).contains("control characters"));
        assert!(detail(b"\xff\xfe", KeyFormat::Text).contains("2 bytes"));
        assert!(detail(b"m1", KeyFormat::Long).contains("has 2 bytes"));
    }
}
