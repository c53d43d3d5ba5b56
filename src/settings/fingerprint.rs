//! A checksum of settings that is stored beside what came about under them: detectors' state, and a group's offsets.
//!
//! ```text
//! version  then for each setting: length  name  length  value
//! ```
//!
//! Lengths are 32 bits, numbers 64, all little-endian. The bytes are written field by field, by names and forms that
//! belong to this format: how a setting is spelled in a file, or how Rust prints it, may change without them.

use std::time::Duration;

/// To be raised when the bytes of the same settings change. Whatever is stored under another version is as if it had
/// come about under other settings.
const VERSION: u8 = 1;

/// Settings as bytes, in the order they are added.
#[derive(Debug, Clone)]
pub struct Fingerprint {
    bytes: Vec<u8>,
}

/// A setting's value, in the form that a fingerprint has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// UTF-8; choices by the name that the format has for them.
    Text(&'a str),
    /// Counts, and durations in whole milliseconds.
    Number(u64),
    /// By its bits.
    Float(f64),
}

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint { bytes: vec![VERSION] }
    }
}

impl Fingerprint {
    /// Adds a setting that has been part of this fingerprint from its first version on.
    pub fn add<'a>(&mut self, name: &str, value: impl Into<Value<'a>>) {
        self.append(name.as_bytes());
        match value.into() {
            Value::Text(text) => self.append(text.as_bytes()),
            Value::Number(number) => self.append(&number.to_le_bytes()),
            Value::Float(number) => self.append(&number.to_bits().to_le_bytes()),
        }
    }

    /// Adds a setting that came later. `before` is the value that means what was done before there was the setting; it
    /// is not written, so that nothing stored is lost by the setting's introduction.
    ///
    /// It is not the setting's default, which may change: then the same bytes would stand for something else.
    pub fn add_later<'a>(&mut self, name: &str, value: impl Into<Value<'a>>, before: impl Into<Value<'a>>) {
        let value = value.into();
        if value != before.into() {
            self.add(name, value);
        }
    }

    /// What is stored.
    pub fn checksum(&self) -> u32 {
        crc32fast::hash(&self.bytes)
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(number.into())
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::Number(number as u64)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<Duration> for Value<'_> {
    fn from(duration: Duration) -> Self {
        Value::Number(duration.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(add: impl FnOnce(&mut Fingerprint)) -> Vec<u8> {
        let mut fingerprint = Fingerprint::default();
        add(&mut fingerprint);
        fingerprint.bytes
    }

    #[test]
    fn the_bytes_are_these() {
        assert_eq!(bytes(|_| {}), [1]);
        assert_eq!(
            bytes(|fingerprint| fingerprint.add("key", "é")),
            b"\x01\x03\0\0\0key\x02\0\0\0\xc3\xa9"
        );
        let number = b"\x01\x01\0\0\0n\x08\0\0\0\x2c\x01\0\0\0\0\0\0";
        assert_eq!(bytes(|fingerprint| fingerprint.add("n", 300_usize)), number);
        assert_eq!(bytes(|fingerprint| fingerprint.add("n", 300_u32)), number);
        assert_eq!(
            bytes(|fingerprint| fingerprint.add("n", Duration::from_millis(300))),
            number
        );
        assert_eq!(
            bytes(|fingerprint| fingerprint.add("x", 0.5)),
            b"\x01\x01\0\0\0x\x08\0\0\0\0\0\0\0\0\0\xe0\x3f"
        );
    }

    #[test]
    fn no_two_lists_of_settings_have_the_same_bytes() {
        let pairs = |list: &[(&str, &str)]| {
            bytes(|fingerprint| {
                for &(name, value) in list {
                    fingerprint.add(name, value);
                }
            })
        };
        let lists = [
            pairs(&[("a", "b"), ("c", "d")]),
            pairs(&[("a", "bc"), ("", "d")]),
            pairs(&[("a", "b"), ("cd", "")]),
            pairs(&[("c", "d"), ("a", "b")]),
            pairs(&[("a", "b")]),
        ];
        for (index, list) in lists.iter().enumerate() {
            assert!(!lists[..index].contains(list), "{list:?}");
        }
    }

    #[test]
    fn a_later_setting_changes_nothing_while_it_means_what_was_done_before() {
        let before = bytes(|fingerprint| fingerprint.add("a", 1_u64));
        let with = |format: &str| {
            bytes(|fingerprint| {
                fingerprint.add("a", 1_u64);
                fingerprint.add_later("format", format, "json");
            })
        };
        assert_eq!(with("json"), before);
        assert_ne!(with("telegraf"), before);
    }

    #[test]
    fn the_checksum_is_the_crc_32_of_the_bytes() {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add("key", "none");
        assert_eq!(fingerprint.checksum(), crc32fast::hash(&fingerprint.bytes));
    }
}
