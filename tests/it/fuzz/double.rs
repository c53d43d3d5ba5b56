//! Doubles from decimal text and from exact sums, by whole numbers only: nothing here rounds but once, at the end.

use std::cmp::Ordering;

use super::natural::Natural;

/// The double that is nearest to a decimal number as JSON writes it (`-12.5e-3`), ties to the even one; infinite
/// where the largest double is too small.
pub fn nearest(number: &str) -> f64 {
    let (sign, rest) = number
        .strip_prefix('-')
        .map_or((1.0, number), |rest| (-1.0, rest));
    let (digits, exponent) = significand(rest);
    sign * magnitude(&digits, exponent)
}

/// Digits without leading zeros, and the power of ten of the last of them.
fn significand(number: &str) -> (Vec<u32>, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.chars().chain(fraction.chars());
    let digits: Vec<u32> = digits.map(|digit| digit as u32 - '0' as u32).collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    (
        digits[leading..].to_vec(),
        written_exponent(exponent).saturating_sub(fraction.len() as i64),
    )
}

/// The exponent as it is written; one of more than 15 digits is as good as one of 15.
fn written_exponent(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.trim_start_matches('0');
    let few = &digits[..digits.len().min(15)];
    sign * few
        .chars()
        .fold(0, |number, digit| number * 10 + (digit as i64 - '0' as i64))
}

fn magnitude(digits: &[u32], exponent: i64) -> f64 {
    let order = exponent.saturating_add(digits.len() as i64);
    if digits.is_empty() || order < -400 {
        return 0.0;
    }
    if order > 400 {
        return f64::INFINITY;
    }
    let mut natural = Natural::default();
    digits.iter().for_each(|digit| natural.times_plus(10, *digit));
    let decimal = Decimal {
        numerator: natural.times_power_of_ten(exponent.max(0) as u64),
        denominator: Natural::from(1).times_power_of_ten((-exponent).max(0) as u64),
    };
    decimal.nearest()
}

/// A fraction of whole numbers.
struct Decimal {
    numerator: Natural,
    denominator: Natural,
}

impl Decimal {
    fn nearest(&self) -> f64 {
        // Positive doubles are in the order of their bits.
        let (mut below, mut above) = (0_u64, f64::INFINITY.to_bits());
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            let (mantissa, power) = parts(middle);
            match self.compare(mantissa, power) {
                Ordering::Less => above = middle,
                _ => below = middle,
            }
        }
        // The middle between two neighbors has one binary digit more than they.
        let (mantissa, power) = parts(below);
        match self.compare(2 * mantissa + 1, power - 1) {
            Ordering::Less => f64::from_bits(below),
            Ordering::Greater => f64::from_bits(above),
            Ordering::Equal => f64::from_bits(below + below % 2),
        }
    }

    /// Compares the fraction with mantissa × 2^power.
    fn compare(&self, mantissa: u64, power: i64) -> Ordering {
        let mut left = self.numerator.clone();
        let mut right = self.denominator.times(mantissa);
        if power < 0 {
            left = left.shifted_left(power.unsigned_abs());
        } else {
            right = right.shifted_left(power.unsigned_abs());
        }
        left.partial_cmp(&right).expect("whole numbers are ordered")
    }
}

/// A positive double by its bits, as mantissa × 2^power.
fn parts(bits: u64) -> (u64, i64) {
    let (exponent, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
    match exponent {
        0 => (fraction, -1074),
        _ => (fraction + (1 << 52), exponent as i64 - 1075),
    }
}

/// A sum of doubles in units of 2^-1074, of which each double is a whole number.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    positive: Natural,
    negative: Natural,
}

impl Sum {
    pub fn add(&mut self, value: f64) {
        let (mantissa, power) = parts(value.abs().to_bits());
        let units = Natural::from(mantissa).shifted_left((power + 1074).unsigned_abs());
        match value < 0.0 {
            true => self.negative.add(&units),
            false => self.positive.add(&units),
        }
    }

    /// The double nearest to the sum, ties to the even one.
    pub fn rounded(&self) -> f64 {
        if self.positive >= self.negative {
            round(&self.positive.minus(&self.negative))
        } else {
            -round(&self.negative.minus(&self.positive))
        }
    }
}

fn round(units: &Natural) -> f64 {
    let Some(dropped) = units.bits().checked_sub(53).filter(|dropped| *dropped > 0) else {
        return f64::from_bits(units.window(0).0);
    };
    let (kept, _) = units.window(dropped);
    let (with_half, is_exact) = units.window(dropped - 1);
    let up = with_half % 2 == 1 && (!is_exact || kept % 2 == 1);
    // The exponent's field counts from 1; a mantissa that overflows carries into it, as it must.
    f64::from_bits((dropped << 52) + kept + u64::from(up))
}

#[test]
fn decimals_round_to_the_nearest_double() {
    for text in [
        "0",
        "-0",
        "0.1",
        "820.8",
        "1e23",
        "8.5",
        "9007199254740993",
        "9007199254740995",
        "5e-324",
        "2.5e-324",
        "2.4e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e999999999999999999999",
        "1e-99999999999999999999",
        "0.000e99999",
        "123456789012345678901234567890e-20",
        "1e288",
        "1.00000000000000000000001e288",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
    ] {
        let expected: f64 = text.parse().expect("Rust reads it");
        assert_eq!(nearest(text).to_bits(), expected.to_bits(), "{text}");
    }
    let mut random = crate::stream::Random(7);
    for _ in 0..2_000 {
        let text = format!(
            "{}.{}e{}",
            random.below(1000),
            random.below(1 << 31),
            random.below(640) as i64 - 330
        );
        assert_eq!(
            nearest(&text).to_bits(),
            text.parse::<f64>().expect("a number").to_bits(),
            "{text}"
        );
    }
}

#[test]
fn sums_round_once() {
    let sum = |values: &[f64]| {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.rounded()
    };
    assert_eq!(sum(&[1e288, 1.0, -1e288]), 1.0);
    assert_eq!(sum(&[0.1; 10]), 1.0);
    assert_eq!(sum(&[1e16, 1.0, 1.0]), 1e16 + 2.0);
    assert_eq!(sum(&[9007199254740992.0, 1.0]), 9007199254740992.0);
    assert_eq!(sum(&[9007199254740992.0, 1.0, 5e-324]), 9007199254740994.0);
    assert_eq!(sum(&[5e-324, -1.0, 1.0]), 5e-324);
    assert_eq!(sum(&[f64::MIN_POSITIVE, -5e-324]), f64::from_bits((1 << 52) - 1));
    assert_eq!(sum(&[-820.8, 0.0]), -820.8);
    assert_eq!(sum(&[]).to_bits(), 0);
}
