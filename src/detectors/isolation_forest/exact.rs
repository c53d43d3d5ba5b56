//! The isolation forest of infinitely many trees on one feature, computed instead of drawn.
//!
//! A random cut of a node with the distinct values v_a < … < v_b falls into the gap above v_i with probability
//! (v_{i+1} − v_i) / (v_b − v_a). So the probability P_d(a, b) that a tree has the node [a, b] at depth d follows
//! from those of the larger nodes around it:
//!
//! P_{d+1}(a, b) = (v_{b+1} − v_b) Σ_{b' > b} P_d(a, b') / (v_{b'} − v_a)
//!               + (v_a − v_{a−1}) Σ_{a' < a} P_d(a', b) / (v_b − v_{a'}).
//!
//! The expected path of v_i is the sum over the leaves it may end in. A new value's path is the line between those of
//! its neighbors, since where in its gap a cut falls does not depend on when; beyond the ends it is that of the end.
//! Nodes are visited from the outside in, so that of the sums only running ones are kept: O(k² L) time and O(k L)
//! memory for k distinct values and the depth limit L.

use super::paths::{LARGEST_SAMPLE, PathLengths, depth_limit};

/// Depths at which a node can be cut: those below the limit of the largest sample.
const DEPTHS: usize = LARGEST_SAMPLE.trailing_zeros() as usize;

/// The score of `value` among sorted values, at least one and at most [`LARGEST_SAMPLE`]; puts those of the sorted
/// values into `scores`.
pub(super) fn scores(lengths: &PathLengths, sorted: &[f32], value: f32, scores: &mut Vec<f64>) -> f64 {
    let distinct = Distinct::of(sorted);
    let paths = distinct.paths(lengths);
    let whole = lengths.mean(sorted.len());
    scores.clear();
    for (path, starts) in paths.iter().zip(distinct.starts.windows(2)) {
        scores.resize(starts[1], score(*path, whole));
    }
    score(distinct.path_of(f64::from(value), &paths), whole)
}

/// The score of a path where `whole` is the mean one: from 1, at once on its own, to 0; 0.5 is neither.
fn score(path: f64, whole: f64) -> f64 {
    // A single value is neither, too.
    let share = if whole == 0.0 { 1.0 } else { path / whole };
    libm::exp2(-share)
}

/// Sorted values without their repetitions.
struct Distinct {
    values: Vec<f64>,
    /// How many of all values are smaller than each, and last their number.
    starts: Vec<usize>,
}

impl Distinct {
    fn of(sorted: &[f32]) -> Self {
        let mut values = Vec::with_capacity(sorted.len());
        let mut starts = Vec::with_capacity(sorted.len() + 1);
        for (index, value) in sorted.iter().map(|value| f64::from(*value)).enumerate() {
            if values.last() != Some(&value) {
                values.push(value);
                starts.push(index);
            }
        }
        starts.push(sorted.len());
        Distinct { values, starts }
    }

    /// The expected path of each distinct value.
    fn paths(&self, lengths: &PathLengths) -> Vec<f64> {
        let values = &self.values;
        let limit = depth_limit(self.starts[values.len()]);
        let mut paths = vec![0.0; values.len()];
        let mut sums_by_last = vec![[0.0; DEPTHS]; values.len()];
        let mut gap_before = 0.0;
        for first in 0..values.len() {
            let mut sums_by_first = [0.0; DEPTHS];
            let (mut cut_off, mut gap_after) = (0.0, 0.0);
            for last in (first..values.len()).rev() {
                let sums_by_last = &mut sums_by_last[last];
                // The probability that there is the node from first to last, by depth.
                let mut present = [0.0; DEPTHS + 1];
                present[0] = f64::from(u8::from(first == 0 && last + 1 == values.len()));
                let sums = sums_by_first.iter().zip(&*sums_by_last);
                for (present, (by_first, by_last)) in present[1..].iter_mut().zip(sums) {
                    *present = gap_after * by_first + gap_before * by_last;
                }
                let within = lengths.mean(self.starts[last + 1] - self.starts[first]);
                cut_off += present[limit] * (limit as f64 + within);
                paths[last] += cut_off;
                if first == last {
                    let alone = present[..limit].iter().enumerate();
                    paths[last] += alone
                        .map(|(depth, present)| present * (depth as f64 + within))
                        .sum::<f64>();
                    break;
                }
                let per_length = 1.0 / (values[last] - values[first]);
                let sums = sums_by_first.iter_mut().zip(sums_by_last);
                for (present, (by_first, by_last)) in present.iter().zip(sums) {
                    *by_first += present * per_length;
                    *by_last += present * per_length;
                }
                gap_after = values[last] - values[last - 1];
            }
            gap_before = values.get(first + 1).map_or(0.0, |next| next - values[first]);
        }
        paths
    }

    /// The expected path of a new value.
    fn path_of(&self, value: f64, paths: &[f64]) -> f64 {
        let above = self.values.partition_point(|other| *other <= value);
        if above == 0 {
            return paths[0];
        }
        let below = above - 1;
        if above == paths.len() {
            return paths[below];
        }
        let part = (value - self.values[below]) / (self.values[above] - self.values[below]);
        paths[below] + (paths[above] - paths[below]) * part
    }
}
