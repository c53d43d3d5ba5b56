//! A rule about a limit that lies ahead, beside a real Prometheus' `predict_linear` on the same series.
//! `cargo bench --bench trend`; docs/detectors/rules.md holds a result.
//!
//! Rates and shares, no timings: the same on every machine.

mod prometheus;
mod series;

use std::collections::BTreeMap;

use anyhow::Result;
use prometheus::Prometheus;
use series::{DAYS, Series, Shape, series, time_ms};
use streamgauge::config::{Overrides, load};
use streamgauge::detectors::{self, Cause, Forecast, MessageIds, Observation, Verdict, models};

const SEEDS: u64 = 8;
const HOUR_MS: i64 = 3_600_000;

/// An alert that began, and what was said of the time that is left.
struct Alert {
    at_ms: i64,
    forecast: Option<Forecast>,
}

/// What some method said of each series.
struct Method {
    name: String,
    alerts: BTreeMap<usize, Vec<Alert>>,
}

fn main() -> Result<()> {
    let healthy: Vec<(Shape, f64, u64)> = cases(&[0.0]);
    let leaking: Vec<(Shape, f64, u64)> = cases(&[2.0, 5.0, 12.0]);
    println!("{SEEDS} series of {DAYS} days a shape. Alarms a week of series that do not fill up:\n");
    table(&healthy, |alerts, _| {
        let count: usize = alerts.iter().map(|alerts| alerts.len()).sum();
        format!("{:.2}", count as f64 / alerts.len() as f64 / (DAYS as f64 / 7.0))
    })?;
    println!(
        "\nSeries that fill up, by how much they leak a day: told before they are full, and how long before (median):\n"
    );
    table(&leaking, |alerts, series| {
        let mut ahead: Vec<i64> = alerts
            .iter()
            .zip(series)
            .filter_map(|(alerts, series)| Some((alerts, series.full_at?, series.leaks_from?)))
            .map(|(alerts, full, leaks)| {
                let told = alerts
                    .iter()
                    .map(|alert| alert.at_ms)
                    .find(|at_ms| (time_ms(leaks)..time_ms(full)).contains(at_ms));
                told.map_or(-1, |at_ms| (time_ms(full) - at_ms) / HOUR_MS)
            })
            .collect();
        ahead.sort_unstable();
        let told = ahead.iter().filter(|hours| **hours >= 0).count();
        let median = ahead.get(ahead.len() / 2).copied().unwrap_or(-1);
        format!("{told} of {}, {median} h", ahead.len())
    })?;
    Ok(())
}

fn cases(leaks: &[f64]) -> Vec<(Shape, f64, u64)> {
    let shapes = Shape::ALL.iter();
    shapes
        .flat_map(|&shape| leaks.iter().map(move |&leak| (shape, leak)))
        .flat_map(|(shape, leak)| (0..SEEDS).map(move |seed| (shape, leak, seed)))
        .collect()
}

/// Prints a row for each shape and leak, with a cell for each method.
fn table(cases: &[(Shape, f64, u64)], cell: impl Fn(&[&[Alert]], &[&Series]) -> String) -> Result<()> {
    let all: Vec<Series> = cases
        .iter()
        .map(|&(shape, leak, seed)| series(shape, leak, seed))
        .collect();
    let methods = methods(&all)?;
    let names: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---{}|", "|---".repeat(names.len()));
    for (row, chunk) in cases.chunks(SEEDS as usize).enumerate() {
        let (shape, leak, _) = chunk[0];
        let numbers: Vec<usize> = (0..SEEDS as usize).map(|at| row * SEEDS as usize + at).collect();
        let of_row: Vec<&Series> = numbers.iter().map(|&number| &all[number]).collect();
        let cells: Vec<String> = methods
            .iter()
            .map(|method| {
                let alerts: Vec<&[Alert]> = numbers
                    .iter()
                    .map(|number| method.alerts.get(number).map_or(&[][..], Vec::as_slice))
                    .collect();
                cell(&alerts, &of_row)
            })
            .collect();
        let leak = if leak > 0.0 {
            format!(", {leak} a day")
        } else {
            String::new()
        };
        println!("| {}{leak} | {} |", shape.name(), cells.join(" | "));
    }
    println!("{}", ranges(&methods[0], &all));
    Ok(())
}

/// How often the range that was told held the time at which the series was full.
fn ranges(rule: &Method, all: &[Series]) -> String {
    let (mut told, mut held) = (0, 0);
    for (number, alerts) in &rule.alerts {
        let Some(full) = all[*number].full_at else {
            continue;
        };
        let first = alerts.iter().find(|alert| alert.at_ms < time_ms(full));
        let Some((at_ms, forecast)) = first.and_then(|alert| Some((alert.at_ms, alert.forecast?))) else {
            continue;
        };
        let left_ms = time_ms(full) - at_ms;
        told += 1;
        held +=
            usize::from(forecast.early_ms <= left_ms && forecast.late_ms.is_none_or(|late| left_ms <= late));
    }
    format!("\nThe rule's range held the time at which it was full: {held} of {told}.")
}

fn methods(all: &[Series]) -> Result<Vec<Method>> {
    let mut methods = Vec::new();
    for rule in ["reaches 95 within 3d", "reaches 95 within 1d"] {
        let mut alerts = BTreeMap::new();
        for (number, one) in all.iter().enumerate() {
            alerts.insert(number, of_rule(rule, one)?);
        }
        let name = format!("`{rule}`");
        methods.push(Method { name, alerts });
    }
    let prometheus = Prometheus::start(all)?;
    for (span, ahead_days) in [("6h", 1), ("3d", 3)] {
        let expression = format!("predict_linear(used[{span}], {}) > 95", ahead_days * 86_400);
        let found = prometheus.alerts(&expression)?;
        let name = format!("`predict_linear(…[{span}], {ahead_days} d) > 95` for 1 h");
        let alerts = found
            .into_iter()
            .map(|(number, times)| (number, beginnings(&times)))
            .collect();
        methods.push(Method { name, alerts });
    }
    Ok(methods)
}

/// The alerts of which the one before is over by more than an hour.
fn beginnings(times: &[i64]) -> Vec<Alert> {
    let mut last_ms = i64::MIN;
    let mut alerts = Vec::new();
    for &at_ms in times {
        if at_ms.saturating_sub(last_ms) > HOUR_MS {
            alerts.push(Alert {
                at_ms,
                forecast: None,
            });
        }
        last_ms = at_ms;
    }
    alerts
}

/// What a rule reports of a series.
fn of_rule(rule: &str, series: &Series) -> Result<Vec<Alert>> {
    let overrides = Overrides::default()
        .with("detect.detector", "the benchmark", Some("none"))
        .with("detect.rules.*", "the benchmark", Some(rule));
    let settings = load(&overrides, None, [])?.config.pipeline;
    let models = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )?;
    let mut watched = detectors::Series::new(&models, "");
    let (mut verdicts, mut alerts) = (Vec::new(), Vec::new());
    for (step, &value) in series.values.iter().enumerate() {
        let at_ms = time_ms(step);
        let reading = Observation {
            event_time_ms: at_ms,
            local_time_ms: at_ms,
            value,
        };
        watched.observe(reading, &mut MessageIds::of_record(step as i64), &mut verdicts);
        alerts.extend(
            verdicts
                .drain(..)
                .filter_map(|verdict: Verdict| match verdict.cause {
                    Cause::Rule {
                        holds: true,
                        forecast,
                        ..
                    } => Some(Alert { at_ms, forecast }),
                    _ => None,
                }),
        );
    }
    Ok(alerts)
}
