//! Numbers since 1970, exact: what is written in digits does not pass through a double.

use std::io::Write;

use super::{Source, TimeError, Written};

/// The unit of a number since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the units")]
pub enum EpochUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl EpochUnit {
    /// Every unit, the longest first.
    pub const ALL: [EpochUnit; 4] = [
        EpochUnit::Seconds,
        EpochUnit::Milliseconds,
        EpochUnit::Microseconds,
        EpochUnit::Nanoseconds,
    ];

    /// The name that settings have for it.
    pub fn name(self) -> &'static str {
        match self {
            EpochUnit::Seconds => "epoch_s",
            EpochUnit::Milliseconds => "epoch_ms",
            EpochUnit::Microseconds => "epoch_us",
            EpochUnit::Nanoseconds => "epoch_ns",
        }
    }

    /// Its name in a sentence.
    pub fn plural(self) -> &'static str {
        match self {
            EpochUnit::Seconds => "seconds",
            EpochUnit::Milliseconds => "milliseconds",
            EpochUnit::Microseconds => "microseconds",
            EpochUnit::Nanoseconds => "nanoseconds",
        }
    }

    /// Milliseconds are ten to this power of it.
    fn power(self) -> i32 {
        match self {
            EpochUnit::Seconds => 3,
            EpochUnit::Milliseconds => 0,
            EpochUnit::Microseconds => -3,
            EpochUnit::Nanoseconds => -6,
        }
    }

    /// The unit in which a number of this size is of our days: right from 1973 to 5138.
    fn of(number: Decimal) -> EpochUnit {
        let below = |power| number.is_below(power);
        match () {
            () if below(11) => EpochUnit::Seconds,
            () if below(14) => EpochUnit::Milliseconds,
            () if below(17) => EpochUnit::Microseconds,
            () => EpochUnit::Nanoseconds,
        }
    }
}

/// From 1990 to 2100: when readings are taken.
const PLAUSIBLE_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;

/// The unit in which a number since 1970 is a time from 1990 to 2100, with that time in milliseconds since 1970.
pub fn plausible_unit(source: Source<'_>) -> Option<(EpochUnit, i64)> {
    Decimal::of(source).and_then(Decimal::plausible_unit)
}

/// A decimal number: mantissa × 10^exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl From<i128> for Decimal {
    fn from(mantissa: i128) -> Self {
        Decimal {
            mantissa,
            exponent: 0,
        }
    }
}

impl Decimal {
    fn of(source: Source<'_>) -> Option<Decimal> {
        match source {
            Source::Integer(number) => Some(Decimal::from(number)),
            Source::Float(number) => Decimal::of_float(number),
            Source::Text(text) => Decimal::parse(text.trim_ascii()),
        }
    }

    /// A number such as `1784541600.62`, `-1` or `1.65e9`; `None` for other texts.
    fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // More digits are cut off, towards the past as everywhere.
        const MOST_DIGITS: usize = 36;
        let significant = || digits().skip_while(|digit| *digit == b'0');
        let magnitude = significant()
            .take(MOST_DIGITS)
            .fold(0, |number: i128, digit| number * 10 + i128::from(digit - b'0'));
        let cut = significant().skip(MOST_DIGITS);
        let is_cut = cut.clone().any(|digit| digit != b'0');
        let shift = i32::try_from(cut.count()).ok()? - i32::try_from(fraction.len()).ok()?;
        Some(Decimal {
            mantissa: if mantissa.starts_with('-') {
                -magnitude - i128::from(is_cut)
            } else {
                magnitude
            },
            exponent: exponent.parse::<i32>().ok()?.checked_add(shift)?,
        })
    }

    /// The shortest decimal number that reads back as this double: the one that was written, if it had up to 15 digits.
    fn of_float(number: f64) -> Option<Decimal> {
        // Most have no fraction, and need no digits to be written.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT {
            return Some(Decimal::from(number as i128));
        }
        let mut buffer = [0; 40];
        let mut rest = &mut buffer[..];
        write!(rest, "{number:e}").ok()?;
        let length = 40 - rest.len();
        Decimal::parse(std::str::from_utf8(&buffer[..length]).ok()?)
    }

    /// Milliseconds since 1970, without what is finer, towards the past. `None` beyond 64 bits.
    fn floor_ms(self, unit: EpochUnit) -> Option<i64> {
        let power = self.exponent.checked_add(unit.power())?;
        let ten_to = |power: u32| 10i128.checked_pow(power);
        let floor = if self.mantissa == 0 {
            0
        } else if power >= 0 {
            self.mantissa.checked_mul(ten_to(power.unsigned_abs())?)?
        } else {
            match ten_to(power.unsigned_abs()) {
                Some(divisor) => self.mantissa.div_euclid(divisor),
                // Closer to zero than any divisor that can be represented.
                None => -i128::from(self.mantissa < 0),
            }
        };
        i64::try_from(floor).ok()
    }

    fn plausible_unit(self) -> Option<(EpochUnit, i64)> {
        EpochUnit::ALL.into_iter().find_map(|unit| {
            let instant_ms = self.floor_ms(unit)?;
            PLAUSIBLE_MS.contains(&instant_ms).then_some((unit, instant_ms))
        })
    }

    /// Whether its magnitude is below ten to this power.
    fn is_below(self, power: i32) -> bool {
        let Some(difference) = power.checked_sub(self.exponent) else {
            return true;
        };
        let magnitude = self.mantissa.unsigned_abs();
        match u32::try_from(difference) {
            Err(_) => magnitude == 0,
            Ok(difference) => 10u128
                .checked_pow(difference)
                .is_none_or(|limit| magnitude < limit),
        }
    }
}

/// Reads a number since 1970; without a unit, its size decides.
pub(super) fn read(source: Source<'_>, unit: Option<EpochUnit>) -> Result<Written, TimeError> {
    let number = Decimal::of(source).ok_or_else(|| not_a_number(source))?;
    let unit = unit.unwrap_or_else(|| EpochUnit::of(number));
    match number.floor_ms(unit) {
        Some(instant_ms) if super::EVENT_TIMES_MS.contains(&instant_ms) => Ok(Written::Instant(instant_ms)),
        _ => Err(TimeError::BeyondRange(
            number.plausible_unit().filter(|(other, _)| *other != unit),
        )),
    }
}

fn not_a_number(source: Source<'_>) -> TimeError {
    match source {
        Source::Text(text) if text.trim_ascii().is_empty() => TimeError::Empty,
        _ => TimeError::NotANumber,
    }
}

/// Why a text is not a known one: it may be a number.
pub(super) fn number_instead(text: &str) -> TimeError {
    match Decimal::parse(text.trim_ascii()) {
        Some(number) => TimeError::Number(number.plausible_unit()),
        None => TimeError::UnknownForm,
    }
}
