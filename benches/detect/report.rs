//! The measurements, their baselines, and their targets.

use std::time::Instant;

use anyhow::Result;
use serde::Deserialize;

use super::ours::{best, load_of_a_processor, memory, seasonal, shown, thirteen_comparables, time};

/// The output of `theirs.py`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Theirs {
    half_space_trees_ns: f64,
    isolation_forest_ns: f64,
}

const HALF_SPACE_TREES: &[(&str, &str)] = &[
    ("detect.detector", "half-space-trees"),
    ("half_space_trees.order", "learn-then-score"),
];
const EXACT: &[(&str, &str)] = &[("detect.detector", "isolation-forest")];
const SCIKIT_LEARN: &[(&str, &str)] = &[
    ("detect.detector", "isolation-forest"),
    ("isolation_forest.method", "scikit-learn"),
];

/// Measures everything; prints a table of the times, with ratios where the others' are known, and one of memory.
pub fn print(now: fn() -> Instant, theirs: Option<Theirs>) -> Result<()> {
    println!("| a reading | ours | theirs | ratio | target |");
    println!("|---|---|---|---|---|");
    let half_space_trees = best(|| time(now, HALF_SPACE_TREES, load_of_a_processor, 1_000, 1_000_000))?;
    let exact = best(|| time(now, EXACT, thirteen_comparables, 8_640, 50_000))?;
    let scikit_learn = best(|| time(now, SCIKIT_LEARN, thirteen_comparables, 8_640, 5_000))?;
    let default = best(|| time(now, &[], seasonal, 20_000, 200_000))?;
    let river = theirs.map(|theirs| theirs.half_space_trees_ns);
    let forest = theirs.map(|theirs| theirs.isolation_forest_ns);
    for (name, ours, theirs, target) in [
        (
            "half-space trees (10, 8, 250), learn and score",
            half_space_trees,
            river,
            "50 ×",
        ),
        (
            "isolation forest, scikit-learn, 13 comparables",
            scikit_learn,
            forest,
            "300 ×",
        ),
        (
            "isolation forest, exact, 13 comparables",
            exact,
            forest,
            "10,000 ×",
        ),
        ("default settings, seasonal load", default, None, "1 µs"),
    ] {
        let (other, ratio) = theirs.map_or(Default::default(), |theirs| {
            (shown(theirs), format!("{:.0} ×", theirs / ours))
        });
        println!("| {name} | {} | {other} | {ratio} | {target} |", shown(ours));
    }
    println!();
    println!("| a series with a month of readings | resident | target |");
    println!("|---|---|---|");
    for (name, settings) in [
        ("half-space trees (10, 8, 250)", HALF_SPACE_TREES),
        ("isolation forest", EXACT),
        ("default settings", &[]),
    ] {
        println!("| {name} | {} kB | 80 kB |", memory(settings, 200)? / 1_000);
    }
    Ok(())
}
