//! An isolation forest for each slot of the week: how easily random cuts separate a reading from the earlier ones of its
//! weekday, hour and minute (Liu, Ting and Zhou, "Isolation Forest", 2008).

mod exact;
mod history;
mod paths;
mod scikit_learn;
mod settings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{
    Cause, DAY_MS, Detector, MEMORY_MS, Model, Observation, Slot, StateError, StateReader, StateWriter,
    Threshold, Verdict,
};
use history::History;
use paths::{LARGEST_SAMPLE, PathLengths};

pub(super) use settings::{ForestMethod, Settings};

/// The score above which scikit-learn's `contamination="auto"` has an outlier.
const THRESHOLD: f64 = 0.5;

/// The settings, and what is computed once for all series.
#[derive(Debug)]
pub(crate) struct IsolationForest {
    forest: Arc<Forest>,
}

#[derive(Debug)]
struct Forest {
    method: Method,
    lengths: PathLengths,
    slot_ms: i64,
    max_history: usize,
    minimum_comparables: usize,
    threshold: f64,
}

#[derive(Debug)]
enum Method {
    Exact,
    ScikitLearn(scikit_learn::Trees),
}

impl IsolationForest {
    /// The model of these settings.
    pub(crate) fn new(settings: &Settings, threshold: Threshold) -> Self {
        let method = match settings.method {
            ForestMethod::Exact => Method::Exact,
            ForestMethod::ScikitLearn => Method::ScikitLearn(scikit_learn::Trees::new()),
        };
        IsolationForest {
            forest: Arc::new(Forest {
                method,
                lengths: PathLengths::new(),
                slot_ms: settings.slot.as_millis() as i64,
                max_history: settings.max_history,
                minimum_comparables: settings.minimum_comparables.max(1),
                threshold: threshold.or(THRESHOLD),
            }),
        }
    }
}

impl Model for IsolationForest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(SlotForest {
            forest: Arc::clone(&self.forest),
            history: History::default(),
        }))
    }
}

/// The name in settings and messages.
pub(super) const NAME: &str = "isolation-forest";

/// How long a history is worth keeping: 8,640 readings are a month of minutes or a year of hours.
const HISTORY_MEMORY_MS: i64 = 366 * DAY_MS;

/// The last readings of one series.
#[derive(Debug)]
struct SlotForest {
    forest: Arc<Forest>,
    history: History,
}

impl Detector for SlotForest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        self.observe_only(observation, verdicts);
        let number = number_of(self.slot(&observation));
        let value = as_f32(observation.value);
        self.history.push(number, value, self.forest.max_history);
    }

    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let slot = self.slot(&observation);
        let mut comparables = Vec::new();
        self.history.find(number_of(slot), &mut comparables);
        verdicts.push(self.forest.judge(slot, &comparables, as_f32(observation.value)));
    }

    fn memory_ms(&self) -> i64 {
        if self.history.len() < self.forest.minimum_comparables {
            MEMORY_MS
        } else {
            HISTORY_MEMORY_MS
        }
    }

    fn save(&self, state: &mut StateWriter) {
        self.history.save(state);
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.history = History::restore(state, self.forest.max_history)?;
        Ok(())
    }
}

impl SlotForest {
    fn slot(&self, observation: &Observation) -> Slot {
        Slot::of(observation.local_time_ms, self.forest.slot_ms)
    }
}

/// The number of a slot in a history.
fn number_of(slot: Slot) -> u16 {
    u16::from(slot.weekday) * 1440 + slot.minute_of_day
}

impl Forest {
    /// Judges a value by the earlier ones of its slot, the oldest first.
    fn judge(&self, slot: Slot, comparables: &[f32], value: f32) -> Verdict {
        // A tree takes a sample of no more; taking the latest bounds the work.
        let arrived = match self.method {
            Method::Exact => &comparables[comparables.len().saturating_sub(LARGEST_SAMPLE)..],
            Method::ScikitLearn(_) => comparables,
        };
        let learning = Verdict {
            slot: Some(slot),
            comparables: Some(arrived.len() as u32),
            ..Verdict::learning(NAME, self.threshold)
        };
        if comparables.len() < self.minimum_comparables {
            return learning;
        }
        let mut sorted = arrived.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let mut scores = Vec::with_capacity(sorted.len());
        let score = match &self.method {
            Method::Exact => exact::scores(&self.lengths, &sorted, value, &mut scores),
            Method::ScikitLearn(trees) => trees.scores(&self.lengths, arrived, &sorted, value, &mut scores),
        };
        let expected = median(&sorted);
        let (lower, upper) = self.unremarkable(&sorted, &scores);
        Verdict {
            score,
            is_anomaly: score > self.threshold,
            expected: Some(expected),
            lower: Some(lower.min(expected)),
            upper: Some(upper.max(expected)),
            cause: Cause::Isolated,
            is_calm: Some(score <= self.threshold),
            ..learning
        }
    }

    /// The range of the values that are not anomalies among themselves; of all values if every one is.
    fn unremarkable(&self, sorted: &[f32], scores: &[f64]) -> (f64, f64) {
        let is_usual = |score: &f64| *score <= self.threshold;
        let first = scores.iter().position(is_usual).unwrap_or(0);
        let last = scores.iter().rposition(is_usual).unwrap_or(sorted.len() - 1);
        (as_written(sorted[first]), as_written(sorted[last]))
    }
}

/// The nearest finite `f32`: forests are grown on those.
fn as_f32(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}

/// The number that people would write for this one: 518.4, and not the 518.4000244140625 that it is as a double.
fn as_written(value: f32) -> f64 {
    // The shortest text of an `f32` is a number always.
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The median of sorted values, of which there is one.
fn median(sorted: &[f32]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = as_written(sorted[middle]);
    if sorted.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(as_written(sorted[middle - 1]), upper)
    }
}
