//! How far apart the readings of a series are, found out from the gaps between them.
//!
//! The first gaps may be of a device that starts with a burst, and several meters may share a series. So the gaps are
//! looked at in blocks without end, those of no length are no gaps, and an interval that has become another one is
//! noticed.

use super::{DAY_MS, StateError, StateReader, StateWriter};

/// Gaps of a block; the median of them is the gap.
const GAPS: usize = 20;
/// How much longer or shorter an interval must be to be another one. Less would take irregular readings for a change.
const CHANGE: f64 = 4.0;
/// Blocks in a row that must show it.
const CHANGED_BLOCKS: u8 = 3;

/// The gap and the interval of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// Between the times of readings.
    pub gap_ms: i64,
    /// A reading's share of the time: shorter than the gap where several readings have the same time.
    pub interval_ms: i64,
}

/// Finds the rhythm of a series out.
#[derive(Debug, Clone, Default)]
pub(super) struct Interval {
    /// Of the block at hand.
    gaps_ms: [i64; GAPS],
    filled: usize,
    /// Readings since the block began.
    readings: u32,
    changed_blocks: u8,
    rhythm: Option<Rhythm>,
}

impl Interval {
    /// The rhythm, once it is known.
    pub(super) fn rhythm(&self) -> Option<Rhythm> {
        self.rhythm
    }

    /// Notes the time from the newest reading to the next one. Returns the rhythm where it has become known or another.
    pub(super) fn note(&mut self, gap_ms: i64) -> Option<Rhythm> {
        self.readings = self.readings.saturating_add(1);
        if gap_ms <= 0 {
            return None;
        }
        self.gaps_ms[self.filled] = gap_ms;
        self.filled += 1;
        if self.filled < GAPS {
            return None;
        }
        let found = self.end_block();
        if let Some(known) = self.rhythm {
            let ratio = found.interval_ms as f64 / known.interval_ms as f64;
            let is_other = !(1.0 / CHANGE..=CHANGE).contains(&ratio);
            self.changed_blocks = if is_other { self.changed_blocks + 1 } else { 0 };
            if self.changed_blocks < CHANGED_BLOCKS {
                return None;
            }
        }
        self.changed_blocks = 0;
        self.rhythm = Some(found);
        self.rhythm
    }

    fn end_block(&mut self) -> Rhythm {
        let mut sorted = self.gaps_ms;
        sorted.sort_unstable();
        let gap_ms = sorted[GAPS / 2].min(DAY_MS);
        let readings = i64::from(self.readings).max(1);
        (self.filled, self.readings) = (0, 0);
        Rhythm {
            gap_ms,
            interval_ms: (gap_ms * GAPS as i64 / readings).max(1),
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u8(self.filled as u8);
        self.gaps_ms[..self.filled].iter().for_each(|&gap| state.i64(gap));
        state.u32(self.readings);
        state.u8(self.changed_blocks);
        state.i64(self.rhythm.map_or(0, |rhythm| rhythm.gap_ms));
        state.i64(self.rhythm.map_or(0, |rhythm| rhythm.interval_ms));
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let filled = usize::from(state.u8()?);
        if filled >= GAPS {
            return Err(StateError::Impossible("count of gaps"));
        }
        let mut interval = Interval {
            filled,
            ..Interval::default()
        };
        for gap_ms in &mut interval.gaps_ms[..filled] {
            *gap_ms = state.i64()?;
            if *gap_ms <= 0 {
                return Err(StateError::Impossible("gap"));
            }
        }
        interval.readings = state.u32()?;
        interval.changed_blocks = state.u8()?;
        let (gap_ms, interval_ms) = (state.i64()?, state.i64()?);
        interval.rhythm = match (gap_ms, interval_ms) {
            (0, 0) => None,
            (1..=DAY_MS, 1..=DAY_MS) => Some(Rhythm { gap_ms, interval_ms }),
            _ => return Err(StateError::Impossible("interval")),
        };
        if interval.changed_blocks >= CHANGED_BLOCKS {
            return Err(StateError::Impossible("count of gaps"));
        }
        Ok(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm_after(gaps_ms: impl IntoIterator<Item = i64>) -> Option<Rhythm> {
        let mut interval = Interval::default();
        for gap_ms in gaps_ms {
            interval.note(gap_ms);
        }
        interval.rhythm()
    }

    #[test]
    fn gaps_of_no_length_are_no_gaps_but_their_readings_count() {
        let three_meters = (0..90).map(|index| if index % 3 == 0 { 300_000 } else { 0 });
        let expected = Rhythm {
            gap_ms: 300_000,
            interval_ms: 103_448,
        };
        assert_eq!(rhythm_after(three_meters), Some(expected));
        assert_eq!(rhythm_after([0; 1_000]), None);
    }

    #[test]
    fn a_burst_at_first_does_not_count_for_ever() {
        let burst = std::iter::repeat_n(1_000, 25);
        let later = std::iter::repeat_n(300_000, 80);
        assert_eq!(rhythm_after(burst.clone()).map(|known| known.gap_ms), Some(1_000));
        assert_eq!(
            rhythm_after(burst.chain(later)).map(|known| known.gap_ms),
            Some(300_000)
        );
    }

    #[test]
    fn irregular_readings_are_no_change() {
        let usual = std::iter::repeat_n(300_000, 40);
        let irregular = (0..400).map(|index| [20_000, 600_000, 900_000, 300_000][index % 4]);
        assert_eq!(
            rhythm_after(usual.chain(irregular)).map(|known| known.gap_ms),
            Some(300_000)
        );
    }
}
