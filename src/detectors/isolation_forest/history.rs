//! The last readings of a series and the slots of the week that they are of.

use super::super::{StateError, StateReader, StateWriter};

/// Slots and values of the last readings, 6 bytes each, in a ring in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct History {
    slots: Vec<u16>,
    values: Vec<f32>,
    /// Where the oldest is once the ring is full.
    oldest: usize,
}

/// Minutes of a week: slots are numbered by the minute that they begin with.
const SLOTS: u16 = 7 * 1440;

impl History {
    /// How many readings are remembered.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Remembers a reading; of more than `largest` the oldest is forgotten.
    pub(super) fn push(&mut self, slot: u16, value: f32, largest: usize) {
        if self.slots.len() < largest {
            if self.slots.len() == self.slots.capacity() {
                // A series of a few readings, of which there may be many, takes little.
                let more = self.slots.len().max(4).min(largest - self.slots.len());
                self.slots.reserve_exact(more);
                self.values.reserve_exact(more);
            }
            self.slots.push(slot);
            self.values.push(value);
            return;
        }
        self.slots[self.oldest] = slot;
        self.values[self.oldest] = value;
        self.oldest = (self.oldest + 1) % largest;
    }

    /// Puts the values of a slot into `found`, the oldest first.
    pub(super) fn find(&self, slot: u16, found: &mut Vec<f32>) {
        found.clear();
        let (newer, older) = (..self.oldest, self.oldest..);
        find_in(&self.slots[older.clone()], &self.values[older], slot, found);
        find_in(&self.slots[newer], &self.values[newer], slot, found);
    }

    /// Writes all readings, the oldest first.
    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u16(self.slots.len() as u16);
        for index in (self.oldest..self.slots.len()).chain(0..self.oldest) {
            state.u16(self.slots[index]);
            state.f32(self.values[index]);
        }
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`StateError`] if it ends early, or holds more than `largest` readings or one that is impossible.
    pub(super) fn restore(state: &mut StateReader<'_>, largest: usize) -> Result<Self, StateError> {
        let count = usize::from(state.u16()?);
        if count > largest {
            return Err(StateError::Impossible("history"));
        }
        let mut history = History::default();
        for _ in 0..count {
            let (slot, value) = (state.u16()?, state.f32()?);
            if slot >= SLOTS {
                return Err(StateError::Impossible("slot"));
            }
            if !value.is_finite() {
                return Err(StateError::Impossible("value"));
            }
            history.push(slot, value, largest);
        }
        Ok(history)
    }
}

/// Compares blocks of slots as a whole first: most hold no match, and the compiler vectorizes the comparison.
fn find_in(slots: &[u16], values: &[f32], slot: u16, found: &mut Vec<f32>) {
    const BLOCK: usize = 32;
    for (slots, values) in slots.chunks(BLOCK).zip(values.chunks(BLOCK)) {
        let is_there = slots
            .iter()
            .fold(false, |is_there, &other| is_there | (other == slot));
        if is_there {
            let pairs = slots.iter().zip(values);
            found.extend(pairs.filter(|(other, _)| **other == slot).map(|(_, value)| value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(history: &History, slot: u16) -> Vec<f32> {
        let mut found = Vec::new();
        history.find(slot, &mut found);
        found
    }

    #[test]
    fn the_oldest_leaves_its_slot() {
        let mut history = History::default();
        for index in 0..5_u16 {
            history.push(index % 2, f32::from(index), 4);
        }
        assert_eq!(history.len(), 4);
        assert_eq!(found(&history, 0), [2.0, 4.0]);
        assert_eq!(found(&history, 1), [1.0, 3.0]);
        assert!(found(&history, 7).is_empty());
    }

    #[test]
    fn a_full_month_takes_six_bytes_a_reading() {
        let mut history = History::default();
        for index in 0..20_000_u32 {
            history.push((index % 2016) as u16 * 5, index as f32, 8640);
        }
        let bytes = history.slots.capacity() * 2 + history.values.capacity() * 4;
        assert_eq!(bytes, 8640 * 6);
        assert_eq!(found(&history, 0).len(), 4);
    }

    #[test]
    fn what_nothing_writes_is_refused() {
        let saved = |count: u16, slot: u16, value: f32| {
            let mut state = StateWriter::default();
            state.u16(count);
            state.u16(slot);
            state.f32(value);
            state.finish()
        };
        for (bytes, error) in [
            (saved(2, 0, 1.0), StateError::EndsEarly),
            (saved(9, 0, 1.0), StateError::Impossible("history")),
            (saved(1, SLOTS, 1.0), StateError::Impossible("slot")),
            (saved(1, 0, f32::NAN), StateError::Impossible("value")),
        ] {
            assert_eq!(
                History::restore(&mut StateReader::new(&bytes), 8).unwrap_err(),
                error
            );
        }
    }
}
