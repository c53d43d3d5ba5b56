//! How likely a size is, learnt from the sizes seen before.

use std::f64::consts::LN_2;
use std::sync::LazyLock;

use super::super::{StateError, StateReader, StateWriter};
use super::saved::non_negative;

/// Cells of the histogram, and how many of them double the size.
const CELLS: usize = 128;
const CELLS_PER_OCTAVE: f64 = 8.0;
/// Sizes at or below this fall into the first cell.
const SMALLEST: f64 = 0.125;
/// What a tail believes at first: 50 sizes of a half-normal distribution, two cells apart from the ninth on.
const PRIOR: [f32; 16] = [2., 3., 3., 4., 4., 5., 5., 5., 5., 4., 3., 2., 2., 1., 1., 1.];
const PRIOR_COUNT: f64 = 50.0;
/// A size less likely than this begins an episode: the sizes until the next that counts are the same event.
const EPISODE: f64 = 1e-3;
/// A size less likely than this counts as one of this probability: what happened once must not become usual.
const LARGEST_COUNTED: f64 = 1e-4;
/// Steps between two episodes that count; two hours at five minutes.
const EPISODE_GAP: u32 = 24;
/// Episodes no further apart than a day and a half are a habit, such as a daily job at no fixed time.
const HABIT_STEPS: u32 = 432;
/// A tail remembers at most half of the sizes it has seen, but this many: the first days of a series, when little
/// was expected well, are soon forgotten.
const PART_REMEMBERED: f64 = 0.5;
const LEAST_REMEMBERED: f64 = 500.0;
/// Sizes between two fits.
const FIT_INTERVAL: u32 = 32;

/// The lower edge of each cell.
static EDGES: LazyLock<[f64; CELLS + 1]> =
    LazyLock::new(|| std::array::from_fn(|cell| SMALLEST * libm::exp2(cell as f64 / CELLS_PER_OCTAVE)));

/// What sizes a tail is of, which says what it makes of rare ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sizes {
    /// Largest distances of steps from what was expected; how large the 99 % point of Gaussian ones is in that of
    /// 90 %.
    Distances { gaussian_ratio: f64 },
    /// Means of hours.
    Means,
    /// Lengths of runs of equal values.
    Runs,
    /// The same of values other than zero, which are not equal for long by habit.
    BusyRuns,
}

impl Sizes {
    /// How large an episode may count, in the last episode's size.
    fn taught_by_last(self, is_habit: bool) -> f64 {
        match self {
            Sizes::Distances { .. } if is_habit => 1.0,
            Sizes::Distances { .. } => 0.3,
            Sizes::Means | Sizes::Runs => 1.0,
            Sizes::BusyRuns => 0.0,
        }
    }

    /// From what part of a size on others are like it, and how many such are too few to say that it is known.
    fn likeness(self) -> Option<(f64, f64)> {
        match self {
            Sizes::Distances { .. } => Some((0.8, 2.0)),
            Sizes::Means => Some((0.8, 0.0)),
            Sizes::Runs => Some((1.0, 0.0)),
            Sizes::BusyRuns => None,
        }
    }

    /// The Gaussian ratio, for sizes whose body shows how heavy their tail is.
    fn gaussian_ratio(self) -> Option<f64> {
        match self {
            Sizes::Distances { gaussian_ratio } => Some(gaussian_ratio),
            Sizes::Means => Some(GAUSSIAN_RATIO),
            Sizes::Runs | Sizes::BusyRuns => None,
        }
    }
}

/// The 99 % point of one side of Gaussian values over the 90 % point.
const GAUSSIAN_RATIO: f64 = 1.815;

/// The same of the largest of so many values, to within a hundredth.
pub(super) fn gaussian_ratio(values: f64) -> f64 {
    1.0 + (GAUSSIAN_RATIO - 1.0) / (1.0 + 1.4 * libm::log10(values.max(1.0)))
}

/// A histogram of sizes. As long as it holds nothing but what is believed at first, it takes no room.
#[derive(Debug, Clone)]
struct Cells(Option<Box<[f32; CELLS]>>);

static PRIOR_CELLS: LazyLock<[f32; CELLS]> = LazyLock::new(|| {
    let mut cells = [0.0; CELLS];
    for (index, &count) in PRIOR.iter().enumerate() {
        cells[8 + 2 * index] = count;
    }
    cells
});

impl Cells {
    fn counts(&self) -> &[f32; CELLS] {
        self.0.as_deref().unwrap_or(&PRIOR_CELLS)
    }

    fn counts_mut(&mut self) -> &mut [f32; CELLS] {
        self.0.get_or_insert_with(|| Box::new(*PRIOR_CELLS))
    }
}

/// The tail of a distribution of sizes: a histogram, and what is fitted to its end.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    sizes: Sizes,
    cells: Cells,
    count: f64,
    added: u32,
    since_fit: u32,
    since_episode: u32,
    last_episode: f64,
    fit: Fit,
}

impl Tail {
    /// A tail that has seen nothing.
    pub(super) fn new(sizes: Sizes) -> Self {
        Tail {
            sizes,
            fit: Fit::of_prior(sizes.gaussian_ratio()),
            cells: Cells(None),
            count: PRIOR_COUNT,
            added: 0,
            since_fit: 0,
            since_episode: 2 * EPISODE_GAP,
            last_episode: 0.0,
        }
    }

    /// Says what sizes are to come.
    pub(super) fn set_sizes(&mut self, sizes: Sizes) {
        self.sizes = sizes;
    }

    /// P(a size of at least `size`); 1 for all that are not rare.
    #[inline]
    pub(super) fn probability(&self, size: f64) -> f64 {
        if size <= self.fit.start {
            1.0
        } else {
            self.fit.beyond(size).max(self.part_alike(size))
        }
    }

    /// The part of the sizes seen that were as large: what is known to recur is no rarer than it has been.
    fn part_alike(&self, size: f64) -> f64 {
        let Some((part, too_few)) = self.sizes.likeness() else {
            return 0.0;
        };
        let alike: f64 = self.cells.counts()[cell(size * part)..]
            .iter()
            .map(|&count| f64::from(count))
            .sum();
        (alike - too_few).max(0.0) / self.count
    }

    /// The size that has this probability of being reached.
    pub(super) fn size_at(&self, probability: f64) -> f64 {
        self.fit.size_at(probability)
    }

    /// Learns a size; forgets half of what it knows when that exceeds `memory` sizes.
    #[inline]
    pub(super) fn add(&mut self, size: f64, memory: f64) {
        self.added = self.added.saturating_add(1);
        self.since_episode = self.since_episode.saturating_add(1);
        let mut size = size;
        if size > self.fit.episode_size {
            if self.since_episode < EPISODE_GAP {
                // The same event goes on, and has been counted.
                return;
            }
            let taught = self.sizes.taught_by_last(self.since_episode <= HABIT_STEPS) * self.last_episode;
            self.since_episode = 0;
            self.last_episode = size;
            size = size.min(self.fit.largest_counted.max(taught));
        }
        let cells = self.cells.counts_mut();
        cells[cell(size)] += 1.0;
        self.count += 1.0;
        self.since_fit += 1;
        if self.count > memory.min((PART_REMEMBERED * f64::from(self.added)).max(LEAST_REMEMBERED)) {
            // All at once, instead of a little with each size: that is cheaper, and halves are exact.
            cells.iter_mut().for_each(|count| *count *= 0.5);
            self.count = cells.iter().map(|&count| f64::from(count)).sum();
        }
        if self.since_fit >= FIT_INTERVAL || size > self.fit.start {
            self.fit = Fit::of(cells, self.count, self.sizes.gaussian_ratio());
            self.since_fit = 0;
        }
    }

    /// Writes the cells that hold something, and the fit, which may be older than they are.
    pub(super) fn save(&self, state: &mut StateWriter) {
        for group in self.cells.counts().chunks(8) {
            let filled = group
                .iter()
                .rev()
                .fold(0, |bits, &count| bits << 1 | u8::from(count > 0.0));
            state.u8(filled);
            group
                .iter()
                .filter(|&&count| count > 0.0)
                .for_each(|&count| state.f32(count));
        }
        state.f64(self.count);
        state.u32(self.added);
        state.u32(self.since_fit);
        state.u32(self.since_episode);
        state.f64(self.last_episode);
        self.fit.save(state);
    }

    /// Takes over what was saved of a tail of such sizes.
    pub(super) fn restore(sizes: Sizes, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut cells = Box::new([0.0; CELLS]);
        for group in cells.chunks_mut(8) {
            let filled = state.u8()?;
            for (index, count) in group.iter_mut().enumerate() {
                if filled >> index & 1 == 0 {
                    continue;
                }
                *count = state.f32()?;
                if !(count.is_finite() && *count > 0.0) {
                    return Err(StateError::Impossible("count of sizes"));
                }
            }
        }
        let count = non_negative(state, "count of sizes")?;
        if count < 1.0 {
            return Err(StateError::Impossible("count of sizes"));
        }
        let cells = (*cells != *PRIOR_CELLS).then_some(cells);
        Ok(Tail {
            sizes,
            cells: Cells(cells),
            count,
            added: state.u32()?,
            since_fit: state.u32()?,
            since_episode: state.u32()?,
            last_episode: non_negative(state, "size")?,
            fit: Fit::restore(state)?,
        })
    }
}

/// The part of the sizes that the tail is fitted to, and the part whose least size says how heavy it may be.
const TAIL_PART: f64 = 0.01;
const BODY_PART: f64 = 0.1;
/// The shape assumed of runs: between the Gaussian's 0 and the 0.25 of Student's t with four degrees of freedom.
const USUAL_SHAPE: f64 = 0.12;
/// The shape assumed of sizes with a Gaussian body, and how much it grows with the ratio of their 99 % and 90 %
/// points: 0.3 for Student's t with four degrees of freedom, whose ratio is 2.44.
const GAUSSIAN_SHAPE: f64 = 0.06;
const SHAPE_PER_RATIO: f64 = 0.4;
const ASSUMED_SHAPES: (f64, f64) = (0.04, 0.3);
/// How many exceedances the assumption weighs; a tail has some thirty.
const ASSUMPTION_WEIGHT: f64 = 60.0;
/// Shapes beyond the first are too small by so much, since rare sizes count as less rare ones.
const HEAVY_SHAPE: f64 = 0.1;
const HEAVY_CORRECTION: f64 = 0.5;
const SHAPES: (f64, f64) = (0.03, 1.0);

/// A generalised Pareto distribution of what exceeds the 99 % point:
/// P(size >= z) = part (1 + shape (z - start) / scale)^(-1/shape).
#[derive(Debug, Clone, Copy)]
struct Fit {
    start: f64,
    shape: f64,
    scale: f64,
    part: f64,
    episode_size: f64,
    largest_counted: f64,
}

impl Fit {
    /// By the moment estimator of Dekkers, Einmahl and de Haan (1989) on the logarithms of the exceedances.
    fn of(cells: &[f32; CELLS], count: f64, gaussian_ratio: Option<f64>) -> Self {
        let (first, exceedances) = upper_part(cells, CELLS, 0.0, TAIL_PART * count);
        let (mut sum, mut squares) = (0.0, 0.0);
        for (index, &count) in cells[first..].iter().enumerate() {
            // How far a size in the middle of this cell exceeds the start, as a logarithm.
            let log = (index as f64 + 0.5) * LN_2 / CELLS_PER_OCTAVE;
            sum += f64::from(count) * log;
            squares += f64::from(count) * log * log;
        }
        // Ten exceedances of a usual tail, so that the moments exist from the start.
        let mean = (sum + 1.5) / (exceedances + 10.0);
        let square = (squares + 0.45) / (exceedances + 10.0);
        let estimate = mean + (1.0 - 0.5 / (1.0 - mean * mean / square).max(1e-9)).max(-1.0);
        let assumed = gaussian_ratio.map_or(USUAL_SHAPE, |gaussian| {
            let ratio = body_ratio(cells, first, exceedances, count);
            let shape = GAUSSIAN_SHAPE + SHAPE_PER_RATIO * (ratio - gaussian);
            shape.clamp(ASSUMED_SHAPES.0, ASSUMED_SHAPES.1)
        });
        let weight = exceedances + ASSUMPTION_WEIGHT;
        let shape =
            ((exceedances * estimate + ASSUMPTION_WEIGHT * assumed) / weight).clamp(SHAPES.0, SHAPES.1);
        let start = EDGES[first];
        // Their estimator of the scale, from the same moments.
        let scale = start * mean * (1.0 - (shape - mean).min(0.0));
        let heavier = match gaussian_ratio {
            Some(_) => shape + HEAVY_CORRECTION * (shape - HEAVY_SHAPE).max(0.0),
            None => shape,
        };
        Fit::with(
            start,
            heavier.min(SHAPES.1),
            scale,
            (exceedances + 1.0) / (count + 1.0),
        )
    }

    /// Of what a tail believes at first.
    fn of_prior(gaussian_ratio: Option<f64>) -> Self {
        static USUAL: LazyLock<[(Option<f64>, Fit); 2]> = LazyLock::new(|| {
            [None, Some(GAUSSIAN_RATIO)].map(|ratio| (ratio, Fit::of(&PRIOR_CELLS, PRIOR_COUNT, ratio)))
        });
        let known = USUAL.iter().find(|(ratio, _)| *ratio == gaussian_ratio);
        known.map_or_else(
            || Fit::of(&PRIOR_CELLS, PRIOR_COUNT, gaussian_ratio),
            |(_, fit)| *fit,
        )
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

    fn beyond(&self, size: f64) -> f64 {
        let ratio = 1.0 + self.shape * (size - self.start) / self.scale;
        self.part * libm::pow(ratio, -1.0 / self.shape)
    }

    fn size_at(&self, probability: f64) -> f64 {
        if probability >= self.part {
            return self.start;
        }
        self.start + self.scale / self.shape * (libm::pow(self.part / probability, self.shape) - 1.0)
    }

    fn save(&self, state: &mut StateWriter) {
        for number in [self.start, self.shape, self.scale, self.part] {
            state.f64(number);
        }
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut within = |low: f64, high: f64| match non_negative(state, "tail")? {
            number if (low..=high).contains(&number) => Ok(number),
            _ => Err(StateError::Impossible("tail")),
        };
        let start = within(EDGES[1], EDGES[CELLS])?;
        Ok(Fit::with(
            start,
            within(SHAPES.0, SHAPES.1)?,
            within(1e-6, 1e9)?,
            within(1e-12, 1.0)?,
        ))
    }
}

/// From which cell on, below `first`, the cells hold at most `most` sizes; and how many they hold, `held` of them
/// from `first` on.
fn upper_part(cells: &[f32; CELLS], first: usize, held: f64, most: f64) -> (usize, f64) {
    let (mut first, mut held) = (first, held);
    while first > 1 && held + f64::from(cells[first - 1]) <= most {
        first -= 1;
        held += f64::from(cells[first]);
    }
    (first, held)
}

/// The 99 % point over the 90 % point.
fn body_ratio(cells: &[f32; CELLS], first: usize, exceedances: f64, count: f64) -> f64 {
    let (body, held) = upper_part(cells, first, exceedances, BODY_PART * count);
    // Within the cell below, sizes are taken to be evenly spread.
    let quantile = |first: usize, held: f64, part: f64| {
        let inside = f64::from(cells[first - 1]).max(1e-9);
        EDGES[first] * libm::exp2(-((part * count - held) / inside).clamp(0.0, 1.0) / CELLS_PER_OCTAVE)
    };
    quantile(first, exceedances, TAIL_PART) / quantile(body, held, BODY_PART)
}

/// The cell that a size falls into.
#[inline]
fn cell(size: f64) -> usize {
    if size <= SMALLEST {
        return 0;
    }
    // The exponent gives the octave, the edges of the first octave the cell within it.
    let bits = (size / SMALLEST).to_bits();
    let octave = ((bits >> 52) & 0x7ff) as usize - 1023;
    let within = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52)) * SMALLEST;
    let step = EDGES[1..8].iter().filter(|&&edge| within >= edge).count();
    (8 * octave + step).min(CELLS - 1)
}
