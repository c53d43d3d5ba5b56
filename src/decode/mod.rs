//! From a record's bytes to a [`Reading`], or to the reason why it is none.
//!
//! Absent from this room: anything that decides what becomes of a rejected record, and any allocation for a good one.

mod counts;
mod json;
pub mod time;

pub use counts::Counts;

use std::borrow::Cow;

use chrono_tz::Tz;

use crate::config::TimeFormat;
use crate::reading::{LARGEST_VALUE, Reading, Record};
use json::{FieldPaths, Fields, Scalar};

/// How records are read: the fields' places, the form of times, and the bounds.
#[derive(Debug, Clone)]
pub struct Decoder {
    paths: FieldPaths,
    key: KeySource,
    time_format: TimeFormat,
    time_zone: Tz,
    max_ahead_ms: i64,
    max_bytes: usize,
}

/// What a series is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The topic is one series.
    None,
    /// The Kafka message key.
    Message,
    /// A field of the JSON value, as a dotted path.
    Field(String),
}

impl KeySource {
    /// Reads the setting `reading.key`: `none`, `message` or a dotted path.
    pub fn parse(setting: &str) -> Self {
        match setting {
            "none" => KeySource::None,
            "message" => KeySource::Message,
            path => KeySource::Field(path.to_owned()),
        }
    }
}

/// Why a record is no reading. The kinds are few, so that they can be counted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Empty,
    TooLarge,
    InvalidJson,
    MissingField,
    NullField,
    WrongType,
    NotFinite,
    OutOfRange,
    InvalidTime,
    TooFarAhead,
    MissingKey,
    InvalidKey,
}

impl Reason {
    /// The name in headers, logs and counts.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::InvalidJson => "invalid_json",
            Reason::MissingField => "missing_field",
            Reason::NullField => "null_field",
            Reason::WrongType => "wrong_type",
            Reason::NotFinite => "not_finite",
            Reason::OutOfRange => "out_of_range",
            Reason::InvalidTime => "invalid_time",
            Reason::TooFarAhead => "too_far_ahead",
            Reason::MissingKey => "missing_key",
            Reason::InvalidKey => "invalid_key",
        }
    }
}

/// A record that is no reading: the kind of reason, and a sentence that names the field and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    pub detail: String,
}

impl Rejection {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejection {
            reason,
            detail: detail.into(),
        }
    }
}

/// Event times from 1900 to the end of 9999: every reader of the table (Spark among them) can represent these.
const EVENT_TIMES_MS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=253_402_300_799_999;

impl Decoder {
    /// A decoder for the settings of `[reading]`.
    pub fn new(settings: &crate::config::ReadingConfig) -> Self {
        let key = KeySource::parse(&settings.key);
        let key_path = if let KeySource::Field(path) = &key {
            Some(path.as_str())
        } else {
            None
        };
        Decoder {
            paths: FieldPaths::new(&settings.time_field, &settings.value_field, key_path),
            key,
            time_format: settings.time_format,
            time_zone: settings.time_zone,
            max_ahead_ms: settings.max_ahead.as_millis() as i64,
            max_bytes: settings.max_bytes,
        }
    }

    /// The reading in a record.
    ///
    /// # Errors
    /// The [`Rejection`] that sends the record to the dead letters.
    pub fn decode<'a>(&self, record: Record<'a>) -> Result<Reading<'a>, Rejection> {
        let bytes = record.value.unwrap_or_default();
        if bytes.is_empty() {
            return Err(Rejection::new(Reason::Empty, "the record has no value"));
        }
        if bytes.len() > self.max_bytes {
            let detail = format!(
                "{} bytes are more than reading.max_bytes = {}",
                bytes.len(),
                self.max_bytes
            );
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        let fields = json::fields(bytes, &self.paths)?;
        let value = self.value(&fields)?;
        let event_time_ms = self.event_time_ms(&fields)?;
        self.check_ahead(event_time_ms, record.timestamp_ms)?;
        let key = self.key(fields, record.key)?;
        Ok(Reading {
            key,
            event_time_ms,
            value,
        })
    }

    fn value(&self, fields: &Fields<'_>) -> Result<f64, Rejection> {
        let name = self.paths.value_name();
        let value = match present(&fields.value, name)? {
            Scalar::Integer(value) => *value as f64,
            Scalar::Float(value) => *value,
            other => return Err(wrong_type(name, "a number", other)),
        };
        if value.abs() > LARGEST_VALUE {
            let detail = format!("{name} is {value:e}, beyond ±{LARGEST_VALUE:e}");
            return Err(Rejection::new(Reason::OutOfRange, detail));
        }
        // Plus zero makes -0.0 a 0.0, so that minimum and maximum cannot depend on the order of readings.
        Ok(value + 0.0)
    }

    fn event_time_ms(&self, fields: &Fields<'_>) -> Result<i64, Rejection> {
        let name = self.paths.time_name();
        let scalar = present(&fields.time, name)?;
        let event_time_ms = match (self.time_format, scalar) {
            (TimeFormat::Text, Scalar::Text(text)) => time::parse_ms(text, self.time_zone),
            (TimeFormat::Text, other) => return Err(wrong_type(name, "a time as text", other)),
            (TimeFormat::EpochMs, Scalar::Integer(milliseconds)) => Some(*milliseconds),
            (TimeFormat::EpochMs, Scalar::Float(milliseconds)) => Some(*milliseconds as i64),
            (TimeFormat::EpochS, Scalar::Integer(seconds)) => seconds.checked_mul(1000),
            (TimeFormat::EpochS, Scalar::Float(seconds)) => Some((seconds * 1000.0).round() as i64),
            (_, other) => return Err(wrong_type(name, "a number", other)),
        };
        event_time_ms
            .filter(|time| EVENT_TIMES_MS.contains(time))
            .ok_or_else(|| {
                let detail = format!("{name} is {}, no time between 1900 and 9999", scalar.describe());
                Rejection::new(Reason::InvalidTime, detail)
            })
    }

    fn check_ahead(&self, event_time_ms: i64, timestamp_ms: Option<i64>) -> Result<(), Rejection> {
        match timestamp_ms {
            Some(timestamp_ms) if event_time_ms > timestamp_ms.saturating_add(self.max_ahead_ms) => {
                let ahead_s = (event_time_ms - timestamp_ms) / 1000;
                let detail = format!(
                    "{} is {ahead_s} s ahead of the record's Kafka timestamp, more than reading.max_ahead; \
                     a wrong clock, or reading.time_zone is not the zone of the readings",
                    self.paths.time_name()
                );
                Err(Rejection::new(Reason::TooFarAhead, detail))
            }
            _ => Ok(()),
        }
    }

    fn key<'a>(&self, fields: Fields<'a>, message_key: Option<&'a [u8]>) -> Result<Cow<'a, str>, Rejection> {
        match &self.key {
            KeySource::None => Ok(Cow::Borrowed("")),
            KeySource::Message => {
                let bytes = message_key
                    .ok_or_else(|| Rejection::new(Reason::MissingKey, "the record has no message key"))?;
                std::str::from_utf8(bytes)
                    .map(Cow::Borrowed)
                    .map_err(|error| Rejection::new(Reason::InvalidKey, format!("the message key: {error}")))
            }
            KeySource::Field(name) => match fields.key {
                Some(Scalar::Text(text)) => Ok(text),
                Some(Scalar::Integer(number)) => Ok(Cow::Owned(number.to_string())),
                None => Err(Rejection::new(
                    Reason::MissingKey,
                    format!("there is no field {name}"),
                )),
                Some(other) => {
                    let detail = format!("{name} is {}, not text or a whole number", other.describe());
                    Err(Rejection::new(Reason::InvalidKey, detail))
                }
            },
        }
    }
}

fn present<'f, 'a>(field: &'f Option<Scalar<'a>>, name: &str) -> Result<&'f Scalar<'a>, Rejection> {
    match field {
        None => Err(Rejection::new(
            Reason::MissingField,
            format!("there is no field {name}"),
        )),
        Some(Scalar::Null) => Err(Rejection::new(Reason::NullField, format!("{name} is null"))),
        Some(scalar) => Ok(scalar),
    }
}

fn wrong_type(name: &str, expected: &str, found: &Scalar<'_>) -> Rejection {
    Rejection::new(
        Reason::WrongType,
        format!("{name} is {}, not {expected}", found.describe()),
    )
}

#[cfg(test)]
mod tests;
