//! A partition's registers as bytes: versioned, checksummed, and bound to the topic and the settings they came from.
//!
//! ```text
//! "SGREGIS" version   then records: length  CRC-32  kind  contents
//!   0  rules  topic id  partition  next_offset  largest event time
//!   1  a series: key, whether registers before these were dropped, how many there are, time and value of each
//!   2  a series that has a measure: the measure, then as 1
//!   3  the end
//! ```

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use thiserror::Error;

use super::AggregationSpec;
use super::registers::{MOST_REGISTERS, Register, Registers, SeriesRegisters};
use crate::reading::{LARGEST_VALUE, Position, SeriesKey};
use crate::state_file::{FrameError, Magic, Records, StateError, StateReader, StateWriter, append, begin};

const MAGIC: Magic = *b"SGREGIS";

/// Raise this when what is kept of a series changes, or what its registers mean.
const VERSION: u16 = 1;

/// Kinds of records.
const HEADER: u8 = 0;
const SERIES: u8 = 1;
const MEASURED_SERIES: u8 = 2;
const END: u8 = 3;

/// Why a file of registers cannot be used. They are read from the topic again instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say what is wrong")]
pub enum RegisterFileError {
    #[error("not a streamgauge file of registers")]
    Foreign,
    #[error("damaged: it ends early, or a checksum does not match its contents")]
    Torn,
    #[error("written in version {found} of the format; this program reads version {VERSION}")]
    OtherVersion { found: u16 },
    #[error("written under different settings of [reading] or [window]")]
    OtherSettings,
    #[error(
        "written for partition {partition} of the topic with the id {topic_id:?}; this one has the id {expected:?}"
    )]
    OtherTopic {
        topic_id: String,
        expected: String,
        partition: i32,
    },
    #[error("holds more than {limit} series, which is what window.max_series allows in a partition")]
    TooManySeries { limit: usize },
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<FrameError> for RegisterFileError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Foreign => RegisterFileError::Foreign,
            FrameError::Torn => RegisterFileError::Torn,
            FrameError::OtherVersion(found) => RegisterFileError::OtherVersion { found },
        }
    }
}

/// The registers of a partition as they were at a position.
#[derive(Debug)]
pub struct RestoredRegisters {
    /// They are of the records below it.
    pub position: Position,
    pub(super) registers: Registers,
}

impl RestoredRegisters {
    /// No registers: the partition is read from this offset on, as if it began there.
    pub fn none_at(next_offset: i64) -> Self {
        RestoredRegisters {
            position: Position {
                next_offset,
                largest_event_time_ms: None,
            },
            registers: Registers::default(),
        }
    }
}

/// Encodes the registers of a partition at a position.
pub(super) fn encode(
    spec: &AggregationSpec,
    topic_id: &str,
    partition: i32,
    position: Position,
    registers: &Registers,
) -> Vec<u8> {
    let mut bytes = begin(MAGIC, VERSION);
    let mut header = StateWriter::default();
    header.u32(spec.rules);
    header.text(topic_id);
    header.u32(partition as u32);
    header.i64(position.next_offset);
    header.u8(u8::from(position.largest_event_time_ms.is_some()));
    header.i64(position.largest_event_time_ms.unwrap_or_default());
    append(HEADER, header, &mut bytes);
    for series in registers.sorted() {
        let mut record = StateWriter::default();
        if let Some(measure) = &series.key.measure {
            record.text(measure);
        }
        record.text(&series.key.key);
        record.u8(u8::from(series.has_dropped));
        record.u32(series.kept.len() as u32);
        for register in &series.kept {
            record.i64(register.time_ms);
            record.f64(register.value);
        }
        let kind = match series.key.measure {
            None => SERIES,
            Some(_) => MEASURED_SERIES,
        };
        append(kind, record, &mut bytes);
    }
    append(END, StateWriter::default(), &mut bytes);
    bytes
}

/// Reads what [`encode`] wrote of this partition of this topic under the same rules.
pub(super) fn decode(
    spec: &AggregationSpec,
    topic_id: &str,
    partition: i32,
    bytes: impl Read,
) -> Result<RestoredRegisters, RegisterFileError> {
    let mut records = Records::open(bytes, MAGIC, VERSION)?;
    let (HEADER, mut header) = records.next()? else {
        return Err(StateError::Impossible("first record").into());
    };
    if header.u32()? != spec.rules {
        return Err(RegisterFileError::OtherSettings);
    }
    let (found_id, found) = (header.text()?, header.u32()? as i32);
    if found_id != topic_id || found != partition {
        return Err(RegisterFileError::OtherTopic {
            topic_id: found_id.to_owned(),
            expected: topic_id.to_owned(),
            partition: found,
        });
    }
    let next_offset = header.i64()?;
    let has_time = header.u8()? == 1;
    let largest_event_time_ms = Some(header.i64()?).filter(|_| has_time);
    let mut registers = Registers::default();
    let mut last: Option<SeriesKey<Arc<str>>> = None;
    let mut count = 0;
    loop {
        let (kind, mut record) = records.next()?;
        let measure = match kind {
            END => break,
            SERIES => None,
            MEASURED_SERIES => Some(record.text()?.into()),
            _ => return Err(StateError::Impossible("record").into()),
        };
        count += 1;
        if count > spec.max_series {
            return Err(RegisterFileError::TooManySeries {
                limit: spec.max_series,
            });
        }
        let series = series(measure, &mut record)?;
        if last
            .replace(series.key.clone())
            .is_some_and(|last| last >= series.key)
        {
            return Err(StateError::Impossible("order of series").into());
        }
        registers.restore(series);
    }
    Ok(RestoredRegisters {
        position: Position {
            next_offset,
            largest_event_time_ms,
        },
        registers,
    })
}

fn series(measure: Option<Arc<str>>, record: &mut StateReader<'_>) -> Result<SeriesRegisters, StateError> {
    let key = SeriesKey {
        key: record.text()?.into(),
        measure,
    };
    let has_dropped = record.u8()? == 1;
    let count = record.u32()? as usize;
    if !(1..=MOST_REGISTERS).contains(&count) {
        return Err(StateError::Impossible("number of registers"));
    }
    let mut kept: VecDeque<Register> = VecDeque::with_capacity(count);
    for _ in 0..count {
        let register = Register {
            time_ms: record.i64()?,
            value: record.f64()?,
        };
        let is_later = kept.back().is_none_or(|last| last.time_ms < register.time_ms);
        if !is_later || !(0.0..=LARGEST_VALUE).contains(&register.value) {
            return Err(StateError::Impossible("register"));
        }
        kept.push_back(register);
    }
    if !record.is_empty() {
        return Err(StateError::Impossible("rest"));
    }
    Ok(SeriesRegisters {
        key,
        kept,
        has_dropped,
    })
}
