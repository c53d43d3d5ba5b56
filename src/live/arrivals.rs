//! How fast records come, and for how long none usually does.

use std::collections::VecDeque;

/// The stretch that the rate is of.
const RATE_SPAN_MS: i64 = 10_000;
/// A silence shorter than this is never remarkable.
const SHORTEST_SILENCE_MS: i64 = 60_000;
/// So many times the longest pause so far, a silence is remarkable.
const REMARKABLE: i64 = 3;

/// When records came: those of the history by Kafka's timestamps, the others by this process' clock.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Of the last seconds: when, and how many.
    newest: VecDeque<(i64, u64)>,
    last_ms: Option<i64>,
    longest_pause_ms: i64,
}

impl Arrivals {
    /// Notes records that came then. Those of several partitions may come out of order.
    pub(super) fn note(&mut self, at_ms: i64, records: u64) {
        let last_ms = self.last_ms.unwrap_or(at_ms);
        let pause_ms = at_ms.saturating_sub(last_ms);
        // What was long once is forgotten by and by.
        self.longest_pause_ms = pause_ms.max(self.longest_pause_ms - self.longest_pause_ms / 256);
        let at_ms = at_ms.max(last_ms);
        self.last_ms = Some(at_ms);
        match self.newest.back_mut() {
            Some((begin_ms, count)) if at_ms - *begin_ms < 100 => *count += records,
            _ => self.newest.push_back((at_ms, records)),
        }
        self.forget(at_ms);
    }

    fn forget(&mut self, now_ms: i64) {
        while self
            .newest
            .front()
            .is_some_and(|(at_ms, _)| now_ms - at_ms > RATE_SPAN_MS)
        {
            self.newest.pop_front();
        }
    }

    /// Records a second, of the last ten seconds.
    pub(super) fn rate(&self, now_ms: i64) -> f64 {
        let recent = self
            .newest
            .iter()
            .filter(|(at_ms, _)| now_ms - at_ms <= RATE_SPAN_MS);
        let count: u64 = recent.map(|(_, count)| count).sum();
        count as f64 * 1_000.0 / RATE_SPAN_MS as f64
    }

    /// When a record came last, if none has come for unusually long.
    pub(super) fn silent_since_ms(&self, now_ms: i64) -> Option<i64> {
        let usual_ms = SHORTEST_SILENCE_MS.max(self.longest_pause_ms.saturating_mul(REMARKABLE));
        self.last_ms
            .filter(|last_ms| now_ms.saturating_sub(*last_ms) > usual_ms)
    }

    /// When a record came last.
    pub(super) fn last_ms(&self) -> Option<i64> {
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_judged_by_the_pauses_before_it() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.silent_since_ms(1 << 40), None, "nothing has come at all");
        for minute in 0..20 {
            arrivals.note(minute * 300_000, 5);
        }
        let last_ms = 19 * 300_000;
        assert_eq!(arrivals.silent_since_ms(last_ms + 890_000), None);
        assert_eq!(arrivals.silent_since_ms(last_ms + 901_000), Some(last_ms));
        let mut fast = Arrivals::default();
        for second in 0..20 {
            fast.note(second * 1_000, 5);
        }
        assert_eq!(fast.silent_since_ms(19_000 + 59_000), None);
        assert_eq!(fast.silent_since_ms(19_000 + 61_000), Some(19_000));
        assert_eq!(fast.rate(19_000), 5.5);
        assert_eq!(fast.rate(60_000), 0.0);
    }
}
