//! Labeled series of load with days and weeks, and how well a detector finds their anomalies.

mod anomalies;
mod evaluate;
mod load;
mod random;

pub use evaluate::{Tally, evaluate};

use load::Load;
pub use random::Random;

/// The kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Gaussian noise that is wider at the hours of high load.
    Gaussian,
    /// Student's t with four degrees of freedom: noise passes 8 deviations twice a week.
    HeavyTailed,
    /// The level drifts by 30 %, and noise lasts.
    DriftingAutoregressive,
    /// The load changes by a fifth within one reading, and stays so.
    LevelChange,
    /// Three working days are like Sundays.
    Holidays,
    /// Gaps of up to a day, and a coarse meter.
    GapsQuantised,
    NoSeason,
    NoSeasonAutoregressive,
    /// Three jobs a day that begin up to 5 minutes early or late.
    BatchJobs,
    /// A machine that is switched on and off at random.
    OnOff,
    /// Nothing at 97 % of the readings.
    Sparse,
    /// The sun, with clouds.
    Solar,
    /// As `HeavyTailed`, without anomalies.
    HeavyTailedClean,
    /// As `Gaussian`, by a wall clock that goes forward after six weeks.
    ClockChange,
}

impl Scenario {
    pub const ALL: [Scenario; 14] = [
        Scenario::Gaussian,
        Scenario::HeavyTailed,
        Scenario::DriftingAutoregressive,
        Scenario::LevelChange,
        Scenario::Holidays,
        Scenario::GapsQuantised,
        Scenario::NoSeason,
        Scenario::NoSeasonAutoregressive,
        Scenario::BatchJobs,
        Scenario::OnOff,
        Scenario::Sparse,
        Scenario::Solar,
        Scenario::HeavyTailedClean,
        Scenario::ClockChange,
    ];
}

/// One reading.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub event_time_ms: i64,
    pub local_time_ms: i64,
    pub value: f64,
}

/// The kind of anomaly in a stretch of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Spike,
    Zero,
    Stuck,
    Level,
}

/// A stretch of time, its ends included, and what is wrong then.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub kind: Kind,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// A series and what is known of it.
#[derive(Debug, Clone)]
pub struct Series {
    pub interval_ms: i64,
    pub readings: Vec<Reading>,
    pub labels: Vec<Label>,
    pub holidays: Vec<(i64, i64)>,
}

/// A Monday, 2023-11-13T00:00:00Z.
const START_MS: i64 = 1_699_833_600_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;
/// The interval that the scenarios were made for.
const USUAL_INTERVAL_MS: i64 = 300_000;

/// A series of that many weeks; the same for the same arguments.
pub fn generate(scenario: Scenario, seed: u64, weeks: usize, interval_ms: i64) -> Series {
    let mut random = Random::new(1_000 * (scenario as u64 + 1) + seed);
    let mut load = Load::generate(scenario, seed, weeks, interval_ms, &mut random);
    let stretches = anomalies::insert(scenario, &mut load, &mut random);
    if scenario == Scenario::GapsQuantised {
        load.values
            .iter_mut()
            .for_each(|value| *value = (*value / load.quantum).round() * load.quantum);
    }
    if !matches!(scenario, Scenario::NoSeason | Scenario::NoSeasonAutoregressive) {
        load.values.iter_mut().for_each(|value| *value = value.max(0.0));
    }
    let time_ms = |index: usize| START_MS + index as i64 * interval_ms;
    let kept = kept(scenario, &load, &stretches, &mut random);
    let readings = (0..load.values.len())
        .filter(|&index| kept[index])
        .map(|index| Reading {
            event_time_ms: time_ms(index),
            local_time_ms: time_ms(index) + load.clock_ahead_ms(index),
            value: load.values[index],
        });
    let label = |&(kind, start, end): &(Kind, usize, usize)| Label {
        kind,
        start_ms: time_ms(start),
        end_ms: time_ms(end.min(load.values.len()) - 1),
    };
    Series {
        interval_ms,
        readings: readings.collect(),
        labels: stretches.iter().map(label).collect(),
        holidays: load
            .holidays
            .iter()
            .map(|&(start, end)| (time_ms(start), time_ms(end - 1)))
            .collect(),
    }
}

/// Which readings arrive: all of them but in the scenario with gaps, where those around anomalies do.
fn kept(
    scenario: Scenario,
    load: &Load,
    stretches: &[(Kind, usize, usize)],
    random: &mut Random,
) -> Vec<bool> {
    let count = load.values.len();
    let mut kept = vec![true; count];
    if scenario == Scenario::GapsQuantised {
        for _ in 0..25 {
            let start = random.whole(0, count);
            let length = [1, 2, 6, 50, 300][random.whole(0, 5)];
            kept[start..(start + length).min(count)].fill(false);
        }
        for &(_, start, end) in stretches {
            kept[start.saturating_sub(20)..(end + 20).min(count)].fill(true);
        }
    }
    kept
}
