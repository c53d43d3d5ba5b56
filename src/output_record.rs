//! A message to write beside the table, and what is left of it where it does not fit.

use std::borrow::Cow;

use crate::reading::{Headers, header_memory};

/// A message to write beside the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRecord {
    pub topic: String,
    /// Where the record came from.
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
    /// What to write where this does not fit; without one it is [cut](OutputRecord::fitted).
    pub brief: Option<Box<OutputRecord>>,
}

/// Before the names of headers that are ours.
pub(crate) const OWN_PREFIX: &str = "streamgauge.";
/// How much is kept of a value and of a key that do not fit: enough to see what they are. All of it lies where the
/// side output's headers say.
const VALUE_KEPT_BYTES: usize = 65_536;
const KEY_KEPT_BYTES: usize = 1_024;
/// A value above this is cut before it is copied: no producer of ours sends a larger message.
pub(crate) const LARGEST_VALUE_BYTES: usize = LARGEST_MESSAGE_BYTES - 2 * 1_048_576;
/// What our producers send at most.
pub(crate) const LARGEST_MESSAGE_BYTES: usize = 32 * 1_048_576;
/// What a batch of one record takes beside key, value and headers, and a header beside name and value.
const BATCH_BYTES: usize = 100;
const HEADER_BYTES: usize = 6;
/// Room for the headers that say what was cut.
const CUT_HEADERS_BYTES: usize = 256;
/// What a side output takes in memory beside what it holds.
const RECORD_OVERHEAD_BYTES: usize = 256;

impl OutputRecord {
    /// The size of the message on its way, uncompressed and alone in its batch.
    pub(crate) fn message_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        BATCH_BYTES + length(&self.key) + length(&self.value) + header_bytes(&self.headers)
    }

    /// The memory that the side output takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let brief = self.brief.as_ref().map_or(0, |brief| brief.memory_bytes());
        let own = length(&self.key) + length(&self.value) + header_memory(&self.headers);
        RECORD_OVERHEAD_BYTES + own + brief
    }

    /// The side output as it is if it fits into a message of `room` bytes, else what is left of it: our headers, the first
    /// 64 kB of the value, the first kilobyte of the key, the record's own headers if there is room, and headers that say
    /// how long each was.
    pub(crate) fn fitted(&self, room: usize) -> Cow<'_, OutputRecord> {
        if self.message_bytes() <= room {
            return Cow::Borrowed(self);
        }
        match &self.brief {
            Some(brief) => Cow::Borrowed(brief),
            None => Cow::Owned(self.cut(room)),
        }
    }

    fn cut(&self, room: usize) -> OutputRecord {
        let is_own = |(name, _): &&(String, Option<Vec<u8>>)| name.starts_with(OWN_PREFIX);
        let (own, foreign): (Vec<_>, Vec<_>) = self.headers.iter().partition(is_own);
        let mut headers: Headers = own.into_iter().cloned().collect();
        let foreign: Headers = foreign.into_iter().cloned().collect();
        let mut left = room.saturating_sub(BATCH_BYTES + header_bytes(&headers) + CUT_HEADERS_BYTES);
        let key = self.key.as_deref().map(|key| {
            let (kept, said) = truncated("key_truncated", "key_crc32", key, KEY_KEPT_BYTES.min(left));
            headers.extend(said);
            left -= kept.len();
            kept
        });
        if header_bytes(&foreign) <= left / 2 {
            left -= header_bytes(&foreign);
            headers.splice(0..0, foreign);
        } else {
            headers.extend(cut_headers(plain_bytes(&foreign)));
        }
        let value = self.value.as_deref().map(|value| {
            let (kept, said) = truncated_value(value, VALUE_KEPT_BYTES.min(left));
            headers.extend(said);
            kept
        });
        OutputRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            key,
            value,
            headers,
            brief: None,
        }
    }
}

/// The first bytes of a value, and the headers that say so if that is not all of it.
pub(crate) fn truncated_value(value: &[u8], kept: usize) -> (Vec<u8>, Headers) {
    truncated("truncated", "crc32", value, kept)
}

/// The first bytes of a value that is larger than any message of ours; all of a smaller one.
pub(crate) fn sendable_value(value: &[u8]) -> (Vec<u8>, Headers) {
    if value.len() > LARGEST_VALUE_BYTES {
        truncated_value(value, VALUE_KEPT_BYTES)
    } else {
        (value.to_vec(), Headers::new())
    }
}

/// The header that says how many bytes of a record's own headers were left out, if any were.
pub(crate) fn cut_headers(bytes: usize) -> Option<(String, Option<Vec<u8>>)> {
    (bytes > 0).then(|| own_header("headers_cut", &bytes.to_string()))
}

/// A header of ours; the prefix keeps it apart from the record's own.
pub(crate) fn own_header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (format!("{OWN_PREFIX}{name}"), Some(value.as_bytes().to_vec()))
}

fn truncated(length_name: &str, sum_name: &str, bytes: &[u8], kept: usize) -> (Vec<u8>, Headers) {
    if bytes.len() <= kept {
        return (bytes.to_vec(), Headers::new());
    }
    let said = vec![
        own_header(length_name, &bytes.len().to_string()),
        own_header(sum_name, &format!("{:08x}", crc32fast::hash(bytes))),
    ];
    (bytes[..kept].to_vec(), said)
}

fn header_bytes(headers: &Headers) -> usize {
    plain_bytes(headers) + headers.len() * HEADER_BYTES
}

fn plain_bytes(headers: &Headers) -> usize {
    let one = |(name, value): &(String, Option<Vec<u8>>)| name.len() + value.as_ref().map_or(0, Vec::len);
    headers.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(key: usize, value: usize, foreign: usize) -> OutputRecord {
        OutputRecord {
            topic: "usage.dlq".to_owned(),
            partition: 1,
            offset: 7,
            key: Some(vec![b'k'; key]),
            value: Some(vec![b'v'; value]),
            headers: vec![
                ("trace".to_owned(), Some(vec![b'h'; foreign])),
                own_header("id", "usage/1/7"),
            ],
            brief: None,
        }
    }

    fn said(output: &OutputRecord, name: &str) -> Option<String> {
        let name = format!("{OWN_PREFIX}{name}");
        let found = output.headers.iter().find(|(other, _)| *other == name)?;
        Some(String::from_utf8_lossy(found.1.as_deref().unwrap_or_default()).into_owned())
    }

    #[test]
    fn what_fits_is_left_alone() {
        let whole = output(10, 1000, 10);
        assert_eq!(*whole.fitted(whole.message_bytes()), whole);
    }

    #[test]
    fn a_value_that_does_not_fit_is_cut_and_says_so() {
        let whole = output(10, 2_000_000, 10);
        let cut = whole.fitted(1_048_576).into_owned();
        assert_eq!(cut.value.as_ref().map(Vec::len), Some(VALUE_KEPT_BYTES));
        assert_eq!(said(&cut, "truncated").as_deref(), Some("2000000"));
        let sum = crc32fast::hash(whole.value.as_deref().unwrap());
        assert_eq!(said(&cut, "crc32"), Some(format!("{sum:08x}")));
        assert_eq!(cut.key, whole.key);
        assert_eq!(cut.headers[0].0, "trace", "the record's own headers stay");
        assert_eq!(said(&cut, "id").as_deref(), Some("usage/1/7"));
        assert_eq!(said(&cut, "key_truncated"), None);
    }

    #[test]
    fn whatever_is_too_large_the_cut_fits() {
        for (key, value, foreign) in [
            (2_000_000, 10, 10),
            (10, 10, 2_000_000),
            (2_000_000, 2_000_000, 2_000_000),
            (900, 10, 900),
        ] {
            for room in [600, 1_200, 8_192, 70_000, 1_048_576] {
                let whole = output(key, value, foreign);
                let cut = whole.fitted(room);
                assert!(
                    cut.message_bytes() <= room.max(600),
                    "{key} {value} {foreign} {room}"
                );
                if *cut != whole {
                    let marks = ["truncated", "key_truncated", "headers_cut"];
                    assert!(marks.iter().any(|mark| said(&cut, mark).is_some()));
                }
            }
        }
    }

    #[test]
    fn a_brief_letter_takes_the_place_of_a_cut_one() {
        let mut whole = output(10, 5_000, 0);
        whole.brief = Some(Box::new(output(10, 50, 0)));
        assert_eq!(whole.fitted(1_000).value.as_ref().map(Vec::len), Some(50));
    }
}
