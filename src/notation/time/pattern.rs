//! Times by a pattern as strptime has it.

use chrono::format::{Fixed, Item, Parsed, StrftimeItems};
use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Timelike};

use super::{TimeError, Written};

/// A pattern such as `%d.%m.%Y %H:%M`, in chrono's form of strptime's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    items: Vec<Item<'static>>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence, for one that has an unknown part or does not hold a whole date.
    pub fn parse(text: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(text)
            .parse_to_owned()
            .map_err(|_| format!("{text:?} is not a pattern of strptime such as \"%d.%m.%Y %H:%M\""))?;
        if items
            .iter()
            .any(|item| matches!(item, Item::Fixed(Fixed::TimezoneName)))
        {
            return Err(format!(
                "{text:?} asks for the name of a zone (%Z), which may mean several zones; use an offset (%z)"
            ));
        }
        let pattern = Pattern {
            text: text.to_owned(),
            items,
        };
        // 2023-11-15T22:13:20Z. Whatever the pattern holds of it must be enough to find the day again.
        let sample = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let written = sample.format_with_items(pattern.items.iter()).to_string();
        let is_found = |written: Written| match written {
            Written::Instant(instant_ms) => instant_ms / 86_400_000 == 1_700_000_000_000 / 86_400_000,
            Written::Wall(wall) | Written::Seasonal(wall, _) => wall.date() == sample.date_naive(),
        };
        if pattern.read(&written).is_ok_and(is_found) {
            Ok(pattern)
        } else {
            Err(format!("{text:?} does not hold a year, month and day"))
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads a time; without an hour it is the beginning of the day.
    ///
    /// # Errors
    /// [`TimeError::Mismatch`], or [`TimeError::TwoDigitYear`] where `%Y` found fewer than four digits.
    pub(super) fn read(&self, text: &str) -> Result<Written, TimeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TimeError::Empty);
        }
        let mismatch = || TimeError::Mismatch(self.text.clone());
        let written = match self.parsed(text) {
            Some(written) => written,
            None => self.end_of_day(text).ok_or_else(mismatch)?,
        };
        match written {
            Written::Wall(wall) if chrono::Datelike::year(&wall) < 1000 => Err(TimeError::TwoDigitYear),
            written => Ok(written),
        }
    }

    /// 24:00 is the beginning of the next day.
    fn end_of_day(&self, text: &str) -> Option<Written> {
        let (before, after) = text.split_once("24:00")?;
        match self.parsed(&format!("{before}00:00{after}"))? {
            Written::Wall(wall) if wall.time() == NaiveTime::MIN => {
                wall.checked_add_days(Days::new(1)).map(Written::Wall)
            }
            _ => None,
        }
    }

    fn parsed(&self, text: &str) -> Option<Written> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
        if parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() && parsed.timestamp().is_none() {
            parsed.set_hour(0).ok()?;
        }
        if parsed.minute().is_none() && parsed.timestamp().is_none() {
            parsed.set_minute(0).ok()?;
        }
        if parsed.offset().is_some() || parsed.timestamp().is_some() {
            let time = parsed.to_datetime().ok()?;
            let before_leap_ms = i64::from(time.timestamp_subsec_millis().min(999));
            return Some(Written::Instant(
                time.timestamp().checked_mul(1000)?.checked_add(before_leap_ms)?,
            ));
        }
        parsed
            .to_naive_datetime_with_offset(0)
            .ok()
            .map(without_leap_second)
            .map(Written::Wall)
    }
}

/// A leap second is the last millisecond before it; what is finer than a millisecond is left out.
fn without_leap_second(wall: NaiveDateTime) -> NaiveDateTime {
    let milliseconds = (wall.nanosecond() / 1_000_000).min(999);
    wall.with_nanosecond(milliseconds * 1_000_000).unwrap_or(wall)
}
