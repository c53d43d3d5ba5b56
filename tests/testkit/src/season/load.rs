//! Load without anomalies.

use std::f64::consts::PI;

use super::random::Random;
use super::{DAY_MS, HOUR_MS, Scenario, USUAL_INTERVAL_MS};

/// Values, how wide their noise is, and what anomalies need to know of them.
pub struct Load {
    pub interval_ms: i64,
    pub base: f64,
    pub values: Vec<f64>,
    /// The deviation of the noise at each reading.
    pub deviations: Vec<f64>,
    /// The noise's median absolute deviation times 1.48, in deviations.
    pub robust: f64,
    pub quantum: f64,
    /// First and last but one index.
    pub holidays: Vec<(usize, usize)>,
    /// From this reading on the wall clock is an hour ahead.
    pub clock_change: Option<usize>,
}

/// The course of the load within a day.
struct Shape {
    office: bool,
    amplitudes: (f64, f64),
    phases: (f64, f64),
    opening: f64,
    closing: f64,
}

impl Shape {
    fn new(office: bool, random: &mut Random) -> Self {
        Shape {
            office,
            amplitudes: (random.uniform(0.2, 0.5), random.uniform(0.05, 0.25)),
            phases: (random.uniform(0.0, 1.0), random.uniform(0.0, 1.0)),
            opening: random.uniform(6.5, 9.0) / 24.0,
            closing: random.uniform(16.5, 20.0) / 24.0,
        }
    }

    /// At a part of the day, from 0 to 1.
    fn at(&self, day: f64) -> f64 {
        if self.office {
            let opened = 1.0 + libm::exp(-(day - self.opening) * 60.0);
            let closed = 1.0 + libm::exp((day - self.closing) * 60.0);
            return 0.7 + 0.8 / opened / closed;
        }
        1.0 + self.amplitudes.0 * libm::sin(2.0 * PI * (day - self.phases.0))
            + self.amplitudes.1 * libm::sin(4.0 * PI * (day - self.phases.1))
    }
}

impl Load {
    pub fn generate(
        scenario: Scenario,
        seed: u64,
        weeks: usize,
        interval_ms: i64,
        random: &mut Random,
    ) -> Self {
        let count = weeks * 7 * (DAY_MS / interval_ms) as usize;
        let base = random.uniform(200.0, 800.0);
        let mut load = Load {
            interval_ms,
            base,
            values: vec![base; count],
            deviations: Vec::new(),
            robust: 1.0,
            quantum: 1.0,
            holidays: Vec::new(),
            clock_change: (scenario == Scenario::ClockChange).then_some(count / 2),
        };
        let shape = Shape::new(seed % 2 == 1, random);
        let variation = random.uniform(0.015, 0.05);
        load.quantum = (variation * base * 0.7).round().max(1.0);
        load.add_season(scenario, &shape, variation, weeks, random);
        load.add_noise(scenario, random);
        match scenario {
            Scenario::OnOff => load.switch_on_and_off(random),
            Scenario::Sparse => load.empty(random),
            Scenario::Solar => load.shine(random),
            _ => {}
        }
        load
    }

    pub fn readings_per_day(&self) -> usize {
        (DAY_MS / self.interval_ms) as usize
    }

    /// The number of readings in so many of the intervals that the scenarios were made for.
    fn slots(&self, slots: f64) -> f64 {
        slots * USUAL_INTERVAL_MS as f64 / self.interval_ms as f64
    }

    /// As many readings as those slots last, and at least `least`.
    pub fn readings(&self, slots: usize, least: usize) -> usize {
        (self.slots(slots as f64).round() as usize).max(least)
    }

    /// The part that remains after one interval, if `factor` remains from one usual interval to the next.
    fn remaining(&self, factor: f64) -> f64 {
        libm::pow(factor, 1.0 / self.slots(1.0))
    }

    pub fn clock_ahead_ms(&self, index: usize) -> i64 {
        if self.clock_change.is_some_and(|change| index >= change) {
            HOUR_MS
        } else {
            0
        }
    }

    /// Whole days and the part of the day on the wall clock.
    fn wall_clock(&self, index: usize) -> (usize, f64) {
        let time_ms = index as i64 * self.interval_ms + self.clock_ahead_ms(index);
        (
            (time_ms / DAY_MS) as usize,
            (time_ms % DAY_MS) as f64 / DAY_MS as f64,
        )
    }

    fn add_season(
        &mut self,
        scenario: Scenario,
        shape: &Shape,
        variation: f64,
        weeks: usize,
        random: &mut Random,
    ) {
        let day = self.readings_per_day();
        if matches!(scenario, Scenario::NoSeason | Scenario::NoSeasonAutoregressive) {
            self.deviations = vec![variation * self.base; self.values.len()];
            return;
        }
        if scenario == Scenario::Holidays {
            for week in [3, 5, 8] {
                let start = (week * 7 + random.whole(0, 5)) * day;
                self.holidays.push((start, start + day));
            }
        }
        let weekend = self.weekend(random.uniform(0.55, 0.85), random.uniform(0.85, 0.97));
        let drift = if scenario == Scenario::DriftingAutoregressive {
            0.3 * random.sign()
        } else {
            0.0
        };
        for (index, &weekend) in weekend.iter().enumerate() {
            let part = shape.at(self.wall_clock(index).1);
            let shaped = if shape.office {
                weekend * (part - 0.6) + 0.6
            } else {
                weekend * part
            };
            let drifted = 1.0 + drift * index as f64 / self.values.len() as f64;
            self.values[index] = self.base * shaped * drifted;
            self.deviations
                .push(variation * self.base * (0.5 + (part - 0.6).max(0.0)));
        }
        if scenario == Scenario::BatchJobs {
            self.add_jobs(weeks, random);
        }
    }

    /// The factor of weekends and holidays, with edges of three hours.
    fn weekend(&self, saturday: f64, sunday: f64) -> Vec<f64> {
        let factor = |index: usize| {
            let is_holiday = self
                .holidays
                .iter()
                .any(|&(start, end)| (start..end).contains(&index));
            match self.wall_clock(index).0 % 7 {
                _ if is_holiday => saturday * sunday,
                5 => saturday,
                6 => saturday * sunday,
                _ => 1.0,
            }
        };
        let factors: Vec<f64> = (0..self.values.len()).map(factor).collect();
        let reach = self.slots(18.0).round() as usize;
        let last = factors.len() - 1;
        let mut sums = vec![0.0];
        for index in 0..factors.len() {
            sums.push(sums[index] + factors[index]);
        }
        (0..factors.len())
            .map(|index| {
                let (start, end) = (index.saturating_sub(reach), (index + reach).min(last) + 1);
                (sums[end] - sums[start]) / (end - start) as f64
            })
            .collect()
    }

    fn add_jobs(&mut self, weeks: usize, random: &mut Random) {
        let day = self.readings_per_day();
        for _ in 0..3 {
            let start = random.whole(0, day);
            let length = (self.slots(random.whole(3, 24) as f64).round() as usize).max(1);
            let height = random.uniform(0.3, 1.0) * self.base;
            for days in 0..weeks * 7 {
                let late = self.slots(random.whole(0, 3) as f64 - 1.0).round() as isize;
                let start = (days * day + start).saturating_add_signed(late);
                let end = (start + length).min(self.values.len());
                self.values[start.min(end)..end]
                    .iter_mut()
                    .for_each(|value| *value += height);
            }
        }
    }

    fn add_noise(&mut self, scenario: Scenario, random: &mut Random) {
        let lasting = matches!(
            scenario,
            Scenario::DriftingAutoregressive | Scenario::NoSeasonAutoregressive
        );
        let kept = self.remaining(0.8);
        let mut last = 0.0;
        for index in 0..self.values.len() {
            let noise = match scenario {
                Scenario::HeavyTailed | Scenario::HeavyTailedClean => random.student(4),
                Scenario::LevelChange | Scenario::Holidays => random.student(8),
                _ if lasting => kept * last + (1.0 - kept * kept).sqrt() * random.normal(),
                _ => random.normal(),
            };
            last = noise;
            self.values[index] += noise * self.deviations[index];
        }
        self.robust = match scenario {
            Scenario::HeavyTailed | Scenario::HeavyTailedClean => 1.098,
            Scenario::LevelChange | Scenario::Holidays => 1.047,
            _ => 1.0,
        };
    }

    fn switch_on_and_off(&mut self, random: &mut Random) {
        self.deviations.fill(0.01 * self.base);
        let (mut index, mut is_on) = (0, false);
        while index < self.values.len() {
            let length = self
                .slots(random.gamma(4, if is_on { 6.0 } else { 10.0 }) + 2.0)
                .round() as usize;
            let end = (index + length.max(1)).min(self.values.len());
            for value in &mut self.values[index..end] {
                *value = if is_on {
                    (self.base + 0.01 * self.base * random.normal()).max(0.0)
                } else {
                    0.0
                };
            }
            index = end;
            is_on = !is_on;
        }
    }

    fn empty(&mut self, random: &mut Random) {
        self.deviations.fill(0.6 * self.base);
        for value in &mut self.values {
            *value = if random.uniform(0.0, 1.0) < 0.03 {
                self.base * random.lognormal(0.5)
            } else {
                0.0
            };
        }
    }

    fn shine(&mut self, random: &mut Random) {
        self.deviations.fill(0.05 * self.base);
        let kept = self.remaining(0.97);
        // The clouds' deviation is that of steps of 0.1 at the usual interval.
        let step = 0.1 * ((1.0 - kept * kept) / (1.0 - 0.97 * 0.97)).sqrt();
        let mut cloud = 0.0;
        for index in 0..self.values.len() {
            cloud = kept * cloud + step * random.normal();
            let height = libm::sin(2.0 * PI * (self.wall_clock(index).1 - 0.25)).max(0.0);
            self.values[index] = self.base * height * (0.8 + 0.4 * cloud).clamp(0.15, 1.1);
        }
    }
}
