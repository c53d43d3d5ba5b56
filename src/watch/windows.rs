//! Windows that are still open, until their averages are judged.

use std::collections::BTreeMap;

use crate::detect::{StateError, StateReader, StateWriter};
use crate::window::{ExactSum, Totals};

/// Totals by window and series, in the order in which they will close.
#[derive(Debug, Default)]
pub struct OpenWindows {
    totals: BTreeMap<(i64, u32), Totals>,
}

impl OpenWindows {
    /// Adds a reading of the series of this number to its window.
    pub fn add(&mut self, start_ms: i64, series: u32, value: f64) {
        self.totals
            .entry((start_ms, series))
            .or_insert_with(Totals::empty)
            .add(value);
    }

    /// Takes the first window out if it is closed: its start, its series, its totals.
    pub fn pop_first_if(&mut self, is_closed: impl Fn(i64) -> bool) -> Option<(i64, u32, Totals)> {
        let first = self.totals.first_entry()?;
        let &(start_ms, series) = first.key();
        is_closed(start_ms).then(|| (start_ms, series, first.remove()))
    }

    /// Writes all totals.
    pub fn save(&self, state: &mut StateWriter) {
        state.u32(self.totals.len() as u32);
        for (&(start_ms, series), totals) in &self.totals {
            state.i64(start_ms);
            state.u32(series);
            state.u64(totals.count);
            state.f64(totals.minimum);
            state.f64(totals.maximum);
            let (rounded, residual) = totals.sum.parts();
            state.f64(rounded);
            state.u8(residual.len() as u8);
            residual.iter().for_each(|&part| state.f64(part));
        }
    }

    /// Reads what [`save`](Self::save) wrote, for a partition of so many series.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn restore(state: &mut StateReader<'_>, series_count: usize) -> Result<Self, StateError> {
        let mut windows = OpenWindows::default();
        for _ in 0..state.u32()? {
            let (start_ms, series) = (state.i64()?, state.u32()?);
            if series as usize >= series_count {
                return Err(StateError::Impossible("window of no series"));
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
            windows.totals.insert((start_ms, series), totals);
        }
        Ok(windows)
    }
}
