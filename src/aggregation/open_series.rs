//! The series of a partition whose windows are open: how many there are is bounded.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;

use crate::window::ClosingWindows;

/// Series by the hash of their key, each with the start of its newest window. That two keys have one hash would let a
/// series more in, and is otherwise harmless.
#[derive(Debug, Default)]
pub(super) struct OpenSeries {
    newest_start_ms: HashMap<u64, i64, BuildHasherDefault<Itself>>,
    /// Series whose windows had ended by then have been forgotten.
    forgotten_below_ms: Option<i64>,
}

impl OpenSeries {
    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.newest_start_ms.len()
    }

    /// Notes a window of a series. Returns false, and notes nothing, for a new series without `room` for it.
    pub(super) fn admit(&mut self, hash: u64, start_ms: i64, room: usize) -> bool {
        let is_full = self.newest_start_ms.len() >= room;
        match self.newest_start_ms.get_mut(&hash) {
            Some(newest_ms) => *newest_ms = start_ms.max(*newest_ms),
            None if is_full => return false,
            None => {
                self.newest_start_ms.insert(hash, start_ms);
            }
        }
        true
    }

    /// Forgets the series whose windows have all closed by a watermark.
    pub(super) fn forget_closed(&mut self, windows: ClosingWindows, watermark_ms: i64) {
        let closed_below_ms = windows.start_of(watermark_ms);
        if self
            .forgotten_below_ms
            .is_some_and(|done_ms| done_ms >= closed_below_ms)
        {
            return;
        }
        self.forgotten_below_ms = Some(closed_below_ms);
        self.newest_start_ms
            .retain(|_, start_ms| windows.end_of(*start_ms) > watermark_ms);
    }
}

/// Hashes what is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Itself(u64);

impl std::hash::Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
