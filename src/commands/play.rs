//! `streamgauge play`.

mod report;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::NaiveDateTime;
use clap::Args;
use indicatif::HumanCount;

use super::{Action, KafkaArgs};
use crate::config::{Config, Loaded, Overrides};
use crate::kafka::{TopicSpec, ensure_topics};
use crate::playback::{Columns, Pace, Played, Recording, Sender, TimeRange, parse_bound, play};

/// Play a CSV of readings into the topic
///
/// Each row becomes a message such as {"ts": "2023-01-13 00:00:00", "value": 820.8}, sent in order of time. Rows out of order are
/// sorted, rows repeated in full are dropped, rows without a readable time or value are skipped: all are reported, and none of it
/// makes playing fail. Readings that do not arrive do.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PlayArgs {
    /// The CSV, as downloaded; "-" reads standard input
    file: PathBuf,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Column of the time
    #[arg(long, value_name = "NAME", default_value_t = Columns::default().time)]
    time_column: String,
    /// Column of the value
    #[arg(long, value_name = "NAME", default_value_t = Columns::default().value)]
    value_column: String,
    /// Column that tells several series apart; it becomes the Kafka key and the message's "key" [default: none]
    #[arg(long, value_name = "NAME")]
    key_column: Option<String>,
    /// Leave out readings before this time: 2024-03-05 or "2024-03-05 06:00:00"
    #[arg(long, value_name = "TIME", value_parser = parse_bound)]
    from: Option<NaiveDateTime>,
    /// Leave out readings from this time on
    #[arg(long, value_name = "TIME", value_parser = parse_bound)]
    until: Option<NaiveDateTime>,
    /// Event time that one tick covers
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_step)]
    step: Duration,
    /// Let event time pass so many times faster: a tick covers step × N
    #[arg(long, value_name = "N", default_value = "1")]
    accelerator: NonZeroU32,
    /// Wall time between ticks; 0 is as fast as the broker takes them. Ticks without readings are left out
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    tick: Duration,
    /// Stop after so many ticks
    #[arg(long, value_name = "N")]
    max_iterations: Option<u64>,
}

const EXAMPLES: &str = "Examples:
  streamgauge play boston_tuesdays.csv --tick 0                    everything at once
  streamgauge play boston_tuesdays.csv --accelerator 12 --tick 1s  an hour of readings every second
  streamgauge play meters.csv --time-column at --value-column kw --key-column meter";

impl PlayArgs {
    fn pace(&self) -> Pace {
        Pace {
            step: self.step,
            accelerator: self.accelerator,
            tick: self.tick,
            max_iterations: self.max_iterations,
        }
    }
}

impl Action for PlayArgs {
    fn overrides(&self) -> Overrides {
        self.kafka.overrides()
    }

    fn run(&self, loaded: &Loaded) -> Result<ExitCode> {
        run(self, &loaded.config)
    }
}

/// Reads the file, makes the topic if it is missing, plays.
fn run(args: &PlayArgs, config: &Config) -> Result<ExitCode> {
    let recording = read(args)?;
    report::findings(&recording.report)
        .iter()
        .for_each(|line| eprintln!("{line}"));
    if recording.readings.is_empty() {
        bail!(report::nothing_to_play(&recording.report));
    }
    let pace = args.pace();
    let total: usize = pace.ticks(&recording.readings).map(<[_]>::len).sum();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let stop = stop_on_interrupt(&runtime);
    runtime.block_on(ensure_topics(
        &config.kafka,
        &[TopicSpec::readings(&config.kafka)],
    ))?;

    let sender = Sender::new(&config.kafka)?;
    let started = Instant::now();
    let mut display = report::Display::new(total as u64, io::stderr().is_terminal());
    let played = play(&recording.readings, &pace, &sender, |progress| {
        display.show(progress);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    display.finish();
    println!(
        "{}",
        report::summary(&recording.report, &played, &config.kafka, started.elapsed())
    );
    verdict(&played, total as u64)
}

fn read(args: &PlayArgs) -> Result<Recording> {
    let columns = Columns {
        time: args.time_column.clone(),
        value: args.value_column.clone(),
        key: args.key_column.clone(),
    };
    let range = TimeRange {
        from: args.from,
        until: args.until,
    };
    let input: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?)
    };
    Recording::from_csv(input, &columns, range)
        .with_context(|| format!("cannot play {}", args.file.display()))
}

/// Ctrl-C ends playing, not the program: what was sent is still waited for and counted. A second one ends the program.
fn stop_on_interrupt(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    });
    stop
}

fn verdict(played: &Played, total: u64) -> Result<ExitCode> {
    if played.undelivered() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let cause = played.first_error.as_deref().unwrap_or("no reason given");
    bail!(
        "the broker did not acknowledge {} of the {} readings to play ({cause}); those may be missing from the topic",
        HumanCount(total - played.delivered),
        HumanCount(total)
    )
}

fn parse_step(text: &str) -> Result<Duration, String> {
    let step = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if step < Duration::from_millis(1) {
        return Err("a tick covers at least 1ms of event time".to_owned());
    }
    Ok(step)
}
