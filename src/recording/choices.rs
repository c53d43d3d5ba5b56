//! The ways in which a file can be read that it does not decide by itself, as the flags that decide.

use super::columns::is_end;
use super::options::{ReadOptions, Stamp};
use super::report::SkipReason;
use super::{Error, Recording};
use crate::notation::number::{DecimalMark, NumberError};
use crate::notation::time::{self, DateOrder, Suggestion, TimeError, TimeNotation};

/// A way to read a file: flags of `play` and `backtest`, and the options that they are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// Names and values, in the order in which they were chosen.
    pub(crate) flags: Vec<(&'static str, String)>,
    /// The same for [`Recording::read`].
    pub(crate) options: ReadOptions,
}

/// Why a file is to be read in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Either may be meant.
    Meaning,
    /// Rows that are skipped otherwise.
    MoreReadings,
    /// Readings that share their time are told apart.
    Series,
}

/// Columns that are tried as one that nothing tells.
const MOST_COLUMNS: usize = 12;
/// Columns that are tried as a key, alone and in pairs.
const MOST_KEYS: usize = 4;

impl Choice {
    /// Whatever the options say.
    pub(crate) fn new(options: ReadOptions) -> Self {
        Choice {
            flags: Vec::new(),
            options,
        }
    }

    fn with(&self, flag: &'static str, value: &str, change: impl FnOnce(&mut ReadOptions)) -> Self {
        let mut choice = self.clone();
        choice.flags.push((flag, value.to_owned()));
        change(&mut choice.options);
        choice
    }

    fn date_order(&self, value: &str, order: DateOrder) -> Self {
        self.with("--date-order", value, |options| options.date_order = Some(order))
    }

    fn date_orders(&self) -> Vec<Self> {
        if self.options.date_order.is_some() {
            return Vec::new();
        }
        vec![
            self.date_order("dmy", DateOrder::DayFirst),
            self.date_order("mdy", DateOrder::MonthFirst),
        ]
    }

    fn decimal(&self, value: &str, mark: DecimalMark) -> Option<Self> {
        let is_open = self.options.decimal.is_none();
        is_open.then(|| self.with("--decimal", value, |options| options.decimal = Some(mark)))
    }

    fn time_column(&self, name: &str) -> Option<Self> {
        let is_open = self.options.columns.time.is_empty();
        is_open.then(|| {
            self.with("--time-column", name, |options| {
                options.columns.time = vec![name.to_owned()];
            })
        })
    }

    fn keyed(&self, names: &[&String]) -> Self {
        names.iter().fold(self.clone(), |choice, name| {
            choice.with("--key-column", name, |options| {
                options.columns.key.push((*name).clone());
            })
        })
    }

    fn value_column(&self, name: &str) -> Option<Self> {
        let is_open = self.options.columns.value.is_none();
        is_open.then(|| {
            self.with("--value-column", name, |options| {
                options.columns.value = Some(name.to_owned());
            })
        })
    }

    fn time_format(&self, value: &str) -> Option<Self> {
        let notation = TimeNotation::parse(value).ok()?;
        let is_open = self.options.time_formats.is_empty();
        is_open.then(|| {
            self.with("--time-format", value, |options| {
                options.time_formats = vec![notation];
            })
        })
    }

    /// The ways out of a refusal.
    pub(crate) fn instead_of(&self, error: &Error) -> Vec<Choice> {
        let columns = |names: &[String], by: &dyn Fn(&str) -> Option<Choice>| {
            let names = names.iter().filter(|name| !name.is_empty());
            names.take(MOST_COLUMNS).filter_map(|name| by(name)).collect()
        };
        match error {
            Error::DayOrMonthFirst { .. } | Error::BothDateOrders { .. } => self.date_orders(),
            Error::BothDecimalMarks { .. } => {
                let marks = [(".", DecimalMark::Point), (",", DecimalMark::Comma)];
                marks
                    .iter()
                    .filter_map(|(value, mark)| self.decimal(value, *mark))
                    .collect()
            }
            Error::AmbiguousColumn(name) => {
                let names = ["1", "2"].map(|number| format!("{name}#{number}"));
                let values: Vec<Choice> = columns(&names, &|name| self.value_column(name));
                let times: Vec<Choice> = columns(&names, &|name| self.time_column(name));
                values.into_iter().chain(times).collect()
            }
            Error::NoSuchColumn {
                what: "time", names, ..
            } => columns(names, &|name| self.time_column(name)),
            Error::NoSuchColumn {
                what: "value", names, ..
            } => columns(names, &|name| self.value_column(name)),
            _ => Vec::new(),
        }
    }

    /// Other ways to read a file that was read: what else it may mean, or what would read more of it.
    pub(crate) fn beside(&self, recording: &Recording) -> Vec<(Purpose, Choice)> {
        let mut choices = Vec::new();
        let more = self.reading_more(recording);
        choices.extend(more.into_iter().map(|choice| (Purpose::MoreReadings, choice)));
        let report = &recording.report;
        if report.same_time > 0 && self.options.columns.key.is_empty() {
            let names = report.other_columns.iter().filter(|name| !name.is_empty());
            let names: Vec<&String> = names.take(MOST_KEYS).collect();
            let pairs = names
                .iter()
                .enumerate()
                .flat_map(|(place, first)| names[place + 1..].iter().map(|second| vec![*first, *second]));
            let keys = names.iter().map(|name| vec![*name]).chain(pairs);
            choices.extend(keys.map(|key| (Purpose::Series, self.keyed(&key))));
        }
        let has_ends = report.time_columns.iter().any(|name| is_end(name));
        if has_ends && self.options.stamp == Stamp::Start {
            let ends = self.with("--stamp", "end", |options| options.stamp = Stamp::End);
            choices.push((Purpose::Meaning, ends));
        }
        choices
    }

    /// What reads the rows that are skipped.
    fn reading_more(&self, recording: &Recording) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        let skipped = &recording.report.skipped;
        let reasons = || skipped.iter().map(|skipped| &skipped.reason);
        let short_years: Vec<&str> = reasons()
            .filter_map(|reason| match reason {
                SkipReason::BadTime(text, TimeError::TwoDigitYear) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        choices.extend(
            time::short_year_patterns(&short_years)
                .iter()
                .filter_map(|pattern| self.time_format(pattern)),
        );
        if reasons().any(|reason| matches!(reason, SkipReason::BadValue(_, NumberError::HasComma))) {
            choices.extend(self.decimal(",", DecimalMark::Comma));
        }
        let suggested = reasons().find_map(|reason| match reason {
            SkipReason::BadTime(_, error) => error.suggestion(),
            _ => None,
        });
        match suggested {
            Some(Suggestion::Notation(value)) => choices.extend(self.time_format(value)),
            Some(Suggestion::DateOrder) => choices.extend(self.date_orders()),
            Some(Suggestion::OtherNotation | Suggestion::Zone | Suggestion::Offset) | None => {}
        }
        choices
    }
}
