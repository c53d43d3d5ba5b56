//! Limits how often a warning is logged, and counts the ones in between (invariant I8).

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Admits one event of each kind per interval and counts the others.
///
/// Kinds are never forgotten, so take them from a fixed set: an enum or a `&'static str`, not a record's
/// text.
#[derive(Debug)]
pub(crate) struct LogLimiter<Kind> {
    interval: Duration,
    kinds: HashMap<Kind, LastLogged>,
}

#[derive(Debug)]
struct LastLogged {
    at: Instant,
    /// Events since then.
    suppressed: u64,
}

impl<Kind: Eq + Hash> LogLimiter<Kind> {
    /// A limiter that has admitted nothing yet.
    pub(crate) fn new(interval: Duration) -> Self {
        LogLimiter {
            interval,
            kinds: HashMap::new(),
        }
    }

    /// Decides whether an event that happened `now` is logged: `Some(n)` if it is, with the number of events
    /// of its kind that were suppressed since the last one.
    pub(crate) fn admit(&mut self, kind: Kind, now: Instant) -> Option<u64> {
        let Some(last) = self.kinds.get_mut(&kind) else {
            let first = LastLogged {
                at: now,
                suppressed: 0,
            };
            self.kinds.insert(kind, first);
            return Some(0);
        };
        if now.saturating_duration_since(last.at) < self.interval {
            last.suppressed += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_of_a_kind_is_admitted_per_interval_and_the_others_are_counted() {
        let start = crate::clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut warnings = LogLimiter::new(Duration::from_secs(10));
        let cases = [
            ("bad json", 0, Some(0)),
            ("bad json", 1, None),
            ("bad time", 2, Some(0)),
            ("bad json", 9, None),
            ("bad json", 10, Some(2)),
            ("bad json", 19, None),
            ("bad json", 45, Some(1)),
            ("bad json", 46, None),
        ];
        for (kind, seconds, expected) in cases {
            assert_eq!(
                warnings.admit(kind, at(seconds)),
                expected,
                "{kind} at {seconds} s"
            );
        }
    }

    #[test]
    fn a_time_before_the_last_is_within_the_interval() {
        let start = crate::clock::instant() + Duration::from_secs(60);
        let mut warnings = LogLimiter::new(Duration::from_secs(1));
        assert_eq!(warnings.admit((), start), Some(0));
        assert_eq!(warnings.admit((), start - Duration::from_secs(30)), None);
    }
}
