//! How finely the values of a series are measured.

use super::super::{StateError, StateReader, StateWriter};

const POWERS: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// How far a value may be from one with so few decimals, in the last of them.
const TOLERANCE: f64 = 1e-6;

/// The most decimals of any value so far. Values with more than six are computed or tiny, and have no resolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolution {
    decimals: usize,
}

impl Resolution {
    pub(super) fn new() -> Self {
        Resolution { decimals: 0 }
    }

    pub(super) fn note(&mut self, value: f64) {
        while let Some(power) = POWERS.get(self.decimals) {
            let scaled = value * power;
            if (scaled - scaled.round()).abs() <= TOLERANCE {
                return;
            }
            self.decimals += 1;
        }
    }

    fn power(self) -> Option<f64> {
        POWERS.get(self.decimals).copied()
    }

    /// The number that a value of the series can have and is nearest.
    pub(super) fn nearest(self, number: f64) -> f64 {
        self.power()
            .map_or(number, |power| rounded(number, power, f64::round))
    }

    /// A band without its part that no value can have: the values in it are the same.
    pub(super) fn band(self, (lower, upper): (f64, f64)) -> (f64, f64) {
        self.power().map_or((lower, upper), |power| {
            let (least, most) = (
                rounded(lower, power, f64::ceil),
                rounded(upper, power, f64::floor),
            );
            if least <= most {
                (least, most)
            } else {
                (lower, upper)
            }
        })
    }

    pub(super) fn save(self, state: &mut StateWriter) {
        state.u8(self.decimals as u8);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        match usize::from(state.u8()?) {
            decimals if decimals <= POWERS.len() => Ok(Resolution { decimals }),
            _ => Err(StateError::Impossible("count of decimals")),
        }
    }
}

fn rounded(number: f64, power: f64, round: impl Fn(f64) -> f64) -> f64 {
    let scaled = round(number * power) / power;
    // Of a number so large that it has no decimals, the product may be too large.
    if scaled.is_finite() { scaled + 0.0 } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolution(values: &[f64]) -> Resolution {
        let mut resolution = Resolution::new();
        values.iter().for_each(|&value| resolution.note(value));
        resolution
    }

    #[test]
    fn a_band_has_the_decimals_of_the_values() {
        let counts = resolution(&[0.0, 3.0, -1.0]);
        assert_eq!(counts.band((-0.078, 0.189)), (0.0, 0.0));
        assert_eq!(counts.nearest(-1.403e-7), 0.0);
        let tenths = resolution(&[330.2, 0.1 + 0.2]);
        assert_eq!(tenths.band((243.04, 455.17)), (243.1, 455.1));
        let computed = resolution(&[1.0 / 3.0]);
        assert_eq!(computed.band((0.123, 0.456)), (0.123, 0.456));
        // No value lies within: it stays as it is.
        assert_eq!(tenths.band((0.12, 0.18)), (0.12, 0.18));
    }
}
