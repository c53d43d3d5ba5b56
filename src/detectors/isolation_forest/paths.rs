//! What both methods have in common: path lengths and the score made of them (Liu, Ting and Zhou, "Isolation
//! Forest", 2008).

/// Values that a tree is grown on, at most.
pub(super) const LARGEST_SAMPLE: usize = 256;

/// Euler's constant.
const GAMMA: f64 = 0.577_215_664_901_532_9;

/// The mean number of random cuts that part one value from the others, by how many there are.
#[derive(Debug)]
pub(super) struct PathLengths {
    means: Vec<f64>,
}

impl PathLengths {
    /// Computes those of up to [`LARGEST_SAMPLE`] values.
    pub(super) fn new() -> Self {
        let mut means = vec![0.0, 0.0, 1.0];
        let mut logarithm = 0;
        for count in 3..=LARGEST_SAMPLE {
            let others = count - 1;
            logarithm += logarithm_of_step(others as u128);
            let natural = logarithm as f64 / ONE as f64;
            let others = others as f64;
            means.push(2.0 * (natural + GAMMA) - 2.0 * others / count as f64);
        }
        PathLengths { means }
    }

    /// That of `count` values, at most [`LARGEST_SAMPLE`].
    #[inline]
    pub(super) fn mean(&self, count: usize) -> f64 {
        self.means[count]
    }
}

/// The fixed point of logarithms.
const ONE: u128 = 1 << 112;

/// ln n − ln (n − 1), for n of 2 or more, in units of 1 / [`ONE`]: 2 artanh (1 / (2n − 1)). The general logarithm of
/// `libm` is off by a last bit for some of the few numbers needed, and equality with scikit-learn hangs on it.
fn logarithm_of_step(n: u128) -> u128 {
    let odd = 2 * n - 1;
    let mut power = 2 * ONE / odd;
    let mut sum = 0;
    for exponent in (1..).step_by(2) {
        if power == 0 {
            break;
        }
        sum += power / exponent;
        power /= odd * odd;
    }
    sum
}

/// How deep a tree of `count` values grows.
pub(super) fn depth_limit(count: usize) -> usize {
    count.max(2).next_power_of_two().trailing_zeros() as usize
}
