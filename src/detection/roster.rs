//! The series of a partition: by number, and by key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::detectors::Series;
use crate::reading::SeriesKey;

/// Series in the order of their numbers. A new series gets the lowest number that is free, of those of forgotten series too:
/// numbers decide the order of what happens at the same time, and so must depend on the records alone.
#[derive(Debug, Default)]
pub(super) struct Roster {
    places: Vec<Option<SeriesState>>,
    free: BinaryHeap<Reverse<u32>>,
    by_key: HashTable<u32>,
}

/// A series and its detectors.
#[derive(Debug)]
pub(crate) struct SeriesState {
    pub key: SeriesKey<Arc<str>>,
    pub detectors: Series,
    /// The largest event time of a reading.
    pub newest_ms: i64,
    /// The partition's event time when the series last had a reading.
    pub heard_at_ms: i64,
}

/// A fixed seed: nothing depends on the order of the table, and a run is repeatable even if something did.
const HASHER: FixedState = FixedState::with_seed(0x5eed);

impl Roster {
    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The series by number; `None` where one was forgotten.
    pub(super) fn places(&self) -> &[Option<SeriesState>] {
        &self.places
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SeriesState> {
        self.places.iter().flatten()
    }

    /// The series of a key, of whatever measures, in the order of their numbers; of all keys under `None`.
    pub(super) fn numbers_of(&self, key: Option<&str>) -> Vec<u32> {
        let places = (0..).zip(&self.places);
        places
            .filter(|(_, place)| {
                let series = place.as_ref();
                series.is_some_and(|series| key.is_none_or(|key| *series.key.key == *key))
            })
            .map(|(number, _)| number)
            .collect()
    }

    pub(super) fn get(&self, number: u32) -> Option<&SeriesState> {
        self.places.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut SeriesState> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    #[inline]
    pub(super) fn find(&self, key: SeriesKey<&str>) -> Option<u32> {
        let is_same = |number: &u32| self.get(*number).is_some_and(|series| series.key.as_str() == key);
        self.by_key.find(key.hash_by(&HASHER), is_same).copied()
    }

    /// Adds a series whose key is new.
    pub(super) fn add(&mut self, series: SeriesState) -> u32 {
        match self.free.pop() {
            Some(Reverse(number)) => {
                self.place(number, series);
                number
            }
            None => self.append(series),
        }
    }

    /// Adds a series of a state file, with the next number.
    pub(super) fn append(&mut self, series: SeriesState) -> u32 {
        let number = self.places.len() as u32;
        self.places.push(None);
        self.place(number, series);
        number
    }

    /// Adds a free place of a state file, with the next number.
    pub(super) fn append_free_place(&mut self) {
        self.free.push(Reverse(self.places.len() as u32));
        self.places.push(None);
    }

    fn place(&mut self, number: u32, series: SeriesState) {
        let hash = series.key.as_str().hash_by(&HASHER);
        self.places[number as usize] = Some(series);
        let places = &self.places;
        let hash_of = |number: &u32| {
            let series = places[*number as usize].as_ref();
            series.map_or(0, |series| series.key.as_str().hash_by(&HASHER))
        };
        self.by_key.insert_unique(hash, number, hash_of);
    }

    /// Removes a series.
    pub(super) fn remove(&mut self, number: u32) -> Option<SeriesState> {
        let series = self.places.get_mut(number as usize)?.take()?;
        let hash = series.key.as_str().hash_by(&HASHER);
        if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.free.push(Reverse(number));
        Some(series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(key: &str) -> SeriesState {
        SeriesState {
            key: SeriesKey::of_key(key.into()),
            detectors: Series::new(&[], key),
            newest_ms: 0,
            heard_at_ms: 0,
        }
    }

    #[test]
    fn the_lowest_free_number_is_given_first() {
        let mut roster = Roster::default();
        for number in 0..100 {
            assert_eq!(roster.add(series(&number.to_string())), number);
        }
        for number in [70, 3, 40] {
            assert_eq!(*roster.remove(number).unwrap().key.key, *number.to_string());
            assert!(roster.remove(number).is_none());
            assert_eq!(roster.find(SeriesKey::of_key(&number.to_string())), None);
        }
        assert_eq!((roster.len(), roster.iter().count()), (97, 97));
        for number in [3, 40, 70, 100] {
            assert_eq!(roster.add(series(&format!("new-{number}"))), number);
            assert_eq!(
                roster.find(SeriesKey::of_key(&format!("new-{number}"))),
                Some(number)
            );
        }
        assert_eq!(roster.find(SeriesKey::of_key("99")), Some(99));
    }
}
