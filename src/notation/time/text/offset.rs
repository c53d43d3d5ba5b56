//! The offset from UTC after a time of day.

use super::{Scanner, TimeError, is_blank};

pub(super) enum Offset {
    None,
    /// What local clocks are ahead of UTC.
    Seconds(i32),
}

impl Scanner<'_> {
    /// `Z`, `+02`, `-0500`, `+05:30`, `UTC`, `(GMT)`, `GMT+0200`, each perhaps with a name behind it that adds nothing:
    /// `+0200 CEST`, `+02:00[Europe/Berlin]`.
    pub(super) fn offset(&mut self) -> Result<Offset, TimeError> {
        let whole = self.rest;
        self.blanks();
        if self.rest.is_empty() {
            return Ok(Offset::None);
        }
        let is_utc = self.utc_word();
        let number = self.offset_number()?;
        match (is_utc, number) {
            (_, Some(offset_s)) => {
                self.name_behind();
                Ok(Offset::Seconds(offset_s))
            }
            (true, None) => {
                self.name_behind();
                Ok(Offset::Seconds(0))
            }
            (false, None) => {
                let is_name = |character: char| character.is_ascii_alphabetic() || "[(".contains(character);
                if self.rest.starts_with(is_name) && !self.rest.starts_with("to ") {
                    return Err(TimeError::ZoneName(word(self.rest, self.rest)));
                }
                self.rest = whole;
                Ok(Offset::None)
            }
        }
    }

    /// `Z`, `UTC`, `GMT`, `UT`, in any case and perhaps in parentheses.
    pub(super) fn utc_word(&mut self) -> bool {
        let mut scanner = *self;
        let is_enclosed = scanner.accept('(');
        let found = ["utc", "gmt", "ut", "z"].into_iter().find(|name| {
            let begin = scanner.rest.get(..name.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        });
        let Some(name) = found else { return false };
        scanner.rest = &scanner.rest[name.len()..];
        if is_enclosed && !scanner.accept(')') {
            return false;
        }
        let ends = !scanner
            .rest
            .starts_with(|character: char| character.is_ascii_alphanumeric());
        if ends {
            *self = scanner;
        }
        ends
    }

    /// Hours and minutes, perhaps seconds, with a sign; `None` if there is none.
    fn offset_number(&mut self) -> Result<Option<i32>, TimeError> {
        let mut scanner = *self;
        scanner.blanks();
        let is_ahead = scanner.accept('+');
        if !is_ahead && !scanner.accept('-') && !scanner.accept('\u{2212}') {
            return Ok(None);
        }
        let sign = if is_ahead { 1 } else { -1 };
        let Some(hours) = scanner.digits(2) else {
            return Ok(None);
        };
        let has_colon = scanner.accept(':');
        let minutes = match scanner.digits(2) {
            Some(minutes) => minutes,
            None if has_colon => return Err(TimeError::UnknownForm),
            None => 0,
        };
        let seconds = if has_colon && scanner.accept(':') {
            scanner.digits(2).ok_or(TimeError::UnknownForm)?
        } else {
            0
        };
        if scanner
            .rest
            .starts_with(|character: char| character.is_ascii_digit())
        {
            return Err(TimeError::UnknownForm);
        }
        if hours > 23 || minutes > 59 || seconds > 59 {
            return Err(TimeError::NoSuchTime);
        }
        *self = scanner;
        Ok(Some(sign * (hours * 3600 + minutes * 60 + seconds) as i32))
    }

    /// Passes the name of a zone behind an offset, which says all: `CEST`, `(Central European Summer Time)`,
    /// `[Europe/Berlin]`.
    fn name_behind(&mut self) {
        let mut scanner = *self;
        scanner.blanks();
        let closing = match scanner.rest.chars().next() {
            Some('[') => ']',
            Some('(') => ')',
            Some(letter) if letter.is_ascii_uppercase() => {
                let is_name = |character: char| character.is_ascii_uppercase();
                scanner.rest = scanner.rest.trim_start_matches(is_name);
                *self = scanner;
                return;
            }
            _ => return,
        };
        if let Some((name, rest)) = scanner.rest[1..].split_once(closing) {
            let is_name = |character: char| {
                character.is_ascii_alphanumeric() || "/_+-".contains(character) || is_blank(character)
            };
            if name.chars().all(is_name) {
                self.rest = rest;
            }
        }
    }
}

/// The word that a text begins with, short enough for a sentence; the whole text if it is none.
pub(super) fn word(whole: &str, text: &str) -> String {
    let text = if text.is_empty() { whole } else { text };
    let word = text.split(is_blank).next().unwrap_or(text);
    word.chars().take(20).collect()
}
