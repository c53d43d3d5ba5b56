//! Numbers as people read them.

/// A number rounded to so many significant digits, without trailing zeros: `0.1235`, `123457`, `1.235e-7`.
pub fn significant(number: f64, digits: usize) -> String {
    let rounded: f64 = format!("{:.*e}", digits.saturating_sub(1), number)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_by_their_digits() {
        for (number, text) in [
            (820.8, "820.8"),
            (0.123_456_7, "0.1235"),
            (123_456.7, "123500"),
            (-2.0, "-2"),
            (-0.0, "0"),
            (1.234_56e-7, "1.235e-7"),
            (1e300, "1e300"),
        ] {
            assert_eq!(significant(number, 4), text);
        }
    }
}
