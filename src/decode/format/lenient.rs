//! JSON that is almost JSON: `NaN`, numbers that no double holds, and text that is not Unicode, in fields that perhaps
//! nobody asks for.
//!
//! Such values are replaced by texts that [`marked`] knows, so that a second reading gets past them. Everything else is
//! left as it is: what else is wrong stays wrong.

use super::Unusable;

/// What stands in front of the name of an [`Unusable`]; no producer begins a text so.
const MARK: &str = "\0\0unusable ";

const KINDS: [(Unusable, &str); 4] = [
    (Unusable::NotFinite, "nan"),
    (Unusable::OutOfRange, "range"),
    (Unusable::NotText, "text"),
    (Unusable::TooDeep, "deep"),
];

/// What a text stands for, if [`mended`] wrote it.
pub(super) fn marked(text: &str) -> Option<Unusable> {
    let name = text.strip_prefix(MARK)?;
    let found = KINDS.iter().find(|(_, known)| *known == name);
    found.map(|(kind, _)| *kind)
}

/// The same document with every value that JSON has no form for replaced; `None` if there is none.
pub(crate) fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mender = Mender {
        rest: bytes,
        mended: Vec::with_capacity(bytes.len() + 32),
        is_changed: false,
    };
    while let Some(&byte) = mender.rest.first() {
        match byte {
            b'"' => mender.text(),
            b'+' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => mender.word(),
            _ => mender.copy(1),
        }
    }
    mender.is_changed.then_some(mender.mended)
}

struct Mender<'b> {
    rest: &'b [u8],
    mended: Vec<u8>,
    is_changed: bool,
}

impl Mender<'_> {
    fn copy(&mut self, length: usize) {
        let (copied, rest) = self.rest.split_at(length);
        self.mended.extend_from_slice(copied);
        self.rest = rest;
    }

    fn replace(&mut self, length: usize, kind: Unusable) {
        let name = KINDS.iter().find(|(known, _)| *known == kind);
        let mark = MARK.replace('\0', "\\u0000");
        let name = name.map_or("", |(_, name)| name);
        self.mended
            .extend_from_slice(format!("\"{mark}{name}\"").as_bytes());
        self.rest = &self.rest[length..];
        self.is_changed = true;
    }

    /// A bare word or a number.
    fn word(&mut self) {
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = self.rest.iter().take_while(|byte| goes_on(byte)).count();
        let word = &self.rest[..length];
        let unsigned = word
            .strip_prefix(b"-")
            .or(word.strip_prefix(b"+"))
            .unwrap_or(word);
        let is_name = [&b"nan"[..], b"inf", b"infinity"]
            .iter()
            .any(|name| unsigned.eq_ignore_ascii_case(name));
        // Only values are mended: a bare word as a name is wrong wherever it is.
        let is_value = self.rest[length..].trim_ascii_start().first() != Some(&b':');
        if is_name && is_value {
            self.replace(length, Unusable::NotFinite);
        } else if is_value && is_beyond_range(word) {
            self.replace(length, Unusable::OutOfRange);
        } else {
            self.copy(length);
        }
    }

    fn text(&mut self) {
        let length = text_length(self.rest);
        let contents = &self.rest[..length];
        if has_form_of_text(contents) && !is_text(contents) {
            self.replace(length, Unusable::NotText);
        } else {
            self.copy(length);
        }
    }
}

/// A number in JSON's form that rounds to infinity.
fn is_beyond_range(word: &[u8]) -> bool {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(word).is_ok();
    let text = std::str::from_utf8(word).unwrap_or_default();
    is_json && text.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Bytes of a text with its quotes, or all that is left if none closes it.
fn text_length(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    for (place, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Whether it has quotes at its ends, no control characters, and escapes that there are.
fn has_form_of_text(contents: &[u8]) -> bool {
    let Some(inside) = contents
        .strip_prefix(b"\"")
        .and_then(|contents| contents.strip_suffix(b"\""))
    else {
        return false;
    };
    let mut rest = inside;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (0..0x20, _) => return false,
            (b'\\', [b'u', hex @ ..]) => match hex.split_at_checked(4) {
                Some((digits, rest)) if digits.iter().all(u8::is_ascii_hexdigit) => rest,
                _ => return false,
            },
            (b'\\', [escaped, rest @ ..]) if b"\"\\/bfnrt".contains(escaped) => rest,
            (b'\\', _) => return false,
            _ => after,
        };
    }
    true
}

/// Whether it is UTF-8, and its escapes have both halves of what needs two.
fn is_text(contents: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(contents) else {
        return false;
    };
    let mut rest = text;
    let mut expects_low = false;
    while let Some(place) = rest.find('\\') {
        if expects_low && place > 0 {
            return false;
        }
        let escape = &rest[place + 1..];
        let unit = escape
            .strip_prefix('u')
            .and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
        match unit {
            Some(0xdc00..=0xdfff) if expects_low => expects_low = false,
            Some(0xd800..=0xdbff) if !expects_low => expects_low = true,
            Some(0xd800..=0xdfff) => return false,
            _ if expects_low => return false,
            _ => {}
        }
        // The character behind the backslash is past, whatever it is.
        let past = escape.chars().next().map_or(0, char::len_utf8);
        rest = &escape[if unit.is_some() { 5 } else { past }..];
    }
    !expects_low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended_text(text: &str) -> Option<String> {
        let mended = mended(text.as_bytes())?;
        let mark = MARK.replace('\0', "\\u0000");
        Some(String::from_utf8(mended).expect("text").replace(&mark, "#"))
    }

    #[test]
    fn what_json_has_no_form_for_is_marked() {
        for (text, expected) in [
            (
                r#"{"a":NaN,"b":[-Infinity,nan]}"#,
                r##"{"a":"#nan","b":["#nan","#nan"]}"##,
            ),
            (
                r#"{"a":1e400,"b":-1e400,"c":1e40}"#,
                r##"{"a":"#range","b":"#range","c":1e40}"##,
            ),
            (
                r#"{"a":"\ud83d","b":"\ud83d\ude00"}"#,
                r##"{"a":"#text","b":"\ud83d\ude00"}"##,
            ),
            (
                r#"{"\udc00":1,"a":"\ud83dx\ude00"}"#,
                r##"{"#text":1,"a":"#text"}"##,
            ),
        ] {
            assert_eq!(mended_text(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            mended(b"{\"Z\xe4hler\":1}").as_deref(),
            Some(&b"{\"\\u0000\\u0000unusable text\":1}"[..])
        );
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        for text in [
            "",
            r#"{"a":"NaN","b":true,"c":null,"d":-1.5e-3}"#,
            r#"{"a":nanometer,"b":infinite}"#,
            r#"{"a":"\\ud83d","b":"\"NaN"}"#,
            r#"{"a":"not closed NaN"#,
            r#"{"a":01e999}"#,
            "{NaN:1, 1e400 :2}",
            "{\"a\":\"\\ud83d\n\"}",
            r#"{"a":"\ud83d\x","b":"\ud83"#,
        ] {
            assert_eq!(mended_text(text), None, "{text}");
        }
    }

    #[test]
    fn marks_are_known_again() {
        for (kind, name) in KINDS {
            assert_eq!(marked(&format!("{MARK}{name}")), Some(kind));
        }
        assert_eq!(marked("nan"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_was_mended_needs_no_mending(text in "[\"\\\\udD8c0N{a:,]{0,30}") {
            if let Some(mended) = mended(text.as_bytes()) {
                proptest::prop_assert_eq!(super::mended(&mended), None, "{}", String::from_utf8_lossy(&mended));
            }
        }
    }
}
