//! A generalised Pareto distribution, fitted to the largest of the sizes that a histogram holds.

use std::f64::consts::LN_2;
use std::sync::LazyLock;

use super::super::{StateError, StateReader, StateWriter};
use super::saved::non_negative;
use super::tail::{CELLS, CELLS_PER_OCTAVE, EDGES, GAUSSIAN_RATIO, PRIOR_CELLS, PRIOR_COUNT, Rarity};

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
pub(super) struct Fit {
    /// The 99 % point: no smaller size is rare.
    pub start: f64,
    shape: f64,
    scale: f64,
    part: f64,
    /// The size from which on an event begins, and what a larger one counts as.
    pub episode_size: f64,
    pub largest_counted: f64,
}

impl Fit {
    /// By the moment estimator of Dekkers, Einmahl and de Haan (1989) on the logarithms of the exceedances.
    pub(super) fn of(cells: &[f32; CELLS], count: f64, gaussian_ratio: Option<f64>, rarity: Rarity) -> Self {
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
            rarity,
        )
    }

    /// Of what a tail believes at first.
    pub(super) fn of_prior(gaussian_ratio: Option<f64>) -> Self {
        static USUAL: LazyLock<[(Option<f64>, Fit); 2]> = LazyLock::new(|| {
            [None, Some(GAUSSIAN_RATIO)]
                .map(|ratio| (ratio, Fit::of(&PRIOR_CELLS, PRIOR_COUNT, ratio, Rarity::of(1.0))))
        });
        let known = USUAL.iter().find(|(ratio, _)| *ratio == gaussian_ratio);
        known.map_or_else(
            || Fit::of(&PRIOR_CELLS, PRIOR_COUNT, gaussian_ratio, Rarity::of(1.0)),
            |(_, fit)| *fit,
        )
    }

    fn with(start: f64, shape: f64, scale: f64, part: f64, rarity: Rarity) -> Self {
        let mut fit = Fit {
            start,
            shape,
            scale,
            part,
            episode_size: 0.0,
            largest_counted: 0.0,
        };
        fit.set_rarity(rarity);
        fit
    }

    pub(super) fn set_rarity(&mut self, rarity: Rarity) {
        self.episode_size = self.size_at(rarity.episode);
        self.largest_counted = self.size_at(rarity.largest_counted);
    }

    pub(super) fn beyond(&self, size: f64) -> f64 {
        let ratio = 1.0 + self.shape * (size - self.start) / self.scale;
        self.part * libm::pow(ratio, -1.0 / self.shape)
    }

    pub(super) fn size_at(&self, probability: f64) -> f64 {
        if probability >= self.part {
            return self.start;
        }
        self.start + self.scale / self.shape * (libm::pow(self.part / probability, self.shape) - 1.0)
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        for number in [self.start, self.shape, self.scale, self.part] {
            state.f64(number);
        }
    }

    pub(super) fn restore(rarity: Rarity, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut within = |low: f64, high: f64| match non_negative(state, "tail")? {
            number if (low..=high).contains(&number) => Ok(number),
            _ => Err(StateError::Impossible("tail")),
        };
        let start = within(EDGES[1], EDGES[CELLS])?;
        let (shape, scale, part) = (
            within(SHAPES.0, SHAPES.1)?,
            within(1e-6, 1e9)?,
            within(1e-12, 1.0)?,
        );
        Ok(Fit::with(start, shape, scale, part, rarity))
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
