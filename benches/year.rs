//! A year of commits to a one-meter table with hourly windows, and the maintenance that keeps it small.
//!
//! `cargo bench --bench year` commits four times a window; `cargo bench --bench year -- --commits-per-window 360`
//! is the whole year of a commit every ten seconds, 3.15 million of them. What the clock would trigger goes by
//! commits: a round of maintenance every 6 (a minute) and a clean-up every 360 (an hour). Retention goes by the
//! files' age, and the year is over in minutes, so it is `--retention` instead of a day.

mod fixture;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use streamgauge::clock;
use streamgauge::config::Config;
use streamgauge::lake::Maintenance;

use fixture::{Table, config, keys, scratch, start_ms};

#[derive(Debug, Parser)]
struct Arguments {
    /// Commits in each hour; 360 is one every ten seconds
    #[arg(long, default_value_t = 4)]
    commits_per_window: u64,
    /// Hours
    #[arg(long, default_value_t = 365 * 24)]
    windows: i64,
    /// Retention of log entries and replaced files, in place of a day
    #[arg(long, default_value = "2s")]
    retention: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Commits in a minute and in an hour, at one every ten seconds.
const COMMITS_PER_ROUND: u64 = 6;
const COMMITS_PER_CLEANUP: u64 = 360;
/// As many commits make the medians at the start and at the end.
const SAMPLE: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = scratch()?;
    let settings = [
        ("reading.key", "none"),
        ("maintenance.log_retention", arguments.retention.as_str()),
        ("maintenance.vacuum_retention", arguments.retention.as_str()),
        // A retention must be at least this: a local disk answers at once.
        ("commit.give_up_after", arguments.retention.as_str()),
    ];
    let config = config(folder.path(), &settings)?;
    let started = clock::instant();
    let year = Year::run(&config, &arguments).await?;
    let took = clock::instant() - started;
    let files = files_below(folder.path())?;
    let log: Vec<&PathBuf> = files
        .iter()
        .filter(|path| path.parent().is_some_and(|parent| parent.ends_with("_delta_log")))
        .collect();
    let bytes: u64 = files
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|file| file.len())
        .sum();
    println!(
        "{} commits of {} windows in {took:.1?}",
        year.commits.len(),
        arguments.windows
    );
    println!("live files at the end         {}", year.table.live_files()?);
    println!("live files at most            {}", year.most_live_files);
    println!("objects in _delta_log         {}", log.len());
    println!("objects in _delta_log at most {}", year.most_log_objects);
    println!(
        "files altogether              {} ({:.1} MB)",
        files.len(),
        bytes as f64 / 1e6
    );
    let (first, last) = (
        &year.commits[..SAMPLE.min(year.commits.len())],
        year.commits.len().saturating_sub(SAMPLE),
    );
    let (first, last) = (median_ms(first), median_ms(&year.commits[last..]));
    println!("a commit, first {SAMPLE}          {first:.3} ms (median)");
    println!(
        "a commit, last {SAMPLE}           {last:.3} ms (median), {:.2} x",
        last / first
    );
    println!(
        "time in commits {:.1?}, in maintenance {:.1?}",
        year.commits.iter().sum::<Duration>(),
        year.maintenance
    );
    Ok(())
}

/// The result.
struct Year {
    table: Table,
    commits: Vec<Duration>,
    maintenance: Duration,
    most_live_files: usize,
    most_log_objects: usize,
}

impl Year {
    async fn run(config: &Config, arguments: &Arguments) -> Result<Self> {
        let delay_ms = config.pipeline.window.watermark.as_millis() as i64;
        let table = Table::create(config).await?;
        let mut maintenance = Maintenance::new(
            Arc::clone(&table.lake),
            config.pipeline.maintenance.clone(),
            delay_ms,
            table.cached()?.clone(),
        );
        let mut year = Year {
            table,
            commits: Vec::new(),
            maintenance: Duration::ZERO,
            most_live_files: 0,
            most_log_objects: 0,
        };
        let one_meter = keys(1);
        for commit in 0..arguments.windows as u64 * arguments.commits_per_window {
            let window = (commit / arguments.commits_per_window) as i64;
            let closed_before_ms = start_ms(window) - delay_ms;
            let batch = year.table.batch(window..window + 1, &one_meter, closed_before_ms);
            year.commits.push(year.table.commit(batch).await?);
            year.maintain(&mut maintenance, commit, config).await?;
        }
        Ok(year)
    }

    async fn maintain(&mut self, maintenance: &mut Maintenance, commit: u64, config: &Config) -> Result<()> {
        let started = clock::instant();
        if commit.is_multiple_of(COMMITS_PER_ROUND) {
            maintenance.round().await?;
            self.most_live_files = self.most_live_files.max(self.table.live_files()?);
        }
        if commit.is_multiple_of(COMMITS_PER_CLEANUP) {
            let log = files_below(&Path::new(&config.pipeline.table.uri).join("_delta_log"))?;
            self.most_log_objects = self.most_log_objects.max(log.len());
            maintenance.clean_up(false).await?;
        }
        self.maintenance += clock::instant() - started;
        Ok(())
    }
}

fn median_ms(durations: &[Duration]) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(0.0, Duration::as_secs_f64) * 1000.0
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
