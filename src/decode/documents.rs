//! The values of records as trees, for those who look at records without making readings of them.

use std::borrow::Cow;

use super::format::trees;
use super::payload;
use super::tree::Tree;
use super::{FormatName, Record};

/// What the value of a record looks like, in words.
pub(crate) fn look(record: Record<'_>, max_bytes: usize) -> String {
    let Some(value) = record.value.filter(|value| !value.is_empty()) else {
        return "no value".to_owned();
    };
    let Some(text) = text(record, max_bytes) else {
        return "gzip that is damaged or too large".to_owned();
    };
    let inner = match text.trim_ascii_start().first() {
        Some(b'{') if payload::look(&text).is_none() => "a JSON object".to_owned(),
        Some(b'[') if payload::look(&text).is_none() => "a JSON array".to_owned(),
        _ => payload::look(&text).unwrap_or_else(|| "plain text or bytes".to_owned()),
    };
    if value.starts_with(payload::GZIP) {
        format!("{inner}, packed by gzip")
    } else {
        inner
    }
}

/// The text in a record's value, without what is wrapped around it; `None` if there is none.
pub(crate) fn text(record: Record<'_>, max_bytes: usize) -> Option<Cow<'_, [u8]>> {
    let value = record.value.filter(|value| value.len() <= max_bytes)?;
    payload::unwrap(value, max_bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

/// The documents in a text, up to the first that is not of the format.
pub(crate) fn documents(text: &[u8], format: FormatName) -> Vec<Tree<'_>> {
    let mut found = Vec::new();
    // Whatever ends the walk, what came before it is there to be looked at.
    let _ = trees(format, text, 0, &mut |tree| {
        found.push(tree);
        Ok(())
    });
    found
}
