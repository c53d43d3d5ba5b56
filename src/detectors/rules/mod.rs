//! Rules: conditions that people write, by pattern of keys.
//!
//! A condition is reported twice: when it begins to hold, and when it ends. It follows the newest reading of its
//! series; a reading that is older than the newest says nothing about now, and no condition takes note of it.
//! `docs/detectors/rules.md` describes each condition to users.

mod changes;
mod condition;
mod grammar;
mod pattern;
#[cfg(test)]
mod tests;
mod trend;

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::{Detector, MEMORY_MS, Model, Observation, StateError, StateReader, StateWriter, Verdict};
use condition::ConditionState;
use grammar::read_conditions;
use pattern::matches;

pub(crate) use grammar::check_rules;
pub use grammar::{Condition, Forecast, Recovery};
pub(crate) use pattern::matches as pattern_matches;

/// The model's name in messages.
pub(crate) const NAME: &str = "rules";

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("detect.rules, {pattern:?}: {condition:?} is not a condition: {expected}")]
pub struct RuleError {
    /// The pattern of keys that the condition is set for.
    pub pattern: String,
    /// The text of the condition alone.
    pub condition: String,
    /// What could be read: `expected …`.
    pub expected: String,
}

/// The conditions of the settings, in the order of their patterns and then as they are written.
#[derive(Debug)]
pub(super) struct Rules {
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
    /// [`RuleError`] for the first that cannot be read.
    pub(super) fn new(settings: &BTreeMap<String, String>) -> Result<Self, RuleError> {
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

    /// Watches every condition whose pattern matches the key. A condition of several patterns is watched once.
    fn detector(&self, key: &str) -> Option<Box<dyn Detector>> {
        let mut conditions: Vec<ConditionState> = Vec::new();
        for rule in self.rules.iter().filter(|rule| matches(&rule.pattern, key)) {
            if !conditions.iter().any(|condition| condition.is_of(rule.condition)) {
                conditions.push(ConditionState::new(rule.text.clone(), rule.condition));
            }
        }
        if conditions.is_empty() {
            return None;
        }
        Some(Box::new(KeyRules {
            newest_ms: None,
            conditions,
        }))
    }
}

/// The conditions of one series.
#[derive(Debug)]
struct KeyRules {
    /// The newest event time so far.
    newest_ms: Option<i64>,
    conditions: Vec<ConditionState>,
}

impl Detector for KeyRules {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        if self
            .newest_ms
            .is_some_and(|newest| observation.event_time_ms < newest)
        {
            return;
        }
        for condition in &mut self.conditions {
            condition.observe(observation, self.newest_ms, verdicts);
        }
        self.newest_ms = Some(observation.event_time_ms);
    }

    fn deadline_ms(&self) -> Option<i64> {
        let newest_ms = self.newest_ms?;
        self.conditions
            .iter()
            .filter_map(|condition| condition.deadline_ms(newest_ms))
            .min()
    }

    fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        if let Some(newest_ms) = self.newest_ms {
            for condition in &mut self.conditions {
                condition.elapse(newest_ms, time_ms, verdicts);
            }
        }
    }

    /// Longer than any condition takes to begin, so that each is reported before its series is forgotten.
    fn memory_ms(&self) -> i64 {
        let durations = self.conditions.iter().map(ConditionState::duration_ms);
        MEMORY_MS.saturating_add(durations.max().unwrap_or(0))
    }

    fn save(&self, state: &mut StateWriter) {
        condition::save_time(self.newest_ms, state);
        for condition in &self.conditions {
            condition.save(state);
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.newest_ms = condition::restore_time(state)?;
        self.conditions
            .iter_mut()
            .try_for_each(|condition| condition.restore(state))
    }
}
