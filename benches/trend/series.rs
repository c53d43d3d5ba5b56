//! Series of which some fill up, a reading every quarter of an hour: what a disk, a heap or a queue looks like.

use streamgauge_testkit::season::Random;

pub const STEP_MS: i64 = 900_000;
pub const STEPS_PER_DAY: usize = 96;
pub const DAYS: usize = 28;
/// The limit that rules and queries watch for.
pub const LIMIT: f64 = 95.0;
/// 2024-01-01, a Monday.
pub const START_MS: i64 = 1_704_067_200_000;
/// What leaks begins to on this day.
const LEAK_DAY: usize = 10;

/// What a series does beside its noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    Flat,
    /// A random walk that is pulled back: what is high stays so for hours.
    Wandering,
    /// High by day, low by night.
    Daily,
    /// The same, and low at weekends.
    Weekly,
    /// Garbage is collected every five hours.
    SawTooth,
    /// Grows by 20 a day, and is cleaned up every night.
    NightlyCleanUp,
    /// A job needs 30 more for two hours every night.
    NightlyJob,
    /// Rises once by 12, and once by 8.
    Steps,
}

impl Shape {
    pub const ALL: [Shape; 8] = [
        Shape::Flat,
        Shape::Wandering,
        Shape::Daily,
        Shape::Weekly,
        Shape::SawTooth,
        Shape::NightlyCleanUp,
        Shape::NightlyJob,
        Shape::Steps,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Flat => "noise alone",
            Shape::Wandering => "wandering for half a day at a time",
            Shape::Daily => "a daily season",
            Shape::Weekly => "the same, less at weekends",
            Shape::SawTooth => "a saw-tooth of five hours",
            Shape::NightlyCleanUp => "cleaned up every night",
            Shape::NightlyJob => "a job every night",
            Shape::Steps => "two steps",
        }
    }
}

/// The readings of a series, and when it has first reached the limit.
pub struct Series {
    pub values: Vec<f64>,
    pub full_at: Option<usize>,
    /// From here on it leaks.
    pub leaks_from: Option<usize>,
}

/// A series of this shape, which leaks by so much a day from the tenth on, or does not. It is as it is after it is full.
pub fn series(shape: Shape, leak_per_day: f64, seed: u64) -> Series {
    let mut random = Random::new(seed ^ (shape as u64) << 32);
    let phase = random.uniform(0.0, 1.0);
    let steps = [random.whole(2, 12), random.whole(14, 24)].map(|day| (day as f64) + phase);
    let (mut wander, mut values) = (0.0, Vec::new());
    for step in 0..DAYS * STEPS_PER_DAY {
        let days = step as f64 / STEPS_PER_DAY as f64;
        let of_day = (days + phase).fract();
        let is_weekend = (days as usize) % 7 >= 5;
        wander = 0.985 * wander + 0.7 * random.normal();
        let season = 6.0 * libm::sin(2.0 * std::f64::consts::PI * of_day);
        let usual = match shape {
            Shape::Flat => 60.0,
            Shape::Wandering => 60.0 + wander,
            Shape::Daily => 60.0 + season,
            Shape::Weekly if is_weekend => 50.0 + season / 3.0,
            Shape::Weekly => 60.0 + season,
            Shape::SawTooth => 45.0 + 25.0 * ((days + phase) * 24.0 / 5.0).fract(),
            Shape::NightlyCleanUp => 50.0 + 20.0 * of_day,
            Shape::NightlyJob if of_day < 2.0 / 24.0 => 85.0,
            Shape::NightlyJob => 55.0,
            Shape::Steps => {
                let risen = steps.map(|at| days >= at);
                55.0 + 12.0 * f64::from(u8::from(risen[0])) + 8.0 * f64::from(u8::from(risen[1]))
            }
        };
        let leaked = leak_per_day * (days - LEAK_DAY as f64).max(0.0);
        let value = usual + leaked + 0.5 * random.normal();
        // As a disk reports it.
        values.push((value * 10.0).round() / 10.0);
    }
    let full_at = values.iter().position(|value| *value >= LIMIT);
    Series {
        values,
        full_at,
        leaks_from: (leak_per_day > 0.0).then_some(LEAK_DAY * STEPS_PER_DAY),
    }
}

/// The event time of a reading.
pub fn time_ms(step: usize) -> i64 {
    START_MS + step as i64 * STEP_MS
}
