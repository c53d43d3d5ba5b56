//! A partition's state as bytes: versioned, checksummed, and bound to the settings it was made under.
//!
//! ```text
//! "SGSTATE" version   then records: length  CRC-32  contents
//!   0  fingerprint  topic  partition  next_offset  largest event time
//!   1  a series: key, its newest event time, the partition's event time then, its detectors' state, its
//!      open episodes
//!   2  a place whose series was forgotten
//!   3  an open window
//!   4  the end
//!   5  a series that has a measure: the measure, then as 1
//!   6  a closed pane of a sliding window
//! ```

use std::io::Read;
use std::sync::Arc;

use thiserror::Error;

use super::assignment::Assignment;
use super::partition::Partition;
use super::roster::SeriesState;
use super::{DetectionSpec, JudgmentSpec};
use crate::detectors::{StateError, StateReader, StateWriter};
use crate::reading::{Position, SeriesKey};
use crate::state_file::{FrameError, Magic, Records, append, begin};

const MAGIC: Magic = *b"SGSTATE";

/// Raise this when the arithmetic or the state of any detector changes: a state of another version is useless.
const VERSION: u16 = 4;

/// Event times end with the year 9999, well before this.
const LARGEST_TIME_MS: i64 = 1_000_000_000_000_000;

/// Kinds of records.
const HEADER: u8 = 0;
const SERIES: u8 = 1;
const FREE_PLACE: u8 = 2;
const WINDOW: u8 = 3;
const END: u8 = 4;
const MEASURED_SERIES: u8 = 5;
const CLOSED_PANE: u8 = 6;

/// Why a state file cannot be used. The state is rebuilt from the topic instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum StateFileError {
    #[error("not a streamgauge state file")]
    Foreign,
    #[error("damaged: it ends early, or a checksum does not match its contents")]
    Torn,
    #[error("written in version {found} of the format; this program reads version {VERSION}")]
    OtherVersion { found: u16 },
    #[error("written under different settings of [reading], [detect] or the detector")]
    OtherSettings,
    #[error("written for topic {topic}, partition {partition}")]
    OtherPartition { topic: String, partition: i32 },
    #[error("holds more than {limit} series, which is what detect.max_series allows in a partition")]
    TooManySeries { limit: usize },
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<FrameError> for StateFileError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Foreign => StateFileError::Foreign,
            FrameError::Torn => StateFileError::Torn,
            FrameError::OtherVersion(found) => StateFileError::OtherVersion { found },
        }
    }
}

/// A state file whose header has been read: the partition and the position it was written at.
#[derive(Debug)]
pub(crate) struct StateFile<R> {
    pub(crate) partition: i32,
    pub(crate) position: Position,
    records: Records<R>,
}

/// Encodes the state of a partition.
pub(super) fn encode(spec: &DetectionSpec, partition: i32, state: &Assignment) -> Vec<u8> {
    let (position, detectors) = (state.position(), &state.detectors);
    let mut bytes = begin(MAGIC, VERSION);
    let mut header = StateWriter::default();
    header.u32(spec.fingerprint);
    header.text(&spec.topic);
    header.u32(partition as u32);
    header.i64(position.next_offset);
    header.u8(u8::from(position.largest_event_time_ms.is_some()));
    header.i64(position.largest_event_time_ms.unwrap_or_default());
    append(HEADER, header, &mut bytes);
    for place in detectors.roster.places() {
        let mut record = StateWriter::default();
        let Some(series) = place else {
            append(FREE_PLACE, record, &mut bytes);
            continue;
        };
        if let Some(measure) = &series.key.measure {
            record.text(measure);
        }
        record.text(&series.key.key);
        record.i64(series.newest_ms);
        record.i64(series.heard_at_ms);
        series.detectors.save(&mut record);
        let kind = match series.key.measure {
            None => SERIES,
            Some(_) => MEASURED_SERIES,
        };
        append(kind, record, &mut bytes);
    }
    detectors
        .open_windows
        .save(|window| append(WINDOW, window, &mut bytes));
    detectors
        .open_windows
        .save_closed(|pane| append(CLOSED_PANE, pane, &mut bytes));
    append(END, StateWriter::default(), &mut bytes);
    bytes
}

impl<R: Read> StateFile<R> {
    /// Reads the header of a state file, and checks that it belongs to the partition.
    ///
    /// # Errors
    /// [`StateFileError`] if it is torn, of another version, of other settings or of another partition.
    pub(crate) fn open(bytes: R, spec: &DetectionSpec, partition: i32) -> Result<Self, StateFileError> {
        let mut records = Records::open(bytes, MAGIC, VERSION)?;
        let (HEADER, mut header) = records.next()? else {
            return Err(StateError::Impossible("first record").into());
        };
        if header.u32()? != spec.fingerprint {
            return Err(StateFileError::OtherSettings);
        }
        let (topic, found) = (header.text()?, header.u32()? as i32);
        if topic != spec.topic || found != partition {
            return Err(StateFileError::OtherPartition {
                topic: topic.to_owned(),
                partition: found,
            });
        }
        let next_offset = header.i64()?;
        let has_time = header.u8()? == 1;
        let largest_event_time_ms = Some(header.i64()?).filter(|_| has_time);
        if largest_event_time_ms
            .is_some_and(|time_ms| !(-LARGEST_TIME_MS..=LARGEST_TIME_MS).contains(&time_ms))
        {
            return Err(StateError::Impossible("event time").into());
        }
        let position = Position {
            next_offset,
            largest_event_time_ms,
        };
        Ok(StateFile {
            partition,
            position,
            records,
        })
    }

    /// Restores the detectors of the partition.
    pub(super) fn restore(mut self, spec: &JudgmentSpec) -> Result<Partition, StateFileError> {
        let mut partition = Partition::new(spec, self.position.largest_event_time_ms);
        loop {
            let (kind, mut record) = self.records.next()?;
            match kind {
                SERIES | MEASURED_SERIES | FREE_PLACE
                    if partition.roster.places().len() >= spec.series_limit =>
                {
                    return Err(StateFileError::TooManySeries {
                        limit: spec.series_limit,
                    });
                }
                SERIES => partition.restore(spec, restore_series(spec, None, &mut record)?),
                MEASURED_SERIES => {
                    let measure = record.text()?.into();
                    partition.restore(spec, restore_series(spec, Some(measure), &mut record)?);
                }
                FREE_PLACE => partition.roster.append_free_place(),
                WINDOW => partition.restore_window(spec, false, &mut record)?,
                CLOSED_PANE => partition.restore_window(spec, true, &mut record)?,
                END => return Ok(partition),
                _ => return Err(StateError::Impossible("record").into()),
            }
            if !record.is_empty() {
                return Err(StateError::Impossible("rest").into());
            }
        }
    }
}

fn restore_series(
    spec: &JudgmentSpec,
    measure: Option<Arc<str>>,
    record: &mut StateReader<'_>,
) -> Result<SeriesState, StateError> {
    let key: Arc<str> = record.text()?.into();
    let (newest_ms, heard_at_ms) = (record.i64()?, record.i64()?);
    let mut detectors = spec.detectors(&key);
    detectors.restore(record)?;
    Ok(SeriesState {
        key: SeriesKey { key, measure },
        detectors,
        newest_ms,
        heard_at_ms,
    })
}
