//! The time and the memory that our detectors take for a reading and for a series.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use streamgauge::config::{Overrides, load};
use streamgauge::detectors::{MessageIds, Model, Observation, Series, models};
use streamgauge::pipeline;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// The number of five-minute readings in a month, which is the default history.
const MONTH: i64 = 30 * 288;

/// The default settings, with `settings` on top.
pub fn config(settings: &[(&str, &str)]) -> Result<pipeline::Settings> {
    let mut overrides = Overrides::default();
    for (key, value) in settings {
        overrides = overrides.with(key, "the benchmark", Some(value));
    }
    Ok(load(&overrides, None, [])?.config.pipeline)
}

/// Nanoseconds for each of `count` readings of one series, after `warm_up` others.
pub fn time(
    now: fn() -> Instant,
    settings: &[(&str, &str)],
    reading: fn(i64) -> (i64, f64),
    warm_up: i64,
    count: i64,
) -> Result<f64> {
    let settings = config(settings)?;
    let models = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )?;
    let mut series = Series::new(&models, "meter-0001");
    observe(&mut series, reading, 0..warm_up);
    let started = now();
    observe(&mut series, reading, warm_up..warm_up + count);
    Ok((now() - started).as_nanos() as f64 / count as f64)
}

fn observe(series: &mut Series, reading: fn(i64) -> (i64, f64), indices: std::ops::Range<i64>) {
    let mut verdicts = Vec::new();
    for index in indices {
        let (local_time_ms, value) = reading(index);
        let observation = Observation {
            event_time_ms: local_time_ms,
            local_time_ms,
            value,
        };
        series.observe(observation, &mut MessageIds::of_record(index), &mut verdicts);
        black_box(&verdicts);
        verdicts.clear();
    }
}

/// A share of a processor, as River is given them.
pub fn load_of_a_processor(index: i64) -> (i64, f64) {
    let part = (index * 7919 % 1009) as f64 / 1009.0;
    (index * 5 * MINUTE_MS, 0.3 + 0.2 * part * part)
}

/// Readings of a full history that come around to the same slot so often that there are 13 earlier ones.
pub fn thirteen_comparables(index: i64) -> (i64, f64) {
    const SLOTS: i64 = MONTH / 13;
    (
        index % SLOTS * MINUTE_MS,
        600.0 + (index * 7919 % 1009) as f64 / 8.0,
    )
}

/// A load with days and weeks and some noise, every five minutes.
pub fn seasonal(index: i64) -> (i64, f64) {
    let time_ms = index * 5 * MINUTE_MS;
    let day = (time_ms % DAY_MS) as f64 / DAY_MS as f64;
    let is_weekend = time_ms / DAY_MS % 7 >= 5;
    let hill = day * (1.0 - day) * if is_weekend { 400.0 } else { 1_200.0 };
    (time_ms, 400.0 + hill + (index * 7919 % 1009) as f64 / 50.0)
}

/// Bytes of resident memory for each of `count` series with a full month of history.
pub fn memory(settings: &[(&str, &str)], count: usize) -> Result<u64> {
    let settings = config(settings)?;
    let models: Vec<Arc<dyn Model>> = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )?;
    let before = resident()?;
    let mut all = Vec::new();
    for number in 0..count {
        let mut series = Series::new(&models, &format!("meter-{number:04}"));
        observe(&mut series, seasonal, 0..MONTH);
        all.push(series);
    }
    let after = resident()?;
    // Kept for good: what is given back would be resident already for the next that are measured.
    std::mem::forget(all);
    Ok(after.saturating_sub(before) / count as u64)
}

/// Of this process, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
    let kilobytes: u64 = kilobytes.context("/proc/self/status has no VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}

/// The smallest of some measurements: what the others have on top is of other programs.
pub fn best(measure: impl Fn() -> Result<f64>) -> Result<f64> {
    let mut best = measure()?;
    for _ in 0..4 {
        best = best.min(measure()?);
    }
    Ok(best)
}

/// As people read them.
pub fn shown(nanoseconds: f64) -> String {
    format!("{:.3?}", Duration::from_nanos(nanoseconds.max(1.0) as u64))
}
