//! The registers of a partition's counters, and the increases between them.
//!
//! A counter's reading is a register: what a meter has counted since it began. Between two neighbors in time lies a *step*:
//! the later register less the earlier one or, where it fell, the later one alone, because the meter began anew. A step counts
//! in the window of its later register. So the steps of a window add up to its last register less the last one before it.
//!
//! A register that comes out of order falls between two neighbors: their step is taken back, and the two that replace it are
//! added. Each is two additions to an exact sum, and none is rounded, so what a window adds up to does not depend on the order
//! in which its registers came (I3). Of registers of one time the largest counts, whichever came first.
//!
//! Kept are the registers that others can still fall between, and the last one before them. All of it is a function of the
//! partition's records alone (I6), as lateness is.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;

use super::pending::Pending;
use crate::reading::SeriesKey;
use crate::window::ClosingWindows;

/// The most registers of a series. More of them within open windows are as many as a meter sends in three hours that sends
/// one every ten seconds. What is older than all that are kept changes no window any more.
pub(super) const MOST_REGISTERS: usize = 1_024;

/// When so many series are known that another has no place, one in so many makes room, those that were silent for longest.
const SHARE_FORGOTTEN: usize = 8;

/// What a meter showed, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Register {
    pub time_ms: i64,
    pub value: f64,
}

/// The registers of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesRegisters {
    pub key: SeriesKey<Arc<str>>,
    /// By time, each time once.
    pub kept: VecDeque<Register>,
    /// Whether there was one before those that are kept. If not, the first of them is where the series begins.
    pub has_dropped: bool,
}

/// The registers of all series of a partition.
#[derive(Debug, Default)]
pub(super) struct Registers {
    series: HashTable<SeriesRegisters>,
    /// Series that were not known before, since they were last asked for.
    newcomers: Vec<SeriesKey<Arc<str>>>,
    /// Series that made room for others, since they were last asked for.
    forgotten: u64,
}

/// What decides about a register, beside the registers before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub windows: ClosingWindows,
    pub max_series: usize,
    /// Of the readings before it in the partition, in milliseconds since 1970.
    pub largest_event_time_ms: Option<i64>,
}

impl Registers {
    /// Number of series.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Takes a register in. `add` is given the terms by which sums change: the start of a window, and what is added to it.
    pub(super) fn insert(
        &mut self,
        key: SeriesKey<&str>,
        register: Register,
        rules: Rules,
        add: &mut impl FnMut(i64, f64),
    ) {
        let hash = Pending::hash(key);
        let known = self.series.find_mut(hash, |series| series.key.as_str() == key);
        let series = match known {
            Some(series) => series,
            None => {
                self.make_room(rules.max_series);
                let key = key.to_shared();
                self.newcomers.push(key.clone());
                let new = SeriesRegisters {
                    key,
                    kept: VecDeque::new(),
                    has_dropped: false,
                };
                self.series.insert_unique(hash, new, hash_of).into_mut()
            }
        };
        series.drop_closed(rules);
        series.insert(register, rules.windows, add);
    }

    /// Takes a series over that was kept.
    pub(super) fn restore(&mut self, series: SeriesRegisters) {
        self.newcomers.push(series.key.clone());
        self.series.insert_unique(hash_of(&series), series, hash_of);
    }

    /// All series, in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<&SeriesRegisters> {
        let mut all: Vec<&SeriesRegisters> = self.series.iter().collect();
        all.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        all
    }

    /// Whether a series is known.
    pub(super) fn knows(&self, key: SeriesKey<&str>) -> bool {
        self.series
            .find(Pending::hash(key), |series| series.key.as_str() == key)
            .is_some()
    }

    /// The series that were not known before the last call.
    pub(super) fn take_newcomers(&mut self) -> Vec<SeriesKey<Arc<str>>> {
        std::mem::take(&mut self.newcomers)
    }

    /// How many series were forgotten since the last call.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// Forgets the series that were silent for longest, where one more would be too many (I9).
    fn make_room(&mut self, max_series: usize) {
        if self.series.len() < max_series {
            return;
        }
        let mut by_silence: Vec<_> = self
            .series
            .iter()
            .map(|series| (Reverse(series.newest_ms()), series.key.clone()))
            .collect();
        by_silence.sort_unstable();
        let kept = max_series - (max_series / SHARE_FORGOTTEN).max(1);
        for (_, key) in by_silence.drain(kept..) {
            let found = self
                .series
                .find_entry(Pending::hash(key.as_str()), |series| series.key == key);
            if let Ok(entry) = found {
                entry.remove();
                self.forgotten += 1;
            }
        }
    }
}

fn hash_of(series: &SeriesRegisters) -> u64 {
    Pending::hash(series.key.as_str())
}

impl SeriesRegisters {
    fn newest_ms(&self) -> Option<i64> {
        Some(self.kept.back()?.time_ms)
    }

    /// Drops the registers of closed windows, but the last of them: nothing can fall before it any more.
    fn drop_closed(&mut self, rules: Rules) {
        let Rules {
            windows,
            largest_event_time_ms,
            ..
        } = rules;
        let is_closed = |register: &Register| {
            windows.is_closed(windows.start_for(register.time_ms), largest_event_time_ms)
        };
        let closed = self.kept.partition_point(is_closed);
        self.drop_first(closed.saturating_sub(1));
    }

    fn drop_first(&mut self, count: usize) {
        self.has_dropped |= count > 0;
        self.kept.drain(..count);
    }

    fn insert(&mut self, register: Register, windows: ClosingWindows, add: &mut impl FnMut(i64, f64)) {
        let at = self
            .kept
            .partition_point(|known| known.time_ms < register.time_ms);
        if at == 0 && self.has_dropped {
            // What lay before it is forgotten. Its increase is in the step to the first that is kept.
            return;
        }
        let twin = self
            .kept
            .get(at)
            .copied()
            .filter(|known| known.time_ms == register.time_ms);
        if twin.is_some_and(|twin| twin.value >= register.value) {
            return;
        }
        let before = at.checked_sub(1).and_then(|place| self.kept.get(place).copied());
        let after = self.kept.get(at + usize::from(twin.is_some())).copied();
        let mut step = |from: Option<Register>, to: Option<Register>, sign: f64| {
            let (Some(from), Some(to)) = (from, to) else {
                return;
            };
            let start_ms = windows.start_for(to.time_ms);
            add(start_ms, sign * to.value);
            if to.value >= from.value {
                add(start_ms, -sign * from.value);
            }
        };
        match twin {
            None => {
                step(before, after, -1.0);
                self.kept.insert(at, register);
            }
            Some(_) => {
                step(before, twin, -1.0);
                step(twin, after, -1.0);
                self.kept[at] = register;
            }
        }
        step(before, Some(register), 1.0);
        step(Some(register), after, 1.0);
        self.drop_first(self.kept.len().saturating_sub(MOST_REGISTERS));
    }
}

#[cfg(test)]
mod tests;
