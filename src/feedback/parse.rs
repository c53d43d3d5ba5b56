//! Reads messages, which anybody may write: strict in what is needed, lenient in what is there beside it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::message::{About, Feedback, Opinion, Scope, Silence, VERSION, Verdict};

/// The largest value of a message; one with the longest key and note is smaller.
pub(super) const LARGEST_VALUE_BYTES: usize = 262_144;
/// A series has the key of its readings, which is not longer.
const LONGEST_SERIES: usize = 65_536;
const LONGEST_NOTE: usize = 4_096;
const LONGEST_NAME: usize = 256;
/// A topic's name and three numbers.
const LONGEST_EPISODE: usize = 320;

/// Why a message says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say what the fields hold")]
pub enum MalformedMessage {
    /// Too large to be read.
    #[error("its value has {bytes} bytes; {LARGEST_VALUE_BYTES} are the most")]
    TooLarge { bytes: usize },
    /// Not even an object.
    #[error("its value must be a JSON object ({cause})")]
    NotAnObject { cause: String },
    /// Of a version that may mean something else.
    #[error("version must be {VERSION}, the only one that this program knows")]
    Version,
    /// A field that is needed is not there.
    #[error("{field} is missing")]
    Missing { field: String },
    /// A field that cannot be read, or makes no sense.
    #[error("{field} must be {expected}")]
    Field { field: String, expected: String },
    /// A key that is not what the message is about, so that it would stand beside other messages about the same.
    #[error("its key must be {expected:?}, which it is about")]
    Key { expected: String },
}

/// What a message says.
///
/// # Errors
/// [`MalformedMessage`] naming the field.
pub(super) fn parse(key: &[u8], value: &[u8]) -> Result<Opinion, MalformedMessage> {
    let opinion = parse_value(value)?;
    let expected = opinion.key();
    if expected.as_bytes() != key {
        return Err(MalformedMessage::Key { expected });
    }
    Ok(opinion)
}

/// What a message says whose key is not known.
///
/// # Errors
/// [`MalformedMessage`] naming the field.
pub(super) fn parse_value(value: &[u8]) -> Result<Opinion, MalformedMessage> {
    if value.len() > LARGEST_VALUE_BYTES {
        return Err(MalformedMessage::TooLarge { bytes: value.len() });
    }
    let object: Map<String, Value> =
        serde_json::from_slice(value).map_err(|error| MalformedMessage::NotAnObject {
            cause: error.to_string(),
        })?;
    let fields = Fields {
        object: &object,
        path: "",
    };
    match fields.given("version") {
        None => {}
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(_) => return Err(MalformedMessage::Version),
    }
    match (fields.given("silence"), fields.given("about")) {
        (Some(_), Some(_)) => {
            Err(fields.refused("silence", "left out beside about: a message says one thing"))
        }
        (Some(_), None) => Ok(Opinion::Silence(silence(&fields)?)),
        (None, Some(Value::Object(about))) => Ok(Opinion::Feedback(feedback(&fields, about)?)),
        (None, Some(_)) => Err(fields.refused("about", "an object")),
        (None, None) => Err(fields.missing("about (or silence)")),
    }
}

fn feedback(fields: &Fields<'_>, about: &Map<String, Value>) -> Result<Feedback, MalformedMessage> {
    let about_fields = Fields {
        object: about,
        path: "about.",
    };
    let about = about_of(&about_fields)?;
    let verdict = fields.one_of("verdict", &Verdict::ALL, Verdict::name)?;
    let verdict = verdict.ok_or_else(|| fields.missing("verdict"))?;
    let scope = fields.one_of("scope", &Scope::ALL, Scope::name)?;
    let feedback = Feedback {
        about,
        verdict,
        scope: scope.unwrap_or(Scope::This),
        until: fields.time("until")?,
        by: fields.text("by", LONGEST_NAME)?,
        note: fields.text("note", LONGEST_NOTE)?,
        at: fields.time("at")?,
    };
    match (feedback.scope, feedback.until) {
        (Scope::This, Some(_)) => {
            let rule = "left out with scope \"this\": what is said of one episode stays so";
            return Err(fields.refused("until", rule));
        }
        (Scope::Series, None) => {
            return Err(fields.refused("until", "a time with scope \"series\""));
        }
        _ => {}
    }
    let is_span = matches!(feedback.about, About::Span { .. });
    if feedback.scope != Scope::This && (is_span || feedback.verdict == Verdict::Missed) {
        return Err(fields.refused("scope", "\"this\" where it is about a stretch of a series"));
    }
    if feedback.verdict == Verdict::Missed && !is_span {
        let rule = "about.series, about.from and about.to where something was missed, without about.episode";
        return Err(fields.refused("about", rule));
    }
    if feedback.scope == Scope::Series && !about_fields.object.contains_key("series") {
        return Err(about_fields.missing("series"));
    }
    Ok(feedback)
}

fn about_of(fields: &Fields<'_>) -> Result<About, MalformedMessage> {
    let series = fields.text("series", LONGEST_SERIES)?;
    let Some(id) = fields.text("episode", LONGEST_EPISODE)? else {
        let time = |name| fields.time(name)?.ok_or_else(|| fields.missing(name));
        if !["from", "to", "series"]
            .iter()
            .any(|name| fields.object.contains_key(*name))
        {
            return Err(fields.missing("episode"));
        }
        if !fields.object.contains_key("series") {
            return Err(fields.missing("series"));
        }
        let (from, to) = (time("from")?, time("to")?);
        if to < from {
            return Err(fields.refused("to", "not before about.from"));
        }
        return Ok(About::Span { series, from, to });
    };
    if !is_episode_id(&id) {
        return Err(fields.refused("episode", EPISODE));
    }
    let (since, until) = (fields.time("since")?, fields.time("until")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(fields.refused("until", "not before about.since"));
    }
    Ok(About::Episode {
        id,
        series: fields.object.contains_key("series").then_some(series),
        measure: fields.text("measure", LONGEST_SERIES)?,
        detector: fields.text("detector", LONGEST_NAME)?,
        since,
        until,
    })
}

fn silence(fields: &Fields<'_>) -> Result<Silence, MalformedMessage> {
    let needed = |name: &str, longest| fields.text(name, longest)?.ok_or_else(|| fields.missing(name));
    let silence = Silence {
        id: needed("silence", LONGEST_NAME)?,
        pattern: needed("series", LONGEST_SERIES)?,
        begin: fields.time("begin")?,
        until: fields.time("until")?,
        until_resolved: fields.text("until_resolved", LONGEST_EPISODE)?,
        why: needed("why", LONGEST_NOTE)?,
        by: fields.text("by", LONGEST_NAME)?,
    };
    if !silence.id.bytes().all(is_id_byte) {
        return Err(fields.refused("silence", "letters, digits, dashes and underscores"));
    }
    if silence
        .until_resolved
        .as_deref()
        .is_some_and(|id| !is_episode_id(id))
    {
        return Err(fields.refused("until_resolved", EPISODE));
    }
    if silence.until.is_none() && silence.until_resolved.is_none() {
        return Err(fields.missing("until (or until_resolved)"));
    }
    Ok(silence)
}

const EPISODE: &str = "the id of an episode, such as \"usage/3/1234/0\"";

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// Whether a text is written as the ids of episodes are: topic, partition, offset and index.
fn is_episode_id(text: &str) -> bool {
    let mut parts = text.split('/');
    let topic = parts.next().unwrap_or_default();
    let is_topic = !topic.is_empty() && topic.bytes().all(|byte| is_id_byte(byte) || byte == b'.');
    let numbers: Vec<&str> = parts.collect();
    is_topic && numbers.len() == 3 && numbers.iter().all(|number| is_number(number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_length(field: &str, text: &str, longest: usize) -> Result<(), MalformedMessage> {
    if text.is_empty() || text.chars().count() > longest {
        return Err(MalformedMessage::Field {
            field: field.to_owned(),
            expected: format!("a text of 1 to {longest} characters"),
        });
    }
    Ok(())
}

/// The fields of an object, and where it lies in the message.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: &'static str,
}

impl<'a> Fields<'a> {
    /// A field that is there and not null.
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str, longest: usize) -> Result<Option<String>, MalformedMessage> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or_else(|| self.refused(name, "a text"))?;
        check_length(&self.field(name), text, longest)?;
        Ok(Some(text.to_owned()))
    }

    fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, MalformedMessage> {
        const TIME: &str = "a time such as \"2026-11-27T07:33:00+01:00\"";
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or_else(|| self.refused(name, TIME))?;
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Ok(Some(time.to_utc())),
            Err(_) => Err(self.refused(name, TIME)),
        }
    }

    fn one_of<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, MalformedMessage> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let found = all.iter().find(|one| value.as_str() == Some(name_of(**one)));
        let names: Vec<String> = all.iter().map(|one| format!("\"{}\"", name_of(*one))).collect();
        match found {
            Some(found) => Ok(Some(*found)),
            None => Err(self.refused(name, &format!("one of {}", names.join(", ")))),
        }
    }

    fn field(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    fn missing(&self, name: &str) -> MalformedMessage {
        MalformedMessage::Missing {
            field: self.field(name),
        }
    }

    fn refused(&self, name: &str, expected: &str) -> MalformedMessage {
        MalformedMessage::Field {
            field: self.field(name),
            expected: expected.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
