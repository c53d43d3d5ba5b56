//! Rules: conditions that people write, by pattern of keys.
//!
//! A condition is told of twice: when it begins to hold, and when it ends. It follows the newest reading of its
//! series; a reading that is older than the newest says nothing about now, and no condition takes note of it.
//! `docs/detectors/rules.md` tells users what each condition sees.

mod changes;
mod condition;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::config::{Condition, read_conditions};

use super::{Detector, Model, Observation, StateError, StateReader, StateWriter, Verdict};
use condition::Watch;
use pattern::matches;

/// The model's name in messages.
const NAME: &str = "rules";

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("detect.rules, {pattern:?}: {condition:?} is no condition: {expected}")]
pub struct RuleError {
    pub pattern: String,
    pub condition: String,
    /// What would be: `expected …`.
    pub expected: String,
}

/// The conditions of the settings, in the order of their patterns and then as they are written.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<KeyRule>,
}

/// One condition for the keys of a pattern.
#[derive(Debug)]
struct KeyRule {
    pattern: String,
    text: Arc<str>,
    condition: Condition,
}

impl Rules {
    /// Reads the conditions by pattern of keys.
    ///
    /// # Errors
    /// [`RuleError`] for the first that is none.
    pub fn new(settings: &BTreeMap<String, String>) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        for (pattern, conditions) in settings {
            let read = read_conditions(conditions).map_err(|error| RuleError {
                pattern: pattern.clone(),
                condition: error.condition,
                expected: error.expected,
            })?;
            rules.extend(read.into_iter().map(|rule| KeyRule {
                pattern: pattern.clone(),
                text: rule.text.into(),
                condition: rule.condition,
            }));
        }
        Ok(Rules { rules })
    }
}

impl Model for Rules {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Watches every condition whose pattern the key matches. What several patterns say alike is watched once.
    fn detector(&self, key: &str) -> Option<Box<dyn Detector>> {
        let mut watches: Vec<Watch> = Vec::new();
        for rule in self.rules.iter().filter(|rule| matches(&rule.pattern, key)) {
            if !watches.iter().any(|watch| watch.watches(rule.condition)) {
                watches.push(Watch::new(rule.text.clone(), rule.condition));
            }
        }
        if watches.is_empty() {
            return None;
        }
        Some(Box::new(KeyRules {
            newest_ms: None,
            watches,
        }))
    }
}

/// The conditions of one series.
#[derive(Debug)]
struct KeyRules {
    /// The newest event time so far.
    newest_ms: Option<i64>,
    watches: Vec<Watch>,
}

impl Detector for KeyRules {
    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        if self
            .newest_ms
            .is_some_and(|newest| observation.event_time_ms < newest)
        {
            return;
        }
        for watch in &mut self.watches {
            watch.observe(observation, self.newest_ms, verdicts);
        }
        self.newest_ms = Some(observation.event_time_ms);
    }

    fn deadline_ms(&self) -> Option<i64> {
        let newest_ms = self.newest_ms?;
        self.watches
            .iter()
            .filter_map(|watch| watch.deadline_ms(newest_ms))
            .min()
    }

    fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        if let Some(newest_ms) = self.newest_ms {
            for watch in &mut self.watches {
                watch.elapse(newest_ms, time_ms, verdicts);
            }
        }
    }

    fn save(&self, state: &mut StateWriter) {
        condition::save_time(self.newest_ms, state);
        for watch in &self.watches {
            watch.save(state);
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.newest_ms = condition::restore_time(state)?;
        self.watches.iter_mut().try_for_each(|watch| watch.restore(state))
    }
}
