//! `streamgauge demo`: the whole way of the data in one process, with nothing installed.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{
    Action, aggregate, anomaly_table, block_on, detect, interrupted, query as query_command, stdout,
};
use crate::config::{Config, Loaded, Overrides};
use crate::detect::Anomaly;
use crate::kafka::EmbeddedBroker;
use crate::pipeline::{Detection, DetectionProgress, Pipeline, Progress, RunMode};
use crate::playback::{Columns, Pace, Recording, Sender, TimeRange, play};
use crate::query::{self, output};

/// See real readings become hourly averages and anomalies: an embedded broker, a topic, a Delta table, SQL
///
/// Starts a broker inside this process, plays seven days of a library's electricity readings into it, aggregates them
/// into a Delta table in a local folder, asks the table with SQL, and shows which readings were out of the ordinary.
/// Nothing needs to be installed and nothing is left running.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DemoArgs {
    /// Folder of the table; an earlier demo's table there is replaced [default: a new temporary folder]
    #[arg(long, value_name = "FOLDER")]
    table: Option<PathBuf>,
    /// Keep the broker and the aggregation running until Ctrl-C, for other programs to use
    #[arg(long)]
    keep: bool,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge demo
  streamgauge demo --table ./demo-table
  Leave it running, and play more readings into it from another terminal:
    streamgauge demo --keep";

/// The readings: see the README beside the file for where they come from.
const READINGS: &[u8] = include_bytes!("demo/boston_tuesdays.csv");

const TOPIC: &str = "usage";
const ANOMALY_TOPIC: &str = "anomaly";
/// One series, so one partition: its readings stay in order.
const PARTITIONS: i32 = 1;

const HOURLY_SQL: &str =
    "SELECT start, \"end\", avg_usage, min_usage, max_usage, count FROM usage ORDER BY start LIMIT 24";

const DAILY_SQL: &str = "SELECT date_trunc('day', start) AS day, sum(sum_usage) / sum(count) AS avg_usage, \
     max(max_usage) AS max_usage, sum(count) AS readings FROM usage GROUP BY 1 ORDER BY 1";

impl Action for DemoArgs {
    fn overrides(&self) -> Overrides {
        // What the demo prints tells the story; the log would only tell it again.
        Overrides::default().with("log.level", "the demo", Some("warn"))
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let table = match &self.table {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("streamgauge-demo-{}", std::process::id())),
        };
        remove_demo_table(&table)?;
        let topics = [TOPIC, "usage.late", "usage.dlq", ANOMALY_TOPIC].map(|topic| (topic, PARTITIONS));
        let broker = EmbeddedBroker::start(&topics)?;
        let config = demo_config(&loaded.config, &broker, &table);
        eprintln!(
            "broker     {} (inside this process), topic {TOPIC}",
            config.kafka.brokers
        );
        let readings = play_readings(&config).context("playing the readings failed")?;
        eprintln!(
            "played     {readings} five-minute readings of the Boston Central Library, seven Tuesdays of 2024"
        );
        block_on(async {
            let (aggregated, (detected, anomalies)) =
                tokio::try_join!(aggregate_all(&config), detect_all(&config))?;
            show_table(&config).await?;
            show_anomalies(&anomalies, &config)?;
            say_what_next(&config, &aggregated, &detected);
            if self.keep { keep(&config).await } else { Ok(()) }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Settings of the demo: whatever the user's own say, it must not touch their cluster or table.
fn demo_config(config: &Config, broker: &EmbeddedBroker, table: &std::path::Path) -> Config {
    let mut demo = config.clone();
    demo.kafka.brokers = broker.bootstrap_servers();
    demo.kafka.topic = TOPIC.to_owned();
    demo.kafka.group = "streamgauge-demo".to_owned();
    demo.kafka.late_topic = String::new();
    demo.kafka.dead_letter_topic = String::new();
    demo.kafka.properties.clear();
    demo.table.uri = table.display().to_string();
    demo.table.storage_options.clear();
    demo.detect.group = String::new();
    demo.detect.anomaly_topic = ANOMALY_TOPIC.to_owned();
    demo.detect.snapshot_uri = String::new();
    demo.detect.unit = "kW".to_owned();
    demo
}

fn play_readings(config: &Config) -> anyhow::Result<u64> {
    let recording = Recording::from_csv(READINGS, &Columns::default(), TimeRange::default())?;
    let sender = Sender::new(&config.kafka)?;
    let played = play(&recording.readings, &Pace::UNPACED, &sender, |_| {
        ControlFlow::Continue(())
    })?;
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

/// A file that tells a demo's table from any other; Delta readers skip names that begin with a dot.
const MARK: &str = ".streamgauge-demo";

async fn aggregate_all(config: &Config) -> anyhow::Result<Progress> {
    let pipeline = Pipeline::start(config.clone(), RunMode::AvailableNow).await?;
    std::fs::write(std::path::Path::new(&config.table.uri).join(MARK), "")?;
    Ok(pipeline.run(interrupted()).await?)
}

async fn detect_all(config: &Config) -> anyhow::Result<(DetectionProgress, Vec<Anomaly>)> {
    let mut detection = Detection::start(config.clone(), RunMode::AvailableNow).await?;
    let mut published = detection.anomalies();
    let progress = detection.run(interrupted()).await?;
    let mut anomalies = Vec::new();
    while let Some(anomaly) = published.recv().await {
        anomalies.push(anomaly);
    }
    Ok((progress, anomalies))
}

async fn show_table(config: &Config) -> anyhow::Result<()> {
    let session = query::open(&config.table, None).await?;
    for (title, sql) in [
        ("The first day, hour by hour", HOURLY_SQL),
        ("All seven days", DAILY_SQL),
    ] {
        eprintln!("\n{title}:\n  {sql}");
        let mut out = BufWriter::new(stdout());
        query_command::print_sql(&session, sql, output::Format::Table, None, &mut out).await?;
        out.flush()?;
    }
    Ok(())
}

fn show_anomalies(anomalies: &[Anomaly], config: &Config) -> anyhow::Result<()> {
    let topic = &config.detect.anomaly_topic;
    eprintln!("\nOut of the ordinary, as published to the topic {topic}:");
    let mut out = BufWriter::new(stdout());
    anomaly_table::write(anomalies, &config.detect.unit, None, &mut out)?;
    Ok(out.flush()?)
}

fn say_what_next(config: &Config, aggregated: &Progress, detected: &DetectionProgress) {
    let (program, table) = (program(), &config.table.uri);
    eprintln!("\ntable      {}", aggregate::summary(aggregated));
    eprintln!("anomalies  {}", detect::summary(detected, config));
    eprintln!(
        "at         {table} (Delta, version {})",
        aggregated.version.unwrap_or_default()
    );
    eprintln!(
        "\nTry next:
  {program} query --table {table} 'SELECT start, avg_usage FROM usage ORDER BY avg_usage DESC LIMIT 10'
  {program} table history --table {table}
  {program} backtest FILE.csv     what would be out of the ordinary in your own readings
  {program} demo --keep           leaves the broker running, for `play` and other programs"
    );
}

/// The program as it was called, so that what is printed can be pasted.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "streamgauge".to_owned())
}

async fn keep(config: &Config) -> anyhow::Result<()> {
    // A group of its own: the embedded broker would take a while to notice that the first run has left.
    let mut config = config.clone();
    config.kafka.group += "-kept";
    let pipeline = Pipeline::start(config.clone(), RunMode::Continuous).await?;
    let (program, brokers, table) = (program(), &config.kafka.brokers, &config.table.uri);
    eprintln!(
        "\nStill running until Ctrl-C. From another terminal:
  {program} play FILE.csv -b {brokers} --tick 0
  {program} query --table {table} 'SELECT count(*) FROM usage'"
    );
    let progress = pipeline.run(interrupted()).await?;
    eprintln!("{}", aggregate::summary(&progress));
    Ok(())
}
