//! Four views of how unusual a value is, each as evidence: -log10 of how likely it is.

use super::super::{StateError, StateReader, StateWriter};
use super::saved::{finite, non_negative, restore_all, save_all};
use super::tail::{Sizes, Tail, gaussian_ratio};

/// Most steps in the window of the hour view.
const MOST_STEPS: usize = 12;
/// Usual steps remembered of points and runs, three weeks, and of hours, a week; of longer steps fewer, but not
/// fewer than the last.
const POINT_MEMORY: f64 = 6000.0;
const HOUR_MEMORY: f64 = 2000.0;
const LEAST_MEMORY: f64 = 500.0;
/// A value further out than this counts as one this far in the hour, because the point reports it already.
const LARGEST_IN_HOUR: f64 = 8.0;
/// Runs that must have ended before one is judged.
const LEAST_RUNS: u32 = 20;
/// How fast the part of unchanged readings follows: a memory of 500.
const UNCHANGED_RATE: f64 = 0.002;
const RESTING_PART: f64 = 0.75;
/// Steps after which a new extreme is no rarer.
const MOST_STEPS_OF_RANGE: u32 = 1000;

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

    fn restore(sizes: Sizes, memory: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(TwoSidedTail {
            below: Tail::restore(sizes, state)?,
            above: Tail::restore(sizes, state)?,
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
    recent: [f64; MOST_STEPS],
}

impl Point {
    pub(super) fn new() -> Self {
        Point {
            tail: TwoSidedTail::new(distances(1.0), POINT_MEMORY),
            recent: [0.0; MOST_STEPS],
        }
    }

    /// Learns the step that is over, and begins one that is `steps` later.
    pub(super) fn step(&mut self, steps: usize, open: bool, slowness: f64) {
        if !open {
            self.tail.learn(slowness);
        }
        roll(&mut self.recent, steps);
    }

    /// Of this value, and the most of the window.
    pub(super) fn evidence(&mut self, size: f64, window: usize) -> (f64, f64) {
        let now = self.tail.evidence(size);
        self.recent[0] = self.recent[0].max(now);
        (
            now,
            self.recent[..window]
                .iter()
                .fold(0.0, |most, &each| most.max(each)),
        )
    }

    /// Says how many readings a step has from now on.
    pub(super) fn set_readings_per_step(&mut self, readings: f64) {
        let sizes = distances(readings);
        self.tail.below.set_sizes(sizes);
        self.tail.above.set_sizes(sizes);
    }

    /// Keeps a size for when the step is over.
    pub(super) fn note(&mut self, size: f64) {
        self.tail.note(size);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.tail.save(state);
        save_all(&self.recent, state);
    }

    /// Takes over what was saved at that pace.
    pub(super) fn restore(readings_per_step: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut point = Point {
            tail: TwoSidedTail::restore(distances(readings_per_step), POINT_MEMORY, state)?,
            recent: [0.0; MOST_STEPS],
        };
        restore_all(&mut point.recent, state, "evidence")?;
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

    pub(super) fn note(&mut self, mean: f64) {
        self.tail.note(mean);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.tail.save(state);
        save_all(&self.sums, state);
        save_all(&self.counts, state);
        save_all(&self.largest, state);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut hour = Hour {
            tail: TwoSidedTail::restore(Sizes::Means, HOUR_MEMORY, state)?,
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

/// Makes the newest place 0 again, `steps` later; what has not been seen is 0.
fn roll(recent: &mut [f64; MOST_STEPS], steps: usize) {
    let steps = steps.min(MOST_STEPS);
    recent.copy_within(..MOST_STEPS - steps, steps);
    recent[..steps].fill(0.0);
}

/// New extremes.
#[derive(Debug, Clone)]
pub(super) struct Range {
    lowest: f64,
    highest: f64,
    /// Steps in which the value changed: as many chances of a new extreme.
    steps: u32,
    last: f64,
    changed: bool,
}

impl Range {
    pub(super) fn new(first: f64) -> Self {
        Range {
            lowest: first,
            highest: first,
            steps: 0,
            last: first,
            changed: false,
        }
    }

    fn width(&self) -> f64 {
        (self.highest - self.lowest).max(1e-9)
    }

    pub(super) fn step(&mut self) {
        if self.changed {
            self.steps = self.steps.saturating_add(1);
        }
        self.changed = false;
    }

    pub(super) fn evidence(&self, value: f64) -> f64 {
        let outside = (value - self.highest).max(self.lowest - value);
        if outside <= 0.0 {
            return 0.0;
        }
        // One of n values in random order is the highest or the lowest so far with probability 2/n.
        let record = libm::log10((f64::from(self.steps.min(MOST_STEPS_OF_RANGE)) / 2.0).max(1.0));
        // The further out compared with the range so far, the less it is just the next record.
        record + 2.0 * libm::log10(1.0 + 20.0 * outside / self.width())
    }

    pub(super) fn learn(&mut self, value: f64, open: bool) {
        self.changed |= value != self.last;
        self.last = value;
        // At most doubled by one value: a spike must not make all later ones look small.
        let most = if open { f64::INFINITY } else { self.width() };
        if value > self.highest {
            self.highest += (value - self.highest).min(most);
        }
        if value < self.lowest {
            self.lowest -= (self.lowest - value).min(most);
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        save_all(&[self.lowest, self.highest], state);
        state.u32(self.steps);
        state.f64(self.last);
        state.u8(u8::from(self.changed));
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (lowest, highest) = (finite(state, "range")?, finite(state, "range")?);
        if lowest > highest {
            return Err(StateError::Impossible("range"));
        }
        Ok(Range {
            lowest,
            highest,
            steps: state.u32()?,
            last: finite(state, "last value")?,
            changed: state.u8()? != 0,
        })
    }
}

/// Values that do not change.
#[derive(Debug, Clone)]
pub(super) struct Stuck {
    /// Lengths of finished runs.
    runs: Tail,
    /// Of runs of values other than zero, at which many things rest.
    busy_runs: Tail,
    finished: u32,
    run: u32,
    last: f64,
    since_ms: i64,
    unchanged: f64,
}

impl Stuck {
    pub(super) fn new(first: f64, now_ms: i64) -> Self {
        Stuck {
            runs: Tail::new(Sizes::Runs),
            busy_runs: Tail::new(Sizes::BusyRuns),
            finished: 0,
            run: 0,
            last: first,
            since_ms: now_ms,
            unchanged: 0.0,
        }
    }

    /// Counts the value to its run, learns the run that it ends, and judges how long its own run is.
    pub(super) fn evidence(&mut self, value: f64, now_ms: i64) -> f64 {
        self.unchanged += UNCHANGED_RATE * (f64::from(u8::from(value == self.last)) - self.unchanged);
        if value == self.last {
            self.run = self.run.saturating_add(1);
        } else {
            self.runs.add(f64::from(self.run), POINT_MEMORY);
            if self.last != 0.0 {
                self.busy_runs.add(f64::from(self.run), POINT_MEMORY);
            }
            self.finished = self.finished.saturating_add(1);
            self.run = 1;
            self.since_ms = now_ms;
        }
        self.last = value;
        if self.finished < LEAST_RUNS {
            return 0.0;
        }
        let runs = if value == 0.0 { &self.runs } else { &self.busy_runs };
        evidence(runs.probability(f64::from(self.run)))
    }

    /// Whether the series seldom changes.
    pub(super) fn is_resting(&self) -> bool {
        self.unchanged > RESTING_PART
    }

    /// When the value began to be what it is.
    pub(super) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.runs.save(state);
        self.busy_runs.save(state);
        state.u32(self.finished);
        state.u32(self.run);
        state.f64(self.last);
        state.i64(self.since_ms);
        state.f64(self.unchanged);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Stuck {
            runs: Tail::restore(Sizes::Runs, state)?,
            busy_runs: Tail::restore(Sizes::BusyRuns, state)?,
            finished: state.u32()?,
            run: state.u32()?,
            last: finite(state, "last value")?,
            since_ms: state.i64()?,
            unchanged: non_negative(state, "share")?,
        })
    }
}
