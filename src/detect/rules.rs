//! Rules: conditions that people write.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Detector, Model};

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("detect.rules, {pattern:?}: {condition:?} is no condition: {expected}")]
pub struct RuleError {
    pub pattern: String,
    pub condition: String,
    pub expected: String,
}

/// The conditions of the settings.
#[derive(Debug)]
pub struct Rules {}

impl Rules {
    /// Reads the conditions by pattern of keys.
    pub fn new(_settings: &BTreeMap<String, String>) -> Result<Self, RuleError> {
        Ok(Rules {})
    }
}

impl Model for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        None
    }
}
