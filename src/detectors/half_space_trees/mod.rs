//! Half-space trees (Tan, Ting and Liu, "Fast Anomaly Detection for Streaming Data", 2011), as River 0.26 computes
//! them, to the last bit: how few of a window's values fell into the same regions.

mod forest;
mod settings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{
    Cause, Detector, LEARNING_MEMORY_MS, MEMORY_MS, Model, Observation, StateError, StateReader, StateWriter,
    Threshold, Verdict,
};
use forest::Forest;

pub(super) use settings::{LearningOrder, Settings};

/// The tutorials' threshold.
const THRESHOLD: f64 = 0.7;

/// The name in settings and messages.
pub(super) const NAME: &str = "half-space-trees";

/// The settings, and the trees that all series share.
#[derive(Debug)]
pub(crate) struct HalfSpaceTrees {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    forest: Forest,
    settings: Settings,
    threshold: f64,
}

impl HalfSpaceTrees {
    /// The model of these settings.
    pub(crate) fn new(settings: &Settings, threshold: Threshold) -> Self {
        HalfSpaceTrees {
            shared: Arc::new(Shared {
                forest: Forest::new(settings),
                settings: settings.clone(),
                threshold: threshold.or(THRESHOLD),
            }),
        }
    }
}

impl Model for HalfSpaceTrees {
    fn name(&self) -> &'static str {
        NAME
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Windows {
            shared: Arc::clone(&self.shared),
            latest: Vec::new(),
            reference: Vec::new(),
            scores: Vec::new(),
            lower: None,
            upper: None,
            clipped: 0,
        }))
    }
}

/// The values of one series: the window that is filling, and the one before it, by which values are judged.
#[derive(Debug)]
struct Windows {
    shared: Arc<Shared>,
    /// The cells of the values since the last window was full.
    latest: Vec<u32>,
    /// The cells of a full window's values; empty before there is one.
    reference: Vec<u32>,
    /// The score of each cell by the reference; empty before there is one.
    scores: Vec<f64>,
    /// The ends of the cells that are not anomalies, in the unit of the values.
    lower: Option<f64>,
    upper: Option<f64>,
    clipped: u64,
}

/// How far a score must lie below the threshold to speak for the end of an episode, as a share of what lies above it: one
/// that hovers at the threshold is neither.
const CALM_SHARE: f64 = 0.1;

impl Detector for Windows {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let cell = self.cell(observation.value);
        match self.shared.settings.order {
            LearningOrder::LearnThenScore => {
                self.learn(cell);
                verdicts.push(self.judge(cell));
            }
            LearningOrder::ScoreThenLearn => {
                verdicts.push(self.judge(cell));
                self.learn(cell);
            }
        }
    }

    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let cell = self.cell(observation.value);
        verdicts.push(self.judge(cell));
    }

    fn memory_ms(&self) -> i64 {
        if self.reference.is_empty() {
            LEARNING_MEMORY_MS
        } else {
            MEMORY_MS
        }
    }

    fn clipped(&self) -> u64 {
        self.clipped
    }

    fn save(&self, state: &mut StateWriter) {
        for window in [&self.latest, &self.reference] {
            state.u32(window.len() as u32);
            for cell in window {
                if self.is_narrow() {
                    state.u16(*cell as u16);
                } else {
                    state.u32(*cell);
                }
            }
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let window_size = self.shared.settings.window_size;
        self.latest = self.restore_window(state, |count| count < window_size)?;
        self.reference = self.restore_window(state, |count| count == 0 || count == window_size)?;
        self.scores.clear();
        if !self.reference.is_empty() {
            self.judge_by_reference();
        }
        Ok(())
    }
}

impl Windows {
    /// The cell of a value; one beyond the limits is counted.
    #[inline]
    fn cell(&mut self, value: f64) -> u32 {
        let settings = &self.shared.settings;
        let value = value / settings.scale;
        // Beyond a limit every tree takes the same path as at the limit, so that counting is all there is to do.
        self.clipped += u64::from(value < settings.lower_limit || value > settings.upper_limit);
        self.shared.forest.cell(value)
    }

    #[inline]
    fn learn(&mut self, cell: u32) {
        self.latest.push(cell);
        if self.latest.len() == self.shared.settings.window_size as usize {
            std::mem::swap(&mut self.latest, &mut self.reference);
            self.latest.clear();
            self.judge_by_reference();
        }
    }

    /// Computes the scores of all cells from the reference.
    fn judge_by_reference(&mut self) {
        let forest = &self.shared.forest;
        forest.scores(&self.reference, &mut self.scores);
        let is_usual = |score: &f64| *score <= self.shared.threshold;
        let first = self.scores.iter().position(is_usual);
        let last = self.scores.iter().rposition(is_usual);
        let scale = self.shared.settings.scale;
        self.lower = first
            .and_then(|cell| forest.bounds(cell).0)
            .map(|value| value * scale);
        self.upper = last
            .and_then(|cell| forest.bounds(cell).1)
            .map(|value| value * scale);
        if scale < 0.0 {
            std::mem::swap(&mut self.lower, &mut self.upper);
        }
    }

    #[inline]
    fn judge(&self, cell: u32) -> Verdict {
        let threshold = self.shared.threshold;
        let Some(&score) = self.scores.get(cell as usize) else {
            return Verdict::learning(NAME, threshold);
        };
        Verdict {
            detector: NAME,
            score,
            threshold,
            is_anomaly: score > threshold,
            expected: None,
            lower: self.lower,
            upper: self.upper,
            slot: None,
            comparables: Some(self.shared.settings.window_size),
            cause: Cause::SparseRegion,
            is_calm: Some(score < threshold - CALM_SHARE * (1.0 - threshold)),
            episode: None,
        }
    }

    /// Whether a cell's number has two bytes in the state, not four.
    fn is_narrow(&self) -> bool {
        self.shared.forest.cells() <= 1 << 16
    }

    fn restore_window(
        &self,
        state: &mut StateReader<'_>,
        is_possible: impl Fn(u32) -> bool,
    ) -> Result<Vec<u32>, StateError> {
        let count = state.u32()?;
        if !is_possible(count) {
            return Err(StateError::Impossible("window"));
        }
        let mut window = Vec::new();
        for _ in 0..count {
            let cell = if self.is_narrow() {
                u32::from(state.u16()?)
            } else {
                state.u32()?
            };
            if cell as usize >= self.shared.forest.cells() {
                return Err(StateError::Impossible("region"));
            }
            window.push(cell);
        }
        Ok(window)
    }
}
