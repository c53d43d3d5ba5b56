//! `[isolation_forest]`: comparing a value with the earlier ones of its slot of the week.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::detectors::{DetectorSettings, IsolationForest, Model, Threshold};
use crate::settings::{DAY, Fingerprint, Violations, duration, is_whole_ms};

/// The settings in `[isolation_forest]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(crate) method: ForestMethod,
    #[serde(with = "duration")]
    pub slot: Duration,
    pub max_history: usize,
    pub minimum_comparables: usize,
}

/// How an isolation forest's score is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForestMethod {
    Exact,
    ScikitLearn,
}

impl ForestMethod {
    /// The name that fingerprints have for it.
    fn stored_name(self) -> &'static str {
        match self {
            ForestMethod::Exact => "exact",
            ForestMethod::ScikitLearn => "scikit-learn",
        }
    }
}

impl DetectorSettings for Settings {
    fn model(&self, threshold: Threshold) -> Arc<dyn Model> {
        Arc::new(IsolationForest::new(self, threshold))
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        let Settings {
            method,
            slot,
            max_history,
            minimum_comparables,
        } = self;
        fingerprint.add("isolation_forest.method", method.stored_name());
        fingerprint.add("isolation_forest.slot", *slot);
        fingerprint.add("isolation_forest.max_history", *max_history);
        fingerprint.add("isolation_forest.minimum_comparables", *minimum_comparables);
    }

    fn check(&self, violations: &mut Violations) {
        let slot_ms = self.slot.as_millis();
        let divides_a_day =
            is_whole_ms(self.slot) && slot_ms >= 60_000 && DAY.as_millis().is_multiple_of(slot_ms);
        violations.require(
            divides_a_day,
            "isolation_forest.slot",
            "must be from 1m to 1d, and divide a day",
        );
        violations.require(
            (1..=65_535).contains(&self.max_history),
            "isolation_forest.max_history",
            "must be from 1 to 65535",
        );
        violations.require(
            self.minimum_comparables >= 1,
            "isolation_forest.minimum_comparables",
            "must be 1 or more",
        );
    }

    /// One cut parts the value from a full sample of 256: 2 to the power of -1 / c(256).
    fn highest_score(&self) -> Option<f64> {
        Some(0.9346)
    }
}
