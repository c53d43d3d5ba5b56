//! Warnings that repeat, told once per interval (invariant I8).

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Lets one event of each kind through per interval and counts the others.
///
/// Kinds are remembered for good, so take them from a fixed set: an enum or a `&'static str`, not a record's text.
#[derive(Debug)]
pub struct OncePer<Kind> {
    interval: Duration,
    kinds: HashMap<Kind, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    held_back: u64,
}

impl<Kind: Eq + Hash> OncePer<Kind> {
    pub fn new(interval: Duration) -> Self {
        OncePer {
            interval,
            kinds: HashMap::new(),
        }
    }

    /// Asks whether to tell of an event that happened `now`.
    ///
    /// `Some(n)`: tell, and say that `n` like it were held back since the last one told. `None`: hold it back.
    pub fn ask(&mut self, kind: Kind, now: Instant) -> Option<u64> {
        let Some(told) = self.kinds.get_mut(&kind) else {
            self.kinds.insert(
                kind,
                Told {
                    at: now,
                    held_back: 0,
                },
            );
            return Some(0);
        };
        if now.saturating_duration_since(told.at) < self.interval {
            told.held_back += 1;
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.held_back))
    }

    /// The events held back and not told of yet, by kind, in no order; at the end of a run they are told too.
    pub fn held_back(&mut self) -> impl Iterator<Item = (&Kind, u64)> {
        let held_back = self
            .kinds
            .iter_mut()
            .map(|(kind, told)| (kind, std::mem::take(&mut told.held_back)));
        held_back.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_is_told_per_interval_and_the_others_are_counted() {
        let start = crate::clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut warnings = OncePer::new(Duration::from_secs(10));
        let asked = [
            ("bad json", 0, Some(0)),
            ("bad json", 1, None),
            ("bad time", 2, Some(0)),
            ("bad json", 9, None),
            ("bad json", 10, Some(2)),
            ("bad json", 19, None),
            ("bad json", 45, Some(1)),
            ("bad json", 46, None),
        ];
        for (kind, seconds, expected) in asked {
            assert_eq!(warnings.ask(kind, at(seconds)), expected, "{kind} at {seconds} s");
        }
        assert_eq!(warnings.held_back().collect::<Vec<_>>(), [(&"bad json", 1)]);
        assert_eq!(warnings.held_back().count(), 0);
    }

    #[test]
    fn a_time_before_the_last_is_within_the_interval() {
        let start = crate::clock::instant() + Duration::from_secs(60);
        let mut warnings = OncePer::new(Duration::from_secs(1));
        assert_eq!(warnings.ask((), start), Some(0));
        assert_eq!(warnings.ask((), start - Duration::from_secs(30)), None);
    }
}
