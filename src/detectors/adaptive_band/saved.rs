//! Numbers of a saved state, checked as they are read.

use super::super::{StateError, StateReader, StateWriter};

/// Takes a time that a reading may have: none is as far from 1970 as 30,000 years.
pub(super) fn time(state: &mut StateReader<'_>) -> Result<i64, StateError> {
    const LARGEST_MS: i64 = 1_000_000_000_000_000;
    match state.i64()? {
        time_ms if (-LARGEST_MS..=LARGEST_MS).contains(&time_ms) => Ok(time_ms),
        _ => Err(StateError::Impossible("time")),
    }
}

/// Takes a finite number that is at least 0.
pub(super) fn non_negative(state: &mut StateReader<'_>, what: &'static str) -> Result<f64, StateError> {
    let number = state.finite(what)?;
    if number >= 0.0 {
        Ok(number)
    } else {
        Err(StateError::Impossible(what))
    }
}

/// Writes numbers one after another.
pub(super) fn save_all(numbers: &[f64], state: &mut StateWriter) {
    numbers.iter().for_each(|&number| state.f64(number));
}

/// Takes as many finite numbers as there are places for.
pub(super) fn restore_all(
    numbers: &mut [f64],
    state: &mut StateReader<'_>,
    what: &'static str,
) -> Result<(), StateError> {
    numbers.iter_mut().try_for_each(|number| {
        *number = state.finite(what)?;
        Ok(())
    })
}
