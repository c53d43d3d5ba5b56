//! What series a reading belongs to: one field, several, or all members of an object.

use std::borrow::Cow;
use std::fmt::Write;

use super::context::Element;
use super::path::Path;
use crate::decode::format::{Scalar, ascii};
use crate::decode::tree::Tree;
use crate::decode::{KeySource, Reason, Rejection, Settings};

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The text of a field.
    Field(Path),
    /// What was measured: `@measure`.
    Measure,
}

/// The parts of a key, with what stands between them.
#[derive(Debug, Clone)]
pub(super) struct KeyPaths {
    /// None if the key is not in the value.
    parts: Vec<KeyPart>,
    separator: String,
    max_bytes: usize,
}

impl KeyPaths {
    /// The key of these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        let parts = match settings.key.source() {
            KeySource::None | KeySource::Message => Vec::new(),
            KeySource::Fields(parts) => parts.clone(),
        };
        KeyPaths {
            parts,
            separator: settings.key_separator.clone(),
            max_bytes: settings.max_key_bytes,
        }
    }

    /// Whether the measure is in the key.
    pub(super) fn holds_measure(&self) -> bool {
        self.parts.contains(&KeyPart::Measure)
    }

    /// The key of an element; `None` if the key is not in the value.
    pub(super) fn read<'a>(
        &'a self,
        element: &Element<'_, 'a>,
        measure: Option<&str>,
    ) -> Option<Result<Cow<'a, str>, Rejection>> {
        match self.parts.as_slice() {
            [] => None,
            [KeyPart::Field(path)] => Some(self.field(element, path, "")),
            parts => Some(self.joined(element, parts, measure)),
        }
    }

    /// Only the last part may hold the separator: then no two lists of parts are one key.
    fn joined<'a>(
        &self,
        element: &Element<'_, 'a>,
        parts: &[KeyPart],
        measure: Option<&str>,
    ) -> Result<Cow<'a, str>, Rejection> {
        let mut key = String::new();
        for (place, part) in parts.iter().enumerate() {
            let (name, text) = match part {
                KeyPart::Field(path) => (path.as_str(), self.field(element, path, &self.separator)?),
                KeyPart::Measure => ("@measure", Cow::Borrowed(measure.unwrap_or_default())),
            };
            if place > 0 {
                key += &self.separator;
            }
            let is_last = place + 1 == parts.len();
            let is_escaped = matches!(part, KeyPart::Field(path) if path.takes_all());
            if !is_last && !is_escaped && text.contains(&self.separator) {
                let detail = format!(
                    "{name} is {:?}, which holds reading.key_separator {:?}: put it last in reading.key, or choose \
                     another separator",
                    text.chars().take(40).collect::<String>(),
                    self.separator
                );
                return Err(Rejection::new(Reason::InvalidKey, detail));
            }
            key += &text;
        }
        Ok(Cow::Owned(key))
    }

    fn field<'a>(
        &self,
        element: &Element<'_, 'a>,
        path: &Path,
        separator: &str,
    ) -> Result<Cow<'a, str>, Rejection> {
        let found = element.find(path);
        if path.takes_all() {
            return all_members(path, found, separator, self.max_bytes).map(Cow::Owned);
        }
        text(path.as_str(), found.map(Tree::scalar))
    }
}

/// A field as a key: text, or a whole number.
///
/// # Errors
/// The [`Rejection`] of anything else.
pub(in crate::decode) fn text<'a>(name: &str, field: Option<Scalar<'a>>) -> Result<Cow<'a, str>, Rejection> {
    let invalid = |detail: String| Err(Rejection::new(Reason::InvalidKey, detail));
    match field {
        Some(Scalar::Text(text)) => Ok(text),
        Some(Scalar::Ascii(text)) => Ok(Cow::Borrowed(ascii(text))),
        Some(Scalar::Integer(number)) => Ok(Cow::Owned(number.to_string())),
        Some(Scalar::Unsigned(number)) => Ok(Cow::Owned(number.to_string())),
        // As JSON of JavaScript, Lua and Python has whole numbers; beyond this several have one double.
        Some(Scalar::Float(number)) if number.fract() == 0.0 && number.abs() <= LARGEST_EXACT => {
            Ok(Cow::Owned(format!("{}", number as i64)))
        }
        None => Err(Rejection::new(
            Reason::MissingKey,
            format!("there is no field {name}"),
        )),
        Some(Scalar::Unusable(kind)) => invalid(format!("{name} is {}", kind.describe())),
        Some(other) => invalid(format!(
            "{name} is {}, not text or a whole number",
            other.describe()
        )),
    }
}

/// Up to this each whole number has a double of its own: 2⁵³.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A record of many elements may have them sorted for each.
const MOST_MEMBERS: usize = 256;

/// All members in the order of their names: `cpu=0,host=a`. Those that are null are left out; a backslash stands before
/// `,`, `=`, `\` and the separator in names and values, so that no two sets of members are one text.
fn all_members(
    path: &Path,
    found: Option<&Tree<'_>>,
    separator: &str,
    max_bytes: usize,
) -> Result<String, Rejection> {
    let members = match found {
        Some(Tree::Map(members)) if members.len() > MOST_MEMBERS => {
            let detail = format!("{path} has {} members, more than {MOST_MEMBERS}", members.len());
            return Err(Rejection::new(Reason::InvalidKey, detail));
        }
        Some(Tree::Map(members)) => members,
        None => {
            let detail = format!("there is no object for {path}");
            return Err(Rejection::new(Reason::MissingKey, detail));
        }
        Some(other) => {
            let detail = format!("{path}: there is {}, not an object", other.kind());
            return Err(Rejection::new(Reason::InvalidKey, detail));
        }
    };
    // Of a repeated name the last counts: a stable sort keeps it behind the others.
    let mut sorted: Vec<&(Cow<'_, str>, Tree<'_>)> = members.iter().collect();
    sorted.sort_by(|left, right| left.0.cmp(&right.0));
    let mut text = String::new();
    for (place, (name, value)) in sorted.iter().enumerate() {
        let is_repeated = sorted.get(place + 1).is_some_and(|(next, _)| next == name);
        if is_repeated || *value == Tree::Null {
            continue;
        }
        let value = match value {
            Tree::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            other => self::text(&format!("{path} {name}"), Some(other.scalar()))?,
        };
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{}={}",
            escaped(name, separator),
            escaped(&value, separator)
        );
        if text.len() > max_bytes {
            let detail = format!("all of {path} is longer than reading.max_key_bytes = {max_bytes}");
            return Err(Rejection::new(Reason::InvalidKey, detail));
        }
    }
    Ok(text)
}

fn escaped<'t>(text: &'t str, separator: &str) -> Cow<'t, str> {
    let is_special = |character: char| ",=\\".contains(character) || separator.starts_with(character);
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        if is_special(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Cow::Owned(escaped)
}
