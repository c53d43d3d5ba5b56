//! `[half_space_trees]`: as River's `HalfSpaceTrees`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::detectors::{DetectorSettings, HalfSpaceTrees, Model, Threshold};
use crate::settings::{Fingerprint, Violations};

/// The settings in `[half_space_trees]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub trees: usize,
    pub height: u32,
    pub window_size: u32,
    pub seed: u32,
    pub scale: f64,
    pub lower_limit: f64,
    pub upper_limit: f64,
    pub(crate) order: LearningOrder,
}

/// Whether an observation is judged by what was known before it or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LearningOrder {
    LearnThenScore,
    ScoreThenLearn,
}

impl LearningOrder {
    /// The name that fingerprints have for it.
    fn stored_name(self) -> &'static str {
        match self {
            LearningOrder::LearnThenScore => "learn-then-score",
            LearningOrder::ScoreThenLearn => "score-then-learn",
        }
    }
}

/// Regions of all half-space trees together, 8 bytes each for every series.
const LARGEST_FOREST: usize = 1 << 20;

impl DetectorSettings for Settings {
    fn model(&self, threshold: Threshold) -> Arc<dyn Model> {
        Arc::new(HalfSpaceTrees::new(self, threshold))
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        let Settings {
            trees,
            height,
            window_size,
            seed,
            scale,
            lower_limit,
            upper_limit,
            order,
        } = self;
        fingerprint.add("half_space_trees.trees", *trees);
        fingerprint.add("half_space_trees.height", *height);
        fingerprint.add("half_space_trees.window_size", *window_size);
        fingerprint.add("half_space_trees.seed", *seed);
        fingerprint.add("half_space_trees.scale", *scale);
        fingerprint.add("half_space_trees.lower_limit", *lower_limit);
        fingerprint.add("half_space_trees.upper_limit", *upper_limit);
        fingerprint.add("half_space_trees.order", order.stored_name());
    }

    fn check(&self, violations: &mut Violations) {
        violations.require(
            (1..=1_000).contains(&self.trees),
            "half_space_trees.trees",
            "must be from 1 to 1000",
        );
        violations.require(
            (1..=15).contains(&self.height),
            "half_space_trees.height",
            "must be from 1 to 15",
        );
        violations.require(
            self.trees.saturating_mul(1 << self.height.min(15)) <= LARGEST_FOREST,
            "half_space_trees.trees",
            format!("must be {LARGEST_FOREST} or less when multiplied by 2 to the power of the height: each series has a score for each region"),
        );
        violations.require(
            (1..=1_000_000).contains(&self.window_size),
            "half_space_trees.window_size",
            "must be from 1 to 1000000: so many values are remembered of each series",
        );
        violations.require(
            self.scale.is_finite() && self.scale != 0.0,
            "half_space_trees.scale",
            "must be a number other than 0",
        );
        violations.require(
            self.lower_limit < self.upper_limit && (self.upper_limit - self.lower_limit).is_finite(),
            "half_space_trees.upper_limit",
            "must be above `half_space_trees.lower_limit`",
        );
    }

    /// Every tree's root holds the whole window, whatever the value.
    fn highest_score(&self) -> Option<f64> {
        Some(1.0 - 1.0 / f64::from((2_u32 << self.height.min(15)) - 1))
    }
}
