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
use clap::Args;
use indicatif::HumanCount;

use super::file_args::FileArgs;
use super::{Action, KafkaArgs, block_on, interrupted, stdout, tell};
use crate::clock::instant;
use crate::config::{Loaded, Overrides};
use crate::decode::KeySource;
use crate::kafka::{Subscription, TopicSpec, ensure_topics};
use crate::playback::{Pace, Played, Sender, play};
use crate::recording::{ReadOptions, Recording};
use crate::telemetry::LogFormat;

/// Play a file of readings into the topic
///
/// The file is a CSV, or has a message in JSON on each line; it may be compressed by gzip. Each row becomes a message such
/// as {"ts": "2023-01-13 00:00:00", "value": 820.8}, sent in order of time; a time with an offset, or since 1970, is sent
/// as 2023-01-13T00:00:00.000Z. Rows out of order are sorted, and rows without a time or value are skipped. All of it is
/// reported, and none of it makes playing fail. A reading that the broker does not acknowledge does, and so does a file
/// that can be read in two ways.
///
/// Which texts are times and numbers: docs/times-and-numbers.md.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct PlayArgs {
    /// The file, as downloaded; "-" reads standard input
    file: PathBuf,
    #[command(flatten)]
    kafka: KafkaArgs,
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
    #[command(flatten)]
    format: FileArgs,
}

const EXAMPLES: &str = "\
Examples:
  Everything at once:
    streamgauge play boston_tuesdays.csv --tick 0
  An hour of readings every second:
    streamgauge play boston_tuesdays.csv --accelerator 12 --tick 1s
  Several meters in one file, each a series of its own:
    streamgauge play meters.csv --time-column at --value-column kw --key-column meter
  Date and time of day in two columns, day first, with decimal commas:
    streamgauge play export.csv --time-column Date --time-column Time --date-order dmy --decimal ,
  Hours that end at their times, in local time; offsets are sent:
    streamgauge play load.csv --stamp end --time-zone America/New_York
  From a compressed file, one morning of it:
    streamgauge play usage.csv.gz --from '2024-03-05 06:00' --until '2024-03-05 12:00'";

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
        let config = &loaded.config;
        let options = self.format.options(&config.pipeline.reading);
        run(self, &config.subscription(), &options, config.process.log.format)
    }
}

/// Reads the file, makes the topic if it is missing, plays.
fn run(args: &PlayArgs, kafka: &Subscription, options: &ReadOptions, format: LogFormat) -> Result<ExitCode> {
    let recording = read_file(&args.file, options)?;
    report::findings(&recording.report)
        .iter()
        .for_each(|line| tell(line));
    if recording.readings.is_empty() {
        bail!(report::nothing_to_play(&recording.report));
    }
    let pace = args.pace();
    let total: usize = pace.ticks(&recording.readings).map(<[_]>::len).sum();

    let started = instant();
    let played = block_on(async {
        ensure_topics(kafka, &[TopicSpec::readings(&kafka.source)]).await?;
        let stop = stop_when_interrupted(format);
        let display = report::Display::new(total as u64, io::stderr().is_terminal());
        tokio::task::block_in_place(|| send(&recording, &pace, kafka, display, &stop))
    })?;
    let took = instant().duration_since(started);
    let summary = report::summary(&recording.report, &played, kafka, took);
    writeln!(stdout(), "{summary}")?;
    if !options.columns.key.is_empty() && *options.reading.key.source() == KeySource::None {
        tell("readings have keys: set reading.key = \"message\", or all series are averaged as one");
    }
    verdict(&played, total as u64)
}

fn send(
    recording: &Recording,
    pace: &Pace,
    kafka: &Subscription,
    mut display: report::Display,
    stop: &AtomicBool,
) -> Result<Played> {
    let sender = Sender::new(kafka)?;
    let played = play(recording, pace, &sender, |progress| {
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

/// Reads a file, or standard input for "-"; on a terminal with a bar.
pub(super) fn read_file(path: &Path, options: &ReadOptions) -> Result<Recording> {
    let (input, length): (Box<dyn Read>, Option<u64>) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let length = file
            .metadata()
            .ok()
            .filter(|data| data.is_file())
            .map(|data| data.len());
        (Box::new(file), length)
    };
    let bar = report::reading_bar(length, io::stderr().is_terminal());
    let recording = Recording::read(bar.wrap_read(input), options);
    bar.finish_and_clear();
    recording.with_context(|| format!("cannot read {}", path.display()))
}

/// Ctrl-C ends playing, not the program: what was sent is still waited for and counted.
fn stop_when_interrupted(format: LogFormat) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        interrupted(format).await;
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
