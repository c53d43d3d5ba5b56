//! How far a metric is collected, as it lies in the compacted topic. docs/formats.md has the format.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// The version of the format of a watermark's value.
const VERSION: u32 = 1;

/// Up to where a metric's points are in the topic: the end of the last period that was asked for and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// [`Metric::identity`](super::metric::Metric::identity).
    pub identity: String,
    pub done_ms: i64,
}

/// A watermark that cannot be taken over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatermarkError {
    /// It says something else than a watermark does.
    #[error("the watermark of {identity} is damaged ({cause})")]
    Damaged { identity: String, cause: String },
    /// A later version of the program wrote it.
    #[error(
        "the watermark of {identity} is of version {version} of the format, and this program reads version {VERSION}"
    )]
    Newer { identity: String, version: u32 },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    done: String,
}

impl Watermark {
    /// The value of its record: `{"version":1,"done":"2026-11-27T02:25:00Z"}`.
    pub(crate) fn value(&self) -> String {
        let done = DateTime::from_timestamp_millis(self.done_ms).unwrap_or_default();
        let done = done.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        serde_json::json!({ "version": VERSION, "done": done }).to_string()
    }
}

/// The watermarks in the records of a topic, the newest of each key.
///
/// # Errors
/// [`WatermarkError`]: without all of them it is not known what the topic of readings holds.
pub(super) fn watermarks(
    records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<BTreeMap<String, i64>, WatermarkError> {
    let read = |(key, value): (Vec<u8>, Vec<u8>)| {
        let identity = String::from_utf8_lossy(&key).into_owned();
        let damaged = |cause: String| WatermarkError::Damaged {
            identity: identity.clone(),
            cause,
        };
        let stored: Stored = serde_json::from_slice(&value).map_err(|error| damaged(error.to_string()))?;
        if stored.version > VERSION {
            let version = stored.version;
            return Err(WatermarkError::Newer { identity, version });
        }
        let done = DateTime::parse_from_rfc3339(&stored.done).map_err(|error| damaged(error.to_string()))?;
        Ok((identity, done.timestamp_millis()))
    };
    records.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<i64, WatermarkError> {
        let records = [(b"m".to_vec(), value.as_bytes().to_vec())];
        Ok(watermarks(records)?["m"])
    }

    #[test]
    fn a_watermark_is_read_as_it_was_written() {
        let watermark = Watermark {
            identity: "m".to_owned(),
            done_ms: 1_795_746_300_000,
        };
        assert_eq!(
            watermark.value(),
            r#"{"version":1,"done":"2026-11-27T02:25:00Z"}"#
        );
        assert_eq!(read(&watermark.value()), Ok(watermark.done_ms));
    }

    #[test]
    fn what_is_no_watermark_of_this_version_is_refused() {
        for value in ["", "{}", r#"{"version":1,"done":"soon"}"#] {
            assert!(
                matches!(read(value), Err(WatermarkError::Damaged { .. })),
                "{value}"
            );
        }
        let newer = read(r#"{"version":2,"done":"2026-11-27T02:25:00Z"}"#);
        assert!(matches!(newer, Err(WatermarkError::Newer { version: 2, .. })));
    }
}
