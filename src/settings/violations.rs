//! Values that are of the right type and still make no sense.

/// A setting that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The dotted key.
    pub(crate) key: String,
    /// What is allowed: `must be …`.
    pub(crate) rule: String,
}

/// All that is found, so that everything can be mended in one go.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds a violation by the setting of this dotted key unless its rule holds.
    pub fn require(&mut self, holds: bool, key: &str, rule: impl Into<String>) {
        if !holds {
            self.0.push(Violation {
                key: key.to_owned(),
                rule: rule.into(),
            });
        }
    }

    /// The violations in the order they were found.
    pub(crate) fn into_vec(self) -> Vec<Violation> {
        self.0
    }
}
