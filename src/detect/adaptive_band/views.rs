//! Four views of how unusual a value is, each as evidence: -log10 of how likely it is.

use super::super::{StateError, StateReader, StateWriter};
use super::saved::{finite, restore_all, save_all};
use super::tail::Tail;

pub const HOUR: usize = 12;
const POINT_MEMORY: f64 = 6000.0;
const HOUR_MEMORY: f64 = 2000.0;

pub fn evidence(probability: f64) -> f64 {
    if probability >= 1.0 {
        0.0
    } else {
        -libm::log10(probability.max(1e-300))
    }
}

/// Sizes below and above what was expected.
#[derive(Debug, Clone)]
pub struct Sides {
    below: Tail,
    above: Tail,
    memory: f64,
}

impl Sides {
    fn new(memory: f64) -> Self {
        Sides {
            below: Tail::new(),
            above: Tail::new(),
            memory,
        }
    }

    fn evidence(&self, size: f64) -> f64 {
        let tail = if size > 0.0 { &self.above } else { &self.below };
        evidence(2.0 * tail.probability(size.abs()))
    }

    fn learn(&mut self, size: f64) {
        self.above.add(size.max(0.0), self.memory);
        self.below.add((-size).max(0.0), self.memory);
    }

    /// The sizes below and above that have this probability.
    pub fn sizes_at(&self, probability: f64) -> (f64, f64) {
        (self.below.size_at(probability), self.above.size_at(probability))
    }
}

#[derive(Debug, Clone)]
pub struct Point {
    pub sides: Sides,
    recent: [f64; HOUR],
}

impl Point {
    pub fn new() -> Self {
        Point {
            sides: Sides::new(POINT_MEMORY),
            recent: [0.0; HOUR],
        }
    }

    /// Of this value, and the most of the last hour.
    pub fn evidence(&mut self, size: f64, count: u64) -> (f64, f64) {
        let now = self.sides.evidence(size);
        self.recent[count as usize % HOUR] = now;
        (now, self.recent.iter().fold(0.0, |most, &each| most.max(each)))
    }

    pub fn learn(&mut self, size: f64) {
        self.sides.learn(size);
    }
}

#[derive(Debug, Clone)]
pub struct Hour {
    sides: Sides,
    recent: [f64; HOUR],
    sum: f64,
}

impl Hour {
    pub fn new() -> Self {
        Hour {
            sides: Sides::new(HOUR_MEMORY),
            recent: [0.0; HOUR],
            sum: 0.0,
        }
    }

    /// The mean of the hour, and the evidence of it.
    pub fn evidence(&mut self, size: f64, count: u64) -> (f64, f64) {
        let size = size.clamp(-8.0, 8.0);
        let oldest = &mut self.recent[count as usize % HOUR];
        self.sum += size - *oldest;
        *oldest = size;
        let mean = self.sum / (HOUR as f64).sqrt();
        (mean, self.sides.evidence(mean))
    }

    pub fn learn(&mut self, mean: f64) {
        self.sides.learn(mean);
    }
}

#[derive(Debug, Clone)]
pub struct Range {
    lowest: f64,
    highest: f64,
}

impl Range {
    pub fn new(first: f64) -> Self {
        Range {
            lowest: first,
            highest: first,
        }
    }

    fn width(&self) -> f64 {
        (self.highest - self.lowest).max(1e-9)
    }

    pub fn evidence(&self, value: f64, count: u64) -> f64 {
        let outside = (value - self.highest).max(self.lowest - value);
        if outside <= 0.0 {
            return 0.0;
        }
        let record = libm::log10((count.min(1000) as f64 / 2.0).max(1.0));
        record + 2.0 * libm::log10(1.0 + 20.0 * outside / self.width())
    }

    pub fn learn(&mut self, value: f64, open: bool) {
        let most = if open { f64::INFINITY } else { self.width() };
        if value > self.highest {
            self.highest += (value - self.highest).min(most);
        }
        if value < self.lowest {
            self.lowest -= (self.lowest - value).min(most);
        }
    }
}

#[derive(Debug, Clone)]
pub struct Stuck {
    runs: Tail,
    finished: u32,
    pub run: u32,
    last: f64,
}

impl Stuck {
    pub fn new(first: f64) -> Self {
        Stuck {
            runs: Tail::new(),
            finished: 0,
            run: 0,
            last: first,
        }
    }

    pub fn evidence(&mut self, value: f64) -> f64 {
        if value == self.last {
            self.run = self.run.saturating_add(1);
        } else {
            self.runs.add(f64::from(self.run), POINT_MEMORY);
            self.finished = self.finished.saturating_add(1);
            self.run = 1;
        }
        self.last = value;
        if self.finished < 20 {
            return 0.0;
        }
        evidence(self.runs.probability(f64::from(self.run)))
    }
}

impl Sides {
    fn save(&self, state: &mut StateWriter) {
        self.below.save(state);
        self.above.save(state);
    }

    fn restore(memory: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Sides {
            below: Tail::restore(state)?,
            above: Tail::restore(state)?,
            memory,
        })
    }
}

impl Point {
    pub fn save(&self, state: &mut StateWriter) {
        self.sides.save(state);
        save_all(&self.recent, state);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut point = Point {
            sides: Sides::restore(POINT_MEMORY, state)?,
            recent: [0.0; HOUR],
        };
        restore_all(&mut point.recent, state, "evidence")?;
        Ok(point)
    }
}

impl Hour {
    pub fn save(&self, state: &mut StateWriter) {
        self.sides.save(state);
        save_all(&self.recent, state);
        state.f64(self.sum);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut hour = Hour {
            sides: Sides::restore(HOUR_MEMORY, state)?,
            recent: [0.0; HOUR],
            sum: 0.0,
        };
        restore_all(&mut hour.recent, state, "size")?;
        hour.sum = finite(state, "sum")?;
        Ok(hour)
    }
}

impl Range {
    pub fn save(&self, state: &mut StateWriter) {
        save_all(&[self.lowest, self.highest], state);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (lowest, highest) = (finite(state, "range")?, finite(state, "range")?);
        if lowest > highest {
            return Err(StateError::Impossible("range"));
        }
        Ok(Range { lowest, highest })
    }
}

impl Stuck {
    pub fn save(&self, state: &mut StateWriter) {
        self.runs.save(state);
        state.u32(self.finished);
        state.u32(self.run);
        state.f64(self.last);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Stuck {
            runs: Tail::restore(state)?,
            finished: state.u32()?,
            run: state.u32()?,
            last: finite(state, "last value")?,
        })
    }
}
