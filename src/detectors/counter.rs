//! A counter's total as what it increases by: of a meter that counts kWh, the level means nothing and the increase all.

use super::interval::Interval;
use super::{StateError, StateReader, StateWriter};

/// Readings below the last total after which a counter has been reset; if it comes back before, it was a glitch. The
/// commonest fault of counters is a 0 before the old total.
const GLITCH_READINGS: u8 = 3;
/// Resets no further apart are a habit, as of a counter of a day, and not reported.
const HABIT_MS: i64 = 36 * 3_600_000;

/// What follows from the totals of one counter.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    interval: Interval,
    /// The last total that counts, and its time.
    last: Option<(i64, f64)>,
    fallen: Option<Fall>,
    /// The time of the last reset.
    reset_ms: Option<i64>,
}

/// Readings below the last total.
#[derive(Debug, Clone, Copy, Default)]
struct Fall {
    first: f64,
    newest: (i64, f64),
    readings: u8,
}

/// What a total says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// Nothing yet, or nothing that counts: it is the first, out of order, or below the last one.
    Unknown,
    /// The increase in one interval of the series.
    By(f64),
    /// The same, after the counter had fallen and come back.
    AfterGlitch {
        by: Option<f64>,
        before: f64,
        fell_to: f64,
    },
    /// The counter has begun anew, which it does not do by habit.
    Reset { before: f64, fell_to: f64 },
}

impl Counter {
    /// Notes a total.
    pub(super) fn note(&mut self, time_ms: i64, total: f64) -> Change {
        let Some((last_ms, last)) = self.last else {
            self.last = Some((time_ms, total));
            return Change::Unknown;
        };
        if time_ms <= last_ms {
            return Change::Unknown;
        }
        if total < last {
            return self.fall(time_ms, total, last);
        }
        let gap_ms = time_ms.saturating_sub(last_ms);
        // A gap that holds a glitch says nothing of the interval.
        let fallen = self.fallen.take();
        if fallen.is_none() {
            self.interval.note(gap_ms);
        }
        self.last = Some((time_ms, total));
        let rhythm = self.interval.rhythm();
        let by = rhythm.map(|rhythm| (total - last) * (rhythm.gap_ms as f64 / gap_ms as f64));
        match (fallen, by) {
            (Some(fall), by) => Change::AfterGlitch {
                by,
                before: last,
                fell_to: fall.first,
            },
            (None, Some(by)) => Change::By(by),
            (None, None) => Change::Unknown,
        }
    }

    fn fall(&mut self, time_ms: i64, total: f64, last: f64) -> Change {
        let fall = self.fallen.get_or_insert(Fall {
            first: total,
            ..Fall::default()
        });
        if time_ms > fall.newest.0 || fall.readings == 0 {
            fall.newest = (time_ms, total);
            fall.readings += 1;
        }
        if fall.readings <= GLITCH_READINGS {
            return Change::Unknown;
        }
        let fell_to = fall.first;
        self.last = Some(fall.newest);
        self.fallen = None;
        let before_ms = self.reset_ms.replace(time_ms);
        let is_habit = before_ms.is_some_and(|before_ms| time_ms.saturating_sub(before_ms) <= HABIT_MS);
        if is_habit {
            Change::Unknown
        } else {
            Change::Reset {
                before: last,
                fell_to,
            }
        }
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.interval.save(state);
        state.u8(u8::from(self.last.is_some()));
        let (last_ms, last) = self.last.unwrap_or_default();
        state.i64(last_ms);
        state.f64(last);
        let fall = self.fallen.unwrap_or_default();
        state.u8(fall.readings);
        state.f64(fall.first);
        state.i64(fall.newest.0);
        state.f64(fall.newest.1);
        state.u8(u8::from(self.reset_ms.is_some()));
        state.i64(self.reset_ms.unwrap_or_default());
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let interval = Interval::restore(state)?;
        let has_last = state.u8()? != 0;
        let last = (state.i64()?, state.finite("total")?);
        let readings = state.u8()?;
        if readings > GLITCH_READINGS {
            return Err(StateError::Impossible("count of totals"));
        }
        let fall = Fall {
            readings,
            first: state.finite("total")?,
            newest: (state.i64()?, state.finite("total")?),
        };
        let has_reset = state.u8()? != 0;
        let reset_ms = state.i64()?;
        Ok(Counter {
            interval,
            last: has_last.then_some(last),
            fallen: (readings > 0).then_some(fall),
            reset_ms: has_reset.then_some(reset_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// A counter that has counted 2 a minute for half an hour.
    fn counter() -> Counter {
        let mut counter = Counter::default();
        for minute in 0..=30 {
            counter.note(minute * MINUTE_MS, 1_000.0 + 2.0 * minute as f64);
        }
        counter
    }

    fn changes(totals: &[(i64, f64)]) -> Vec<Change> {
        let mut counter = counter();
        let totals = totals.iter();
        totals
            .map(|&(minute, total)| counter.note(minute * MINUTE_MS, total))
            .collect()
    }

    #[test]
    fn an_increase_is_that_of_one_interval() {
        let by = |by| Change::By(by);
        assert_eq!(
            changes(&[
                (31, 1_062.0),
                (35, 1_074.0),
                (35, 1_074.0),
                (33, 1_066.0),
                (36, 1_074.0)
            ]),
            [by(2.0), by(3.0), Change::Unknown, Change::Unknown, by(0.0)]
        );
    }

    #[test]
    fn a_fall_that_is_taken_back_is_a_glitch_and_not_counted() {
        let glitch = Change::AfterGlitch {
            by: Some(2.0),
            before: 1_060.0,
            fell_to: 0.0,
        };
        assert_eq!(
            changes(&[(31, 0.0), (32, 0.0), (33, 0.0), (34, 1_068.0)]),
            [Change::Unknown, Change::Unknown, Change::Unknown, glitch]
        );
    }

    #[test]
    fn a_fall_that_stays_is_a_reset_which_is_reported_unless_it_is_a_habit() {
        let reset = Change::Reset {
            before: 1_060.0,
            fell_to: 0.0,
        };
        let totals = [(31, 0.0), (32, 2.0), (33, 4.0), (34, 6.0), (35, 8.0)];
        assert_eq!(changes(&totals)[3..], [reset, Change::By(2.0)]);
        let day = 24 * 60;
        let again = totals.map(|(minute, total)| (minute + day, total - 1.0));
        let all: Vec<(i64, f64)> = totals.into_iter().chain(again).collect();
        assert_eq!(changes(&all)[8..], [Change::Unknown, Change::By(2.0)]);
    }

    #[test]
    fn a_restored_counter_goes_on_as_the_saved_one() {
        let mut saved = counter();
        saved.note(31 * MINUTE_MS, 5.0);
        let mut state = StateWriter::default();
        saved.save(&mut state);
        let bytes = state.finish();
        let mut restored = Counter::restore(&mut StateReader::new(&bytes)).unwrap();
        for (minute, total) in [(32, 6.0), (33, 1_070.0), (34, 1_072.0)] {
            let time_ms = minute * MINUTE_MS;
            assert_eq!(restored.note(time_ms, total), saved.note(time_ms, total));
        }
    }
}
