//! Paths to the fields of a reading, as settings write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path: names with dots between them.
///
/// `\.` is a dot within a name, and a backslash before any other character that character. A number is also a place in
/// an array, from 0. Each `^.` in front goes to the object around the element of `reading.each`. A last `*` is every
/// member of an object, and `@value` the record's value itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path {
    text: String,
    /// How many objects it goes outward first.
    up: usize,
    steps: Vec<Step>,
    takes_all: bool,
}

/// A step inward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub name: String,
    /// The same as a place in an array, if it is a number.
    pub index: Option<usize>,
}

/// The path of the whole value.
const VALUE: &str = "@value";

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path must not be empty".to_owned());
        }
        if text.trim() != text {
            return Err(format!(
                "{text:?} has blanks at its ends; did you mean {:?}?",
                text.trim()
            ));
        }
        if text == VALUE {
            return Ok(Path::of(text, 0, Vec::new(), false));
        }
        if RESERVED.contains(&text) || text.starts_with(HEADER) {
            return Err(format!(
                "{text} is not a field of the record's value; for a field of that name write \\{text}"
            ));
        }
        if let Some(rest) = text.strip_prefix("$.").or_else(|| text.strip_prefix("$[")) {
            return Err(format!(
                "paths have no $ in front: did you mean {:?}? (for a field of that name write \\$)",
                with_dots(rest)
            ));
        }
        let (mut up, mut inward) = (0, text);
        while let Some(rest) = inward.strip_prefix("^.") {
            (up, inward) = (up + 1, rest);
        }
        let (mut steps, takes_all) = read_steps(text, inward)?;
        if takes_all {
            steps.pop();
        }
        Ok(Path::of(text, up, steps, takes_all))
    }

    fn of(text: &str, up: usize, steps: Vec<Step>, takes_all: bool) -> Self {
        Path {
            text: text.to_owned(),
            up,
            steps,
            takes_all,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many objects it goes outward first.
    pub(crate) fn up(&self) -> usize {
        self.up
    }

    /// The steps inward; none for the value itself.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it stands for every member of the object that it leads to.
    pub(crate) fn takes_all(&self) -> bool {
        self.takes_all
    }

    /// The last name.
    pub(crate) fn last_name(&self) -> &str {
        self.steps.last().map_or(VALUE, |step| &step.name)
    }

    /// Whether it is names of objects inside objects and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        let is_named = |step: &Step| step.index.is_none();
        self.up == 0 && !self.takes_all && !self.steps.is_empty() && self.steps.iter().all(is_named)
    }

    /// Whether the other one leads to something inside of what this leads to.
    pub(crate) fn is_around(&self, other: &Path) -> bool {
        !self.takes_all
            && self.up == other.up
            && self.steps.len() < other.steps.len()
            && other.steps.starts_with(&self.steps)
    }
}

/// These stand for something else than a field.
const RESERVED: [&str; 2] = ["@record", "@measure"];
/// So does what begins with this.
const HEADER: &str = "@header.";

/// The names between dots, and whether the last is the star.
fn read_steps(whole: &str, text: &str) -> Result<(Vec<Step>, bool), String> {
    let mut steps = Vec::new();
    let mut takes_all = false;
    let mut name = String::new();
    let mut has_escape = false;
    let mut characters = text.chars();
    loop {
        let character = characters.next();
        match character {
            Some('\\') => {
                let escaped = characters.next().ok_or_else(|| {
                    format!("{whole:?} ends with a backslash; two of them are one in a name")
                })?;
                name.push(escaped);
                has_escape = true;
            }
            None | Some('.') => {
                takes_all = step_is_star(whole, &name, has_escape, character.is_none())?;
                let index = Some(&name)
                    .filter(|_| !has_escape)
                    .and_then(|name| index_of(name));
                steps.push(Step {
                    name: std::mem::take(&mut name),
                    index,
                });
                has_escape = false;
            }
            Some('[') => return Err(bracket(whole)),
            Some(other) => name.push(other),
        }
        if character.is_none() {
            return Ok((steps, takes_all));
        }
    }
}

/// Whether a finished name is the star, which only the last may be.
fn step_is_star(whole: &str, name: &str, has_escape: bool, is_last: bool) -> Result<bool, String> {
    match name {
        "" => Err(format!(
            "{whole:?} has an empty name: a path is a field of the value, or fields such as \"payload.power.kw\""
        )),
        "^" if !has_escape => Err(format!(
            "{whole:?}: ^ goes outward only in front, as in \"^.device\""
        )),
        "*" if !has_escape && is_last => Ok(true),
        "*" if !has_escape => Err(format!("{whole:?}: * stands for all members only at the end")),
        _ => Ok(false),
    }
}

fn bracket(whole: &str) -> String {
    format!(
        "places in arrays have dots around them: did you mean {:?}? (for a field of that name write \\[)",
        with_dots(whole)
    )
}

/// `a[0].b` as `a.0.b`.
fn with_dots(text: &str) -> String {
    let dotted = text.replace('[', ".").replace(']', "");
    dotted.trim_matches('.').replace("..", ".")
}

/// A number without leading zeros.
fn index_of(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    is_number.then(|| name.parse().ok()).flatten()
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Path::parse(&text)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> String {
        path.text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (usize, Vec<String>, bool) {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let names = path.steps().iter().map(|step| step.name.clone()).collect();
        (path.up(), names, path.takes_all())
    }

    #[test]
    fn a_path_is_names_with_dots_between_them() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (text, expected) in [
            ("kw", (0, names(&["kw"]), false)),
            ("payload.power.kw", (0, names(&["payload", "power", "kw"]), false)),
            (
                r"params.pd\.wattsOutSum",
                (0, names(&["params", "pd.wattsOutSum"]), false),
            ),
            ("^.^.device", (2, names(&["device"]), false)),
            ("labels.*", (0, names(&["labels"]), true)),
            ("*", (0, names(&[]), true)),
            (r"a.\*", (0, names(&["a", "*"]), false)),
            (r"a\\b", (0, names(&["a\\b"]), false)),
            ("@value", (0, names(&[]), false)),
            ("@timestamp", (0, names(&["@timestamp"]), false)),
            ("@recorded", (0, names(&["@recorded"]), false)),
            (r"\@record", (0, names(&["@record"]), false)),
            (r"a\[0\]", (0, names(&["a[0]"]), false)),
            ("em:0.total act", (0, names(&["em:0", "total act"]), false)),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        let indices = |text| -> Vec<Option<usize>> {
            let path = Path::parse(text).expect("a path");
            path.steps().iter().map(|step| step.index).collect()
        };
        assert_eq!(indices("Power.0"), [None, Some(0)]);
        assert_eq!(indices(r"Power.\0.01"), [None, None, None]);
    }

    #[test]
    fn what_cannot_be_a_path_says_why() {
        for (text, hint) in [
            ("", "empty"),
            ("a..b", "empty name"),
            ("a.", "empty name"),
            (".a", "empty name"),
            ("message ", "did you mean \"message\""),
            ("$.a.b", "did you mean \"a.b\""),
            ("a[0].b", "did you mean \"a.0.b\""),
            ("a.*.b", "only at the end"),
            ("a.^.b", "only in front"),
            ("^.^", "only in front"),
            ("a\\", "backslash"),
            ("@record", "\\@record"),
            ("@header.time", "\\@header.time"),
        ] {
            let error = Path::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_is_around_those_that_begin_with_it() {
        let path = |text| Path::parse(text).expect("a path");
        assert!(path("reading").is_around(&path("reading.value")));
        assert!(!path("reading").is_around(&path("reading")));
        assert!(!path("read").is_around(&path("reading.value")));
        assert!(!path("labels.*").is_around(&path("labels.job")));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_kept_as_written(text in r"[\^\\.*$@\[\]a0 é]{0,12}") {
            if let Ok(path) = Path::parse(&text) {
                proptest::prop_assert_eq!(String::from(path), text);
            }
        }
    }
}
