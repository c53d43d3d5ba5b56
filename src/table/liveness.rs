//! Decides whether an appended entry is part of the table (invariant I11).
//!
//! Log clean-up deletes entries below a checkpoint, oldest first. So where it has freed a version number, the
//! previous entry is gone, too: an append there succeeds and becomes part of nothing.

/// The state of the log at our entry, checked after the append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The entry is part of the table.
    Live,
    /// The log does not lead to the entry: its predecessor is missing, or another entry has that version.
    Dead,
    /// A checkpoint has passed its version: the table's positions decide.
    Passed,
}

/// The log around a version, from two small reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The previous entry: `None` if it is missing, else its id, if it has one.
    pub previous: Option<Option<String>>,
    /// The newest checkpoint according to the log's hint.
    pub hinted_checkpoint: Option<u64>,
}

impl Surroundings {
    /// The liveness of an entry appended at `version` after the entry `previous_id`, if that id is known. `None` if
    /// only a listing of the log can decide.
    pub fn liveness(&self, version: u64, previous_id: Option<&str>) -> Option<Liveness> {
        let (previous, previous_id) = (self.previous.as_ref()?, previous_id?);
        if previous.as_deref() != Some(previous_id) {
            return Some(Liveness::Dead);
        }
        let is_passed = self
            .hinted_checkpoint
            .is_some_and(|checkpoint| checkpoint >= version);
        (!is_passed).then_some(Liveness::Live)
    }
}

impl Liveness {
    /// The liveness by a listing of the log: its newest checkpoint and the versions of its entries in order.
    pub fn listed(version: u64, newest_checkpoint: Option<u64>, entries: &[u64]) -> Self {
        if newest_checkpoint.is_some_and(|checkpoint| checkpoint >= version) {
            return Liveness::Passed;
        }
        let first = newest_checkpoint.map_or(0, |checkpoint| checkpoint + 1);
        let leading = entries
            .iter()
            .copied()
            .filter(|entry| (first..=version).contains(entry));
        if leading.eq(first..=version) {
            Liveness::Live
        } else {
            Liveness::Dead
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(previous: Option<Option<&str>>, hinted_checkpoint: Option<u64>) -> Surroundings {
        Surroundings {
            previous: previous.map(|id| id.map(str::to_owned)),
            hinted_checkpoint,
        }
    }

    #[test]
    fn the_previous_entry_must_exist_and_have_the_known_id() {
        let known = Some("a");
        for (previous, checkpoint, expected) in [
            (Some(Some("a")), None, Some(Liveness::Live)),
            (Some(Some("a")), Some(6), Some(Liveness::Live)),
            // Clean-up may be running.
            (Some(Some("a")), Some(7), None),
            (Some(Some("a")), Some(900), None),
            (Some(Some("b")), None, Some(Liveness::Dead)),
            (Some(None), None, Some(Liveness::Dead)),
            (None, None, None),
            (None, Some(3), None),
        ] {
            let found = around(previous, checkpoint).liveness(7, known);
            assert_eq!(found, expected, "{previous:?} {checkpoint:?}");
        }
        // After a start from a checkpoint the id is unknown, so that the previous entry may be a dead one.
        assert_eq!(around(Some(Some("b")), None).liveness(7, None), None);
    }

    #[test]
    fn a_listing_must_lead_from_the_newest_checkpoint_to_the_entry() {
        for (checkpoint, entries, expected) in [
            (None, &[0, 1, 2, 3][..], Liveness::Live),
            (None, &[0, 1, 3], Liveness::Dead),
            (None, &[1, 2, 3], Liveness::Dead),
            (Some(1), &[2, 3, 4], Liveness::Live),
            (Some(2), &[3], Liveness::Live),
            (Some(1), &[3], Liveness::Dead),
            (Some(3), &[3], Liveness::Passed),
            (Some(90), &[3, 90, 91], Liveness::Passed),
        ] {
            assert_eq!(
                Liveness::listed(3, checkpoint, entries),
                expected,
                "{checkpoint:?} {entries:?}"
            );
        }
    }
}
