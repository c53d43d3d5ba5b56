//! The hits and false alarms of each detector, on the same series: the seasonal scenarios of the tests and
//! the real Boston readings. `cargo bench --bench quality`; docs/detectors.md holds a result.
//!
//! Rates and shares, no timings: the same on every machine.

use std::ops::Range;

use anyhow::{Context, Result};
use chrono::NaiveDateTime;
use streamgauge::config::{Overrides, load};
use streamgauge::detectors::{MessageIds, Observation, Series, Verdict, models};
use streamgauge_testkit::season::{self, Kind, Scenario, Tally, evaluate, generate};

/// A detector and its settings.
struct Candidate {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

/// The loads of the scenarios lie below 2,000, and so do Boston's.
const CANDIDATES: [Candidate; 6] = [
    Candidate {
        name: "adaptive-band (default)",
        settings: &[],
    },
    Candidate {
        name: "isolation-forest, exact",
        settings: &[("detect.detector", "isolation-forest")],
    },
    Candidate {
        name: "preset boston-tutorial",
        settings: &[("detect.preset", "boston-tutorial")],
    },
    Candidate {
        name: "half-space-trees, threshold 0.97",
        settings: &[
            ("detect.detector", "half-space-trees"),
            ("half_space_trees.scale", "2000"),
            ("detect.threshold", "0.97"),
        ],
    },
    Candidate {
        name: "preset ec2-tutorial, scale 2000",
        settings: &[
            ("detect.preset", "ec2-tutorial"),
            ("half_space_trees.scale", "2000"),
        ],
    },
    Candidate {
        name: "preset air-quality-tutorial, scale 2000, readings",
        settings: &[
            ("detect.preset", "air-quality-tutorial"),
            ("detect.input", "readings"),
            ("half_space_trees.scale", "2000"),
        ],
    },
];

const SEEDS: u64 = 8;
const WEEKS: usize = 12;
const INTERVAL_MS: i64 = 300_000;
/// How far apart the default's readings are, with seeds that no choice was made by, and weeks.
const CADENCES: [(&str, i64, Range<u64>, usize); 3] = [
    ("5 minutes", INTERVAL_MS, 1000..1040, 12),
    ("15 minutes", 3 * INTERVAL_MS, 3000..3020, 26),
    ("hour", 12 * INTERVAL_MS, 3000..3020, 26),
];
const BOSTON: &str = include_str!("../src/commands/demo/boston_tuesdays.csv");

fn main() -> Result<()> {
    println!(
        "Episodes of false alarms a week and key, and the share found; {SEEDS} keys of {WEEKS} weeks a scenario.\n"
    );
    println!(
        "| detector | false alarms a week: all, worst scenario | spikes | zeros | stuck | alarms in seven Boston days |"
    );
    println!("|---|---|---|---|---|---|");
    for candidate in &CANDIDATES {
        let mut all = Tally::default();
        let mut worst = 0.0_f64;
        for scenario in Scenario::ALL {
            let mut tally = Tally::default();
            for seed in 0..SEEDS {
                let series = generate(scenario, seed, WEEKS, INTERVAL_MS);
                tally.add(&evaluate(&series, &alarms(candidate, readings_of(&series))?));
            }
            worst = worst.max(tally.false_episodes_per_week());
            all.add(&tally);
        }
        let boston = alarms(candidate, boston()?.into_iter())?.len();
        let percent = |kind| format!("{:.0} %", 100.0 * all.recall(kind));
        println!(
            "| {} | {:.2}, {:.2} | {} | {} | {} | {boston} |",
            candidate.name,
            all.false_episodes_per_week(),
            worst,
            percent(Kind::Spike),
            percent(Kind::Zero),
            percent(Kind::Stuck),
        );
    }
    for (name, interval_ms, seeds, weeks) in CADENCES {
        print_scenarios(name, interval_ms, seeds, weeks)?;
    }
    Ok(())
}

/// Prints what the default finds in each scenario at one interval, its first two weeks included.
fn print_scenarios(name: &str, interval_ms: i64, seeds: Range<u64>, weeks: usize) -> Result<()> {
    println!(
        "\nThe default, every {name}: {} keys of {weeks} weeks a scenario.\n",
        seeds.end - seeds.start
    );
    println!(
        "| scenario | false alarms a week | weeks 1 and 2, of all keys | spikes | zeros | stuck | levels |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut all = Tally::default();
    for scenario in Scenario::ALL {
        let mut tally = Tally::default();
        for seed in seeds.clone() {
            let series = generate(scenario, seed, weeks, interval_ms);
            tally.add(&evaluate(&series, &alarms(&CANDIDATES[0], readings_of(&series))?));
        }
        print_tally(&format!("{scenario:?}"), &tally);
        all.add(&tally);
    }
    print_tally("all", &all);
    Ok(())
}

fn print_tally(name: &str, tally: &Tally) {
    let found = |kind: Kind| match tally.found[kind as usize] {
        (_, 0) => "-".to_owned(),
        (found, all) => format!("{found}/{all}"),
    };
    let [first, second] = tally.first_weeks;
    println!(
        "| {name} | {:.3} | {first}, {second} | {} | {} | {} | {} |",
        tally.false_episodes_per_week(),
        found(Kind::Spike),
        found(Kind::Zero),
        found(Kind::Stuck),
        found(Kind::Level),
    );
}

fn readings_of(series: &season::Series) -> impl Iterator<Item = Observation> {
    series.readings.iter().map(|reading| Observation {
        event_time_ms: reading.event_time_ms,
        local_time_ms: reading.local_time_ms,
        value: reading.value,
    })
}

/// The times at which a candidate alarms.
fn alarms(candidate: &Candidate, readings: impl Iterator<Item = Observation>) -> Result<Vec<i64>> {
    let overrides = candidate
        .settings
        .iter()
        .fold(Overrides::default(), |overrides, (key, value)| {
            overrides.with(key, "the benchmark", Some(value))
        });
    let settings = load(&overrides, None, [])?.config.pipeline;
    let models = models(
        settings.detect.detector,
        settings.detect.threshold,
        &settings.detect.rules,
        &settings.detectors,
    )?;
    let mut series = Series::new(&models, "");
    let mut verdicts = Vec::new();
    let mut alarms = Vec::new();
    for (offset, reading) in (0..).zip(readings) {
        verdicts.clear();
        series.observe(reading, &mut MessageIds::of_record(offset), &mut verdicts);
        let is_alarm = |verdict: &Verdict| verdict.is_anomaly && !verdict.cause.is_end();
        if verdicts.iter().any(is_alarm) {
            alarms.push(reading.event_time_ms);
        }
    }
    Ok(alarms)
}

/// The readings of the demo, by their wall time.
fn boston() -> Result<Vec<Observation>> {
    let mut rows = csv::Reader::from_reader(BOSTON.as_bytes());
    rows.records()
        .map(|row| {
            let row = row?;
            let (time, value) = (row.get(0).context("no time")?, row.get(2).context("no value")?);
            let time_ms = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S")?
                .and_utc()
                .timestamp_millis();
            Ok(Observation {
                event_time_ms: time_ms,
                local_time_ms: time_ms,
                value: value.parse()?,
            })
        })
        .collect()
}
