//! Labeled stretches of recordings, in the form of NAB's `combined_windows.json`.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use thiserror::Error;

use crate::notation;

/// Why a text cannot be read as labels.
#[derive(Debug, Error)]
pub(crate) enum LabelError {
    #[error(
        "expected the form {{\"folder/file.csv\": [[\"2014-02-26 13:45:00\", \"2014-02-27 06:25:00\"]]}}: {0}"
    )]
    Form(#[from] serde_json::Error),
    #[error("{file}: cannot parse {text:?} as a time")]
    Time { file: String, text: String },
    #[error("{file}: the window that begins at {begin} ends before it begins")]
    Reversed { file: String, begin: String },
    #[error("{file}: the window that begins at {begin} overlaps the one before it")]
    Overlap { file: String, begin: String },
}

/// The windows of recordings by name, on each recording's own clock, in milliseconds since 1970-01-01T00:00:00.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    by_name: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Labels {
    /// Reads a JSON object: a path as key, the first and last time of each window as value.
    ///
    /// # Errors
    /// [`LabelError`] naming the file and the window.
    pub(crate) fn from_json(text: &str) -> Result<Self, LabelError> {
        let raw: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(text)?;
        let mut by_name = BTreeMap::new();
        for (file, windows) in raw {
            let windows = parse_windows(&file, &windows)?;
            by_name.insert(file, windows);
        }
        Ok(Labels { by_name })
    }

    /// The windows of the recording at this path: those under its last two components, or under its file name.
    pub(crate) fn of(&self, path: &Path) -> Option<&[(i64, i64)]> {
        let components: Vec<_> = path
            .components()
            .filter(|component| matches!(component, Component::Normal(_)))
            .map(|component| component.as_os_str().to_string_lossy())
            .collect();
        let last = |count: usize| components[components.len().saturating_sub(count)..].join("/");
        self.by_name
            .get(&last(2))
            .or_else(|| self.by_name.get(&last(1)))
            .map(Vec::as_slice)
    }

    /// The name of a recording that has labels.
    pub(crate) fn first(&self) -> Option<&str> {
        self.by_name.keys().next().map(String::as_str)
    }

    /// How many recordings have labels.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }
}

fn parse_windows(file: &str, windows: &[(String, String)]) -> Result<Vec<(i64, i64)>, LabelError> {
    let time = |text: &String| {
        notation::utc_ms(text).map_err(|_| LabelError::Time {
            file: file.to_owned(),
            text: text.clone(),
        })
    };
    let mut parsed: Vec<(i64, i64, &String)> = Vec::with_capacity(windows.len());
    for (begin, end) in windows {
        let (first, last) = (time(begin)?, time(end)?);
        if last < first {
            return Err(LabelError::Reversed {
                file: file.to_owned(),
                begin: begin.clone(),
            });
        }
        parsed.push((first, last, begin));
    }
    parsed.sort();
    if let Some(pair) = parsed.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        return Err(LabelError::Overlap {
            file: file.to_owned(),
            begin: pair[1].2.clone(),
        });
    }
    Ok(parsed.into_iter().map(|(first, last, _)| (first, last)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_by_the_end_of_the_path() {
        let labels = Labels::from_json(
            r#"{"aws/a.csv": [["2014-02-27 00:00:00.000000", "2014-02-27T01:00:00"], ["2014-02-26", "2014-02-26"]],
                "b.csv": []}"#,
        )
        .unwrap();
        let day_ms = 86_400_000;
        let first = 1_393_372_800_000;
        let expected = [(first, first), (first + day_ms, first + day_ms + 3_600_000)];
        assert_eq!(labels.of(Path::new("/data/aws/a.csv")), Some(&expected[..]));
        assert_eq!(labels.of(Path::new("aws/a.csv")), Some(&expected[..]));
        assert_eq!(labels.of(Path::new("a.csv")), None);
        assert_eq!(labels.of(Path::new("./other/b.csv")), Some(&[][..]));
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn what_is_no_window_is_refused_by_name() {
        for (json, expected) in [
            ("[]", "expected the form"),
            (
                r#"{"a.csv": [["noon", "2014-02-26"]]}"#,
                "a.csv: cannot parse \"noon\" as a time",
            ),
            (
                r#"{"a.csv": [["2014-02-27", "2014-02-26"]]}"#,
                "a.csv: the window that begins at 2014-02-27 ends",
            ),
            (
                r#"{"a.csv": [["2014-02-25", "2014-02-27"], ["2014-02-26", "2014-02-28"]]}"#,
                "a.csv: the window that begins at 2014-02-26 overlaps",
            ),
        ] {
            let error = Labels::from_json(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
