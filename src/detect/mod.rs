//! Detectors: pure state machines that judge the readings of one series, one after another.
//!
//! A [`Model`] is what the settings say, shared by all series; it makes a [`Detector`] for each series. Adding a
//! detector is one module with a model, and one line in [`models`]. All arithmetic is deterministic, to the last
//! bit, on every run, machine and after every restart: transcendental functions come from `libm`, no order of a hash
//! map decides, and nothing knows the time of day but by the readings (invariant I6).
//!
//! Absent from this room: Kafka, files, clocks, threads.

mod anomaly;
mod calendar;
mod series;
mod state;
mod verdict;

// The detectors.
mod adaptive_band;
mod half_space_trees;
mod isolation_forest;
mod random;
mod rules;

use std::sync::Arc;

use crate::config::{Config, DetectorName};

pub use adaptive_band::AdaptiveBand;
pub use anomaly::{Anomaly, MessageContext, Severity};
pub use calendar::{Calendar, Slot};
pub use half_space_trees::HalfSpaceTrees;
pub use isolation_forest::IsolationForest;
pub use rules::RuleError;
pub use series::Series;
pub use state::{StateError, StateReader, StateWriter};
pub use verdict::{Cause, Verdict};

/// One value of a series: a reading, or the average of a closed window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// When it was measured, in milliseconds since 1970-01-01T00:00:00Z; for a window, its end.
    pub event_time_ms: i64,
    /// The same on the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00.
    pub local_time_ms: i64,
    /// Finite.
    pub value: f64,
}

/// What the settings say about a method of detection; the same for all series.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// The name in settings and messages.
    fn name(&self) -> &'static str;

    /// A detector that has seen nothing yet; `None` if the model has nothing to say about series of this key.
    fn detector(&self, key: &str) -> Option<Box<dyn Detector>>;
}

/// The state of one series.
pub trait Detector: std::fmt::Debug + Send {
    /// Judges an observation and learns from it. A detector that scores appends exactly one verdict; one that
    /// watches conditions appends one for each that begins or ends.
    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>);

    /// The event time at which [`elapse`](Self::elapse) must be called if nothing was observed before.
    fn deadline_ms(&self) -> Option<i64> {
        None
    }

    /// Takes note that event time has reached `time_ms` in the series' partition, without an observation.
    fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        let _ = (time_ms, verdicts);
    }

    /// How many values were beyond what the model can take, and counted as the nearest that it can, since the detector
    /// was made.
    fn clipped(&self) -> u64 {
        0
    }

    /// Writes the whole state, compactly. What the model holds is not part of it.
    fn save(&self, state: &mut StateWriter);

    /// Takes over a state that [`save`](Self::save) wrote, under the same model.
    ///
    /// # Errors
    /// [`StateError`] if it ends early or holds what no detector writes; the detector is then of no use.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError>;
}

/// The models of the settings: the detector, and the rules if there are any.
///
/// # Errors
/// [`RuleError`] naming the rule that cannot be read.
pub fn models(config: &Config) -> Result<Vec<Arc<dyn Model>>, RuleError> {
    let mut models: Vec<Arc<dyn Model>> = Vec::new();
    match config.detect.detector {
        DetectorName::AdaptiveBand => models.push(Arc::new(AdaptiveBand::new(config.detect.threshold))),
        DetectorName::IsolationForest => models.push(Arc::new(IsolationForest::new(
            &config.isolation_forest,
            config.detect.threshold,
        ))),
        DetectorName::HalfSpaceTrees => models.push(Arc::new(HalfSpaceTrees::new(
            &config.half_space_trees,
            config.detect.threshold,
        ))),
        DetectorName::None => {}
    }
    if !config.detect.rules.is_empty() {
        models.push(Arc::new(rules::Rules::new(&config.detect.rules)?));
    }
    Ok(models)
}
