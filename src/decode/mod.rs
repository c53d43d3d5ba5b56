//! From a record's bytes to its [`Reading`]s, or to the reason why it holds none.
//!
//! What is wrapped around the bytes is taken off, a `Format` finds the fields, the [`Decoder`] makes readings of them. A
//! record is good as a whole or not at all (ADR 19), so who applies readings asks [`Decoder::examine`] first. One that the
//! settings pass over is skipped (ADR 21).
//!
//! Absent from this room: anything that decides what becomes of a rejected record, and any allocation for a good one that
//! holds one reading in a plain JSON object.

mod documents;
mod event_time;
mod examined;
mod format;
mod message_key;
mod payload;
mod rejection;
mod schema_header;
mod schemas;
mod select;
mod settings;
mod tree;
mod value;

pub(crate) use documents::{Content, content, documents, is_influx, look};
pub use examined::Examined;
pub(crate) use format::lenient::mended;
pub(crate) use format::{SchemaSource, avro};
pub use rejection::{DETAIL_LENGTH, Reason, Rejection};
pub use schemas::Schemas;
pub(crate) use schemas::{Fingerprinted, Schema};
pub use select::{Condition, KeyPart, Path, ValuePaths};
#[cfg(test)]
pub(crate) use settings::FATE_EXAMPLES;
pub use settings::{
    AvroSchema, DateOrderName, FormatName, KeyFormat, KeySetting, KeySource, OptionalPath, Settings, Stamp,
    TimeField, TimeFormats, ValueFormat, ValueKind,
};
pub(crate) use tree::Tree;

use std::borrow::Cow;
use std::sync::Arc;

use crate::reading::{Reading, Record, SeriesKey};
use event_time::EventTimes;
use examined::Examination;
use format::{Fault, Format, Found, json_scan, lenient};
use payload::PayloadError;
use value::Values;

/// How records are read: their format, what its fields mean, and the bounds.
#[derive(Debug, Clone)]
pub struct Decoder {
    format: Format,
    values: Values,
    times: EventTimes,
    key: MessageKey,
    /// What the key is called in details, if it is in the value.
    key_name: String,
    /// Reasons that are no errors.
    skipped: Vec<Reason>,
    max_bytes: usize,
    max_key_bytes: usize,
}

/// What the message key is to a reading.
#[derive(Debug, Clone, Copy)]
enum MessageKey {
    /// Nothing: there is one series.
    None,
    /// Its key.
    Key(KeyFormat),
    /// Nothing: the key is in the value.
    Field,
}

impl Decoder {
    /// A decoder for the settings of `[reading]`. Schemas of messages that name theirs are still to be learned.
    pub fn new(settings: &Settings) -> Self {
        Decoder::with_schemas(settings, Arc::default())
    }

    /// The same, with schemas that others may know already.
    pub(crate) fn with_schemas(settings: &Settings, learned: Arc<Schemas>) -> Self {
        Decoder {
            format: Format::new(settings, learned),
            values: Values::new(settings),
            times: EventTimes::new(settings),
            key: match settings.key.source() {
                KeySource::None => MessageKey::None,
                KeySource::Message => MessageKey::Key(settings.key_format),
                KeySource::Fields(_) => MessageKey::Field,
            },
            key_name: settings.key.to_string(),
            skipped: settings.skip.clone(),
            max_bytes: settings.max_bytes,
            max_key_bytes: settings.max_key_bytes,
        }
    }

    /// The schemas that are to be learned before records are read by them; `None` where records need none of others.
    pub(crate) fn schemas(&self) -> Option<&Arc<Schemas>> {
        self.format.learned()
    }

    /// Finds out whether a record is good as a whole, before any of its readings counts. `newest_ms` is the largest event
    /// time of the readings before it in its partition: wall times that come twice are told apart by it.
    ///
    /// # Errors
    /// The [`Rejection`] that sends the record to the dead letters.
    #[inline]
    pub fn examine<'a>(
        &'a self,
        record: Record<'a>,
        newest_ms: Option<i64>,
    ) -> Result<Examined<'a>, Rejection> {
        let mut found = Found::default();
        if let Some(value_name) = self.find_only(&record, &mut found) {
            return match self.reading(&record, &mut found, value_name, newest_ms) {
                Ok(reading) => Ok(Examined::One(reading)),
                Err(rejection) => self.skip_or(rejection).map(|()| Examined::Skipped),
            };
        }
        let mut examination = Examination::default();
        self.walk(record, newest_ms, &mut |reading| examination.note(reading))?;
        Ok(examination.finish())
    }

    /// Yields the readings of a record one by one, in the order in which they lie in it; none of a record that is skipped.
    ///
    /// # Errors
    /// The [`Rejection`] of the first one that is none. Those before it were yielded all the same.
    #[inline]
    pub fn decode<'a>(
        &'a self,
        record: Record<'a>,
        newest_ms: Option<i64>,
        each: &mut impl FnMut(Reading<'a>),
    ) -> Result<(), Rejection> {
        let mut found = Found::default();
        let Some(value_name) = self.find_only(&record, &mut found) else {
            return self.walk(record, newest_ms, each);
        };
        match self.reading(&record, &mut found, value_name, newest_ms) {
            Ok(reading) => {
                each(reading);
                Ok(())
            }
            Err(rejection) => self.skip_or(rejection),
        }
    }

    /// Finds the fields of a record that is a plain JSON object and nothing else, as most are. Returns what its value is
    /// called. `None` for any other: then [`walk`](Self::walk) is to find out what it is.
    #[inline]
    fn find_only<'a>(&'a self, record: &Record<'a>, found: &mut Found<'a>) -> Option<&'a str> {
        let Format::Plain(fields) = &self.format else {
            return None;
        };
        let bytes = record.value.filter(|bytes| bytes.len() <= self.max_bytes)?;
        let is_object = json_scan::read_single(bytes, fields, found);
        is_object.then(|| fields.value_name())
    }

    /// Yields the readings of any record.
    #[inline(never)]
    fn walk<'a>(
        &'a self,
        record: Record<'a>,
        newest_ms: Option<i64>,
        each: &mut dyn FnMut(Reading<'a>),
    ) -> Result<(), Rejection> {
        self.walk_wrapped(record, newest_ms, each)
            .or_else(|rejection| self.skip_or(rejection))
    }

    fn walk_wrapped<'a>(
        &'a self,
        record: Record<'a>,
        newest_ms: Option<i64>,
        each: &mut dyn FnMut(Reading<'a>),
    ) -> Result<(), Rejection> {
        let bytes = record.value.unwrap_or_default();
        if bytes.is_empty() {
            return Err(Rejection::new(Reason::Empty, "the record has no value"));
        }
        if bytes.len() > self.max_bytes {
            return Err(self.too_large(&format!("{} bytes are", bytes.len())));
        }
        let text =
            payload::unwrap(bytes, self.max_bytes, self.format.wrapping()).map_err(|error| match error {
                PayloadError::TooLarge => self.too_large("unpacked it has"),
                PayloadError::Damaged(reason) => Rejection::new(
                    self.format.malformed(),
                    format!("it is gzip that is damaged: {reason}"),
                ),
            })?;
        let newest_ms = &mut { newest_ms };
        match text {
            Cow::Borrowed([]) => Err(Rejection::new(Reason::Empty, "the record has no value")),
            Cow::Borrowed(text) => self.walk_text(record, text, newest_ms, each),
            Cow::Owned(text) => self.walk_text(record, &text, newest_ms, &mut |reading| {
                each(reading.into_owned());
            }),
        }
    }

    fn too_large(&self, what: &str) -> Rejection {
        let detail = format!("{what} more than reading.max_bytes = {}", self.max_bytes);
        Rejection::new(Reason::TooLarge, detail)
    }

    /// Yields the readings of a text, moving the newest event time along.
    fn walk_text<'a>(
        &'a self,
        record: Record<'a>,
        text: &'a [u8],
        newest_ms: &mut Option<i64>,
        each: &mut dyn FnMut(Reading<'a>),
    ) -> Result<(), Rejection> {
        let read = self.read(record, text, 0, newest_ms, each);
        let (rejection, documents) = match read {
            Ok(()) => return Ok(()),
            Err(Fault::Rejected(rejection)) => return Err(rejection),
            Err(Fault::Malformed { rejection, documents }) => (rejection, documents),
        };
        let mended = self.format.is_json().then(|| lenient::mended(text)).flatten();
        let Some(mended) = mended else {
            return Err(match payload::look(text) {
                Some(look) => Rejection::new(
                    rejection.reason,
                    format!("it looks like {look}; {}", rejection.detail),
                ),
                None => rejection,
            });
        };
        let read = self.read(record, &mended, documents, newest_ms, &mut |reading| {
            each(reading.into_owned());
        });
        read.map_err(|fault| match fault {
            Fault::Rejected(rejection) | Fault::Malformed { rejection, .. } => rejection,
        })
    }

    fn read<'a>(
        &'a self,
        record: Record<'a>,
        text: &'a [u8],
        passed: usize,
        newest_ms: &mut Option<i64>,
        each: &mut dyn FnMut(Reading<'a>),
    ) -> Result<(), Fault> {
        self.format
            .read(record.headers, text, passed, &mut |found, value_name| {
                let reading = found.and_then(|found| self.reading(&record, found, value_name, *newest_ms));
                match reading {
                    Ok(reading) => {
                        *newest_ms = (*newest_ms).max(Some(reading.event_time_ms));
                        each(reading);
                        Ok(())
                    }
                    Err(rejection) => self.skip_or(rejection),
                }
            })
    }

    /// Nothing for a reason that is no error here.
    #[cold]
    fn skip_or(&self, rejection: Rejection) -> Result<(), Rejection> {
        if self.skipped.contains(&rejection.reason) {
            Ok(())
        } else {
            Err(rejection)
        }
    }

    // Not generic, so that it is compiled once.
    #[inline(never)]
    fn reading<'a>(
        &'a self,
        record: &Record<'a>,
        found: &mut Found<'a>,
        value_name: &str,
        newest_ms: Option<i64>,
    ) -> Result<Reading<'a>, Rejection> {
        let value = self.values.value(value_name, found)?;
        let event_time_ms = self.times.event_time_ms(record, found.time.as_ref(), newest_ms)?;
        let key = match self.key {
            MessageKey::None => Cow::Borrowed(""),
            MessageKey::Key(format) => message_key::read(record.key, format)?,
            MessageKey::Field => match found.beside.take().and_then(|beside| beside.key_fault) {
                Some(rejection) => return Err(rejection),
                None => select::key_text(&self.key_name, found.key.take())?,
            },
        };
        let series = SeriesKey {
            key,
            measure: found.measure.take(),
        };
        self.check_series(&series)?;
        Ok(Reading {
            series,
            event_time_ms,
            value,
        })
    }

    /// Key and measure lie in each row of the series; the bound is on both together.
    #[inline]
    fn check_series(&self, series: &SeriesKey<Cow<'_, str>>) -> Result<(), Rejection> {
        if series.byte_count() <= self.max_key_bytes {
            return Ok(());
        }
        let with_measure = match series.measure {
            Some(_) => " with its measure",
            None => "",
        };
        let detail = format!(
            "the key{with_measure} is {} bytes long, more than reading.max_key_bytes = {}; it begins with {:?}",
            series.byte_count(),
            self.max_key_bytes,
            series.key.chars().take(20).collect::<String>()
        );
        Err(Rejection::new(Reason::InvalidKey, detail))
    }
}

#[cfg(test)]
mod tests;
