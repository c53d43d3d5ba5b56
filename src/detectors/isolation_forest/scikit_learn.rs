//! scikit-learn's `IsolationForest(contamination="auto", random_state=42)` on one feature, bit for bit.
//!
//! Followed from scikit-learn 1.9.1: 100 `ExtraTreeRegressor`s with random splits, each on all values or, of more
//! than 256, on 256 drawn without replacement. One feature makes it simple: a node of a tree is a run of the sorted
//! values, so that nothing is ever moved, and the leaves are met from left to right.

use super::super::random::{MersenneTwister, XorShift32};
use super::paths::{LARGEST_SAMPLE, PathLengths, depth_limit};

const TREES: usize = 100;
const SEED: u32 = 42;
/// Values of a node that are no further apart are taken for the same (`FEATURE_THRESHOLD`).
const SAME: f32 = 1e-7;
/// NumPy's `randint(2**31 - 1)` draws up to this.
const LARGEST_SEED: u32 = 0x7fff_fffe;

/// The seeds of the trees. They do not depend on the values, and are the same for every fit.
#[derive(Debug)]
pub(super) struct Trees {
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
    pub(super) fn new() -> Self {
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
    pub(super) fn scores(
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

/// `2 ** -(path / whole)`; a single value's path and whole are 0, and its score that of a mean path.
fn score(path: f64, whole: f64) -> f64 {
    power_of_two(if whole == 0.0 { -1.0 } else { -(path / whole) })
}

/// `2 ** exponent` as NumPy computes it where there is AVX-512, which is what "to the last bit" means here: a few in
/// a hundred of its results are not the nearest number. It is Intel's short vector library: the power of a sixteenth,
/// and a polynomial for the rest, with fused multiplications.
fn power_of_two(exponent: f64) -> f64 {
    const COEFFICIENTS: [f64; 6] = [
        0.693_147_180_559_934_2,
        0.240_226_506_961_941_06,
        0.055_504_108_392_395_9,
        0.009_618_141_545_265_708,
        0.001_333_064_543_414_112_7,
        0.000_157_411_205_485_717_32,
    ];
    let sixteenths = libm::floor(exponent * 16.0);
    let rest = exponent - sixteenths / 16.0;
    let power = libm::exp2(sixteenths / 16.0);
    let tail = TAILS[(sixteenths as i64).rem_euclid(16) as usize];
    let square = rest * rest;
    let pair = |index: usize| libm::fma(COEFFICIENTS[index + 1], rest, COEFFICIENTS[index]);
    let polynomial = libm::fma(square, libm::fma(square, pair(4), pair(2)), pair(0));
    libm::fma(power, libm::fma(rest, polynomial, tail), power)
}

/// What the number nearest to 2^(j/16) lacks of it, as a share of it.
const TAILS: [f64; 16] = [
    0.0,
    8.189_317_638_195_515e-17,
    -2.793_911_485_951_573_3e-17,
    7.826_573_258_636_076e-17,
    3.348_462_333_625_152_4e-17,
    3.750_854_201_303_127e-17,
    1.957_258_529_311_203_6e-17,
    5.686_480_957_911_74e-17,
    -6.835_808_657_661_922e-17,
    -2.359_109_477_085_005_3e-17,
    5.154_830_117_078_678_3e-17,
    1.534_141_005_360_372_3e-17,
    4.875_160_526_227_062e-17,
    1.685_487_290_628_973e-17,
    1.790_126_907_604_513e-17,
    -5.545_065_618_639_427e-17,
];

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

#[cfg(test)]
mod tests {
    use super::super::exact;
    use super::*;

    fn value(index: usize) -> f32 {
        (index * 7919 % 1009) as f32 / 8.0 + (index * index % 31) as f32
    }

    /// Scores of `IsolationForest(contamination="auto", random_state=42)` of scikit-learn 1.9.1, at 3.25, 60, 151.125
    /// and 1e6, fitted on that many values: around every way in which a sample is drawn.
    #[rustfmt::skip]
    const GOLDEN: [(usize, [f64; 4]); 10] = [
        (255, [0.6602271437152805, 0.4904718178081544, 0.73861059420104, 0.73861059420104]),
        (256, [0.6604366194426966, 0.4775302341619659, 0.7367849126109144, 0.7367849126109144]),
        (257, [0.6604366194426966, 0.48106608066928763, 0.7326313416936889, 0.7326313416936889]),
        (258, [0.6599899281936425, 0.48241775085792854, 0.7336221086368381, 0.7336221086368381]),
        (259, [0.6605292976391796, 0.4867997262956393, 0.7382065425044363, 0.7382065425044363]),
        (300, [0.676562084541022, 0.48013060061549406, 0.7349130373483798, 0.7349130373483798]),
        (1000, [0.6982947886802595, 0.4873525260031531, 0.7245565946558744, 0.7245565946558744]),
        (25599, [0.6944987000773291, 0.47638294110827206, 0.7050899619286275, 0.7190726634915098]),
        (25600, [0.6871537305023572, 0.484072345288105, 0.7086578610963773, 0.7168558769571635]),
        (26000, [0.6866889689353363, 0.4816891199915507, 0.7197718809952445, 0.7295778331907052]),
    ];

    #[test]
    fn scikit_learn_s_scores_of_more_than_a_sample_are_equal_to_the_last_bit() {
        let (trees, lengths) = (Trees::new(), PathLengths::new());
        for (count, expected) in GOLDEN {
            let arrived: Vec<f32> = (0..count).map(value).collect();
            let mut sorted = arrived.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            let score = |value| trees.scores(&lengths, &arrived, &sorted, value, &mut Vec::new());
            assert_eq!([3.25, 60.0, 151.125, 1e6].map(score), expected, "{count}");
        }
    }

    #[test]
    fn exact_scores_are_what_many_trees_come_to() {
        const MANY: u32 = 20_000;
        let lengths = PathLengths::new();
        for history in [
            &[10.0, 11.0, 12.0, 13.0, 50.0][..],
            &[1.0, 1.0, 2.0, 2.5, 2.5, 2.5, 3.0, 4.0, 8.0, 8.5, 9.0, 20.0, 21.0],
        ] {
            let mut seeds = MersenneTwister::numpy(1);
            let queries = [0.0, 1.5, 2.5, 5.0, 11.5, 30.0, 1000.0];
            let mut paths = [0.0; 7];
            for _ in 0..MANY {
                let mut growth = Growth {
                    lengths: &lengths,
                    limit: depth_limit(history.len()),
                    random: XorShift32::new(seeds.next_u32()),
                    leaves: Vec::new(),
                };
                growth.grow(history, 0, f64::INFINITY);
                for (path, query) in paths.iter_mut().zip(queries) {
                    *path += leaf_path(&growth.leaves, query);
                }
            }
            for (path, query) in paths.into_iter().zip(queries) {
                let drawn = score(path, f64::from(MANY) * lengths.mean(history.len()));
                let exact = exact::scores(&lengths, history, query, &mut Vec::new());
                assert!((drawn - exact).abs() < 0.002, "{query}: {drawn} and {exact}");
            }
        }
    }
}
