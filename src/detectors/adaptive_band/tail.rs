//! How likely a size is, learnt from the sizes seen before.

use std::sync::LazyLock;

use super::super::{StateError, StateReader, StateWriter};
use super::fit::Fit;
use super::saved::non_negative;

/// Cells of the histogram, and how many of them double the size.
pub(super) const CELLS: usize = 128;
pub(super) const CELLS_PER_OCTAVE: f64 = 8.0;
/// Sizes at or below this fall into the first cell.
const SMALLEST: f64 = 0.125;
/// What a tail believes at first: 50 sizes of a half-normal distribution, two cells apart from the ninth on.
const PRIOR: [f32; 16] = [2., 3., 3., 4., 4., 5., 5., 5., 5., 4., 3., 2., 2., 1., 1., 1.];
pub(super) const PRIOR_COUNT: f64 = 50.0;
/// Steps between two episodes that count; two hours at five minutes.
const EPISODE_GAP: u32 = 24;
/// Episodes no further apart than a day and a half are a habit, such as a daily job at no fixed time.
const HABIT_STEPS: f64 = 432.0;
/// A tail remembers at most half of the sizes it has seen, but this many: the first days of a series, when little
/// was expected well, are soon forgotten.
const PART_REMEMBERED: f64 = 0.5;
const LEAST_REMEMBERED: f64 = 500.0;
/// Sizes between two fits.
const FIT_INTERVAL: u32 = 32;

/// The lower edge of each cell.
pub(super) static EDGES: LazyLock<[f64; CELLS + 1]> =
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

/// How rare an event is, given how long steps are: one in a week is a part of 1 % of the steps of an hour, which the tail
/// is fitted to, and must not be taken for what is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rarity {
    /// A size less likely than this begins an episode: the sizes until the next that counts are the same event.
    pub episode: f64,
    /// A size less likely than this counts as one of this probability: what happened once must not become usual.
    pub largest_counted: f64,
    /// Steps between two episodes of a habit, at most.
    habit_steps: u32,
}

impl Rarity {
    /// Of steps that are so many times as long as usual ones.
    pub(super) fn of(slowness: f64) -> Self {
        let factor = 1.0 + EVENTS_BY_TIME * (slowness - 1.0).max(0.0);
        Rarity {
            episode: (1e-3 * factor).min(0.01),
            largest_counted: (1e-4 * factor).min(0.002),
            habit_steps: ((HABIT_STEPS / slowness) as u32).max(EPISODE_GAP),
        }
    }
}

/// To which part the rarity of an event is one in time, not in steps.
const EVENTS_BY_TIME: f64 = 0.35;

/// The 99 % point of one side of Gaussian values over the 90 % point.
pub(super) const GAUSSIAN_RATIO: f64 = 1.815;

/// The same of the largest of so many values, to within a hundredth.
pub(super) fn gaussian_ratio(values: f64) -> f64 {
    1.0 + (GAUSSIAN_RATIO - 1.0) / (1.0 + 1.4 * libm::log10(values.max(1.0)))
}

/// A histogram of sizes. As long as it holds nothing but what is believed at first, it takes no room.
#[derive(Debug, Clone)]
struct Cells(Option<Box<[f32; CELLS]>>);

pub(super) static PRIOR_CELLS: LazyLock<[f32; CELLS]> = LazyLock::new(|| {
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
    rarity: Rarity,
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
            rarity: Rarity::of(1.0),
            fit: Fit::of_prior(sizes.gaussian_ratio()),
            cells: Cells(None),
            count: PRIOR_COUNT,
            added: 0,
            since_fit: 0,
            since_episode: 2 * EPISODE_GAP,
            last_episode: 0.0,
        }
    }

    /// Says what sizes are to come, and how rare events are among them.
    pub(super) fn set_sizes(&mut self, sizes: Sizes, rarity: Rarity) {
        self.sizes = sizes;
        self.rarity = rarity;
        self.fit.set_rarity(rarity);
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
            let taught = self
                .sizes
                .taught_by_last(self.since_episode <= self.rarity.habit_steps)
                * self.last_episode;
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
            self.fit = Fit::of(cells, self.count, self.sizes.gaussian_ratio(), self.rarity);
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
    pub(super) fn restore(
        sizes: Sizes,
        rarity: Rarity,
        state: &mut StateReader<'_>,
    ) -> Result<Self, StateError> {
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
            rarity,
            cells: Cells(cells),
            count,
            added: state.u32()?,
            since_fit: state.u32()?,
            since_episode: state.u32()?,
            last_episode: non_negative(state, "size")?,
            fit: Fit::restore(rarity, state)?,
        })
    }
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
