//! How likely a size is, learnt from the sizes seen before.

use std::sync::LazyLock;

use super::super::{StateError, StateReader, StateWriter};
use super::saved::size;

/// Cells of the histogram, and how many of them double the size.
const CELLS: usize = 128;
const CELLS_PER_OCTAVE: f64 = 8.0;
/// Sizes at or below this fall into the first cell.
const SMALLEST: f64 = 0.125;
/// What a tail believes at first: 51 sizes of a half-normal distribution, two cells apart from the ninth on.
const PRIOR: [f32; 16] = [2., 3., 3., 4., 4., 5., 5., 5., 5., 4., 3., 2., 2., 1., 1., 1.];
/// The part of the sizes that the tail is fitted to.
const TAIL_PART: f64 = 0.01;
/// The shape that is assumed before many exceedances have been seen, between the Gaussian's 0 and 0.25 of Student's t
/// with four degrees of freedom, and how many exceedances that assumption weighs.
const PRIOR_SHAPE: f64 = 0.12;
const PRIOR_SHAPE_WEIGHT: f64 = 30.0;
const SHAPES: (f64, f64) = (0.03, 1.0);
/// A size less likely than this is an episode's: counted once, and no larger than the next.
const EPISODE: f64 = 1e-3;
const LARGEST_COUNTED: f64 = 1e-4;
/// Sizes between two episodes that are counted.
const EPISODE_GAP: u32 = 24;
/// Sizes between two fits.
const FIT_INTERVAL: u32 = 32;

/// The lower edge of each cell.
static EDGES: LazyLock<[f64; CELLS + 1]> =
    LazyLock::new(|| std::array::from_fn(|cell| SMALLEST * libm::exp2(cell as f64 / CELLS_PER_OCTAVE)));

/// The tail of a distribution of sizes: a histogram, and beyond its 99 % point a generalised Pareto distribution
/// fitted by the moment estimator of Dekkers, Einmahl and de Haan (1989) to the logarithms of the exceedances.
#[derive(Debug, Clone)]
pub struct Tail {
    cells: Box<[f32; CELLS]>,
    count: f64,
    since_fit: u32,
    since_episode: u32,
    fit: Fit,
}

/// A fitted tail: P(size >= z) = part (1 + shape (z - start) / scale)^(-1/shape).
#[derive(Debug, Clone, Copy)]
struct Fit {
    start: f64,
    shape: f64,
    scale: f64,
    part: f64,
    episode_size: f64,
    largest_counted: f64,
}

impl Tail {
    pub fn new() -> Self {
        let mut cells = Box::new([0.0; CELLS]);
        for (index, &count) in PRIOR.iter().enumerate() {
            cells[8 + 2 * index] = count;
        }
        let count = PRIOR.iter().map(|&count| f64::from(count)).sum();
        Tail {
            fit: Fit::of(&cells, count),
            cells,
            count,
            since_fit: 0,
            since_episode: 2 * EPISODE_GAP,
        }
    }

    /// P(a size of at least `size`).
    #[inline]
    pub fn probability(&self, size: f64) -> f64 {
        if size <= self.fit.start {
            1.0
        } else {
            self.fit.beyond(size)
        }
    }

    /// The size that has this probability of being reached.
    pub fn size_at(&self, probability: f64) -> f64 {
        self.fit.size_at(probability)
    }

    /// Learns a size; forgets half of what it knows when that exceeds `memory` sizes.
    #[inline]
    pub fn add(&mut self, size: f64, memory: f64) {
        self.since_episode = self.since_episode.saturating_add(1);
        let mut size = size;
        if size > self.fit.episode_size {
            if self.since_episode < EPISODE_GAP {
                return;
            }
            self.since_episode = 0;
            size = size.min(self.fit.largest_counted);
        }
        self.cells[cell(size)] += 1.0;
        self.count += 1.0;
        self.since_fit += 1;
        if self.count > memory {
            self.cells.iter_mut().for_each(|count| *count *= 0.5);
            self.count = self.cells.iter().map(|&count| f64::from(count)).sum();
        }
        if self.since_fit >= FIT_INTERVAL || size > self.fit.start {
            self.fit = Fit::of(&self.cells, self.count);
            self.since_fit = 0;
        }
    }
}

impl Tail {
    /// Writes the cells that hold something, and the fit, which may be older than they are.
    pub fn save(&self, state: &mut StateWriter) {
        for group in self.cells.chunks(8) {
            let filled = group
                .iter()
                .enumerate()
                .fold(0, |bits, (index, &count)| bits | (u8::from(count > 0.0) << index));
            state.u8(filled);
            group
                .iter()
                .filter(|&&count| count > 0.0)
                .for_each(|&count| state.f32(count));
        }
        state.f64(self.count);
        state.u32(self.since_fit);
        state.u32(self.since_episode);
        self.fit.save(state);
    }

    pub fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut cells = Box::new([0.0; CELLS]);
        for group in cells.chunks_mut(8) {
            let filled = state.u8()?;
            for (_, count) in group
                .iter_mut()
                .enumerate()
                .filter(|(index, _)| filled >> index & 1 == 1)
            {
                *count = state.f32()?;
                if !(count.is_finite() && *count > 0.0) {
                    return Err(StateError::Impossible("count of sizes"));
                }
            }
        }
        Ok(Tail {
            cells,
            count: size(state, "count of sizes")?,
            since_fit: state.u32()?,
            since_episode: state.u32()?,
            fit: Fit::restore(state)?,
        })
    }
}

impl Fit {
    fn save(&self, state: &mut StateWriter) {
        for number in [self.start, self.shape, self.scale, self.part] {
            state.f64(number);
        }
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut positive = || match size(state, "tail")? {
            number if number > 0.0 => Ok(number),
            _ => Err(StateError::Impossible("tail")),
        };
        Ok(Fit::with(positive()?, positive()?, positive()?, positive()?))
    }

    fn with(start: f64, shape: f64, scale: f64, part: f64) -> Self {
        let mut fit = Fit {
            start,
            shape,
            scale,
            part,
            episode_size: 0.0,
            largest_counted: 0.0,
        };
        fit.episode_size = fit.size_at(EPISODE);
        fit.largest_counted = fit.size_at(LARGEST_COUNTED);
        fit
    }

    fn of(cells: &[f32; CELLS], count: f64) -> Self {
        let mut first = CELLS;
        let mut exceedances = 0.0;
        while first > 1 && exceedances + f64::from(cells[first - 1]) <= TAIL_PART * count {
            first -= 1;
            exceedances += f64::from(cells[first]);
        }
        let start = EDGES[first];
        let (mut sum, mut squares) = (0.0, 0.0);
        for (index, &count) in cells[first..].iter().enumerate() {
            let log = (index as f64 + 0.5) * std::f64::consts::LN_2 / CELLS_PER_OCTAVE;
            sum += f64::from(count) * log;
            squares += f64::from(count) * log * log;
        }
        // Ten exceedances of a usual tail, so that the moments exist from the start.
        let mean = (sum + 1.5) / (exceedances + 10.0);
        let square = (squares + 0.45) / (exceedances + 10.0);
        let estimate = mean + (1.0 - 0.5 / (1.0 - mean * mean / square).max(1e-9)).max(-1.0);
        let shape = ((exceedances * estimate + PRIOR_SHAPE_WEIGHT * PRIOR_SHAPE)
            / (exceedances + PRIOR_SHAPE_WEIGHT))
            .clamp(SHAPES.0, SHAPES.1);
        let scale = start * mean * (1.0 - (shape - mean).min(0.0));
        Fit::with(start, shape, scale, (exceedances + 1.0) / (count + 1.0))
    }

    fn beyond(&self, size: f64) -> f64 {
        self.part
            * libm::pow(
                1.0 + self.shape * (size - self.start) / self.scale,
                -1.0 / self.shape,
            )
    }

    fn size_at(&self, probability: f64) -> f64 {
        if probability >= self.part {
            return self.start;
        }
        self.start + self.scale / self.shape * (libm::pow(self.part / probability, self.shape) - 1.0)
    }
}

/// The cell that a size falls into.
#[inline]
fn cell(size: f64) -> usize {
    if size <= SMALLEST {
        return 0;
    }
    // The exponent gives the octave, the edges of the first octave the cell within it.
    let ratio = size / SMALLEST;
    let octave = ((ratio.to_bits() >> 52) & 0x7ff) as usize - 1023;
    let within = f64::from_bits((ratio.to_bits() & ((1 << 52) - 1)) | (1023 << 52)) * SMALLEST;
    let step = EDGES[1..8].iter().filter(|&&edge| within >= edge).count();
    (8 * octave + step).min(CELLS - 1)
}
