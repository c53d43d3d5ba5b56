//! What becomes of a sample under some settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::{Decoder, Examined, Reason, Schemas, Settings};
use crate::reading::{Reading, Record, RecordBlock};

/// What became of the records of a sample, and what readings they hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    /// Records that hold readings.
    pub accepted: u64,
    /// Records that the settings pass over.
    pub skipped: u64,
    /// Records that would be dead letters, by reason, each with the first one's detail.
    pub rejected: BTreeMap<Reason, (u64, String)>,
    /// Readings of the accepted records.
    pub readings: u64,
    /// Distinct series, up to a limit, with the last value of each.
    pub series: BTreeMap<String, f64>,
    /// Smallest and largest event time, in milliseconds since 1970.
    pub times_ms: Option<(i64, i64)>,
    /// Smallest and largest value.
    pub values: Option<(f64, f64)>,
    /// Values that are above the one before them in their series, and below it.
    pub rises_and_falls: (u64, u64),
}

/// Series that are counted.
const MOST_SERIES: usize = 100_000;

impl Outcome {
    /// Decodes a sample as `aggregate` and `detect` would: one block for each partition, in the order of the log.
    pub(crate) fn of(settings: &Settings, sample: &[RecordBlock], schemas: &Arc<Schemas>) -> Self {
        let decoder = Decoder::with_schemas(settings, Arc::clone(schemas));
        let mut outcome = Outcome::default();
        for block in sample {
            let mut newest_ms = None;
            for record in block.iter() {
                outcome.note(&decoder, record, &mut newest_ms);
            }
        }
        outcome
    }

    /// Whether nearly all records are read or passed over, and some are read.
    pub(crate) fn is_good(&self) -> bool {
        /// Dead letters among a hundred records that are nothing to worry about.
        const FEW: u64 = 5;
        self.accepted > 0 && self.dead() * 100 <= self.records() * FEW
    }

    /// Records that would be dead letters.
    pub(crate) fn dead(&self) -> u64 {
        self.rejected.values().map(|(count, _)| count).sum()
    }

    /// All records.
    pub(crate) fn records(&self) -> u64 {
        self.accepted + self.skipped + self.dead()
    }

    /// Whether the values never fall and mostly rise, as the registers of counters do.
    pub(crate) fn never_falls(&self) -> bool {
        /// Fewer may have come in order by chance.
        const FEWEST_RISES: u64 = 8;
        let (rises, falls) = self.rises_and_falls;
        let steps = self.readings - self.series.len() as u64;
        falls == 0 && rises >= FEWEST_RISES && rises * 2 > steps
    }

    fn note(&mut self, decoder: &Decoder, record: Record<'_>, newest_ms: &mut Option<i64>) {
        match decoder.examine(record, *newest_ms) {
            Ok(Examined::Skipped) => self.skipped += 1,
            Err(rejection) => {
                let entry = self.rejected.entry(rejection.reason);
                entry.or_insert_with(|| (0, rejection.detail)).0 += 1;
            }
            Ok(Examined::One(reading)) => {
                self.accepted += 1;
                self.note_reading(&reading, newest_ms);
            }
            Ok(Examined::Several(_)) => {
                self.accepted += 1;
                // It was found good as a whole.
                let before_ms = *newest_ms;
                let _ = decoder.decode(record, before_ms, &mut |reading| {
                    self.note_reading(&reading, newest_ms)
                });
            }
        }
    }

    fn note_reading(&mut self, reading: &Reading<'_>, newest_ms: &mut Option<i64>) {
        let (time_ms, value) = (reading.event_time_ms, reading.value.mean);
        self.readings += 1;
        *newest_ms = (*newest_ms).max(Some(time_ms));
        let (first, last) = self.times_ms.unwrap_or((time_ms, time_ms));
        self.times_ms = Some((first.min(time_ms), last.max(time_ms)));
        let (least, most) = self.values.unwrap_or((value, value));
        self.values = Some((least.min(value), most.max(value)));
        if self.series.len() < MOST_SERIES {
            let series = reading.series.as_str();
            let name = match series.measure {
                None => series.key.to_owned(),
                Some(measure) => format!("{} {measure}", series.key),
            };
            let before = self.series.insert(name, value);
            let (rises, falls) = &mut self.rises_and_falls;
            *rises += u64::from(before.is_some_and(|before| value > before));
            *falls += u64::from(before.is_some_and(|before| value < before));
        }
    }
}
