//! The ways in which a file of rows and columns can be read: the one that it decides, or all between which it does not.

use anyhow::Result;

use super::input::FileInput;
use crate::commands::play::report::{findings, why_empty};
use crate::recording::{Choice, Error, Purpose, ReadOptions, Recording};

/// Times that a file is read in search of what reads it.
const MOST_ATTEMPTS: usize = 40;

/// A way to read the file, and what comes of it.
pub(super) struct Way {
    pub flags: Vec<(&'static str, String)>,
    pub rows: u64,
    pub findings: Vec<String>,
    /// Why there are no readings, if there are none.
    pub why_empty: String,
    pub readings: usize,
    /// Of the first and the last reading, in milliseconds since 1970.
    pub times_ms: Option<(i64, i64)>,
    /// The smallest and the largest value.
    pub values: (f64, f64),
    /// Whether there are times without an offset, and none of them is told its zone.
    pub needs_zone: bool,
    /// Readings that share time and series with another of another value.
    same_time: u64,
    /// Series that are told apart by a key.
    keys: usize,
}

/// Reads a file as the options say and, where it leaves something open, in each way that decides it.
pub(super) fn ways(input: &mut FileInput, options: ReadOptions) -> Result<Vec<Way>> {
    let mut search = Search { input, attempts: 0 };
    search.explore(&Choice::new(options))
}

struct Search<'i> {
    input: &'i mut FileInput,
    attempts: usize,
}

impl Search<'_> {
    /// `None` where the file cannot be read again, or was often enough.
    fn read(&mut self, options: &ReadOptions) -> Result<Option<Result<Recording, Error>>> {
        if self.attempts >= MOST_ATTEMPTS {
            return Ok(None);
        }
        self.attempts += 1;
        let input = self.input.open()?;
        Ok(input.map(|input| Recording::read(input, options)))
    }

    fn explore(&mut self, choice: &Choice) -> Result<Vec<Way>> {
        let recording = match self.read(&choice.options)? {
            None => return Ok(Vec::new()),
            Some(Ok(recording)) => recording,
            Some(Err(error)) => {
                let mut ways = Vec::new();
                for instead in choice.instead_of(&error) {
                    // A way that is refused as well is none.
                    ways.extend(self.explore(&instead).unwrap_or_default());
                }
                ways.retain(|way| way.readings > 0);
                return if ways.is_empty() {
                    Err(error.into())
                } else {
                    Ok(ways)
                };
            }
        };
        let way = Way::new(choice, &recording);
        let beside = choice.beside(&recording);
        drop(recording);
        let mut meanings = Vec::new();
        let mut better: Vec<Way> = Vec::new();
        for (purpose, other) in beside {
            // One column that tells series apart is enough, or else the first pair.
            if purpose == Purpose::Meaning {
                meanings.extend(self.explore(&other)?);
            } else if purpose == Purpose::MoreReadings || better.is_empty() {
                let found = self.explore(&other).unwrap_or_default();
                better.extend(found.into_iter().filter(|found| way.is_improved(found, purpose)));
            }
        }
        if !better.is_empty() {
            return Ok(better);
        }
        meanings.insert(0, way);
        Ok(meanings)
    }
}

impl Way {
    fn new(choice: &Choice, recording: &Recording) -> Self {
        let readings = &recording.readings;
        let values = readings.iter().map(|reading| reading.value);
        let times = readings.first().zip(readings.last());
        let report = &recording.report;
        Way {
            flags: choice.flags.clone(),
            rows: report.rows,
            findings: findings(report),
            why_empty: why_empty(report),
            readings: readings.len(),
            times_ms: times.map(|(first, last)| (first.time_ms, last.time_ms)),
            values: (
                values.clone().fold(f64::INFINITY, f64::min),
                values.fold(f64::NEG_INFINITY, f64::max),
            ),
            needs_zone: choice.options.time_zone.is_none() && recording.has_wall_times(),
            same_time: report.same_time,
            keys: recording.key_count(),
        }
    }

    /// Whether another way is better for the purpose.
    fn is_improved(&self, by: &Way, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Meaning => false,
            Purpose::MoreReadings => by.readings > self.readings,
            // Nothing is lost by it, and series are longer than a reading: a column that differs in each row tells nothing.
            Purpose::Series => {
                by.readings == self.readings && by.same_time == 0 && by.keys * 2 <= by.readings
            }
        }
    }
}
