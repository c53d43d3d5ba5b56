//! Settings that are one text or a list of texts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One text or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn texts(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// One as it is; several as a list such as `["a", "b"]`, which no single text that makes sense looks like.
impl fmt::Display for OneOrMany {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OneOrMany::One(text) => formatter.write_str(text),
            OneOrMany::Many(texts) => write!(formatter, "{texts:?}"),
        }
    }
}
