//! The views of single values and of hours, as evidence: -log10 of how likely they are.

use super::super::{Earlier, StateError, StateReader, StateWriter};
use super::pace::Rates;
use super::saved::{non_negative, restore_all, save_all};
use super::tail::{Rarity, Sizes, Tail, gaussian_ratio};

/// Most steps in the window of the hour view.
const MOST_STEPS: usize = 12;
/// Usual steps remembered of points and runs, three weeks, and of hours, a week; of longer steps fewer, but not
/// fewer than the last.
pub(super) const POINT_MEMORY: f64 = 6000.0;
const HOUR_MEMORY: f64 = 2000.0;
const LEAST_MEMORY: f64 = 500.0;
/// A value further out than this counts as one this far in the hour, because the point reports it already.
const LARGEST_IN_HOUR: f64 = 8.0;

/// -log10 of a probability.
pub(super) fn evidence(probability: f64) -> f64 {
    if probability >= 1.0 {
        0.0
    } else {
        -libm::log10(probability.max(1e-300))
    }
}

/// The tails of sizes below and above what was expected. Each learns the largest size of a step, so that a probability is
/// that of a step, however many readings it has.
#[derive(Debug, Clone)]
pub(super) struct TwoSidedTail {
    below: Tail,
    above: Tail,
    largest_below: f64,
    largest_above: f64,
    memory: f64,
}

impl TwoSidedTail {
    fn new(sizes: Sizes, memory: f64) -> Self {
        TwoSidedTail {
            below: Tail::new(sizes),
            above: Tail::new(sizes),
            largest_below: 0.0,
            largest_above: 0.0,
            memory,
        }
    }

    fn evidence(&self, size: f64) -> f64 {
        let tail = if size > 0.0 { &self.above } else { &self.below };
        // Twice: a value as far out on the other side would have been as unusual.
        evidence(2.0 * tail.probability(size.abs()))
    }

    fn note(&mut self, size: f64) {
        self.largest_above = self.largest_above.max(size);
        self.largest_below = self.largest_below.max(-size);
    }

    fn set_sizes(&mut self, sizes: Sizes, rarity: Rarity) {
        self.below.set_sizes(sizes, rarity);
        self.above.set_sizes(sizes, rarity);
    }

    fn learn(&mut self, slowness: f64) {
        let memory = (self.memory / slowness).max(LEAST_MEMORY);
        self.above.add(self.largest_above, memory);
        self.below.add(self.largest_below, memory);
        self.largest_above = 0.0;
        self.largest_below = 0.0;
    }

    /// The sizes below and above that have this probability.
    pub(super) fn sizes_at(&self, probability: f64) -> (f64, f64) {
        (self.below.size_at(probability), self.above.size_at(probability))
    }

    fn save(&self, state: &mut StateWriter) {
        self.below.save(state);
        self.above.save(state);
        save_all(&[self.largest_below, self.largest_above], state);
    }

    fn restore(
        sizes: Sizes,
        rates: &Rates,
        memory: f64,
        state: &mut StateReader<'_>,
    ) -> Result<Self, StateError> {
        let rarity = Rarity::of(rates.slowness);
        Ok(TwoSidedTail {
            below: Tail::restore(sizes, rarity, state)?,
            above: Tail::restore(sizes, rarity, state)?,
            largest_below: non_negative(state, "size")?,
            largest_above: non_negative(state, "size")?,
            memory,
        })
    }
}

/// Single values.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub tail: TwoSidedTail,
    /// The most evidence of each of the last steps, and the reading that it is of.
    recent: [f64; MOST_STEPS],
    peaks: [Earlier; MOST_STEPS],
}

impl Point {
    pub(super) fn new() -> Self {
        Point {
            tail: TwoSidedTail::new(distances(1.0), POINT_MEMORY),
            recent: [0.0; MOST_STEPS],
            peaks: [Earlier::default(); MOST_STEPS],
        }
    }

    /// Learns the step that is over, and begins one that is `steps` later.
    pub(super) fn step(&mut self, steps: usize, open: bool, slowness: f64) {
        if !open {
            self.tail.learn(slowness);
        }
        roll(&mut self.recent, steps);
        roll(&mut self.peaks, steps);
    }

    pub(super) fn evidence(&self, size: f64) -> f64 {
        self.tail.evidence(size)
    }

    /// The most evidence in the window before this reading.
    pub(super) fn most_before(&self, window: usize) -> f64 {
        self.recent[..window].iter().copied().fold(0.0, f64::max)
    }

    /// The reading of the window that has the most evidence.
    pub(super) fn peak(&self, window: usize) -> Option<Earlier> {
        let steps = self.recent[..window].iter().zip(&self.peaks);
        let most = steps.max_by(|(one, _), (other, _)| one.total_cmp(other));
        most.filter(|(evidence, _)| **evidence > 0.0)
            .map(|(_, peak)| *peak)
    }

    /// Keeps a reading if it is the most unusual of its step.
    pub(super) fn keep(&mut self, evidence: f64, peak: Earlier) {
        if evidence > self.recent[0] {
            self.recent[0] = evidence;
            self.peaks[0] = peak;
        }
    }

    /// Takes over another pace.
    pub(super) fn set_pace(&mut self, rates: &Rates) {
        self.tail
            .set_sizes(distances(rates.readings_per_step()), Rarity::of(rates.slowness));
    }

    /// Keeps a size for when the step is over.
    pub(super) fn note(&mut self, size: f64) {
        self.tail.note(size);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.tail.save(state);
        save_all(&self.recent, state);
        for (evidence, peak) in self.recent.iter().zip(&self.peaks) {
            if *evidence > 0.0 {
                state.i64(peak.local_time_ms);
                save_all(&[peak.value, peak.lower, peak.upper], state);
            }
        }
    }

    /// Takes over what was saved at that pace.
    pub(super) fn restore(rates: &Rates, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let sizes = distances(rates.readings_per_step());
        let mut point = Point {
            tail: TwoSidedTail::restore(sizes, rates, POINT_MEMORY, state)?,
            ..Point::new()
        };
        restore_all(&mut point.recent, state, "evidence")?;
        for (evidence, peak) in point.recent.iter().zip(&mut point.peaks) {
            if *evidence > 0.0 {
                peak.local_time_ms = state.i64()?;
                let mut numbers = [0.0; 3];
                restore_all(&mut numbers, state, "peak")?;
                [peak.value, peak.lower, peak.upper] = numbers;
            }
        }
        Ok(point)
    }
}

/// The values of an hour together.
#[derive(Debug, Clone)]
pub(super) struct Hour {
    tail: TwoSidedTail,
    sums: [f64; MOST_STEPS],
    counts: [f64; MOST_STEPS],
    largest: [f64; MOST_STEPS],
}

impl Hour {
    pub(super) fn new() -> Self {
        Hour {
            tail: TwoSidedTail::new(Sizes::Means, HOUR_MEMORY),
            sums: [0.0; MOST_STEPS],
            counts: [0.0; MOST_STEPS],
            largest: [0.0; MOST_STEPS],
        }
    }

    /// Learns the step that is over, and begins one that is `steps` later.
    pub(super) fn step(&mut self, steps: usize, open: bool, slowness: f64) {
        if !open {
            self.tail.learn(slowness);
        }
        roll(&mut self.sums, steps);
        roll(&mut self.counts, steps);
        roll(&mut self.largest, steps);
    }

    /// The mean of the window without its largest value, in deviations of a mean of independent values, and the
    /// evidence of it.
    pub(super) fn evidence(&mut self, size: f64, window: usize) -> (f64, f64) {
        let size = size.clamp(-LARGEST_IN_HOUR, LARGEST_IN_HOUR);
        if size.abs() > self.largest[0].abs() {
            self.largest[0] = size;
        }
        self.sums[0] += size;
        self.counts[0] += 1.0;
        let sum: f64 = self.sums[..window].iter().sum();
        let count: f64 = self.counts[..window].iter().sum();
        let largest = self.largest[..window].iter().fold(0.0_f64, |largest, &each| {
            if each.abs() > largest.abs() { each } else { largest }
        });
        // Evidence is added up, so the hour must not repeat what the point says: it leaves the largest value out.
        let trimmed = if largest * sum > 0.0 { sum - largest } else { sum };
        // A mean of `count` independent sizes varies by 1/√count of one size.
        let mean = trimmed / count.sqrt();
        (mean, self.tail.evidence(mean))
    }

    /// Takes over another pace.
    pub(super) fn set_pace(&mut self, rates: &Rates) {
        self.tail.set_sizes(Sizes::Means, Rarity::of(rates.slowness));
    }

    pub(super) fn note(&mut self, mean: f64) {
        self.tail.note(mean);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.tail.save(state);
        save_all(&self.sums, state);
        save_all(&self.counts, state);
        save_all(&self.largest, state);
    }

    pub(super) fn restore(rates: &Rates, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut hour = Hour {
            tail: TwoSidedTail::restore(Sizes::Means, rates, HOUR_MEMORY, state)?,
            ..Hour::new()
        };
        restore_all(&mut hour.sums, state, "sum of sizes")?;
        restore_all(&mut hour.counts, state, "count of sizes")?;
        restore_all(&mut hour.largest, state, "size")?;
        Ok(hour)
    }
}

/// Largest distances of steps of so many readings.
fn distances(readings: f64) -> Sizes {
    Sizes::Distances {
        gaussian_ratio: gaussian_ratio(readings),
    }
}

/// Makes the newest place nothing again, `steps` later; what has not been seen is nothing.
fn roll<T: Copy + Default>(recent: &mut [T; MOST_STEPS], steps: usize) {
    let steps = steps.min(MOST_STEPS);
    recent.copy_within(..MOST_STEPS - steps, steps);
    recent[..steps].fill(T::default());
}
