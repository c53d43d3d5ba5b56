//! The totals of windows that are still open; their averages are judged when they close.

use std::collections::BTreeMap;

use crate::detectors::{StateError, StateReader, StateWriter};
use crate::reading::Value;
use crate::window::{ExactSum, Totals};

/// Totals by window and series, in the order in which they will close.
#[derive(Debug, Default)]
pub(super) struct OpenWindows {
    totals: BTreeMap<(i64, u32), Totals>,
}

impl OpenWindows {
    /// Adds a reading of the series of this number to its window.
    pub(super) fn add(&mut self, start_ms: i64, series: u32, value: Value) {
        self.totals
            .entry((start_ms, series))
            .or_insert_with(Totals::empty)
            .add(value);
    }

    /// Removes the first window if it is closed. Returns its start, its series and its totals.
    pub(super) fn pop_first_if(&mut self, is_closed: impl Fn(i64) -> bool) -> Option<(i64, u32, Totals)> {
        let first = self.totals.first_entry()?;
        let &(start_ms, series) = first.key();
        is_closed(start_ms).then(|| (start_ms, series, first.remove()))
    }

    /// Writes the totals of each window.
    pub(super) fn save(&self, mut write: impl FnMut(StateWriter)) {
        for (&(start_ms, series), totals) in &self.totals {
            let mut state = StateWriter::default();
            state.i64(start_ms);
            state.u32(series);
            state.u64(totals.count);
            state.f64(totals.minimum);
            state.f64(totals.maximum);
            let (rounded, residual) = totals.sum.parts();
            state.f64(rounded);
            state.u8(residual.len() as u8);
            residual.iter().for_each(|&part| state.f64(part));
            write(state);
        }
    }

    /// Reads a window that [`save`](Self::save) wrote. A window without a series, or one that cannot be open, is an error.
    ///
    /// # Errors
    /// [`StateError`].
    pub(super) fn restore(
        &mut self,
        state: &mut StateReader<'_>,
        can_be_open: impl Fn(i64, u32) -> bool,
    ) -> Result<(), StateError> {
        let (start_ms, series) = (state.i64()?, state.u32()?);
        if !can_be_open(start_ms, series) {
            return Err(StateError::Impossible("window that is not open"));
        }
        let (count, minimum, maximum, rounded) = (state.u64()?, state.f64()?, state.f64()?, state.f64()?);
        let residual = (0..state.u8()?)
            .map(|_| state.f64())
            .collect::<Result<Vec<f64>, _>>()?;
        let totals = Totals {
            count,
            minimum,
            maximum,
            sum: ExactSum::from_parts(rounded, &residual),
        };
        self.totals.insert((start_ms, series), totals);
        Ok(())
    }
}
