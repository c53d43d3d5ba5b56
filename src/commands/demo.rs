//! `streamgauge demo`: the whole way of the data in one process, with nothing installed.

mod ec2;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};

use super::service::listen;
use super::stop::{ended_or_told, told};
use super::{
    Action, aggregate, anomaly_table, block_on, detect, interrupted, query as query_command, stdout,
};
use crate::config::{Config, Loaded, Overrides};
use crate::detection;
use crate::detectors::Anomaly;
use crate::kafka::EmbeddedBroker;
use crate::lake::{TableSettings, table_url};
use crate::live::{LIVE_PAGE, LiveServer};
use crate::pipeline::anomalies::{AnomaliesProgress, AnomaliesSink};
use crate::pipeline::table::{TableProgress, TableSink};
use crate::pipeline::{self, Progress, RunMode};
use crate::playback::{Pace, Sender, play};
use crate::printable::printable;
use crate::query::{self, output};
use crate::recording::{ReadOptions, Recording};
use crate::serve::Listener;

/// See real readings become hourly averages and anomalies: an embedded broker, a topic, a Delta table, SQL
///
/// Starts a broker inside this process, plays seven days of a library's electricity readings into it, aggregates them
/// into a Delta table in a local folder, asks the table with SQL, and shows which readings were out of the ordinary.
/// Nothing needs to be installed and nothing is left running.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// Folder of the table; an earlier demo's table there is replaced [default: a new temporary folder]
    #[arg(long, value_name = "FOLDER")]
    table: Option<PathBuf>,
    /// Play the processor loads of three EC2 instances, as `collect cloudwatch` writes them, with the detector of the EC2
    /// tutorial for each
    #[arg(long)]
    ec2: bool,
    /// Keep all of it running until Ctrl-C, with the live page, for other programs to use
    #[arg(long)]
    keep: bool,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge demo
  streamgauge demo --table ./demo-table
  Two weeks of CloudWatch's metrics of EC2 instead, a series for each instance:
    streamgauge demo --ec2
  Leave it running, and play more readings into it from another terminal:
    streamgauge demo --keep";

/// The readings; the README next to the file names their source.
const READINGS: &[u8] = include_bytes!("demo/boston_tuesdays.csv");

/// What is played, and what is shown of it.
struct Story {
    readings: &'static str,
    unit: &'static str,
    /// What is asked of the table, each under its title.
    queries: [(&'static str, &'static str); 2],
}

const LIBRARY: Story = Story {
    readings: "the Boston Central Library, seven Tuesdays of 2024",
    unit: "kW",
    queries: [
        ("The first day, hour by hour", HOURLY_SQL),
        ("All seven days", DAILY_SQL),
    ],
};

const EC2: Story = Story {
    readings: "three EC2 instances in 2014, as `collect cloudwatch` writes them",
    unit: "%",
    queries: [
        ("The last hours", ec2::HOURLY_SQL),
        ("Each instance", ec2::SUMMARY_SQL),
    ],
};

/// As many anomalies as are shown; the topic has all of them.
const MOST_SHOWN: usize = 20;

const TOPIC: &str = "usage";
const ANOMALY_TOPIC: &str = "anomaly";
const FEEDBACK_TOPIC: &str = "anomaly.feedback";
/// One partition, so that readings stay in the order of time.
const PARTITIONS: i32 = 1;

const HOURLY_SQL: &str =
    "SELECT start, \"end\", avg_usage, min_usage, max_usage, count FROM usage ORDER BY start LIMIT 24";

const DAILY_SQL: &str = "SELECT date_trunc('day', start) AS day, sum(sum_usage) / sum(count) AS avg_usage, \
     max(max_usage) AS max_usage, sum(count) AS readings FROM usage GROUP BY 1 ORDER BY 1";

impl Action for DemoArgs {
    fn overrides(&self) -> Overrides {
        // What the demo prints is the whole story; the log would only repeat it.
        let of_ec2 = |value| self.ec2.then_some(value);
        Overrides::default()
            .with("log.level", "the demo", Some("warn"))
            .with("detect.preset", "demo --ec2", of_ec2("ec2-tutorial"))
            .with("reading.key", "demo --ec2", of_ec2("message"))
            .with("reading.time_field", "demo --ec2", of_ec2("ts"))
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let table = match &self.table {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("streamgauge-demo-{}", std::process::id())),
        };
        table_url(&table.display().to_string())?;
        remove_demo_table(&table)?;
        let topics = [TOPIC, "usage.late", "usage.dlq", ANOMALY_TOPIC, FEEDBACK_TOPIC]
            .map(|topic| (topic, PARTITIONS));
        let broker = EmbeddedBroker::start(&topics)?;
        let story = if self.ec2 { EC2 } else { LIBRARY };
        let config = demo_config(&loaded.config, &broker, &table, story.unit);
        eprintln!(
            "broker     {} (inside this process), topic {TOPIC}",
            config.process.kafka.brokers
        );
        let played = match self.ec2 {
            true => ec2::play_readings(&config),
            false => play_readings(&config),
        };
        let count = played.context("playing the readings failed")?;
        eprintln!("played     {count} five-minute readings of {}", story.readings);
        block_on(async {
            if self.keep {
                return keep(loaded, &config, &story, count).await;
            }
            let (aggregated, (detected, anomalies)) =
                tokio::try_join!(aggregate_all(&config), detect_all(&config))?;
            show(&config.pipeline, &story, &aggregated, &detected, &anomalies).await
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Settings of the demo: whatever the user's own say, it must not touch their cluster or table.
fn demo_config(config: &Config, broker: &EmbeddedBroker, table: &std::path::Path, unit: &str) -> Config {
    let mut demo = config.clone();
    demo.process.kafka.brokers = broker.bootstrap_servers();
    demo.pipeline.source.topic = TOPIC.to_owned();
    demo.pipeline.source.group = "streamgauge-demo".to_owned();
    demo.pipeline.source.late_topic = String::new();
    demo.pipeline.source.dead_letter_topic = String::new();
    demo.process.kafka.properties.clear();
    demo.pipeline.table.uri = table.display().to_string();
    demo.pipeline.table.storage_options.clear();
    demo.pipeline.detect.group = String::new();
    demo.pipeline.detect.anomaly_topic = ANOMALY_TOPIC.to_owned();
    demo.pipeline.detect.state_uri = String::new();
    demo.pipeline.detect.unit = unit.to_owned();
    demo.alert.feedback_topic = FEEDBACK_TOPIC.to_owned();
    demo
}

fn play_readings(config: &Config) -> anyhow::Result<u64> {
    let recording = Recording::read(READINGS, &ReadOptions::new(&config.pipeline.reading))?;
    let sender = Sender::new(&config.subscription())?;
    let played = play(&recording, &Pace::UNPACED, &sender, |_| ControlFlow::Continue(()))?;
    match played.first_error {
        None => Ok(played.delivered),
        Some(error) => anyhow::bail!(error),
    }
}

/// Clears the folder of an earlier demo, and nothing else.
fn remove_demo_table(folder: &std::path::Path) -> anyhow::Result<()> {
    let is_empty = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        entries => {
            let entries = entries.with_context(|| format!("cannot look into {}", folder.display()))?;
            entries.count() == 0
        }
    };
    if is_empty {
        return Ok(());
    }
    if !folder.join(MARK).is_file() {
        anyhow::bail!(
            "{} is not empty and not an earlier demo's: name another folder",
            folder.display()
        );
    }
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))
}

/// A file that marks a demo's table; Delta readers skip names that begin with a dot.
const MARK: &str = ".streamgauge-demo";

async fn aggregate_all(config: &Config) -> anyhow::Result<TableProgress> {
    let mode = RunMode::AvailableNow;
    let runner = TableSink::start(&config.process.kafka, config.pipeline.clone(), mode).await?;
    std::fs::write(std::path::Path::new(&config.pipeline.table.uri).join(MARK), "")?;
    Ok(runner.run(interrupted(config.process.log.format)).await?.sink)
}

async fn detect_all(config: &Config) -> anyhow::Result<(AnomaliesProgress, Vec<Anomaly>)> {
    let mode = RunMode::AvailableNow;
    let runner = AnomaliesSink::start(
        &config.process.kafka,
        config.pipeline.clone(),
        config.feedback_topic(),
        mode,
    )
    .await?;
    let mut published = runner.sink().anomalies();
    let collecting = async {
        let mut anomalies = Vec::new();
        loop {
            match published.recv().await {
                Ok(anomaly) => anomalies.push(anomaly),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return anomalies,
            }
        }
    };
    let (ended, anomalies) = tokio::join!(runner.run(interrupted(config.process.log.format)), collecting);
    Ok((ended?.sink, anomalies))
}

async fn show(
    settings: &pipeline::Settings,
    story: &Story,
    aggregated: &TableProgress,
    detected: &AnomaliesProgress,
    anomalies: &[Anomaly],
) -> anyhow::Result<()> {
    show_table(&settings.table, story.queries).await?;
    show_anomalies(anomalies, &settings.detect)?;
    say_what_next(settings, aggregated, detected);
    Ok(())
}

async fn show_table(table: &TableSettings, queries: [(&str, &str); 2]) -> anyhow::Result<()> {
    let session = query::open(table, None).await?;
    for (title, sql) in queries {
        eprintln!("\n{title}:\n  {sql}");
        let mut out = BufWriter::new(stdout());
        query_command::print_sql(&session, sql, output::Format::Table, None, &mut out).await?;
        out.flush()?;
    }
    Ok(())
}

fn show_anomalies(anomalies: &[Anomaly], settings: &detection::Settings) -> anyhow::Result<()> {
    let topic = &settings.anomaly_topic;
    eprintln!("\nOut of the ordinary, as published to the topic {topic}:");
    let mut out = BufWriter::new(stdout());
    let shown = anomaly_table::write(anomalies, &settings.unit, Some(MOST_SHOWN), &mut out)?;
    if shown.left_out > 0 {
        let mut of_key: BTreeMap<&str, usize> = BTreeMap::new();
        for anomaly in anomalies.iter().filter(|anomaly| !anomaly.verdict.cause.is_end()) {
            *of_key.entry(&anomaly.key).or_default() += 1;
        }
        let counts: Vec<String> = of_key
            .iter()
            .map(|(key, count)| format!("{count} of {}", printable(key)))
            .collect();
        writeln!(
            out,
            "the first {MOST_SHOWN} of {} episodes; anomalies in all: {}",
            shown.episodes,
            counts.join(", ")
        )?;
    }
    Ok(out.flush()?)
}

fn say_what_next(settings: &pipeline::Settings, aggregated: &TableProgress, detected: &AnomaliesProgress) {
    let (program, table) = (program(), printable(&settings.table.uri));
    eprintln!("\ntable      {}", aggregate::summary(aggregated));
    eprintln!(
        "anomalies  {}",
        detect::summary(detected, &settings.detect.anomaly_topic)
    );
    eprintln!(
        "at         {table} (Delta, version {})",
        aggregated.version.unwrap_or_default()
    );
    eprintln!(
        "\nTry next:
  {program} query --table {table} 'SELECT start, avg_usage FROM usage ORDER BY avg_usage DESC LIMIT 10'
  {program} table history --table {table}
  {program} backtest FILE.csv     what would be out of the ordinary in your own readings
  {program} demo --keep           leaves it running with a live page, for `play` and other programs"
    );
}

/// The program as it was called, so that what is printed can be pasted.
fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or_else(
        || "streamgauge".to_owned(),
        |name| printable(&name.to_string_lossy()).into_owned(),
    )
}

/// Tells the story, and goes on until it is interrupted.
async fn keep(loaded: &Loaded, config: &Config, story: &Story, played: u64) -> anyhow::Result<()> {
    let aggregated = aggregate_all(config).await?;
    let cluster = &config.process.kafka;
    let (stop, _) = watch::channel(false);
    // One run of the detection from the begin to the end: the embedded broker keeps no positions of transactions, so that a
    // second one would publish everything again.
    let mode = RunMode::Continuous;
    let detection =
        AnomaliesSink::start(cluster, config.pipeline.clone(), config.feedback_topic(), mode).await?;
    let (mut progress, published) = (detection.progress(), detection.sink().anomalies());
    let telling = async {
        let has_told = |progress: &Progress<AnomaliesProgress>| {
            let (anomalies, ends) = progress.sink.published_count();
            progress.sink.counts.consumed >= played && anomalies + ends == progress.sink.counts.anomalies
        };
        let detected = progress.wait_for(has_told).await?.sink.clone();
        let anomalies = heard(published);
        show(&config.pipeline, story, &aggregated, &detected, &anomalies).await?;
        // A group of its own: the embedded broker would take a while to notice that the first one has left.
        let mut kept = config.clone();
        kept.pipeline.source.group += "-kept";
        let table = TableSink::start(cluster, kept.pipeline, mode).await?;
        let live = live_page(loaded, config).await?;
        say_what_runs(config, live.as_ref());
        let ended = ended_or_told(table.run(told(&stop)), &stop, config.process.log.format).await;
        stop.send_replace(true);
        drop(live);
        anyhow::Ok(ended?)
    };
    let detecting = async { Ok(detection.run(told(&stop)).await?) };
    let (_, aggregated) = tokio::try_join!(detecting, telling)?;
    eprintln!("{}", aggregate::summary(&aggregated.sink));
    Ok(())
}

/// What was published so far.
fn heard(mut published: broadcast::Receiver<Anomaly>) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    loop {
        match published.try_recv() {
            Ok(anomaly) => anomalies.push(anomaly),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return anomalies,
        }
    }
}

fn say_what_runs(config: &Config, live: Option<&LiveServer>) {
    let (program, brokers, table) = (
        program(),
        &config.process.kafka.brokers,
        printable(&config.pipeline.table.uri),
    );
    if let Some(live) = live {
        eprintln!("\nOpen the live page:\n  {}", live.link());
    }
    eprintln!(
        "\nStill running until Ctrl-C. From another terminal:
  {program} play FILE.csv -b {brokers} --tick 0
  {program} query --table {table} 'SELECT count(*) FROM usage'
  kcat -b {brokers} -t {}     what is said on the page",
        config.feedback_topic()
    );
}

/// The live page of the demo, wherever there is room for it.
async fn live_page(loaded: &Loaded, config: &Config) -> anyhow::Result<Option<LiveServer>> {
    let settings = &config.live;
    let listener = match listen(loaded, LIVE_PAGE, &settings.listen, &settings.hosts).await? {
        Some(listener) => listener,
        None if settings.listen.is_empty() => return Ok(None),
        None => Listener::bind(LIVE_PAGE, ANY_PORT, &settings.hosts).await?,
    };
    Ok(Some(LiveServer::start(listener, config, None, None)?))
}

/// For a second demo on the same machine.
const ANY_PORT: &str = "127.0.0.1:0";
