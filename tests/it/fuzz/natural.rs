//! Whole numbers without a limit, as schools teach them: enough to compare decimal fractions and to add doubles exactly.

use std::cmp::Ordering;

/// A natural number in digits of 32 bits, the least significant first, without zeros at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Natural(Vec<u32>);

impl Natural {
    /// The number of its binary digits; 0 for zero.
    pub fn bits(&self) -> u64 {
        self.0
            .last()
            .map_or(0, |top| self.0.len() as u64 * 32 - u64::from(top.leading_zeros()))
    }

    /// self × factor + summand.
    pub fn times_plus(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.0 {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
        self.trim();
    }

    /// self × 10^exponent.
    pub fn times_power_of_ten(mut self, mut exponent: u64) -> Natural {
        while exponent >= 9 {
            self.times_plus(1_000_000_000, 0);
            exponent -= 9;
        }
        for _ in 0..exponent {
            self.times_plus(10, 0);
        }
        self
    }

    /// self × factor.
    pub fn times(&self, factor: u64) -> Natural {
        let (mut low, mut high) = (self.clone(), self.clone());
        low.times_plus(factor as u32, 0);
        high.times_plus((factor >> 32) as u32, 0);
        low.add(&high.shifted_left(32));
        low
    }

    /// self × 2^bits.
    pub fn shifted_left(&self, bits: u64) -> Natural {
        let mut digits = vec![0; (bits / 32) as usize];
        digits.extend_from_slice(&self.0);
        let mut shifted = Natural(digits);
        shifted.times_plus(1 << (bits % 32), 0);
        shifted
    }

    /// The 64 binary digits from position `lowest` up, as a number, and whether all below them are zero.
    pub fn window(&self, lowest: u64) -> (u64, bool) {
        let digit = |position: u64| self.0.get(position as usize).copied().unwrap_or(0);
        let (whole, part) = (lowest / 32, lowest % 32);
        let wide = u128::from(digit(whole))
            | u128::from(digit(whole + 1)) << 32
            | u128::from(digit(whole + 2)) << 64;
        let below = self.0.iter().take(whole as usize).all(|digit| *digit == 0);
        (
            (wide >> part) as u64,
            below && u64::from(digit(whole)) & ((1 << part) - 1) == 0,
        )
    }

    pub fn add(&mut self, other: &Natural) {
        let length = self.0.len().max(other.0.len());
        self.0.resize(length, 0);
        let mut carry = 0;
        for (position, digit) in self.0.iter_mut().enumerate() {
            let sum = u64::from(*digit) + u64::from(other.0.get(position).copied().unwrap_or(0)) + carry;
            *digit = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// self − other, which must not be the larger one.
    pub fn minus(&self, other: &Natural) -> Natural {
        assert!(*self >= *other, "natural numbers do not go below zero");
        let mut difference = self.clone();
        let mut borrowed = 0;
        for (position, digit) in difference.0.iter_mut().enumerate() {
            let taken = i64::from(*digit) - i64::from(other.0.get(position).copied().unwrap_or(0)) - borrowed;
            borrowed = i64::from(taken < 0);
            *digit = taken.rem_euclid(1 << 32) as u32;
        }
        difference.trim();
        difference
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl From<u64> for Natural {
    fn from(number: u64) -> Natural {
        let mut natural = Natural(vec![number as u32, (number >> 32) as u32]);
        natural.trim();
        natural
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Natural) -> Option<Ordering> {
        let by_length = self.0.len().cmp(&other.0.len());
        Some(by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())))
    }
}

#[test]
fn naturals_agree_with_128_bits() {
    let natural = |number: u128| {
        let mut high = Natural::from((number >> 64) as u64).shifted_left(64);
        high.add(&Natural::from(number as u64));
        high
    };
    let mut random = crate::stream::Random(5);
    for _ in 0..2_000 {
        let mut draw = |bits: u64| {
            u128::from(random.below(1 << 31)) << 31 & ((1 << bits) - 1)
                | u128::from(random.below(1 << 31)) >> 3
        };
        let (left, right) = (draw(60), draw(50));
        let mut sum = natural(left);
        sum.add(&natural(right));
        assert_eq!(sum, natural(left + right));
        assert_eq!(
            natural(left.max(right)).minus(&natural(left.min(right))),
            natural(left.abs_diff(right))
        );
        assert_eq!(natural(left).times(right as u64), natural(left * right));
        assert_eq!(natural(left).shifted_left(37), natural(left << 37));
        assert_eq!(
            natural(left).partial_cmp(&natural(right)),
            left.partial_cmp(&right)
        );
        assert_eq!(natural(left).bits(), u64::from(128 - left.leading_zeros()));
        assert_eq!(
            natural(left).times_power_of_ten(11),
            natural(left * 100_000_000_000)
        );
        assert_eq!(natural(left).window(7), ((left >> 7) as u64, left % 128 == 0));
    }
}
