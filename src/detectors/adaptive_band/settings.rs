//! The detector has no settings but the threshold, and learns all else from each series.

use std::sync::Arc;

use crate::detectors::{AdaptiveBand, DetectorSettings, Model, Threshold};
use crate::settings::{Fingerprint, Violations};

/// None.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings;

impl DetectorSettings for Settings {
    fn model(&self, threshold: Threshold) -> Arc<dyn Model> {
        Arc::new(AdaptiveBand::new(threshold))
    }

    fn add_to(&self, _: &mut Fingerprint) {}

    fn check(&self, _: &mut Violations) {}

    /// Evidence has no upper end.
    fn highest_score(&self) -> Option<f64> {
        None
    }
}
