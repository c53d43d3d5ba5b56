//! What state files have in common: records with a length and a checksum behind a magic and a version.
//!
//! ```text
//! magic  version   then records: length  CRC-32  kind  contents
//! ```
//!
//! They are read record by record as they are decompressed, so that a file which claims to unpack to gigabytes is never
//! held. Everything is little-endian.
//!
//! Absent from this room: what the records mean, where files are kept, and when.

mod values;

use std::io::Read;

pub use values::{StateError, StateReader, StateWriter};

/// The first bytes of a kind of state file.
pub(crate) type Magic = [u8; 7];

/// No record comes near this.
const LARGEST_RECORD: usize = 16 << 20;

/// Why bytes cannot be read as records; those who know what the file is say it in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// They are of another kind of file.
    Foreign,
    /// They end early, or a checksum does not match.
    Torn,
    /// They are of this version.
    OtherVersion(u16),
}

/// The bytes of a file without records.
pub(crate) fn begin(magic: Magic, version: u16) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes
}

/// Appends a record.
pub(crate) fn append(kind: u8, contents: StateWriter, bytes: &mut Vec<u8>) {
    let contents = contents.finish();
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[kind]);
    checksum.update(&contents);
    bytes.extend_from_slice(&(contents.len() as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(&checksum.finalize().to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(&contents);
}

/// Reads records one after another into the same buffer.
#[derive(Debug)]
pub(crate) struct Records<R> {
    bytes: R,
    record: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// The records behind the magic and the version.
    ///
    /// # Errors
    /// [`FrameError`] if these are others.
    pub(crate) fn open(mut bytes: R, magic: Magic, version: u16) -> Result<Self, FrameError> {
        let mut found = Vec::new();
        let read = bytes.by_ref().take(magic.len() as u64).read_to_end(&mut found);
        if read.is_err() {
            return Err(FrameError::Torn);
        }
        if found != magic {
            let is_cut = magic.starts_with(&found);
            return Err(if is_cut {
                FrameError::Torn
            } else {
                FrameError::Foreign
            });
        }
        let mut records = Records {
            bytes,
            record: Vec::new(),
        };
        let found = u16::from_le_bytes(records.array()?);
        if found != version {
            return Err(FrameError::OtherVersion(found));
        }
        Ok(records)
    }

    /// Kind and contents of the next record.
    ///
    /// # Errors
    /// [`FrameError::Torn`].
    pub(crate) fn next(&mut self) -> Result<(u8, StateReader<'_>), FrameError> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let checksum = u32::from_le_bytes(self.array()?);
        if !(1..=LARGEST_RECORD).contains(&length) {
            return Err(FrameError::Torn);
        }
        self.record.resize(length, 0);
        self.bytes
            .read_exact(&mut self.record)
            .map_err(|_| FrameError::Torn)?;
        if crc32fast::hash(&self.record) != checksum {
            return Err(FrameError::Torn);
        }
        Ok((self.record[0], StateReader::new(&self.record[1..])))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        self.bytes.read_exact(&mut array).map_err(|_| FrameError::Torn)?;
        Ok(array)
    }
}
