//! A sum of floating-point numbers that does not depend on the order of its additions (invariant I3).
//!
//! The exact real sum is kept as an unevaluated sum of doubles and rounded once, when it is read. Source: J. R.
//! Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997 (two-sum, grow-expansion); the rounding is that
//! of Python's `math.fsum`. No addition rounds, so batches, restarts, partitions and merges cannot change a bit.

/// The exact sum of any number of finite values no larger than [`LARGEST_VALUE`](crate::reading::LARGEST_VALUE).
///
/// Two doubles hold the sums of everyday readings (106 bits); what falls below them spills into a list.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    high: f64,
    low: f64,
    /// Non-overlapping, smallest first; almost always empty.
    #[expect(
        clippy::box_collection,
        reason = "one word in every row for what hardly any row needs"
    )]
    spilled: Option<Box<Vec<f64>>>,
}

impl ExactSum {
    /// The sum of nothing.
    pub(crate) const fn new() -> Self {
        ExactSum {
            high: 0.0,
            low: 0.0,
            spilled: None,
        }
    }

    /// Adds a value, exactly.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let (high, error) = two_sum(self.high, value);
        let (low, spill) = two_sum(self.low, error);
        self.high = high;
        self.low = low;
        if spill != 0.0 {
            grow(self.spilled.get_or_insert_default(), spill);
        }
    }

    /// Adds another sum, exactly.
    pub(crate) fn merge(&mut self, other: &ExactSum) {
        self.add(other.high);
        self.add(other.low);
        for &part in other.spilled.iter().flat_map(|parts| parts.iter()) {
            self.add(part);
        }
    }

    /// The sum, rounded to the nearest double.
    pub fn rounded(&self) -> f64 {
        match &self.spilled {
            // One addition of two doubles is correctly rounded by itself.
            None => self.high + self.low,
            Some(_) => round(&self.expansion()),
        }
    }

    /// The sum as `(rounded, residual)`: the rounded sum, and what is left of the exact one as doubles that add up
    /// to it, largest first. Canonical: equal sums give equal parts, however they came about.
    pub(crate) fn parts(&self) -> (f64, Vec<f64>) {
        if self.spilled.is_none() {
            let (rounded, error) = two_sum(self.high, self.low);
            return (rounded, if error == 0.0 { Vec::new() } else { vec![error] });
        }
        let mut left = self.expansion();
        let rounded = round(&left);
        let mut residual = Vec::new();
        grow(&mut left, -rounded);
        while !left.is_empty() {
            let part = round(&left);
            residual.push(part);
            grow(&mut left, -part);
        }
        (rounded, residual)
    }

    /// The sum whose [`parts`](Self::parts) these are.
    pub(crate) fn from_parts(rounded: f64, residual: &[f64]) -> Self {
        let mut sum = ExactSum {
            high: rounded,
            ..ExactSum::default()
        };
        for &part in residual {
            sum.add(part);
        }
        sum
    }

    fn expansion(&self) -> Vec<f64> {
        let mut parts = self.spilled.as_deref().cloned().unwrap_or_default();
        grow(&mut parts, self.low);
        grow(&mut parts, self.high);
        parts
    }
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

/// `a + b` as the rounded sum and its exact error (Knuth).
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_rounded = sum - a;
    let a_rounded = sum - b_rounded;
    (sum, (a - a_rounded) + (b - b_rounded))
}

/// Adds `value` to a non-overlapping expansion, smallest part first; zeros are dropped.
fn grow(parts: &mut Vec<f64>, value: f64) {
    let mut carried = value;
    let mut kept = 0;
    for index in 0..parts.len() {
        let (sum, error) = two_sum(carried, parts[index]);
        if error != 0.0 {
            parts[kept] = error;
            kept += 1;
        }
        carried = sum;
    }
    parts.truncate(kept);
    if carried != 0.0 {
        parts.push(carried);
    }
}

/// Rounds a non-overlapping expansion to the nearest double, ties to even.
fn round(parts: &[f64]) -> f64 {
    let Some((&largest, mut rest)) = parts.split_last() else {
        return 0.0;
    };
    let mut sum = largest;
    let mut error = 0.0;
    while let Some((&part, smaller)) = rest.split_last() {
        rest = smaller;
        (sum, error) = two_sum(sum, part);
        if error != 0.0 {
            break;
        }
    }
    // Half-way cases: `error` may be exactly half a unit in the last place, and what lies below it decides.
    if let Some(&below) = rest.last()
        && (error < 0.0) == (below < 0.0)
        && error != 0.0
    {
        let doubled = error * 2.0;
        let candidate = sum + doubled;
        if candidate - sum == doubled {
            sum = candidate;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum_of(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    #[test]
    fn sums_that_plain_addition_gets_wrong() {
        for (values, expected) in [
            (vec![0.1; 10], 1.0),
            (vec![1e16, 1.0, 1.0, -1e16], 2.0),
            (vec![1e100, 1.0, -1e100, 1e-100], 1.0),
            (vec![1.0, 1e-16, 1e-16], 1.0000000000000002),
            // Half-way: 1 + 2⁻⁵³ rounds to even, a hair more rounds up.
            (vec![1.0, 2f64.powi(-53)], 1.0),
            (vec![1.0, 2f64.powi(-53), 2f64.powi(-200)], 1.0000000000000002),
            (vec![1e288, 1e288, -1e288, 5e-324], 1e288),
            (vec![], 0.0),
        ] {
            assert_eq!(sum_of(&values).rounded(), expected, "{values:?}");
        }
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let everyday = (-10_000_000i64..10_000_000).prop_map(|tenths| tenths as f64 / 10.0);
        let extreme =
            (-1.0f64..1.0, -280i32..288).prop_map(|(mantissa, exponent)| mantissa * 10f64.powi(exponent));
        proptest::collection::vec(prop_oneof![4 => everyday, 1 => extreme], 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_order_of_additions_does_not_matter(values in values(), seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
            let mut shuffled = values.clone();
            let mut state = seed | 1;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                shuffled.swap(index, (state >> 33) as usize % (index + 1));
            }
            let (left, right) = shuffled.split_at(cut.index(shuffled.len() + 1));
            let mut merged = sum_of(left);
            merged.merge(&sum_of(right));
            prop_assert_eq!(merged.parts(), sum_of(&values).parts());
        }

        #[test]
        fn parts_restore_the_sum(values in values(), more in values()) {
            let mut sum = sum_of(&values);
            let (rounded, residual) = sum.parts();
            prop_assert_eq!(rounded, sum.rounded());
            let mut restored = ExactSum::from_parts(rounded, &residual);
            for value in more {
                sum.add(value);
                restored.add(value);
            }
            prop_assert_eq!(restored.parts(), sum.parts());
        }
    }
}
