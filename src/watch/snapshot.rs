//! A partition's state as bytes: versioned, checksummed, and bound to the settings it came about under.
//!
//! ```text
//! "SGSTATE" version  fingerprint  topic  partition  next_offset  largest event time
//! the series, each with its key, newest event time and its detectors' state   the open windows   CRC-32 of all before
//! ```

use thiserror::Error;

use super::Watch;
use super::partition::{Partition, WatchedSeries};
use super::windows::OpenWindows;
use crate::detect::{Series, StateError, StateReader, StateWriter};
use crate::reading::Position;

const MAGIC: &[u8] = b"SGSTATE";

/// To be raised whenever any detector's arithmetic or state changes: a state of another version means nothing.
const VERSION: u16 = 1;

/// Why a snapshot cannot be used. The state is then rebuilt from the topic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnapshotError {
    #[error("it is no snapshot of streamgauge")]
    Foreign,
    #[error("it is torn: its checksum is not that of its contents")]
    Torn,
    #[error("it is of version {found}, and this program's are of version {VERSION}")]
    OtherVersion { found: u16 },
    #[error("it came about under other settings of [reading], [detect] or the detector")]
    OtherSettings,
    #[error("it is of topic {topic}, partition {partition}")]
    OtherPartition { topic: String, partition: i32 },
    #[error(transparent)]
    State(#[from] StateError),
}

/// A snapshot that has been looked at: whose it is, and how far it goes.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub partition: i32,
    pub position: Position,
    body: StateReader<'a>,
}

/// The state of a partition.
pub(super) fn encode(watch: &Watch, partition: i32, state: &Partition) -> Vec<u8> {
    let mut bytes = StateWriter::default();
    bytes.bytes(MAGIC);
    bytes.u16(VERSION);
    bytes.u32(watch.fingerprint);
    bytes.text(&watch.topic);
    bytes.u32(partition as u32);
    bytes.i64(state.position.next_offset);
    bytes.u8(u8::from(state.position.largest_event_time_ms.is_some()));
    bytes.i64(state.position.largest_event_time_ms.unwrap_or_default());
    bytes.u32(state.series.len() as u32);
    for series in &state.series {
        bytes.text(&series.key);
        bytes.i64(series.newest_ms);
        series.detectors.save(&mut bytes);
    }
    state.open_windows.save(&mut bytes);
    let mut bytes = bytes.finish();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

impl<'a> Snapshot<'a> {
    /// Looks at a snapshot of a partition.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is torn, of another version, of other settings or of another partition.
    pub fn open(bytes: &'a [u8], watch: &Watch, partition: i32) -> Result<Self, SnapshotError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Foreign)?;
        let mut header = StateReader::new(body);
        let version = header.u16()?;
        if version != VERSION {
            return Err(SnapshotError::OtherVersion { found: version });
        }
        let (contents, checksum) = bytes.split_last_chunk().ok_or(SnapshotError::Torn)?;
        if crc32fast::hash(contents) != u32::from_le_bytes(*checksum) {
            return Err(SnapshotError::Torn);
        }
        let mut body = StateReader::new(&contents[MAGIC.len() + size_of::<u16>()..]);
        if body.u32()? != watch.fingerprint {
            return Err(SnapshotError::OtherSettings);
        }
        let (topic, found) = (body.text()?, body.u32()? as i32);
        if topic != watch.topic || found != partition {
            return Err(SnapshotError::OtherPartition {
                topic: topic.to_owned(),
                partition: found,
            });
        }
        let next_offset = body.i64()?;
        let has_time = body.u8()? == 1;
        let largest_event_time_ms = Some(body.i64()?).filter(|_| has_time);
        Ok(Snapshot {
            partition,
            position: Position {
                next_offset,
                largest_event_time_ms,
            },
            body,
        })
    }

    /// The partition it is of.
    pub(super) fn restore(
        &self,
        watch: &Watch,
        epoch: u64,
        silent_below: i64,
    ) -> Result<Partition, SnapshotError> {
        let mut body = self.body.clone();
        let mut partition = Partition::new(epoch, self.position, silent_below);
        for _ in 0..body.u32()? {
            let key: std::sync::Arc<str> = body.text()?.into();
            let newest_ms = body.i64()?;
            let mut detectors = Series::new(&watch.models, &key);
            detectors.restore(&mut body)?;
            partition.add(WatchedSeries {
                key,
                detectors,
                newest_ms,
            });
        }
        partition.open_windows = OpenWindows::restore(&mut body, partition.series_count())?;
        if !body.is_empty() {
            return Err(StateError::Impossible("rest").into());
        }
        Ok(partition)
    }
}
