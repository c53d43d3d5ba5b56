//! The list of the detectors. Everything else about a detector is in its own module.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Model, Threshold, adaptive_band, half_space_trees, isolation_forest};
use crate::settings::{Fingerprint, Violations};

/// The section of the settings that is a detector's own.
pub(crate) trait DetectorSettings {
    /// The model that these settings describe.
    fn model(&self, threshold: Threshold) -> Arc<dyn Model>;

    /// Adds every setting that a score depends on.
    fn add_to(&self, fingerprint: &mut Fingerprint);

    /// Adds the rules of the section that these settings break.
    fn check(&self, violations: &mut Violations);

    /// A score that no value exceeds, if there is one.
    fn highest_score(&self) -> Option<f64>;
}

macro_rules! detectors {
    ($($(#[$attribute:meta])* $name:ident: $module:ident,)+) => {
        /// The detectors that there are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum DetectorName {
            $(#[doc = concat!("Of the module `", stringify!($module), "`.")] $name,)+
            /// Rules alone.
            None,
        }

        /// The sections of the settings that are the detectors' own.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct Settings {
            $($(#[$attribute])* #[doc = concat!("`[", stringify!($module), "]`.")] pub $module: $module::Settings,)+
        }

        impl DetectorName {
            /// All of them, in the order of the list.
            pub const ALL: &[DetectorName] = &[$(DetectorName::$name,)+ DetectorName::None];

            /// The name in settings, in messages and in fingerprints.
            pub fn name(self) -> &'static str {
                match self {
                    $(DetectorName::$name => $module::NAME,)+
                    DetectorName::None => "none",
                }
            }
        }

        impl Settings {
            fn section_of(&self, detector: DetectorName) -> Option<&dyn DetectorSettings> {
                match detector {
                    $(DetectorName::$name => Some(&self.$module),)+
                    DetectorName::None => None,
                }
            }
        }
    };
}

// A detector that has no section skips it.
detectors! {
    #[serde(skip)]
    AdaptiveBand: adaptive_band,
    IsolationForest: isolation_forest,
    HalfSpaceTrees: half_space_trees,
}

impl Settings {
    /// The model of a detector; `None` where nothing but rules judges.
    pub fn model(&self, detector: DetectorName, threshold: Threshold) -> Option<Arc<dyn Model>> {
        Some(self.section_of(detector)?.model(threshold))
    }

    /// Adds what a detector's scores depend on: its name, and its own section.
    pub(crate) fn add_to(&self, detector: DetectorName, fingerprint: &mut Fingerprint) {
        fingerprint.add("detect.detector", detector.name());
        if let Some(section) = self.section_of(detector) {
            section.add_to(fingerprint);
        }
    }

    /// Adds the rules that any of the sections breaks.
    pub(crate) fn check(&self, violations: &mut Violations) {
        for section in DetectorName::ALL.iter().filter_map(|&name| self.section_of(name)) {
            section.check(violations);
        }
    }

    /// Adds `detect.threshold` if no value can score as high: nothing would ever be an anomaly.
    pub(crate) fn check_threshold(
        &self,
        detector: DetectorName,
        threshold: Threshold,
        violations: &mut Violations,
    ) {
        let highest = self
            .section_of(detector)
            .and_then(DetectorSettings::highest_score);
        if let (Some(highest), Threshold::Score(score)) = (highest, threshold) {
            violations.require(
                score < highest,
                "detect.threshold",
                format!("must be below {highest:.4}: no value can score higher"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_and_the_messages_have_the_same_names() {
        for &detector in DetectorName::ALL {
            let written = serde_json::to_value(detector).unwrap();
            assert_eq!(written, detector.name());
        }
    }
}
