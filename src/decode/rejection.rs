//! Why a record is no reading.

use serde::{Deserialize, Serialize};

/// Why a record is no reading. The kinds are few, so that they can be counted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/operations.md lists them, with remedies")]
pub enum Reason {
    Empty,
    TooLarge,
    InvalidJson,
    /// Not a line of InfluxDB's line protocol.
    InvalidLine,
    InvalidProtobuf,
    InvalidAvro,
    /// The registry has no schema of the id in front of the message, or one that is not read.
    UnknownSchema,
    MissingField,
    NullField,
    WrongType,
    NotFinite,
    OutOfRange,
    InvalidTime,
    NoTimestamp,
    TooFarAhead,
    TooFarBehind,
    MissingKey,
    InvalidKey,
    /// The process holds as many series as it may.
    TooManySeries,
    /// The batch it lies in cannot be unpacked.
    Undecodable,
}

impl Reason {
    /// The name in headers, logs and counts.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::InvalidJson => "invalid_json",
            Reason::InvalidLine => "invalid_line",
            Reason::InvalidProtobuf => "invalid_protobuf",
            Reason::InvalidAvro => "invalid_avro",
            Reason::UnknownSchema => "unknown_schema",
            Reason::MissingField => "missing_field",
            Reason::NullField => "null_field",
            Reason::WrongType => "wrong_type",
            Reason::NotFinite => "not_finite",
            Reason::OutOfRange => "out_of_range",
            Reason::InvalidTime => "invalid_time",
            Reason::NoTimestamp => "no_timestamp",
            Reason::TooFarAhead => "too_far_ahead",
            Reason::TooFarBehind => "too_far_behind",
            Reason::MissingKey => "missing_key",
            Reason::InvalidKey => "invalid_key",
            Reason::TooManySeries => "too_many_series",
            Reason::Undecodable => "undecodable",
        }
    }
}

/// A record that is no reading: the kind of reason, and a sentence that names the field and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The kind, by which it is counted.
    pub reason: Reason,
    /// At most [`DETAIL_LENGTH`] characters, none of them a control character, whatever it quotes.
    pub detail: String,
}

/// Characters of a detail. It goes into a log line and into a header, and what it quotes comes from the record.
pub const DETAIL_LENGTH: usize = 200;

impl Rejection {
    /// A rejection; the detail is cut and made printable.
    pub fn new(reason: Reason, detail: impl AsRef<str>) -> Self {
        Rejection {
            reason,
            detail: plain(detail.as_ref()),
        }
    }
}

impl Rejection {
    /// The same, with the place of the reading in its record, counted from 1: `element 3: …`.
    #[must_use]
    pub(super) fn at(self, kind: &str, number: usize) -> Self {
        Rejection::new(self.reason, format!("{kind} {number}: {}", self.detail))
    }
}

/// A text of at most [`DETAIL_LENGTH`] characters, with what moves a cursor or turns the writing direction escaped.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(DETAIL_LENGTH));
    let mut length = 0;
    for character in text.chars() {
        let shown: String = if is_plain(character) {
            character.into()
        } else {
            character.escape_unicode().collect()
        };
        let shown_length = shown.chars().count();
        // One place is left for the ellipsis.
        if length + shown_length >= DETAIL_LENGTH {
            plain.push('…');
            break;
        }
        length += shown_length;
        plain += &shown;
    }
    plain
}

fn is_plain(character: char) -> bool {
    let turns_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !character.is_control() && !turns_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_short_and_printable_whatever_it_quotes() {
        let escapes = Rejection::new(Reason::InvalidKey, "a\u{1b}[2J\r\n\u{202e}b");
        assert_eq!(escapes.detail, "a\\u{1b}[2J\\u{d}\\u{a}\\u{202e}b");
        for quoted in ["x", "\u{7f}", "ü", "\u{1b}"] {
            let detail = Rejection::new(Reason::WrongType, quoted.repeat(1_000_000)).detail;
            assert!(detail.chars().count() <= DETAIL_LENGTH, "{detail}");
            assert!(detail.ends_with('…'), "{detail}");
            assert!(detail.chars().all(is_plain), "{detail}");
        }
        let short = "value is the text \"1,003\", not a number";
        assert_eq!(Rejection::new(Reason::WrongType, short).detail, short);
    }
}
