//! The scores of the Numenta Anomaly Benchmark (NAB), for alarms on readings whose anomalous stretches are known.
//!
//! The rules are those of `nab/sweeper.py`, `nab/optimizer.py` and `nab/runner.py` at numenta/NAB@ea702d7. A labeled
//! window earns most for an alarm at its beginning and costs if none falls into it. Every alarm outside of a window
//! costs, less so soon after one. Detecting nothing is 0, everything at once and nothing else is 100.

use std::cmp::Ordering;

use thiserror::Error;

/// The worth of alarms and misses to a user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profile {
    pub name: &'static str,
    /// The gain of the earliest alarm within a window.
    pub true_positive: f64,
    /// The cost of an alarm far from every window.
    pub false_positive: f64,
    /// The cost of a window without an alarm.
    pub false_negative: f64,
}

/// NAB's three profiles: standard, false alarms cost more, misses cost more.
pub(crate) const PROFILES: [Profile; 3] = [
    Profile {
        name: "standard",
        true_positive: 1.0,
        false_positive: 0.11,
        false_negative: 1.0,
    },
    Profile {
        name: "low-FP",
        true_positive: 1.0,
        false_positive: 0.22,
        false_negative: 1.0,
    },
    Profile {
        name: "low-FN",
        true_positive: 1.0,
        false_positive: 0.11,
        false_negative: 2.0,
    },
];

/// One series with the results of a detector. The first three slices have an entry for each reading, in order of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LabeledSeries<'a> {
    /// Wall times in ascending order, in the unit of `windows`.
    pub times: &'a [i64],
    /// Higher is more unusual; 0 where the detector had nothing to say.
    pub scores: &'a [f64],
    /// Whether the score is an anomaly by the detector's own threshold.
    pub is_anomaly: &'a [bool],
    /// First and last time of every labeled stretch, in order and apart from each other.
    pub windows: &'a [(i64, i64)],
}

/// Alarms of one series as the detector decided, beyond the readings that it is given to learn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    pub windows: u64,
    /// Windows with an alarm in them.
    pub caught: u64,
    /// Readings outside of every window that were called anomalies.
    pub false_alarms: u64,
}

/// The scores under one profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub profile: Profile,
    /// With the detector's own decisions.
    pub fixed: f64,
    /// With the threshold for all series that, looking back, gives the most.
    pub swept: f64,
    /// That threshold: alarms are the scores from it on. `None` if no alarm at all gives the most.
    pub swept_threshold: Option<f64>,
}

/// A window that cannot be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no reading lies in the window {first} to {last}")]
pub(crate) struct EmptyWindow {
    pub first: i64,
    pub last: i64,
}

/// Adds up series.
///
/// ```ignore
/// let mut scorer = Scorer::default();
/// scorer.add(LabeledSeries { times, scores, is_anomaly, windows })?;
/// let Some([standard, low_fp, low_fn]) = scorer.scores() else { return };
/// ```
#[derive(Debug, Default)]
pub(crate) struct Scorer {
    points: Vec<Point>,
    /// Labeled windows that had at least one reading that counts.
    windows: usize,
}

/// A reading that counts.
#[derive(Debug, Clone, Copy)]
struct Point {
    score: f64,
    is_anomaly: bool,
    /// What an alarm here earns or costs, by its place alone: from -1 to 1.
    worth: f64,
    /// The number of the window it lies in.
    window: Option<usize>,
}

/// A window by the places of its first and last reading.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
}

impl Span {
    fn length(self) -> f64 {
        (self.last - self.first + 1) as f64
    }
}

/// How many readings at the beginning of a series of `count` are not scored: 15 %, and at most 750.
pub(crate) fn probation(count: usize) -> usize {
    // As NAB computes it, in floating point, rounding and all.
    ((0.15 * count as f64) as usize).min(750)
}

impl Scorer {
    /// Adds a series.
    ///
    /// # Errors
    /// [`EmptyWindow`]; nothing was added then.
    pub(crate) fn add(&mut self, series: LabeledSeries<'_>) -> Result<Hits, EmptyWindow> {
        let mut spans = Vec::with_capacity(series.windows.len());
        for window in series.windows {
            spans.push(span(series.times, *window)?);
        }
        let begin = self.points.len();
        let mut counted: Vec<Option<usize>> = vec![None; spans.len()];
        let (mut next, mut current, mut previous) = (0, None, None);
        for index in 0..series.times.len() {
            if spans.get(next).is_some_and(|span| span.first == index) {
                current = Some(next);
                next += 1;
            }
            let inside = current.map(|number| spans[number]);
            if index >= probation(series.times.len()) {
                let window = current.map(|number| *counted[number].get_or_insert(self.windows));
                self.windows = self.windows.max(window.map_or(0, |number| number + 1));
                self.points.push(Point {
                    score: series.scores[index],
                    is_anomaly: series.is_anomaly[index],
                    worth: worth(index, inside, previous),
                    window,
                });
            }
            if let Some(span) = inside.filter(|span| span.last == index) {
                previous = Some(span);
                current = None;
            }
        }
        Ok(hits(&self.points[begin..]))
    }

    /// The scores over all series, in the order of [`PROFILES`]; `None` if there is no window.
    pub(crate) fn scores(&self) -> Option<[Score; 3]> {
        if self.windows == 0 {
            return None;
        }
        let mut order: Vec<&Point> = self.points.iter().collect();
        order.sort_by(|one, other| falling(one.score, other.score));
        Some(PROFILES.map(|profile| self.score(profile, &order)))
    }

    fn score(&self, profile: Profile, order: &[&Point]) -> Score {
        let nothing = -(self.windows as f64) * profile.false_negative;
        let everything = self.windows as f64 * profile.true_positive;
        let normalized = |total: f64| 100.0 * (total - nothing) / (everything - nothing);

        let mut fixed = Ledger::new(profile, self.windows);
        let alarms = self.points.iter().filter(|point| point.is_anomaly);
        alarms.for_each(|point| fixed.enter(point));

        let mut ledger = Ledger::new(profile, self.windows);
        let (mut best, mut best_threshold) = (ledger.total, None);
        for (place, point) in order.iter().enumerate() {
            ledger.enter(point);
            let is_last_of_its_score = order.get(place + 1).is_none_or(|next| next.score != point.score);
            if is_last_of_its_score && ledger.total > best {
                (best, best_threshold) = (ledger.total, Some(point.score));
            }
        }
        Score {
            profile,
            fixed: normalized(fixed.total),
            swept: normalized(best),
            swept_threshold: best_threshold,
        }
    }
}

fn falling(one: f64, other: f64) -> Ordering {
    other.partial_cmp(&one).unwrap_or(Ordering::Equal)
}

/// The value of a set of alarms.
struct Ledger {
    profile: Profile,
    /// The best alarm of each window so far, or what missing it costs.
    windows: Vec<f64>,
    total: f64,
}

impl Ledger {
    fn new(profile: Profile, windows: usize) -> Self {
        Ledger {
            profile,
            windows: vec![-profile.false_negative; windows],
            total: -(windows as f64) * profile.false_negative,
        }
    }

    fn enter(&mut self, alarm: &Point) {
        match alarm.window {
            None => self.total += alarm.worth * self.profile.false_positive,
            Some(window) => {
                let earned = alarm.worth * self.profile.true_positive;
                let best = &mut self.windows[window];
                if earned > *best {
                    self.total += earned - *best;
                    *best = earned;
                }
            }
        }
    }
}

/// NAB's scaled sigmoid: from 1 far to the left to -1 far to the right.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 {
        return -1.0;
    }
    2.0 / (1.0 + libm::exp(5.0 * position)) - 1.0
}

/// The gain or cost of an alarm at a reading: by how early it comes in a window, or how soon after the last one.
fn worth(index: usize, inside: Option<Span>, previous: Option<Span>) -> f64 {
    match (inside, previous) {
        (Some(span), _) => {
            let left = (span.last as f64 - index as f64 + 1.0) / span.length();
            sigmoid(-left) / sigmoid(-1.0)
        }
        (None, None) => -1.0,
        // A window of one reading has no reach at all: the quotient is infinite.
        (None, Some(span)) => sigmoid((index - span.last) as f64 / (span.length() - 1.0)),
    }
}

/// The readings that a window covers: from the first at or after its beginning to the last at or before its end; of
/// several at the very end, to the first of them, as NAB has it.
fn span(times: &[i64], (begin, end): (i64, i64)) -> Result<Span, EmptyWindow> {
    let first = times.partition_point(|time| *time < begin);
    let before_end = times.partition_point(|time| *time < end);
    let is_exact = times.get(before_end) == Some(&end);
    match (if is_exact { before_end + 1 } else { before_end }).checked_sub(1) {
        Some(last) if first <= last => Ok(Span { first, last }),
        _ => Err(EmptyWindow {
            first: begin,
            last: end,
        }),
    }
}

fn hits(points: &[Point]) -> Hits {
    let mut hits = Hits::default();
    let (mut window, mut is_caught) = (None, false);
    for point in points {
        if point.window.is_some() && point.window != window {
            hits.windows += 1;
            is_caught = false;
        }
        window = point.window.or(window);
        match point.window {
            None => hits.false_alarms += u64::from(point.is_anomaly),
            Some(_) if point.is_anomaly && !is_caught => {
                is_caught = true;
                hits.caught += 1;
            }
            Some(_) => {}
        }
    }
    hits
}

#[cfg(test)]
mod tests;
