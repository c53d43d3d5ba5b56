//! When a reading was measured.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use chrono_tz::Tz;

use super::format::{Scalar, ascii};
use super::settings::{FormatName, Settings, TimeField};
use super::value::{present, unusable, wrong_type};
use super::{KeySource, Reason, Rejection};
use crate::notation::time::{
    DateOrder, EVENT_TIMES_MS, EpochUnit, Source, TimeError, TimeNotation, Written, plausible_unit, read,
    read_plain,
};
use crate::notation::zone::{AmbiguousTime, comes_twice, instant_ms, wall_to_instant_ms};
use crate::reading::Record;

/// Where times lie, how they are written, and how far from the record's own they may be.
#[derive(Debug, Clone)]
pub(super) struct EventTimes {
    place: TimeField,
    /// What it is called in details.
    name: String,
    /// Whether a reading without a time has that of its record.
    falls_back: bool,
    notations: Vec<TimeNotation>,
    /// Whether texts are tried first, so that most of them can be read at once.
    begins_with_text: bool,
    order: Option<DateOrder>,
    zone: Tz,
    ambiguous: AmbiguousTime,
    /// Whether the topic is read as one series, so that a time which comes again is not another series'.
    is_one_series: bool,
    max_ahead_ms: i64,
    max_behind_ms: i64,
}

/// How near a record's own timestamp must be to a wall time that comes twice to decide which of the two it is: the
/// reading is live then.
const LIVE_MS: u64 = 3 * 3_600_000;

impl EventTimes {
    /// As these settings say.
    pub(super) fn new(settings: &Settings) -> Self {
        EventTimes {
            place: settings.time_field.clone(),
            name: settings.time_field.to_string(),
            falls_back: settings.format == FormatName::Influx,
            notations: settings.time_format.notations().to_vec(),
            begins_with_text: matches!(
                settings.time_format.notations(),
                [TimeNotation::Text | TimeNotation::Auto, ..]
            ),
            order: settings.date_order.order(),
            zone: settings.time_zone,
            ambiguous: settings.ambiguous_time,
            is_one_series: *settings.key.source() == KeySource::None && !settings.has_measures(),
            max_ahead_ms: settings.max_ahead.as_millis() as i64,
            max_behind_ms: settings.max_behind.as_millis() as i64,
        }
    }

    /// The event time of a reading in milliseconds since 1970. `newest_ms` is the largest of the readings before it.
    ///
    /// # Errors
    /// The [`Rejection`] of what is not a time, or not near enough to the record's own.
    #[inline]
    pub(super) fn event_time_ms(
        &self,
        record: &Record<'_>,
        found: Option<&Scalar<'_>>,
        newest_ms: Option<i64>,
    ) -> Result<i64, Rejection> {
        match &self.place {
            TimeField::Field(_) if found.is_none() && self.falls_back => self.of_record(record),
            TimeField::Field(_) => self.of_scalar(record, found, newest_ms),
            TimeField::Record => self.of_record(record),
            TimeField::Header(name) => self.of_scalar(record, header(record, name)?.as_ref(), newest_ms),
        }
    }

    #[inline]
    fn of_scalar(
        &self,
        record: &Record<'_>,
        found: Option<&Scalar<'_>>,
        newest_ms: Option<i64>,
    ) -> Result<i64, Rejection> {
        let scalar = present(found, &self.name)?;
        let event_time_ms = match self.read_at_once(scalar) {
            Some(event_time_ms) => event_time_ms,
            None => self.read(scalar, record.timestamp_ms, newest_ms)?,
        };
        self.check(event_time_ms, scalar, record.timestamp_ms)?;
        Ok(event_time_ms)
    }

    fn of_record(&self, record: &Record<'_>) -> Result<i64, Rejection> {
        let timestamp_ms = record
            .timestamp_ms
            .filter(|timestamp_ms| EVENT_TIMES_MS.contains(timestamp_ms));
        timestamp_ms.ok_or_else(|| {
            let detail = match record.timestamp_ms {
                None => "the record has no Kafka timestamp to be the reading's time".to_owned(),
                Some(timestamp_ms) => {
                    format!("the record's Kafka timestamp is {timestamp_ms}, not a time from 1900 to 9999")
                }
            };
            Rejection::new(Reason::InvalidTime, detail)
        })
    }

    /// The instant of a text in one of the usual forms, with an offset or in UTC.
    #[inline]
    fn read_at_once(&self, scalar: &Scalar<'_>) -> Option<i64> {
        let text = match scalar {
            Scalar::Ascii(text) => *text,
            Scalar::Text(text) => text.as_bytes(),
            _ => return None,
        };
        let plain = self.begins_with_text.then(|| read_plain(text)).flatten()?;
        let instant_ms = plain.instant_ms(self.zone == Tz::UTC)?;
        EVENT_TIMES_MS.contains(&instant_ms).then_some(instant_ms)
    }

    #[inline(never)]
    fn read(
        &self,
        scalar: &Scalar<'_>,
        timestamp_ms: Option<i64>,
        newest_ms: Option<i64>,
    ) -> Result<i64, Rejection> {
        let source = match source(scalar) {
            Ok(source) => source,
            Err(Some(kind)) => return Err(unusable(&self.name, kind)),
            Err(None) => return Err(wrong_type(&self.name, "a time", scalar)),
        };
        read(&self.notations, source, self.order)
            .and_then(|written| self.instant_ms(written, timestamp_ms, newest_ms))
            .and_then(|time_ms| match EVENT_TIMES_MS.contains(&time_ms) {
                true => Ok(time_ms),
                false => Err(TimeError::BeyondRange(None)),
            })
            .map_err(|error| {
                let detail = format!(
                    "{} is {}: {error}{}",
                    self.name,
                    scalar.describe(),
                    error.setting()
                );
                Rejection::new(reason_of(&error, source), detail)
            })
    }

    #[inline]
    fn instant_ms(
        &self,
        written: Written,
        timestamp_ms: Option<i64>,
        newest_ms: Option<i64>,
    ) -> Result<i64, TimeError> {
        let near_ms = match written {
            Written::Wall(wall) if self.ambiguous == AmbiguousTime::InOrder && self.zone != Tz::UTC => {
                match comes_twice(wall, self.zone) {
                    true => return self.in_order(wall, timestamp_ms, newest_ms),
                    false => None,
                }
            }
            _ => None,
        };
        instant_ms(written, self.zone, self.ambiguous, near_ms)
    }

    /// Which instant a wall time is that comes twice: of a live reading the one nearer to its record's timestamp, and not
    /// one that would be ahead of it; of history the one nearer to the readings before, of two equally near the later.
    ///
    /// # Errors
    /// [`TimeError::ComesTwice`] where the only series of a topic would stand still or go back: either that, or its steps
    /// are so long that it is the second time.
    fn in_order(
        &self,
        wall: NaiveDateTime,
        timestamp_ms: Option<i64>,
        newest_ms: Option<i64>,
    ) -> Result<i64, TimeError> {
        let instant_of = |which, near_ms| wall_to_instant_ms(wall, self.zone, which, near_ms);
        let earlier_ms = instant_of(AmbiguousTime::Earlier, None);
        let later_ms = instant_of(AmbiguousTime::Later, None);
        let live_ms = timestamp_ms.filter(|&timestamp_ms| {
            timestamp_ms
                .abs_diff(earlier_ms)
                .min(timestamp_ms.abs_diff(later_ms))
                <= LIVE_MS
        });
        match live_ms {
            Some(live_ms) if later_ms.saturating_sub(live_ms) > self.max_ahead_ms => Ok(earlier_ms),
            Some(_) => Ok(instant_of(AmbiguousTime::InOrder, live_ms)),
            None => {
                let nearer_ms = instant_of(AmbiguousTime::InOrder, newest_ms);
                let goes_back = newest_ms.is_some_and(|newest_ms| nearer_ms <= newest_ms);
                match self.is_one_series && goes_back && nearer_ms == earlier_ms {
                    true => Err(TimeError::ComesTwice { earlier_ms, later_ms }),
                    false => Ok(nearer_ms),
                }
            }
        }
    }

    /// Holds a reading's time against the record's Kafka timestamp. A time that nothing vouches for could move the
    /// watermark anywhere, for good.
    #[inline]
    fn check(
        &self,
        event_time_ms: i64,
        scalar: &Scalar<'_>,
        timestamp_ms: Option<i64>,
    ) -> Result<(), Rejection> {
        let Some(timestamp_ms) = timestamp_ms else {
            return Err(self.without_timestamp());
        };
        let ahead_ms = event_time_ms.saturating_sub(timestamp_ms);
        if ahead_ms > self.max_ahead_ms {
            return Err(self.too_far_ahead(ahead_ms, timestamp_ms));
        }
        if ahead_ms < -self.max_behind_ms {
            return Err(self.too_far_behind(ahead_ms, scalar, event_time_ms));
        }
        Ok(())
    }

    #[cold]
    fn without_timestamp(&self) -> Rejection {
        let detail = format!(
            "the record has no Kafka timestamp to hold {} against; set the topic's \
             message.timestamp.type = LogAppendTime, or have the producer set timestamps",
            self.name
        );
        Rejection::new(Reason::NoTimestamp, detail)
    }

    #[cold]
    fn too_far_ahead(&self, ahead_ms: i64, timestamp_ms: i64) -> Rejection {
        let detail = format!(
            "{} is {} s ahead of the record's Kafka timestamp {}, more than reading.max_ahead; \
             a wrong clock, or reading.time_zone is not the zone of the readings",
            self.name,
            ahead_ms / 1000,
            shown(timestamp_ms),
        );
        Rejection::new(Reason::TooFarAhead, detail)
    }

    #[cold]
    fn too_far_behind(&self, ahead_ms: i64, scalar: &Scalar<'_>, event_time_ms: i64) -> Rejection {
        let other = source(scalar)
            .ok()
            .and_then(plausible_unit)
            .filter(|(_, plausible_ms)| *plausible_ms != event_time_ms);
        let guess = match other {
            Some((unit, plausible_ms)) => in_other_unit(unit, plausible_ms),
            None => {
                "a clock that was never set, or reading.time_format is not that of the readings".to_owned()
            }
        };
        let detail = format!(
            "{} is {} days behind the record's Kafka timestamp, more than reading.max_behind; {guess}",
            self.name,
            ahead_ms.saturating_neg() / 86_400_000
        );
        Rejection::new(Reason::TooFarBehind, detail)
    }
}

fn in_other_unit(unit: EpochUnit, plausible_ms: i64) -> String {
    format!(
        "as {} it would be {}: reading.time_format = {:?}?",
        unit.plural(),
        shown(plausible_ms),
        unit.name()
    )
}

fn shown(time_ms: i64) -> String {
    match DateTime::from_timestamp_millis(time_ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => format!("{time_ms} ms"),
    }
}

/// What a time is read from; the reason if that is of no use.
#[inline]
fn source<'s>(scalar: &'s Scalar<'_>) -> Result<Source<'s>, Option<super::format::Unusable>> {
    match scalar {
        Scalar::Text(text) => Ok(Source::Text(text)),
        Scalar::Ascii(text) => Ok(Source::Text(ascii(text))),
        Scalar::Integer(number) => Ok(Source::Integer(i128::from(*number))),
        Scalar::Unsigned(number) => Ok(Source::Integer(i128::from(*number))),
        Scalar::Float(number) => Ok(Source::Float(*number)),
        Scalar::Unusable(kind) => Err(Some(*kind)),
        Scalar::Null | Scalar::Bool(_) | Scalar::Nested => Err(None),
    }
}

fn header<'r>(record: &Record<'r>, name: &str) -> Result<Option<Scalar<'r>>, Rejection> {
    let Some(bytes) = record.header(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(Scalar::Text(Cow::Borrowed(text)))),
        Err(error) => {
            let detail = format!("the header {name} is not UTF-8: {error}");
            Err(Rejection::new(Reason::InvalidTime, detail))
        }
    }
}

/// A number under `text`, and a text that is no number under an epoch, are of the wrong type rather than no times.
fn reason_of(error: &TimeError, source: Source<'_>) -> Reason {
    match (error, source) {
        (TimeError::NotANumber | TimeError::NumberForText, _) => Reason::WrongType,
        (TimeError::Number(_), Source::Integer(_) | Source::Float(_)) => Reason::WrongType,
        _ => Reason::InvalidTime,
    }
}
