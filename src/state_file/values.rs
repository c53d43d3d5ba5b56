//! State as bytes: little-endian, without names or padding.

use thiserror::Error;

/// Why bytes cannot be read as a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say what is wrong")]
pub enum StateError {
    #[error("the state ends early")]
    EndsEarly,
    #[error("the state holds an impossible {0}")]
    Impossible(&'static str),
}

/// Appends values to a state.
#[derive(Debug, Default)]
pub struct StateWriter {
    bytes: Vec<u8>,
}

/// Reads the values in the order in which they were written.
#[derive(Debug, Clone)]
pub struct StateReader<'a> {
    rest: &'a [u8],
}

macro_rules! values {
    ($($kind:ident)*) => {
        impl StateWriter {
            $(#[doc = concat!("Appends a `", stringify!($kind), "`.")]
            pub fn $kind(&mut self, value: $kind) {
                self.bytes.extend_from_slice(&value.to_le_bytes());
            })*
        }

        impl StateReader<'_> {
            $(#[doc = concat!("Takes a `", stringify!($kind), "`.")]
            ///
            /// # Errors
            /// [`StateError::EndsEarly`].
            pub fn $kind(&mut self) -> Result<$kind, StateError> {
                let (first, rest) = self.rest.split_first_chunk().ok_or(StateError::EndsEarly)?;
                self.rest = rest;
                Ok($kind::from_le_bytes(*first))
            })*
        }
    };
}

values!(u8 u16 u32 u64 i64 f32 f64);

impl StateWriter {
    /// Appends bytes as they are; the reader must know how many.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a text and its length.
    pub fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes(text.as_bytes());
    }

    /// Everything appended.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

impl<'a> StateReader<'a> {
    /// A reader of what a [`StateWriter`] made.
    pub fn new(bytes: &'a [u8]) -> Self {
        StateReader { rest: bytes }
    }

    /// Takes that many bytes.
    ///
    /// # Errors
    /// [`StateError::EndsEarly`].
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], StateError> {
        let (first, rest) = self.rest.split_at_checked(count).ok_or(StateError::EndsEarly)?;
        self.rest = rest;
        Ok(first)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// [`StateError`] if it ends early or is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, StateError> {
        let count = self.u32()? as usize;
        std::str::from_utf8(self.bytes(count)?).map_err(|_| StateError::Impossible("text"))
    }

    /// Takes a finite `f64`; `what` it is of is named where it is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn finite(&mut self, what: &'static str) -> Result<f64, StateError> {
        let number = self.f64()?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(StateError::Impossible(what))
        }
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_beyond_it() {
        let mut writer = StateWriter::default();
        writer.u16(7);
        writer.f64(-0.1);
        writer.text("Zähler");
        let bytes = writer.finish();
        let mut reader = StateReader::new(&bytes);
        assert_eq!(reader.u16(), Ok(7));
        assert_eq!(reader.f64(), Ok(-0.1));
        assert_eq!(reader.text(), Ok("Zähler"));
        assert!(reader.is_empty());
        assert_eq!(reader.u8(), Err(StateError::EndsEarly));
        let mut torn = StateReader::new(&bytes[..bytes.len() - 1]);
        let _ = (torn.u16(), torn.f64());
        assert_eq!(torn.text(), Err(StateError::EndsEarly));
    }
}
