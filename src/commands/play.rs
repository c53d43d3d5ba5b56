//! `streamgauge play`.

pub(super) mod report;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::NaiveDateTime;
use clap::Args;
use indicatif::HumanCount;

use super::{Action, KafkaArgs, block_on, interrupted, stdout};
use crate::clock::instant;
use crate::config::{Config, KafkaConfig, Loaded, Overrides};
use crate::kafka::{TopicSpec, ensure_topics};
use crate::playback::{Columns, Pace, Played, Recording, Sender, TimeRange, parse_bound, play};

/// Play a CSV of readings into the topic
///
/// Each row becomes a message such as {"ts": "2023-01-13 00:00:00", "value": 820.8}, sent in order of time. Rows out of
/// order are sorted, rows repeated in full are dropped, and rows without a readable time or value are skipped. All of it
/// is reported, and none of it makes playing fail. A reading that the broker does not acknowledge does.
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

const EXAMPLES: &str = "\
Examples:
  Everything at once:
    streamgauge play boston_tuesdays.csv --tick 0
  An hour of readings every second:
    streamgauge play boston_tuesdays.csv --accelerator 12 --tick 1s
  Several meters in one file, each a series of its own:
    streamgauge play meters.csv --time-column at --value-column kw --key-column meter
  From a compressed file, one morning of it:
    zcat usage.csv.gz | streamgauge play - --from '2024-03-05 06:00' --until '2024-03-05 12:00'";

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

    let started = instant();
    let played = block_on(async {
        ensure_topics(&config.kafka, &[TopicSpec::readings(&config.kafka)]).await?;
        let stop = stop_when_interrupted();
        let display = report::Display::new(total as u64, io::stderr().is_terminal());
        tokio::task::block_in_place(|| send(&recording, &pace, &config.kafka, display, &stop))
    })?;
    let took = instant().duration_since(started);
    let summary = report::summary(&recording.report, &played, &config.kafka, took);
    writeln!(stdout(), "{summary}")?;
    verdict(&played, total as u64)
}

fn send(
    recording: &Recording,
    pace: &Pace,
    kafka: &KafkaConfig,
    mut display: report::Display,
    stop: &AtomicBool,
) -> Result<Played> {
    let sender = Sender::new(kafka)?;
    let played = play(&recording.readings, pace, &sender, |progress| {
        display.show(progress);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    display.finish();
    Ok(played)
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

/// Ctrl-C ends playing, not the program: what was sent is still waited for and counted.
fn stop_when_interrupted() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        interrupted().await;
        flag.store(true, Ordering::Relaxed);
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
