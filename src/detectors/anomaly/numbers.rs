//! Numbers for people.

/// The significant digits that numbers are rounded to.
const DIGITS: i32 = 4;

/// The most significant digits of a value that is shown as it is; one with more has been computed.
const MEASURED_DIGITS: usize = 6;

/// Numbers whose relative difference is below this differ only by the rounding of some computation.
const SAME: f64 = 1e-9;

/// More than numbers have in common that are further apart than that.
const MOST_DECIMALS: i32 = 10;

/// Rounds numbers that stand side by side in a sentence.
#[derive(Debug)]
pub(crate) struct Rounding {
    /// No number is rounded to fewer.
    decimals: i32,
    /// Decimals beyond what the digits ask for, so that different numbers look different.
    more: i32,
}

impl Rounding {
    /// To four significant digits or as precisely as `value` was measured, whichever is more; and as precisely as
    /// it takes to distinguish `value` from the `others`.
    pub(crate) fn new(value: Option<f64>, others: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut rounding = Rounding {
            decimals: value.map_or(0, measured_decimals),
            more: 0,
        };
        let numbers: Vec<f64> = others.into_iter().chain([value]).flatten().collect();
        while rounding.more < MOST_DECIMALS && !rounding.distinguishes(&numbers) {
            rounding.more += 1;
        }
        rounding
    }

    fn distinguishes(&self, numbers: &[f64]) -> bool {
        numbers.iter().enumerate().all(|(index, one)| {
            numbers[..index]
                .iter()
                .all(|other| are_alike(*one, *other) || self.text(*one) != self.text(*other))
        })
    }

    /// The number without trailing zeros; with a power of ten if it would be long.
    pub(crate) fn text(&self, number: f64) -> String {
        let exponent = exponent(number);
        let digits = DIGITS + self.more;
        if !(-5..15).contains(&exponent) && number != 0.0 {
            let text = format!("{:.*e}", (digits - 1).max(0) as usize, number);
            return match text.split_once('e') {
                Some((digits, exponent)) => format!("{}e{exponent}", without_zeros(digits)),
                None => text,
            };
        }
        let decimals = (digits - 1 - exponent).max(self.decimals + self.more).max(0);
        without_zeros(&format!("{number:.*}", decimals as usize)).to_owned()
    }
}

/// Whether two numbers are the same to a person.
pub(super) fn are_alike(one: f64, other: f64) -> bool {
    (one - other).abs() <= SAME * one.abs().max(other.abs())
}

/// The power of ten of the first digit.
fn exponent(number: f64) -> i32 {
    let text = format!("{number:e}");
    text.split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// The decimals that a value was written with, if it looks like one that was measured.
fn measured_decimals(value: f64) -> i32 {
    let text = format!("{value:e}");
    let digits = text.split_once('e').map_or(text.as_str(), |(digits, _)| digits);
    let digits = digits.bytes().filter(u8::is_ascii_digit).count();
    if digits > MEASURED_DIGITS {
        return 0;
    }
    (digits as i32 - 1 - exponent(value)).max(0)
}

fn without_zeros(text: &str) -> &str {
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    if text == "-0" { "0" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_what_people_read() {
        for (number, text) in [
            (820.8, "820.8"),
            (500.400_000_000_000_03, "500.4"),
            (99.999_99, "100"),
            (640.0, "640"),
            (0.1 + 0.2, "0.3"),
            (0.001_234_56, "0.001235"),
            (123_456.7, "123457"),
            (1_234_567_890.0, "1234567890"),
            (0.0, "0"),
            (-0.0, "0"),
            (-20.126, "-20.13"),
            (1e300, "1e300"),
            (-1.234_56e-7, "-1.235e-7"),
            (1e-300, "1e-300"),
        ] {
            assert_eq!(Rounding::new(None, []).text(number), text);
        }
    }

    #[test]
    fn all_are_as_precise_as_the_value() {
        let rounding = Rounding::new(Some(5200.5), [Some(5123.44), Some(612.3456)]);
        assert_eq!(rounding.text(5200.5), "5200.5");
        assert_eq!(rounding.text(5123.44), "5123.4");
        assert_eq!(rounding.text(612.345_6), "612.3");
        let computed = Rounding::new(Some(820.833_333_333), [Some(5123.44)]);
        assert_eq!(computed.text(820.833_333_333), "820.8");
        assert_eq!(computed.text(5123.44), "5123");
    }

    #[test]
    fn different_numbers_look_different() {
        let (lower, value, upper) = (655.036, 655.041_234_5, 655.041_1);
        let rounding = Rounding::new(Some(value), [Some(lower), Some(upper)]);
        assert_eq!(
            [lower, upper, value].map(|number| rounding.text(number)),
            ["655.036", "655.0411", "655.0412"]
        );
        let rounding = Rounding::new(Some(0.3), [Some(0.1 + 0.2)]);
        assert_eq!(rounding.text(0.1 + 0.2), "0.3");
        let rounding = Rounding::new(Some(1e20), [Some(1.000_01e20)]);
        assert_eq!(rounding.text(1.000_01e20), "1.00001e20");
    }
}
