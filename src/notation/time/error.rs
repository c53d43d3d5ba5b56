//! Why something is not a time, and what would read it.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use thiserror::Error;

use super::{EpochUnit, Season};

/// The reason why a text or number is not a time. It completes a sentence that begins with what was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say what is wrong")]
pub enum TimeError {
    #[error("it is empty")]
    Empty,
    #[error("not a known form of time such as 2024-03-05 06:30:00 or RFC 3339")]
    UnknownForm,
    /// The form is known.
    #[error("there is no such day or hour")]
    NoSuchTime,
    #[error("a year needs four digits")]
    TwoDigitYear,
    /// The dates it can be; at least one of them exists.
    #[error("{}", either(*.day_first, *.month_first))]
    DayOrMonthFirst {
        day_first: Option<NaiveDate>,
        month_first: Option<NaiveDate>,
    },
    #[error(
        "the zone {0} is ambiguous or unknown; write an offset such as -05:00, or nothing and set the zone"
    )]
    ZoneName(String),
    #[error("an interval of hours rather than an offset")]
    Interval,
    /// A number where text is expected; the unit in which it is a time of our days, and that time.
    #[error("a number{}", as_unit(", ", *.0))]
    Number(Option<(EpochUnit, i64)>),
    /// A number where only a text can hold the time.
    #[error("a number instead of text")]
    NumberForText,
    #[error("not a number")]
    NotANumber,
    /// It is either this time, or milliseconds of the last century.
    #[error("it may be {0} or a number of milliseconds")]
    TwelveDigits(NaiveDateTime),
    /// The other unit in which the number is a time of our days, and that time.
    #[error("beyond 1900 to 9999-12-30{}", as_unit("; ", *.0))]
    BeyondRange(Option<(EpochUnit, i64)>),
    /// The pattern.
    #[error("it does not match {0:?}")]
    Mismatch(String),
    /// The two instants, in milliseconds since 1970.
    #[error("clocks show it twice, at {} and at {}, and the reading before it does not decide which it is", Shown(*.earlier_ms), Shown(*.later_ms))]
    ComesTwice { earlier_ms: i64, later_ms: i64 },
    #[error("it says {}, which its zone does not have then", season_name(*.0))]
    OtherSeason(Season),
}

/// What reads a time that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// The value of `reading.time_format`, or of the flag.
    Notation(&'static str),
    /// Some other value of it.
    OtherNotation,
    /// The order of day and month.
    DateOrder,
    /// The zone of times without an offset.
    Zone,
    /// An offset in the text itself.
    Offset,
}

impl TimeError {
    /// What to set so that such times are read; `None` where no setting helps.
    pub fn suggestion(&self) -> Option<Suggestion> {
        match self {
            TimeError::UnknownForm
            | TimeError::TwoDigitYear
            | TimeError::Interval
            | TimeError::Mismatch(_) => Some(Suggestion::OtherNotation),
            TimeError::TwelveDigits(_) => Some(Suggestion::Notation("%Y%m%d%H%M")),
            TimeError::DayOrMonthFirst { .. } => Some(Suggestion::DateOrder),
            TimeError::Number(Some((unit, _))) | TimeError::BeyondRange(Some((unit, _))) => {
                Some(Suggestion::Notation(unit.name()))
            }
            TimeError::Number(None) => Some(Suggestion::Notation("epoch_s")),
            TimeError::NumberForText | TimeError::NotANumber => Some(Suggestion::Notation("auto")),
            TimeError::OtherSeason(_) => Some(Suggestion::Zone),
            TimeError::ComesTwice { .. } => Some(Suggestion::Offset),
            TimeError::Empty
            | TimeError::NoSuchTime
            | TimeError::ZoneName(_)
            | TimeError::BeyondRange(None) => None,
        }
    }

    /// The setting of `[reading]` that reads such times, as an ending of the sentence.
    pub fn setting(&self) -> String {
        match self.suggestion() {
            None => String::new(),
            Some(Suggestion::Notation(value)) => format!("; set reading.time_format = {value:?}"),
            Some(Suggestion::OtherNotation) => "; reading.time_format can be a pattern".to_owned(),
            Some(Suggestion::DateOrder) => "; set reading.date_order = \"dmy\" or \"mdy\"".to_owned(),
            Some(Suggestion::Zone) => "; set reading.time_zone".to_owned(),
            Some(Suggestion::Offset) => {
                "; write an offset, or set reading.ambiguous_time = \"earlier\" or \"later\"".to_owned()
            }
        }
    }
}

/// The two dates that day and month can be, or the only one.
fn either(day_first: Option<NaiveDate>, month_first: Option<NaiveDate>) -> String {
    match (day_first, month_first) {
        (Some(day_first), Some(month_first)) if day_first != month_first => {
            format!("{day_first} or {month_first}, as day or month comes first")
        }
        (Some(date), _) | (_, Some(date)) => {
            format!("{date}, but others like it may have day and month in either order")
        }
        (None, None) => "no such day exists".to_owned(),
    }
}

fn as_unit(before: &str, plausible: Option<(EpochUnit, i64)>) -> String {
    match plausible {
        None => String::new(),
        Some((unit, instant_ms)) => format!("{before}as {} it is {}", unit.plural(), Shown(instant_ms)),
    }
}

fn season_name(season: Season) -> &'static str {
    match season {
        Season::Summer => "S for summer time",
        Season::Winter => "W for winter time",
    }
}

/// An instant as people read it.
struct Shown(i64);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => formatter.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(formatter, "{} ms", self.0),
        }
    }
}
