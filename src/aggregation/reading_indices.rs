//! Which readings of a record that holds several.

use std::fmt;
use std::ops::RangeInclusive;

/// Runs of neighbors that are named one by one: a header names them, and must not grow with the record.
const MAX_RUNS: usize = 500;

/// Places of readings in their record, from 0, in ascending order. Empty for a record that holds one reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadingIndices {
    runs: Vec<RangeInclusive<usize>>,
    /// How many there are beyond the last run.
    unnamed: usize,
}

impl ReadingIndices {
    /// Adds a place behind all others.
    pub(crate) fn push(&mut self, index: usize) {
        let is_full = self.runs.len() >= MAX_RUNS;
        match self.runs.last_mut() {
            Some(run) if self.unnamed == 0 && run.end() + 1 == index => *run = *run.start()..=index,
            _ if is_full => self.unnamed += 1,
            _ => self.runs.push(index..=index),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// As in `0-3,7`; a last `+12` says that there are twelve more.
impl fmt::Display for ReadingIndices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, run) in self.runs.iter().enumerate() {
            let separator = if number == 0 { "" } else { "," };
            match run.start() == run.end() {
                true => write!(formatter, "{separator}{}", run.start())?,
                false => write!(formatter, "{separator}{}-{}", run.start(), run.end())?,
            }
        }
        match self.unnamed {
            0 => Ok(()),
            unnamed => write!(formatter, ",+{unnamed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(places: impl IntoIterator<Item = usize>) -> String {
        let mut indices = ReadingIndices::default();
        places.into_iter().for_each(|index| indices.push(index));
        indices.to_string()
    }

    #[test]
    fn neighbors_are_one_run() {
        assert_eq!(text([]), "");
        assert_eq!(text([4]), "4");
        assert_eq!(text([0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(text(0..100_000), "0-99999");
    }

    #[test]
    fn scattered_ones_are_counted_where_they_are_too_many_to_name() {
        let scattered = text((0..100_000).step_by(2).chain([100_000]));
        assert!(
            scattered.ends_with(",998,+49501"),
            "{}",
            &scattered[scattered.len() - 20..]
        );
        assert!(scattered.len() < 5_000, "{}", scattered.len());
    }
}
