//! What stands for a schema in front of a message in Avro's single-object encoding: two bytes that say so, and CRC-64-AVRO of
//! the schema's parsing canonical form.

use std::fmt;

/// What the single-object encoding begins with; no text in UTF-8 does.
const MARKER: &[u8] = &[0xc3, 0x01];
const BYTES: usize = 8;

/// A schema's fingerprint. Its text is its bytes as they stand in a message, as Avro's own tools print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a parsing canonical form.
    pub(super) fn of(canonical: &str) -> Self {
        /// Of the empty text, and the polynomial.
        const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
        Fingerprint(canonical.bytes().fold(EMPTY, |sum, byte| {
            (0..8).fold(sum ^ u64::from(byte), |sum, _| {
                (sum >> 1) ^ (EMPTY & (sum & 1).wrapping_neg())
            })
        }))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0.swap_bytes())
    }
}

/// The fingerprint in front of a message in the single-object encoding, and the message; `None` for what is none.
pub(crate) fn single_object(bytes: &[u8]) -> Option<(Fingerprint, &[u8])> {
    let (fingerprint, message) = bytes.strip_prefix(MARKER)?.split_first_chunk::<BYTES>()?;
    Some((Fingerprint(u64::from_le_bytes(*fingerprint)), message))
}
