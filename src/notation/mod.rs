//! How numbers and times are written: one parser for the fields of messages and the cells of files.
//!
//! A text that could be read in two ways is refused with both readings; `docs/times-and-numbers.md` lists what is read
//! and what is refused, and a test runs its tables.
//!
//! Absent from this room: fields, columns and records; allocation for what is read; any guess.

pub(crate) mod base64;
pub mod number;
pub mod time;
pub mod zone;

use chrono_tz::Tz;
use time::{Source, TimeError, TimeNotation};
use zone::{AmbiguousTime, instant_ms};

/// The instant of a time as text, in milliseconds since 1970; without an offset it is in UTC.
///
/// # Errors
/// [`TimeError`].
pub fn utc_ms(text: &str) -> Result<i64, TimeError> {
    let written = TimeNotation::Text.read(Source::Text(text), None)?;
    instant_ms(written, Tz::UTC, AmbiguousTime::Earlier, None)
}
