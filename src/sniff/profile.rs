//! The fields that the records of a sample have, and the values in them.

use std::collections::{BTreeMap, HashMap};

use super::ambiguous::{Ambiguous, is_decimal_comma};
use crate::decode::Tree;
use crate::notation::number::{self, DecimalMark};
use crate::notation::time::{EpochUnit, Source, TimeNotation, Written, plausible_unit};

/// Fields of one sample. What lies beyond is not looked at: such records have no fixed fields.
const MOST_FIELDS: usize = 1_000;
/// Distinct values that are counted of one field.
const MOST_DISTINCT: usize = 1_000;
/// Depth of objects within objects.
const DEEPEST: usize = 16;
const LONGEST_EXAMPLE: usize = 40;

/// 2000-01-01: smaller numbers are more often counts than times.
const EARLIEST_MS: i64 = 946_684_800_000;

/// The documents of a sample, field by field.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub documents: usize,
    /// In the order in which they were first seen.
    pub fields: Vec<Field>,
    /// Arrays of objects: paths, and in how many documents each lies.
    pub arrays: BTreeMap<String, usize>,
    index: HashMap<String, usize>,
}

/// One field of the documents.
#[derive(Debug, Default)]
pub(crate) struct Field {
    /// As settings write it.
    pub path: String,
    /// The documents that have it, null or not.
    pub present: usize,
    pub nulls: usize,
    pub booleans: usize,
    /// Written as numbers.
    pub numbers: usize,
    /// Numbers that are written as texts.
    pub numeric_texts: usize,
    pub other_texts: usize,
    /// Numbers only if a comma is the decimal mark.
    pub comma_numbers: usize,
    /// Texts that a setting would read as times.
    pub ambiguous: Ambiguous,
    /// Times without an offset.
    pub wall_times: usize,
    /// How it reads as a time, and how often.
    pub times: BTreeMap<TimeForm, usize>,
    /// Distinct values and how often each was seen, up to a limit.
    pub distinct: BTreeMap<String, usize>,
    pub has_more_values: bool,
    pub negative_or_fraction: usize,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimeForm {
    Text,
    Dsmr,
    Epoch(EpochUnit),
}

impl TimeForm {
    /// The value of `reading.time_format` that reads it.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            TimeForm::Text => "text",
            TimeForm::Dsmr => "dsmr",
            TimeForm::Epoch(unit) => unit.name(),
        }
    }
}

impl Field {
    /// The documents in which it is a number, however written.
    pub(crate) fn numeric(&self) -> usize {
        self.numbers + self.numeric_texts + self.comma_numbers
    }

    /// The form in which it most often reads as a time, if it does in nearly all documents that have it.
    pub(crate) fn time_form(&self) -> Option<TimeForm> {
        let (&form, &count) = self.times.iter().max_by_key(|(_, count)| **count)?;
        (count * 10 >= (self.present - self.nulls) * 9).then_some(form)
    }

    /// Whether all numbers are whole and not negative.
    pub(crate) fn is_counting(&self) -> bool {
        self.negative_or_fraction == 0
    }

    /// What it holds, in words.
    pub(crate) fn kind(&self) -> String {
        let kinds = [
            (self.numbers, "number"),
            (self.numeric_texts, "number as text"),
            (self.comma_numbers, "number with a decimal comma"),
            (self.other_texts, "text"),
            (self.booleans, "true/false"),
            (self.nulls, "null"),
        ];
        let kinds: Vec<&str> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, kind)| *kind)
            .collect();
        match self.time_form() {
            Some(TimeForm::Text) => "time".to_owned(),
            Some(form) => format!("time, {}", form.setting()),
            None => kinds.join(" or "),
        }
    }

    fn note(&mut self, value: &Tree<'_>) {
        self.present += 1;
        let (example, number) = match value.unshared() {
            Tree::Null => {
                self.nulls += 1;
                return;
            }
            Tree::Bool(value) => {
                self.booleans += 1;
                (value.to_string(), None)
            }
            Tree::Integer(value) => (value.to_string(), Some(*value as f64)),
            Tree::Unsigned(value) => (value.to_string(), Some(*value as f64)),
            Tree::Float(value) => (value.to_string(), Some(*value)),
            Tree::Text(text) => {
                self.note_text(text);
                return;
            }
            Tree::List(_) | Tree::Map(_) | Tree::Shared(_) | Tree::Unusable(_) => return,
        };
        if let Some(number) = number {
            self.numbers += 1;
            self.note_number(number);
        }
        self.note_value(example);
    }

    fn note_text(&mut self, text: &str) {
        match number::parse(text, DecimalMark::default()) {
            Ok(number) => {
                self.numeric_texts += 1;
                self.note_number(number);
            }
            Err(_) if is_decimal_comma(text) => {
                self.comma_numbers += 1;
                self.negative_or_fraction += 1;
            }
            Err(_) => {
                self.other_texts += 1;
                let read = |notation: TimeNotation| notation.read(Source::Text(text), None);
                let written = read(TimeNotation::Text);
                let is_ambiguous = written.is_err() && self.ambiguous.note(text);
                self.wall_times += usize::from(is_ambiguous || matches!(written, Ok(Written::Wall(_))));
                if written.is_ok() || is_ambiguous {
                    *self.times.entry(TimeForm::Text).or_default() += 1;
                } else if read(TimeNotation::Dsmr).is_ok() {
                    *self.times.entry(TimeForm::Dsmr).or_default() += 1;
                }
            }
        }
        self.note_value(text.chars().take(LONGEST_EXAMPLE).collect());
    }

    fn note_number(&mut self, number: f64) {
        if number < 0.0 || number.fract() != 0.0 {
            self.negative_or_fraction += 1;
        }
        let form = plausible_unit(Source::Float(number))
            .filter(|(_, time_ms)| *time_ms >= EARLIEST_MS)
            .map(|(unit, _)| TimeForm::Epoch(unit));
        if let Some(form) = form {
            *self.times.entry(form).or_default() += 1;
        }
    }

    fn note_value(&mut self, value: String) {
        if let Some(count) = self.distinct.get_mut(&value) {
            *count += 1;
        } else if self.distinct.len() < MOST_DISTINCT {
            self.distinct.insert(value, 1);
        } else {
            self.has_more_values = true;
        }
    }
}

impl Profile {
    /// Adds a document, or one element of an array with the objects around it, from the outermost to the innermost.
    pub(crate) fn add(&mut self, document: &Tree<'_>, around: &[&Tree<'_>]) {
        self.documents += 1;
        match document.unshared() {
            Tree::Map(_) => self.walk("", document, 0),
            scalar => self.field("@value").note(scalar),
        }
        for (up, object) in around.iter().rev().enumerate() {
            self.walk(&"^.".repeat(up + 1), object, 0);
        }
    }

    fn walk(&mut self, before: &str, object: &Tree<'_>, depth: usize) {
        let Tree::Map(members) = object.unshared() else {
            return;
        };
        for (name, value) in members {
            let path = format!("{before}{}", escaped(name));
            match value.unshared() {
                Tree::Map(_) if depth < DEEPEST => self.walk(&format!("{path}."), value, depth + 1),
                Tree::List(items) if items.iter().any(|item| matches!(item.unshared(), Tree::Map(_))) => {
                    if !before.starts_with('^') {
                        *self.arrays.entry(path).or_default() += 1;
                    }
                }
                Tree::List(items) if before.is_empty() || !before.starts_with('^') => {
                    for (place, item) in items.iter().enumerate().take(8) {
                        self.note(&format!("{path}.{place}"), item);
                    }
                }
                value => self.note(&path, value),
            }
        }
    }

    fn note(&mut self, path: &str, value: &Tree<'_>) {
        if self.fields.len() < MOST_FIELDS || self.index.contains_key(path) {
            self.field(path).note(value);
        }
    }

    fn field(&mut self, path: &str) -> &mut Field {
        let index = *self.index.entry(path.to_owned()).or_insert_with(|| {
            self.fields.push(Field {
                path: path.to_owned(),
                ..Field::default()
            });
            self.fields.len() - 1
        });
        &mut self.fields[index]
    }
}

/// A member's name as a path has it.
fn escaped(name: &str) -> String {
    // What has brackets would read as a place in an array.
    let mut escaped = name.replace('\\', r"\\").replace('.', r"\.").replace('[', r"\[");
    if escaped.starts_with(['@', '^', '$', '*']) {
        escaped.insert(0, '\\');
    }
    escaped
}
