//! The trees and the scores that masses give to values.
//!
//! River walks each tree to learn a value and again to score one. With one feature a tree is a partition of a line,
//! so all trees together are one: the thresholds of all of them, sorted, part the line into cells, and two
//! values of the same cell take the same path in every tree. Learning is noting a cell. The score of every cell is computed
//! once for each window, and scoring is looking it up.

use super::super::random::MersenneTwister;
use super::Settings;

/// The share of an interval at either end that no threshold falls into.
const PADDING: f64 = 0.15;
/// The share of a window that a node must hold to be looked into.
const SMALLEST_SHARE: f64 = 0.1;

/// The trees, the same for all series.
#[derive(Debug)]
pub(super) struct Forest {
    /// The thresholds of all trees, sorted. The cell of a value is the number of thresholds that are not above it.
    thresholds: Vec<f64>,
    /// For each tree and inner node (its children are 2n and 2n + 1 for the node n, the root is 1) the first cell that
    /// lies to its right.
    cuts: Vec<u32>,
    height: u32,
    window_size: u32,
    /// The sum that would score 0.
    largest_sum: f64,
}

impl Forest {
    /// Draws the trees as River's `HalfSpaceTrees` does at its first value.
    pub(super) fn new(settings: &Settings) -> Self {
        let trees = thresholds_by_node(settings);
        let inner_nodes = trees.iter().flat_map(|tree| &tree[1..]);
        let mut thresholds: Vec<f64> = inner_nodes.copied().collect();
        thresholds.sort_unstable_by(f64::total_cmp);
        let cut = |threshold: &f64| 1 + thresholds.partition_point(|other| other < threshold) as u32;
        let cuts = trees.iter().flatten().map(cut).collect();
        let all_nodes = (2_u64 << settings.height) - 1;
        Forest {
            thresholds,
            cuts,
            height: settings.height,
            window_size: settings.window_size,
            largest_sum: (settings.trees as u64 * u64::from(settings.window_size) * all_nodes) as f64,
        }
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.thresholds.len() + 1
    }

    /// The cell of a scaled value.
    #[inline]
    pub(super) fn cell(&self, value: f64) -> u32 {
        self.thresholds.partition_point(|threshold| *threshold <= value) as u32
    }

    /// The thresholds below and above a cell.
    pub(super) fn bounds(&self, cell: usize) -> (Option<f64>, Option<f64>) {
        let below = cell.checked_sub(1).map(|index| self.thresholds[index]);
        (below, self.thresholds.get(cell).copied())
    }

    /// The score of each cell after a window of values that fell into the cells `window`: 1 less the weighed masses
    /// of the nodes on a cell's path, as a share of the most there could be.
    pub(super) fn scores(&self, window: &[u32], scores: &mut Vec<f64>) {
        let mut masses = Masses {
            before: self.counts_before(window),
            smallest: SMALLEST_SHARE * f64::from(self.window_size),
            height: self.height,
            changes: vec![0; self.cells() + 1],
        };
        for cuts in self.cuts.chunks(1 << self.height) {
            masses.add(cuts, 1, 0, (0, self.cells()), 0);
        }
        let mut sum = 0_u64;
        scores.clear();
        scores.extend(masses.changes[..self.cells()].iter().map(|change| {
            sum = sum.wrapping_add(*change);
            1.0 - sum as f64 / self.largest_sum
        }));
    }

    /// How many values of the window are in the cells before each, and last in all.
    fn counts_before(&self, window: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; self.cells() + 1];
        for cell in window {
            counts[*cell as usize + 1] += 1;
        }
        let mut before = 0;
        for count in &mut counts {
            before += *count;
            *count = before;
        }
        counts
    }
}

/// For each tree the thresholds of its inner nodes, as [`Forest::cuts`] has them.
pub(super) fn thresholds_by_node(settings: &Settings) -> Vec<Vec<f64>> {
    let mut random = MersenneTwister::python(settings.seed);
    let trees = (0..settings.trees).map(|_| {
        let mut tree = vec![0.0; 1 << settings.height];
        draw(
            &mut random,
            &mut tree,
            1,
            (settings.lower_limit, settings.upper_limit),
        );
        tree
    });
    trees.collect()
}

/// Draws the thresholds of the node at `index` over an interval and of everything below it, the left first.
fn draw(random: &mut MersenneTwister, tree: &mut [f64], index: usize, (lower, upper): (f64, f64)) {
    if index >= tree.len() {
        return;
    }
    // The feature is drawn too, although there is only one.
    random.next_f64();
    let first = lower + PADDING * (upper - lower);
    let last = upper - PADDING * (upper - lower);
    let threshold = first + (last - first) * random.next_f64();
    tree[index] = threshold;
    draw(random, tree, 2 * index, (lower, threshold));
    draw(random, tree, 2 * index + 1, (threshold, upper));
}

/// The masses of a window, and what they add to the cells' sums.
struct Masses {
    before: Vec<u32>,
    smallest: f64,
    height: u32,
    /// By how much a cell's sum differs from that of the cell before; wraps where it is smaller.
    changes: Vec<u64>,
}

impl Masses {
    /// Adds what a node gives to its cells, from `start` to before `end`, or what its children do. `above` is the sum
    /// on the way to it.
    fn add(&mut self, cuts: &[u32], node: usize, depth: u32, (start, end): (usize, usize), above: u64) {
        let mass = self.before[end] - self.before[start];
        let sum = above + (u64::from(mass) << depth);
        if depth == self.height || f64::from(mass) < self.smallest {
            self.changes[start] = self.changes[start].wrapping_add(sum);
            self.changes[end] = self.changes[end].wrapping_sub(sum);
            return;
        }
        let cut = cuts[node] as usize;
        self.add(cuts, 2 * node, depth + 1, (start, cut), sum);
        self.add(cuts, 2 * node + 1, depth + 1, (cut, end), sum);
    }
}
