//! Records that the table has already, read again in silence: only the registers of counters hear of them.

use super::AggregationSpec;
use super::partition::{Partition, insert, judge};
use crate::decode::Examined;
use crate::reading::{Position, Reading, Record};

/// How far the records that the table has already are read again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    /// The next record, and the largest event time before it.
    pub position: Position,
    /// Records from here on are new to the table.
    pub below: i64,
}

impl Replay {
    /// Whether all of them were read.
    fn is_over(self) -> bool {
        self.position.next_offset >= self.below
    }
}

impl Partition {
    /// Takes the registers of a record in that is below the position. It is counted nowhere, changes no row and leaves no side
    /// output: all that was done when the table got it.
    #[cold]
    pub(super) fn replay(&mut self, spec: &AggregationSpec, record: Record<'_>) {
        let (Some(replay), Some(registers)) = (&mut self.replay, &mut self.registers) else {
            return;
        };
        let position = &mut replay.position;
        if record.offset < position.next_offset {
            return;
        }
        position.next_offset = record.offset + 1;
        let newest_ms = position.largest_event_time_ms;
        let mut take = |reading: &Reading<'_>| {
            let judged = judge(spec, reading, position.largest_event_time_ms);
            position.largest_event_time_ms = position.largest_event_time_ms.max(Some(reading.event_time_ms));
            if !judged.leaves(spec.late) {
                insert(registers, spec, reading, judged, &mut |_, _| {});
            }
        };
        match spec.decoder.examine(record, newest_ms) {
            Ok(Examined::One(reading)) => take(&reading),
            Ok(Examined::Several(_)) => {
                let decoded = spec
                    .decoder
                    .decode(record, newest_ms, &mut |reading| take(&reading));
                debug_assert!(decoded.is_ok(), "the record was examined: {decoded:?}");
            }
            Ok(Examined::Skipped) | Err(_) => {}
        }
    }

    /// Notes that no record below this offset comes any more.
    pub(super) fn end_replay(&mut self, next_offset: i64) {
        if let Some(replay) = &mut self.replay {
            replay.position.next_offset = replay.position.next_offset.max(next_offset);
            if replay.is_over() {
                self.replay = None;
            }
        }
    }
}
