//! The newest records that are no readings, as they came.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{DeadLetter, DeadLetterReason};
use crate::decode::{Reason, Rejection};
use crate::reading::Record;

/// Of each reason.
const KEPT: usize = 10;
/// Letters of a key and a value that are kept.
const SHOWN_CHARACTERS: usize = 500;

/// Some records of each reason, and how many there were.
#[derive(Debug, Default)]
pub(super) struct DeadLetterShelf {
    by_reason: BTreeMap<Reason, Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    count: u64,
    newest: VecDeque<DeadLetter>,
}

impl DeadLetterShelf {
    /// Notes a record that is no reading.
    pub(super) fn note(&mut self, reason: Reason, letter: DeadLetter) {
        let shelf = self.by_reason.entry(reason).or_default();
        shelf.count += 1;
        shelf.newest.push_front(letter);
        shelf.newest.truncate(KEPT);
    }

    /// How many there were of each reason.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.by_reason.iter();
        counts
            .map(|(reason, shelf)| (reason.name(), shelf.count))
            .collect()
    }

    /// All that is kept, newest first.
    pub(super) fn reasons(&self) -> Vec<DeadLetterReason> {
        let reasons = self.by_reason.iter().map(|(reason, shelf)| DeadLetterReason {
            reason: reason.name(),
            count: shelf.count,
            newest: shelf.newest.iter().cloned().collect(),
        });
        reasons.collect()
    }
}

impl DeadLetter {
    /// What is shown of a record.
    pub(super) fn of(partition: i32, record: Record<'_>, rejection: Rejection) -> Self {
        DeadLetter {
            at_ms: record.timestamp_ms,
            partition,
            offset: record.offset,
            detail: rejection.detail,
            key: record.key.map(text),
            value: text(record.value.unwrap_or_default()),
        }
    }
}

/// The begin of what may be anything.
fn text(bytes: &[u8]) -> String {
    // No letter takes more than four bytes.
    let begin = &bytes[..bytes.len().min(4 * SHOWN_CHARACTERS)];
    let text = String::from_utf8_lossy(begin);
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < bytes.len() && shown.chars().count() == SHOWN_CHARACTERS {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ten_of_each_reason_are_kept_in_short() {
        let mut shelf = DeadLetterShelf::default();
        let long = [0xff; 10_000];
        for offset in 0..12 {
            let record = Record {
                offset,
                timestamp_ms: Some(7),
                key: None,
                value: Some(&long),
                headers: &[],
            };
            let rejection = Rejection::new(Reason::InvalidJson, "no JSON");
            shelf.note(rejection.reason, DeadLetter::of(3, record, rejection));
        }
        let reasons = shelf.reasons();
        assert_eq!(
            (reasons.len(), reasons[0].count, reasons[0].newest.len()),
            (1, 12, KEPT)
        );
        let newest = &reasons[0].newest[0];
        assert_eq!((newest.offset, newest.detail.as_str()), (11, "no JSON"));
        assert_eq!(newest.value.chars().count(), SHOWN_CHARACTERS + 1);
        assert_eq!(text("kurz".as_bytes()), "kurz");
        assert_eq!(shelf.counts()["invalid_json"], 12);
    }
}
