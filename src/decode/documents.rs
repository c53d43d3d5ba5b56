//! The values of records as trees, for those who look at records without making readings of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::format::{SchemaSource, trees};
use super::payload;
use super::schema_header::schema_header;
use super::tree::Tree;
use super::{FormatName, Record};
use crate::reading::Header;

/// What is in a record, for formats.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// Not empty.
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) headers: &'a [Header],
}

/// What the value of a record looks like, in words.
pub(crate) fn look(record: Record<'_>, max_bytes: usize) -> String {
    let Some(value) = record.value.filter(|value| !value.is_empty()) else {
        return "no value".to_owned();
    };
    let contents = |format| content(record, max_bytes, format);
    let (Some(bytes), Some(text)) = (contents(FormatName::OtlpProto), contents(FormatName::Json)) else {
        return "gzip that is damaged or too large".to_owned();
    };
    let (bytes, text) = (bytes.bytes, text.bytes);
    let inner = match (text.trim_ascii_start().first(), schema_header(record.headers)) {
        (Some(b'{'), _) if payload::look(&text).is_none() => "a JSON object".to_owned(),
        (Some(b'['), _) if payload::look(&text).is_none() => "a JSON array".to_owned(),
        (_, Some(header)) => format!("a message whose schema is named by the header {header}"),
        // In bytes a zero at the end is one of them.
        _ => payload::look(&text)
            .or_else(|| payload::look(&bytes))
            .unwrap_or_else(|| "plain text or bytes".to_owned()),
    };
    if value.starts_with(payload::GZIP) {
        format!("{inner}, packed by gzip")
    } else {
        inner
    }
}

/// What is in a record's value, without what is wrapped around it in records of this format; `None` if there is nothing.
pub(crate) fn content(record: Record<'_>, max_bytes: usize, format: FormatName) -> Option<Content<'_>> {
    let value = record.value.filter(|value| value.len() <= max_bytes)?;
    let bytes = payload::unwrap(value, max_bytes, format.wrapping()).ok()?;
    (!bytes.is_empty()).then_some(Content {
        bytes,
        headers: record.headers,
    })
}

/// Whether a text begins with a line of InfluxDB's protocol.
pub(crate) fn is_influx(text: &[u8]) -> bool {
    let content = Content {
        bytes: text.into(),
        headers: &[],
    };
    !documents(&content, FormatName::Influx, &SchemaSource::ById(Arc::default())).is_empty()
}

/// The documents in what a record holds, up to the first that is not of the format.
pub(crate) fn documents<'a>(
    content: &'a Content<'_>,
    format: FormatName,
    schemas: &'a SchemaSource,
) -> Vec<Tree<'a>> {
    let mut found = Vec::new();
    // Whatever ends the walk, what came before it is there to be looked at.
    let _ = trees(format, schemas, content.headers, &content.bytes, 0, &mut |tree| {
        found.push(tree);
        Ok(())
    });
    found
}
