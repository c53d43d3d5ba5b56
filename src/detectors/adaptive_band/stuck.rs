//! The view of values that do not change.

use super::super::{StateError, StateReader, StateWriter};
use super::decision::STUCK_LIMIT;
use super::pace::Rates;
use super::saved::non_negative;
use super::tail::{Rarity, Sizes, Tail};
use super::views::{POINT_MEMORY, evidence};

/// Runs that must have ended before one is judged.
const LEAST_RUNS: u32 = 20;
/// How fast the shares of readings follow: a memory of 500.
const SHARE_RATE: f64 = 0.002;
/// From this share of unchanged readings on a series is one that rests.
const RESTING_SHARE: f64 = 0.75;
/// Votes that a value needs to be the one at rest, how many it keeps at most, and its least share of the readings.
const REST_VOTES: u32 = 50;
const MOST_VOTES: u32 = 500;
const REST_SHARE: f64 = 0.5;
/// A run that is longer than this part of the time seen is not judged: the second night is no standstill.
const MOST_PART: i64 = 6;
const MONTH_MS: i64 = 28 * 86_400_000;
/// How much the evidence of a run that was reported must grow to be reported again.
const GROWTH: f64 = 2.0;

/// Runs of equal values.
#[derive(Debug, Clone)]
pub(super) struct Stuck {
    /// Lengths of finished runs.
    runs: Tail,
    /// Of runs of values other than zero, at which many things rest.
    busy_runs: Tail,
    finished: u32,
    run: u32,
    last: f64,
    since_ms: i64,
    /// The time of the newest reading of the run.
    until_ms: i64,
    /// The first reading's time.
    first_ms: i64,
    /// Whether the run has been unusually long, reported or not.
    is_unusual: bool,
    /// The longest of the usual runs, of all values and of those other than zero.
    longest: [Longest; 2],
    unchanged: f64,
    rest: Rest,
    /// The evidence by which the present run was reported; 0 if it was not.
    reported: f64,
}

/// The longest run of a month and of the one before it: what was usual once need not be so for ever.
#[derive(Debug, Clone, Copy, Default)]
struct Longest {
    months: [Run; 2],
    month: i64,
}

/// A run by its readings and by its time.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    readings: u32,
    lasted_ms: i64,
}

impl Longest {
    fn note(&mut self, run: Run, now_ms: i64) {
        let month = now_ms.div_euclid(MONTH_MS);
        if month != self.month {
            self.months = [Run::default(), self.months[0]];
            self.month = month;
        }
        if run.readings > self.months[0].readings {
            self.months[0] = run;
        }
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let mut longest = Longest::default();
        for run in &mut longest.months {
            *run = Run {
                readings: state.u32()?,
                lasted_ms: state.i64()?,
            };
        }
        longest.month = state.i64()?;
        Ok(longest)
    }

    fn run(&self) -> Run {
        let [this, before] = self.months;
        if this.readings > before.readings {
            this
        } else {
            before
        }
    }
}

/// The value at which a series rests: that of most readings, by the vote of Boyer and Moore (1981).
#[derive(Debug, Clone)]
struct Rest {
    value: f64,
    votes: u32,
    share: f64,
}

impl Rest {
    fn note(&mut self, value: f64) {
        if value == self.value {
            self.votes = (self.votes + 1).min(MOST_VOTES);
        } else if self.votes > 0 {
            self.votes -= 1;
        } else {
            (self.value, self.votes, self.share) = (value, 1, 0.0);
        }
        self.share += SHARE_RATE * (f64::from(u8::from(value == self.value)) - self.share);
    }

    fn is(&self, value: f64) -> bool {
        value == self.value && self.votes > REST_VOTES && self.share > REST_SHARE
    }
}

impl Stuck {
    pub(super) fn new(first: f64, now_ms: i64) -> Self {
        Stuck {
            runs: Tail::new(Sizes::Runs),
            busy_runs: Tail::new(Sizes::BusyRuns),
            finished: 0,
            run: 0,
            last: first,
            since_ms: now_ms,
            until_ms: now_ms,
            first_ms: now_ms,
            is_unusual: false,
            longest: [Longest::default(); 2],
            unchanged: 0.0,
            rest: Rest {
                value: first,
                votes: 0,
                share: 0.0,
            },
            reported: 0.0,
        }
    }

    /// Counts the value to its run, learns the run that it ends, and judges how long its own run is. No run is unusual that is
    /// not the longest, or so long a part of all that was seen that nobody can say what is usual. One that was reported has no
    /// evidence until it has twice as much: a dry spell is one event.
    pub(super) fn evidence(&mut self, value: f64, now_ms: i64, rates: &Rates) -> f64 {
        self.rest.note(value);
        self.unchanged += SHARE_RATE * (f64::from(u8::from(value == self.last)) - self.unchanged);
        if value == self.last {
            self.run = self.run.saturating_add(1);
        } else {
            self.end_run(now_ms);
        }
        self.until_ms = now_ms;
        self.last = value;
        let lasted_ms = now_ms.saturating_sub(self.since_ms);
        let known_ms = now_ms.saturating_sub(self.first_ms);
        if self.finished < LEAST_RUNS
            || self.run <= self.longest_before().readings
            || lasted_ms > known_ms / MOST_PART
        {
            return 0.0;
        }
        let runs = if value == 0.0 { &self.runs } else { &self.busy_runs };
        let evidence = evidence(runs.probability(f64::from(self.run))) - rates.stuck_penalty;
        let evidence = (rates.weight * evidence).max(0.0);
        self.is_unusual |= evidence >= STUCK_LIMIT;
        if self.is_reported() && evidence < GROWTH * self.reported {
            0.0
        } else {
            evidence
        }
    }

    fn end_run(&mut self, now_ms: i64) {
        let run = Run {
            readings: self.run,
            lasted_ms: self.until_ms.saturating_sub(self.since_ms),
        };
        let is_busy = self.last != 0.0;
        if !self.is_unusual {
            let [all, busy] = &mut self.longest;
            all.note(run, now_ms);
            if is_busy {
                busy.note(run, now_ms);
            }
        }
        self.runs.add(f64::from(self.run), POINT_MEMORY);
        if is_busy {
            self.busy_runs.add(f64::from(self.run), POINT_MEMORY);
        }
        self.finished = self.finished.saturating_add(1);
        self.run = 1;
        self.since_ms = now_ms;
        self.is_unusual = false;
        self.reported = 0.0;
    }

    /// Notes that the present run is reported by this evidence.
    pub(super) fn report(&mut self, evidence: f64) {
        self.reported = evidence;
    }

    /// The evidence by which the present run was reported; 0 if it was not.
    pub(super) fn reported(&self) -> f64 {
        self.reported
    }

    /// Whether the present run has been reported.
    pub(super) fn is_reported(&self) -> bool {
        self.reported > 0.0
    }

    /// Whether the series seldom changes.
    pub(super) fn is_resting(&self) -> bool {
        self.unchanged > RESTING_SHARE
    }

    /// Whether this is the value at which the series rests.
    pub(super) fn is_rest(&self, value: f64) -> bool {
        self.rest.is(value)
    }

    /// When the value began to be what it is.
    pub(super) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    fn longest_before(&self) -> Run {
        self.longest[usize::from(self.last != 0.0)].run()
    }

    /// How long usual runs like the present one lasted at most before it.
    pub(super) fn longest_before_ms(&self) -> i64 {
        self.longest_before().lasted_ms
    }

    /// Comes back to an earlier time, because the one before was wrong.
    pub(super) fn turn_back(&mut self, now_ms: i64) {
        self.since_ms = self.since_ms.min(now_ms);
        self.until_ms = now_ms;
        self.first_ms = self.first_ms.min(now_ms);
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.runs.save(state);
        self.busy_runs.save(state);
        state.u32(self.finished);
        state.u32(self.run);
        state.f64(self.last);
        for time_ms in [self.since_ms, self.until_ms, self.first_ms] {
            state.i64(time_ms);
        }
        state.u8(u8::from(self.is_unusual));
        for longest in &self.longest {
            for run in &longest.months {
                state.u32(run.readings);
                state.i64(run.lasted_ms);
            }
            state.i64(longest.month);
        }
        state.f64(self.unchanged);
        state.f64(self.rest.value);
        state.u32(self.rest.votes);
        state.f64(self.rest.share);
        state.f64(self.reported);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let rarity = Rarity::of(1.0);
        Ok(Stuck {
            runs: Tail::restore(Sizes::Runs, rarity, state)?,
            busy_runs: Tail::restore(Sizes::BusyRuns, rarity, state)?,
            finished: state.u32()?,
            run: state.u32()?,
            last: state.finite("last value")?,
            since_ms: state.i64()?,
            until_ms: state.i64()?,
            first_ms: state.i64()?,
            is_unusual: state.u8()? != 0,
            longest: [Longest::restore(state)?, Longest::restore(state)?],
            unchanged: non_negative(state, "share")?,
            rest: Rest {
                value: state.finite("value at rest")?,
                votes: state.u32()?,
                share: non_negative(state, "share")?,
            },
            reported: non_negative(state, "evidence")?,
        })
    }
}
