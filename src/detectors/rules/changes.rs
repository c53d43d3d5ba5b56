//! The lowest and the highest reading of the last while, in bounded memory.

use std::collections::VecDeque;

use crate::detectors::{StateError, StateReader, StateWriter};

/// The duration is divided into this many parts at most, however many readings there are.
const PARTS: i64 = 256;

/// What a newest reading is compared with: the readings that are at most a duration older.
#[derive(Debug)]
pub(super) struct Extremes {
    within_ms: i64,
    lowest: Candidates,
    /// Of the values with their signs turned.
    highest: Candidates,
}

impl Extremes {
    pub(super) fn new(within_ms: i64) -> Self {
        Extremes {
            within_ms,
            lowest: Candidates::default(),
            highest: Candidates::default(),
        }
    }

    /// Compares a reading, not older than those before, with what it changed from, and remembers it. Returns
    /// the time of the reading that it differs from by at least `by`.
    pub(super) fn observe(&mut self, event_time_ms: i64, value: f64, by: f64) -> Option<i64> {
        let oldest_ms = event_time_ms.saturating_sub(self.within_ms);
        let part_ms = (self.within_ms / PARTS).max(1);
        let mut since_ms = None;
        for (candidates, value) in [(&mut self.highest, -value), (&mut self.lowest, value)] {
            candidates.forget_before(oldest_ms);
            if let Some((at_ms, lowest)) = candidates.lowest()
                && value - lowest >= by
            {
                since_ms = Some(at_ms);
            }
            candidates.push(event_time_ms, value, part_ms);
        }
        since_ms
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.lowest.save(state);
        self.highest.save(state);
    }

    pub(super) fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.lowest.restore(state)?;
        self.highest.restore(state)
    }
}

/// The readings that are, or may become, the lowest of the last while: times and values both ascend.
#[derive(Debug, Default)]
struct Candidates {
    readings: VecDeque<(i64, f64)>,
}

impl Candidates {
    fn forget_before(&mut self, oldest_ms: i64) {
        while self.lowest().is_some_and(|(at_ms, _)| at_ms < oldest_ms) {
            self.readings.pop_front();
        }
    }

    /// Time and value of the lowest reading.
    fn lowest(&self) -> Option<(i64, f64)> {
        self.readings.front().copied()
    }

    fn push(&mut self, event_time_ms: i64, value: f64, part_ms: i64) {
        while self.readings.back().is_some_and(|(_, last)| *last >= value) {
            self.readings.pop_back();
        }
        // Within one part the lowest stands for all, as if it were the newest: it may count for one part of the
        // duration too long. Readings further apart than that are exact.
        match self.readings.back_mut() {
            Some((at_ms, _)) if at_ms.div_euclid(part_ms) == event_time_ms.div_euclid(part_ms) => {
                *at_ms = event_time_ms;
            }
            _ => self.readings.push_back((event_time_ms, value)),
        }
    }

    fn save(&self, state: &mut StateWriter) {
        state.u16(self.readings.len() as u16);
        for (at_ms, value) in &self.readings {
            state.i64(*at_ms);
            state.f64(*value);
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let count = state.u16()?;
        self.readings.clear();
        for _ in 0..count {
            self.readings.push_back((state.i64()?, state.f64()?));
        }
        let mut pairs = self.readings.iter().zip(self.readings.iter().skip(1));
        if pairs.all(|((at_ms, value), (later_ms, higher))| at_ms <= later_ms && value < higher) {
            Ok(())
        } else {
            Err(StateError::Impossible("order of readings"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_however_many_readings_there_are() {
        let mut extremes = Extremes::new(60_000);
        for step in 0..200_000 {
            // Ever rising: each reading may become the lowest.
            extremes.observe(step, step as f64, 1e9);
            assert!(extremes.lowest.readings.len() <= PARTS as usize + 2);
        }
        assert_eq!(extremes.highest.readings.len(), 1);
        // The oldest of the last minute, or up to one part older.
        let (at_ms, value) = extremes.lowest.lowest().unwrap();
        assert!((139_999..=139_999 + 235).contains(&at_ms), "{at_ms}");
        assert!((139_999 - 235..=139_999).contains(&(value as i64)), "{value}");
    }

    #[test]
    fn a_state_that_is_out_of_order_is_refused() {
        let mut writer = StateWriter::default();
        writer.u16(2);
        for (at_ms, value) in [(5, 1.0), (4, 2.0)] {
            writer.i64(at_ms);
            writer.f64(value);
        }
        let bytes = writer.finish();
        let restored = Extremes::new(10).restore(&mut StateReader::new(&bytes));
        assert_eq!(restored, Err(StateError::Impossible("order of readings")));
    }
}
