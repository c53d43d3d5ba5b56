//! Numbers as people read them.

use crate::detectors::Verdict;

/// A number rounded to so many significant digits, but to no more than whole ones, without trailing zeros: `0.1235`,
/// `123457`, `1.235e-7`.
pub(crate) fn significant(number: f64, digits: usize) -> String {
    let whole_digits = number.abs().max(1.0).log10() as usize + 1;
    let rounded: f64 = format!("{:.*e}", digits.max(whole_digits).saturating_sub(1), number)
        .parse()
        .unwrap_or(number);
    let size = rounded.abs();
    if rounded == 0.0 {
        "0".to_owned()
    } else if (1e-5..1e15).contains(&size) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// The usual range: `612 to 655.25`; empty if the detector has none.
pub(crate) fn expectation(verdict: &Verdict) -> String {
    const DIGITS: usize = 5;
    let text = |number: f64| significant(number, DIGITS);
    match (verdict.lower, verdict.upper, verdict.expected) {
        (Some(lower), Some(upper), _) => format!("{} to {}", text(lower), text(upper)),
        (Some(lower), None, _) => format!("from {}", text(lower)),
        (None, Some(upper), _) => format!("up to {}", text(upper)),
        (None, None, Some(expected)) => format!("about {}", text(expected)),
        (None, None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_by_their_digits() {
        for (number, text) in [
            (820.8, "820.8"),
            (0.123_456_7, "0.1235"),
            (123_456.7, "123457"),
            (-2.0, "-2"),
            (-0.0, "0"),
            (1.234_56e-7, "1.235e-7"),
            (1e300, "1e300"),
        ] {
            assert_eq!(significant(number, 4), text);
        }
    }
}
