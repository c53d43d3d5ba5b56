//! How many of how many, and what that says of all that will come.

/// The 0.975 quantile of the normal distribution: nineteen of twenty intervals hold the true share.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// `count` of `of`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub count: u64,
    pub of: u64,
}

impl Share {
    /// Adds one that counts or does not.
    pub(super) fn note(&mut self, counts: bool) {
        self.count += u64::from(counts);
        self.of += 1;
    }

    /// The 95 % interval of Wilson (1927) for the share that these were drawn from, from 0 to 1; `None` of none. Unlike the
    /// textbook's it is honest for few and for all: 12 of 12 says "from 0.76", not "1 exactly".
    pub(crate) fn interval(self) -> Option<(f64, f64)> {
        if self.of == 0 {
            return None;
        }
        let (count, of) = (self.count as f64, self.of as f64);
        let square = QUANTILE * QUANTILE;
        let middle = (count + square / 2.0) / (of + square);
        let spread = (count * (of - count) / of + square / 4.0).sqrt() * QUANTILE / (of + square);
        let bound = |is_end: bool, end: f64, bound: f64| if is_end { end } else { bound };
        Some((
            bound(self.count == 0, 0.0, middle - spread),
            bound(self.count == self.of, 1.0, middle + spread),
        ))
    }
}

impl std::ops::Add for Share {
    type Output = Share;

    fn add(self, other: Share) -> Share {
        Share {
            count: self.count + other.count,
            of: self.of + other.of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another program reckoned them from the formula.
    #[test]
    fn intervals_are_those_of_wilson() {
        for ((count, of), (low, high)) in [
            ((8, 10), (0.490_162, 0.943_318)),
            ((0, 10), (0.0, 0.277_533)),
            ((12, 12), (0.757_506, 1.0)),
            ((1, 1), (0.206_549, 1.0)),
            ((50, 100), (0.403_832, 0.596_168)),
        ] {
            let found = Share { count, of }.interval().unwrap();
            assert!((found.0 - low).abs() < 1e-6, "{count} of {of}: {found:?}");
            assert!((found.1 - high).abs() < 1e-6, "{count} of {of}: {found:?}");
        }
        assert_eq!(Share::default().interval(), None);
    }
}
