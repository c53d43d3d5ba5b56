//! Texts that are times or numbers only by a setting: which one, as far as all of them together decide.

use crate::notation::number::{self, DecimalMark};
use crate::notation::time::{Source, TimeError, TimeNotation, short_year_patterns};

/// Texts that are kept for a look at all of them.
const MOST_TEXTS: usize = 200;

/// What is known of texts that are no times by themselves.
#[derive(Debug, Default)]
pub(crate) struct Ambiguous {
    /// The day can only be first.
    day_first: usize,
    /// The month can only be first.
    month_first: usize,
    /// A text in which either can be first.
    either: Option<String>,
    /// Texts whose years have two digits.
    short_years: Vec<String>,
}

/// Settings that read ambiguous times.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub setting: &'static str,
    pub value: String,
    /// Why it is this one, or which other one it may be.
    pub why: String,
}

impl Ambiguous {
    /// Notes a text; the answer is whether some setting reads it as a time.
    pub(crate) fn note(&mut self, text: &str) -> bool {
        match TimeNotation::Text.read(Source::Text(text), None) {
            Err(TimeError::DayOrMonthFirst {
                day_first,
                month_first,
            }) => {
                match (day_first, month_first) {
                    (Some(day), Some(month)) if day != month => {
                        self.either.get_or_insert_with(|| text.to_owned());
                    }
                    (Some(_), None) => self.day_first += 1,
                    (None, Some(_)) => self.month_first += 1,
                    _ => {}
                }
                day_first.is_some() || month_first.is_some()
            }
            Err(TimeError::TwoDigitYear) => {
                if self.short_years.len() < MOST_TEXTS {
                    self.short_years.push(text.to_owned());
                }
                true
            }
            _ => false,
        }
    }

    /// The setting that reads these texts; none where there are none, or where they contradict each other.
    pub(crate) fn reading(&self) -> Option<Reading> {
        if !self.short_years.is_empty() {
            let texts: Vec<&str> = self.short_years.iter().map(String::as_str).collect();
            let mut patterns = short_year_patterns(&texts).into_iter();
            let value = patterns.next()?;
            let others: Vec<String> = patterns.map(|pattern| format!("{pattern:?}")).collect();
            let why = match others.is_empty() {
                true => "a year of two digits".to_owned(),
                false => format!("or {}: the sample does not decide", others.join(" or ")),
            };
            return Some(Reading {
                setting: "time_format",
                value,
                why,
            });
        }
        let (value, why) = match (self.day_first, self.month_first, &self.either) {
            (0, 0, Some(text)) => (
                "dmy",
                format!("or \"mdy\": {text} can be either, and the sample does not decide"),
            ),
            (1.., 0, _) => ("dmy", "a day that can be no month comes first".to_owned()),
            (0, 1.., _) => ("mdy", "a day that can be no month comes second".to_owned()),
            _ => return None,
        };
        Some(Reading {
            setting: "date_order",
            value: value.to_owned(),
            why,
        })
    }
}

/// Whether a text is a number if a comma is the decimal mark, and none whose comma may stand between thousands.
pub(crate) fn is_decimal_comma(text: &str) -> bool {
    let fraction = text.trim().rsplit_once(',').map(|(_, fraction)| fraction.len());
    fraction.is_some_and(|digits| digits != 3) && number::parse(text, DecimalMark::Comma).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(texts: &[&str]) -> Option<(&'static str, String)> {
        let mut ambiguous = Ambiguous::default();
        for text in texts {
            assert!(ambiguous.note(text), "{text}");
        }
        ambiguous
            .reading()
            .map(|reading| (reading.setting, reading.value))
    }

    #[test]
    fn all_texts_together_decide() {
        let order = |value: &str| Some(("date_order", value.to_owned()));
        assert_eq!(reading(&["01/05/2024 00:00", "13/05/2024 00:00"]), order("dmy"));
        assert_eq!(reading(&["01/05/2024 00:00", "05/13/2024 00:00"]), order("mdy"));
        assert_eq!(reading(&["13/05/2024 00:00", "05/13/2024 00:00"]), None);
        assert_eq!(
            reading(&["13.05.24 06:00"]),
            Some(("time_format", "%d.%m.%y %H:%M".to_owned()))
        );
        let mut open = Ambiguous::default();
        assert!(open.note("01/05/2024") && !open.note("noon"));
        let open = open.reading().map(|reading| reading.why);
        assert!(open.is_some_and(|why| why.contains("or \"mdy\": 01/05/2024 can be either")));
    }

    #[test]
    fn a_comma_before_three_digits_decides_nothing() {
        assert!(is_decimal_comma("21,5") && is_decimal_comma("1.234,56"));
        assert!(!is_decimal_comma("1,234") && !is_decimal_comma("1,2,3") && !is_decimal_comma("21.5"));
    }
}
