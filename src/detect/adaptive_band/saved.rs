//! Numbers of a saved state, checked as they are read.

use super::super::{StateError, StateReader, StateWriter};

/// Takes a finite number.
pub fn finite(state: &mut StateReader<'_>, what: &'static str) -> Result<f64, StateError> {
    let number = state.f64()?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(StateError::Impossible(what))
    }
}

/// Takes a finite number that is at least 0.
pub fn size(state: &mut StateReader<'_>, what: &'static str) -> Result<f64, StateError> {
    let number = finite(state, what)?;
    if number >= 0.0 {
        Ok(number)
    } else {
        Err(StateError::Impossible(what))
    }
}

/// Writes numbers one after another.
pub fn save_all(numbers: &[f64], state: &mut StateWriter) {
    numbers.iter().for_each(|&number| state.f64(number));
}

/// Takes as many finite numbers as there are places for.
pub fn restore_all(
    numbers: &mut [f64],
    state: &mut StateReader<'_>,
    what: &'static str,
) -> Result<(), StateError> {
    numbers.iter_mut().try_for_each(|number| {
        *number = finite(state, what)?;
        Ok(())
    })
}
