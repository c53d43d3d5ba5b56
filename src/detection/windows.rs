//! The totals of windows that are still open; their averages are judged when they close.
//!
//! Sliding windows are made of panes, tumbling windows as long as the slide. A pane that has closed is kept as long as a window
//! that holds it is to come; the totals of a window are those of its panes, merged exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detectors::{StateError, StateReader, StateWriter};
use crate::reading::Value;
use crate::window::{ClosingWindows, ExactSum, Totals, Windows};

/// The windows whose averages are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JudgedWindows {
    /// What readings are added up in. Each is judged when it closes, together with those before it in its window.
    pub panes: ClosingWindows,
    /// As long as a window, and shifted to no pane in particular: the windows that begin with panes.
    windows: ClosingWindows,
}

impl JudgedWindows {
    /// Windows that begin a slide after each other; without a slide, one after the other.
    pub(super) fn new(windows: ClosingWindows, slide: Duration) -> Self {
        let length_ms = match slide.as_millis() as i64 {
            0 => windows.windows.length_ms,
            slide_ms => slide_ms,
        };
        let panes = ClosingWindows {
            windows: Windows {
                length_ms,
                offset_ms: windows.windows.offset_ms.rem_euclid(length_ms),
            },
            ..windows
        };
        JudgedWindows { panes, windows }
    }

    /// How long after a reading the last window that holds it closes, at most.
    pub(super) fn closing_ms(&self) -> i64 {
        let length_ms = self.windows.windows.length_ms;
        self.windows.allowed_delay_ms.saturating_add(length_ms)
    }

    /// Whether all windows are closed that hold the pane which starts at `start_ms`.
    pub(super) fn are_all_closed(&self, start_ms: i64, largest_event_time_ms: Option<i64>) -> bool {
        self.windows.is_closed(start_ms, largest_event_time_ms)
    }

    /// The start of the first pane of the window whose last pane starts at `start_ms`.
    fn first_pane_ms(&self, start_ms: i64) -> i64 {
        self.panes
            .end_of(start_ms)
            .saturating_sub(self.windows.windows.length_ms)
    }

    fn are_sliding(&self) -> bool {
        self.panes.windows != self.windows.windows
    }
}

/// Totals by window and series, in the order in which they will close.
#[derive(Debug, Default)]
pub(super) struct OpenWindows {
    totals: BTreeMap<(i64, u32), Totals>,
    /// Of sliding windows the closed panes, by series and start.
    closed: BTreeMap<(u32, i64), Totals>,
}

impl OpenWindows {
    /// Adds a reading of the series of this number to its window.
    pub(super) fn add(&mut self, start_ms: i64, series: u32, value: Value) {
        self.totals
            .entry((start_ms, series))
            .or_insert_with(Totals::empty)
            .add(value);
    }

    /// Adds a reading to a pane that has closed, for the windows that are to come.
    pub(super) fn add_late(&mut self, start_ms: i64, series: u32, value: Value) {
        self.closed
            .entry((series, start_ms))
            .or_insert_with(Totals::empty)
            .add(value);
    }

    /// Removes the first pane if it is closed. Returns its start, its series and the totals of the window that it ends.
    pub(super) fn pop_first_if(
        &mut self,
        windows: &JudgedWindows,
        is_closed: impl Fn(i64) -> bool,
    ) -> Option<(i64, u32, Totals)> {
        let first = self.totals.first_entry()?;
        let &(start_ms, series) = first.key();
        if !is_closed(start_ms) {
            return None;
        }
        let totals = first.remove();
        if !windows.are_sliding() {
            return Some((start_ms, series, totals));
        }
        self.closed.insert((series, start_ms), totals);
        let first_ms = windows.first_pane_ms(start_ms);
        while let Some((&pane, _)) = self.closed.range((series, i64::MIN)..(series, first_ms)).next() {
            self.closed.remove(&pane);
        }
        let mut window = Totals::empty();
        let panes = self.closed.range((series, first_ms)..=(series, start_ms));
        panes.for_each(|(_, pane)| window.merge(pane));
        Some((start_ms, series, window))
    }

    /// Forgets the panes of a series, whose number another will have.
    pub(super) fn forget(&mut self, series: u32) {
        let panes = self.closed.range((series, i64::MIN)..=(series, i64::MAX));
        let panes: Vec<(u32, i64)> = panes.map(|(&pane, _)| pane).collect();
        for pane in panes {
            self.closed.remove(&pane);
        }
    }

    /// Writes the totals of each window that is open.
    pub(super) fn save(&self, mut write: impl FnMut(StateWriter)) {
        for (&(start_ms, series), totals) in &self.totals {
            write(saved(start_ms, series, totals));
        }
    }

    /// Writes the totals of each pane that has closed.
    pub(super) fn save_closed(&self, mut write: impl FnMut(StateWriter)) {
        for (&(series, start_ms), totals) in &self.closed {
            write(saved(start_ms, series, totals));
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
        let (start_ms, series, totals) = restored(state)?;
        if !can_be_open(start_ms, series) {
            return Err(StateError::Impossible("window that is not open"));
        }
        self.totals.insert((start_ms, series), totals);
        Ok(())
    }

    /// Reads a pane that [`save_closed`](Self::save_closed) wrote.
    ///
    /// # Errors
    /// [`StateError`].
    pub(super) fn restore_closed(
        &mut self,
        state: &mut StateReader<'_>,
        can_be_closed: impl Fn(i64, u32) -> bool,
    ) -> Result<(), StateError> {
        let (start_ms, series, totals) = restored(state)?;
        if !can_be_closed(start_ms, series) {
            return Err(StateError::Impossible("pane that is not closed"));
        }
        self.closed.insert((series, start_ms), totals);
        Ok(())
    }
}

fn saved(start_ms: i64, series: u32, totals: &Totals) -> StateWriter {
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
    state
}

/// Start, series and totals.
fn restored(state: &mut StateReader<'_>) -> Result<(i64, u32, Totals), StateError> {
    let (start_ms, series) = (state.i64()?, state.u32()?);
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
    Ok((start_ms, series, totals))
}
