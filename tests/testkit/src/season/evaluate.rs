//! A detector's results on a series: hits and false alarms.

use super::{DAY_MS, HOUR_MS, Kind, START_MS, Series};

/// Counts over one series or many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Hours without an alarm end an episode.
    pub false_episodes: usize,
    pub weeks: f64,
    /// Episodes in the first week and in the second, when nothing is wrong yet.
    pub first_weeks: [usize; 2],
    /// Found and all, by kind: spikes, zeros, stuck values, changes of level.
    pub found: [(usize, usize); 4],
    pub holiday_episodes: usize,
    /// Episodes in the two weeks after a change of level, that of the change itself included.
    pub level_episodes: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.false_episodes += other.false_episodes;
        self.weeks += other.weeks;
        for (sum, episodes) in self.first_weeks.iter_mut().zip(other.first_weeks) {
            *sum += episodes;
        }
        for (sum, found) in self.found.iter_mut().zip(other.found) {
            *sum = (sum.0 + found.0, sum.1 + found.1);
        }
        self.holiday_episodes += other.holiday_episodes;
        self.level_episodes += other.level_episodes;
    }

    pub fn false_episodes_per_week(&self) -> f64 {
        self.false_episodes as f64 / self.weeks
    }

    /// The part of the anomalies of a kind that was found; 1 if there were none.
    pub fn recall(&self, kind: Kind) -> f64 {
        match self.found[kind as usize] {
            (_, 0) => 1.0,
            (found, all) => found as f64 / all as f64,
        }
    }
}

/// Counts what the alarms at these times found; the false episodes of the first two weeks are counted apart.
pub fn evaluate(series: &Series, alarms_ms: &[i64]) -> Tally {
    let mut tally = Tally::default();
    for label in &series.labels {
        let found = &mut tally.found[label.kind as usize];
        found.0 += usize::from(
            alarms_ms
                .iter()
                .any(|alarm| (label.start_ms..=label.end_ms).contains(alarm)),
        );
        found.1 += 1;
    }
    let counted_from_ms = START_MS + 14 * DAY_MS;
    let end_ms = series
        .readings
        .last()
        .map_or(START_MS, |reading| reading.event_time_ms);
    tally.weeks = (end_ms - counted_from_ms) as f64 / (7 * DAY_MS) as f64;
    // An alarm may come a little late, and alarms of one hour are one episode.
    let slack_ms = HOUR_MS.max(3 * series.interval_ms);
    let mut last_ms = i64::MIN / 2;
    for &alarm in alarms_ms {
        if alarm - last_ms > slack_ms {
            match (alarm - START_MS) / (7 * DAY_MS) {
                week @ 0..2 => tally.first_weeks[week as usize] += 1,
                _ => count_episode(series, alarm, slack_ms, &mut tally),
            }
        }
        last_ms = alarm;
    }
    tally
}

fn count_episode(series: &Series, alarm_ms: i64, slack_ms: i64, tally: &mut Tally) {
    let within = |start_ms: i64, end_ms: i64| (start_ms..=end_ms).contains(&alarm_ms);
    let mut labels = series.labels.iter();
    if labels
        .clone()
        .any(|label| label.kind != Kind::Level && within(label.start_ms, label.end_ms + slack_ms))
    {
        return;
    }
    if labels.any(|label| label.kind == Kind::Level && within(label.start_ms, label.start_ms + 14 * DAY_MS)) {
        tally.level_episodes += 1;
    } else if series
        .holidays
        .iter()
        .any(|&(start, end)| within(start, end + 4 * slack_ms))
    {
        tally.holiday_episodes += 1;
    } else {
        tally.false_episodes += 1;
    }
}
