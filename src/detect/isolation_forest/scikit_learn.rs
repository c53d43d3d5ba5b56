//! scikit-learn's `IsolationForest(contamination="auto", random_state=42)` on one feature, bit for bit.
//!
//! Followed from scikit-learn 1.9.1: 100 `ExtraTreeRegressor`s with random splits, each on all values or, of more
//! than 256, on 256 drawn without replacement. One feature makes it simple: a node of a tree is a run of the sorted
//! values, so that nothing is ever moved, and the leaves are met from left to right.

use super::super::random::{MersenneTwister, XorShift32};
use super::paths::{LARGEST_SAMPLE, PathLengths, depth_limit, score};

const TREES: usize = 100;
const SEED: u32 = 42;
/// Values of a node that are no further apart are taken for the same (`FEATURE_THRESHOLD`).
const SAME: f32 = 1e-7;
/// NumPy's `randint(2**31 - 1)` draws up to this.
const LARGEST_SEED: u32 = 0x7fff_fffe;

/// The seeds of the trees. They do not depend on the values, and are the same for every fit.
#[derive(Debug)]
pub struct Trees {
    seeds: Vec<Seeds>,
}

#[derive(Debug)]
struct Seeds {
    /// Of the values it gets.
    sample: u32,
    /// Of its splits.
    splits: XorShift32,
}

impl Trees {
    /// Draws the seeds.
    pub fn new() -> Self {
        let mut forest = MersenneTwister::numpy(SEED);
        let seeds = (0..TREES).map(|_| {
            let sample = forest.next_up_to(LARGEST_SEED);
            let tree = MersenneTwister::numpy(sample).next_up_to(LARGEST_SEED);
            let splits = MersenneTwister::numpy(tree).next_up_to(LARGEST_SEED);
            Seeds {
                sample,
                splits: XorShift32::new(splits),
            }
        });
        Trees {
            seeds: seeds.collect(),
        }
    }

    /// Fits the trees on values, at least one, given in the order of their arrival and sorted; returns the score of
    /// `value`, and puts those of the sorted values into `scores`.
    pub fn scores(
        &self,
        lengths: &PathLengths,
        arrived: &[f32],
        sorted: &[f32],
        value: f32,
        scores: &mut Vec<f64>,
    ) -> f64 {
        let sample = sorted.len().min(LARGEST_SAMPLE);
        let mut growth = Growth {
            lengths,
            limit: depth_limit(sample),
            random: XorShift32::new(1),
            leaves: Vec::with_capacity(sample),
        };
        let mut path = 0.0;
        scores.clear();
        scores.resize(sorted.len(), 0.0);
        for seeds in &self.seeds {
            growth.random = seeds.splits;
            growth.leaves.clear();
            if sample < sorted.len() {
                growth.grow(&drawn(arrived, seeds.sample), 0, f64::INFINITY);
            } else {
                growth.grow(sorted, 0, f64::INFINITY);
            }
            path += leaf_path(&growth.leaves, value);
            add_leaf_paths(&growth.leaves, sorted, scores);
        }
        let whole = TREES as f64 * lengths.mean(sample);
        for path in scores {
            *path = score(*path, whole);
        }
        score(path, whole)
    }
}

/// A leaf of a tree; from left to right they hold larger and larger values.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    /// The largest value that comes into it.
    upper: f64,
    /// Steps from the root, and those that its own values would take on average to be parted.
    path: f64,
}

/// One tree as it grows.
struct Growth<'a> {
    lengths: &'a PathLengths,
    limit: usize,
    random: XorShift32,
    leaves: Vec<Leaf>,
}

impl Growth<'_> {
    /// Grows the node of these sorted values and everything below it, the left first.
    fn grow(&mut self, values: &[f32], depth: usize, upper: f64) {
        let threshold = if depth < self.limit {
            self.split(values)
        } else {
            None
        };
        if let Some(threshold) = threshold {
            let middle = values.partition_point(|value| f64::from(*value) <= threshold);
            let (left, right) = values.split_at(middle);
            self.grow(left, depth + 1, threshold);
            self.grow(right, depth + 1, upper);
        } else {
            let path = (depth + 1) as f64 + self.lengths.mean(values.len()) - 1.0;
            self.leaves.push(Leaf { upper, path });
        }
    }

    /// Draws where to split values; `None` if they are one, or the same.
    fn split(&mut self, values: &[f32]) -> Option<f64> {
        let (&[smallest, ..], &[.., largest]) = (values, values) else {
            return None;
        };
        if values.len() < 2 {
            return None;
        }
        // The feature is drawn too, although there is only one.
        self.random.next_u31();
        if largest <= smallest + SAME {
            return None;
        }
        let (smallest, largest) = (f64::from(smallest), f64::from(largest));
        let drawn = f64::from(self.random.next_u31());
        let threshold = (largest - smallest) * drawn / f64::from(XorShift32::LARGEST) + smallest;
        Some(if threshold == largest { smallest } else { threshold })
    }
}

fn leaf_path(leaves: &[Leaf], value: f32) -> f64 {
    let value = f64::from(value);
    let leaf = leaves.iter().find(|leaf| value <= leaf.upper);
    leaf.map_or(0.0, |leaf| leaf.path)
}

/// Adds to each of the sorted values' paths that of its leaf.
fn add_leaf_paths(leaves: &[Leaf], sorted: &[f32], paths: &mut [f64]) {
    let mut start = 0;
    for leaf in leaves {
        let rest = sorted[start..].iter().zip(&mut paths[start..]);
        for (_, path) in rest.take_while(|(value, _)| f64::from(**value) <= leaf.upper) {
            *path += leaf.path;
            start += 1;
        }
    }
}

/// The 256 values that a tree gets of more: scikit-learn's `sample_without_replacement`, which draws in one of three
/// ways by the share that is drawn. Sorted.
fn drawn(arrived: &[f32], seed: u32) -> Vec<f32> {
    let mut random = MersenneTwister::numpy(seed);
    let count = arrived.len();
    let share = LARGEST_SAMPLE as f64 / count as f64;
    let chosen = if share >= 0.99 {
        by_reservoir(&mut random, count)
    } else if share > 0.01 {
        by_permutation(&mut random, count)
    } else {
        by_rejection(&mut random, count)
    };
    let mut values: Vec<f32> = chosen.into_iter().map(|index| arrived[index as usize]).collect();
    values.sort_unstable_by(f32::total_cmp);
    values
}

fn by_reservoir(random: &mut MersenneTwister, count: usize) -> Vec<u32> {
    let mut chosen: Vec<u32> = (0..LARGEST_SAMPLE as u32).collect();
    for index in LARGEST_SAMPLE as u32..count as u32 {
        let place = random.next_up_to(index) as usize;
        if let Some(chosen) = chosen.get_mut(place) {
            *chosen = index;
        }
    }
    chosen
}

fn by_permutation(random: &mut MersenneTwister, count: usize) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        indices.swap(last, random.next_up_to(last as u32) as usize);
    }
    indices.truncate(LARGEST_SAMPLE);
    indices
}

fn by_rejection(random: &mut MersenneTwister, count: usize) -> Vec<u32> {
    let mut chosen = Vec::with_capacity(LARGEST_SAMPLE);
    while chosen.len() < LARGEST_SAMPLE {
        let index = random.next_up_to(count as u32 - 1);
        if !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    chosen
}
