//! Detectors: pure state machines that judge the readings of one series, one after another.
//!
//! A [`Model`] is what the settings say, shared by all series; it makes a [`Detector`] for each series. Adding a
//! detector is one module, which has its settings, its model and its state, with a `mod` line below; a section in
//! `default.toml`, if it has settings; and one line in `list`. All arithmetic is deterministic, to the last bit, on every
//! run, machine and after every restart: transcendental functions come from `libm`, no order of a hash map decides, and
//! the readings are the only clock (invariant I6).
//!
//! Absent from this room: Kafka, files, clocks, threads.

mod anomaly;
mod answer;
mod answers;
mod calendar;
mod counter;
mod episode;
mod filter;
mod holidays;
mod interval;
mod list;
mod notice;
mod series;
mod threshold;
mod verdict;

// The detectors.
mod adaptive_band;
mod half_space_trees;
mod isolation_forest;
mod random;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::state_file::{StateError, StateReader, StateWriter};
pub use adaptive_band::AdaptiveBand;
pub use anomaly::{Anomaly, MessageContext, Severity};
pub(crate) use anomaly::{FIXED_FIELDS, Rounding, duration_text};
pub use answer::{Answer, Causes, Lesson, Said, Subject};
pub use calendar::{Calendar, Slot};
pub use episode::{CalmStretch, EndReason, EpisodeStep, MessageId, MessageIds, Phase};
pub(crate) use filter::{Direction, Filters, LeastChange};
pub(crate) use half_space_trees::HalfSpaceTrees;
pub use holidays::Holidays;
pub(crate) use holidays::country_names;
pub(crate) use isolation_forest::IsolationForest;
pub(crate) use list::DetectorSettings;
pub use list::{DetectorName, Settings};
pub use notice::Notice;
pub(crate) use rules::NAME as RULES;
pub(crate) use rules::check_rules;
pub(crate) use rules::pattern_matches;
pub use rules::{Condition, Forecast, Recovery, RuleError};
pub use series::{Observed, Series};
pub use threshold::Threshold;
pub use verdict::{Cause, Earlier, Verdict};

const DAY_MS: i64 = 86_400_000;

/// How long a detector that is still learning remembers a series: long enough for one with a reading a week.
const LEARNING_MEMORY_MS: i64 = 14 * DAY_MS;

/// How long a detector that has learnt remembers a series: twice the four weeks of the slowest means, so that knowledge
/// survives a summer's holidays.
const MEMORY_MS: i64 = 56 * DAY_MS;

/// One value of a series: a reading, or the average of a closed window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// When it was measured, in milliseconds since 1970-01-01T00:00:00Z; for a window, its end.
    pub event_time_ms: i64,
    /// The same on the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00; on a holiday that
    /// of the Sunday of its week, so that it is compared with Sundays. It is for profiles, and not for durations.
    pub local_time_ms: i64,
    /// Finite.
    pub value: f64,
}

/// A method of detection with its settings; the same for all series.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// The name in settings and messages.
    fn name(&self) -> &'static str;

    /// A new detector; `None` if the model does not judge series of this key.
    fn detector(&self, key: &str) -> Option<Box<dyn Detector>>;
}

/// The state of one series.
pub trait Detector: std::fmt::Debug + Send {
    /// The name of its model.
    fn name(&self) -> &'static str;

    /// Judges an observation and learns from it. A detector that scores appends exactly one verdict; one that
    /// watches conditions appends one for each that begins or ends.
    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>);

    /// Judges an observation and does not learn from it, because it is known to be none of what is usual. A detector that
    /// watches conditions learns nothing anyway.
    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        self.observe(observation, verdicts);
    }

    /// Heeds what somebody says of its anomalies. By itself it cannot. Returns whether it judges otherwise from now on.
    fn teach(&mut self, lesson: Lesson) -> bool {
        let _ = lesson;
        false
    }

    /// The event time at which [`elapse`](Self::elapse) must be called if nothing was observed before.
    fn deadline_ms(&self) -> Option<i64> {
        None
    }

    /// Notes that event time has reached `time_ms` in the series' partition, without an observation.
    fn elapse(&mut self, time_ms: i64, verdicts: &mut Vec<Verdict>) {
        let _ = (time_ms, verdicts);
    }

    /// What ends an episode of its anomalies.
    fn calm(&self) -> CalmStretch {
        CalmStretch::of_readings(6)
    }

    /// How long, in event time, the state is worth keeping after the last reading of the series. A series that its partition
    /// has left behind by more is forgotten, and starts over if it comes back. Never becomes shorter.
    fn memory_ms(&self) -> i64;

    /// How many values were outside the model's limits, and counted as the nearest value inside, since the detector was
    /// made.
    fn clipped(&self) -> u64 {
        0
    }

    /// What a person should know of the series beside its anomalies.
    fn notice(&self) -> Notice {
        Notice::default()
    }

    /// Writes the whole state, compactly, without what the model holds.
    fn save(&self, state: &mut StateWriter);

    /// Restores a state that [`save`](Self::save) wrote under the same model.
    ///
    /// # Errors
    /// [`StateError`] if it ends early or holds what no detector writes; the detector must not be used then.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError>;
}

/// The models of the settings: the detector, and the rules if there are any.
///
/// # Errors
/// [`RuleError`] naming the rule that cannot be read.
pub fn models(
    detector: DetectorName,
    threshold: Threshold,
    rules: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Vec<Arc<dyn Model>>, RuleError> {
    let mut models = Vec::from_iter(settings.model(detector, threshold));
    if !rules.is_empty() {
        models.push(Arc::new(rules::Rules::new(rules)?));
    }
    Ok(models)
}
