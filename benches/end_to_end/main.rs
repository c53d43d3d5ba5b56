//! The whole way on Apache Kafka, in one run: consuming only, `aggregate --available-now`, and the tutorial's job;
//! with `--spark`, the same aggregation by Spark and delta-spark.
//!
//! `cargo bench --bench end_to_end`; five million readings of 1,000 meters in four partitions, which fall into 417
//! hourly windows. The broker is the one the integration tests start, or the one in `STREAMGAUGE_TEST_KAFKA`.
//! Needs Linux: processor time and memory are read from `/proc`.

mod consume_only;
mod feed;
mod measure;
mod report;
mod spark;
mod tutorial;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use clap::{Parser, Subcommand};
use serde_json::Value;
use streamgauge::telemetry::events::{COMMITTED, PARTITION_ASSIGNED};
use streamgauge_testkit::events::{events, log_events};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{program, scratch_folder};
use streamgauge_testkit::unique;

use measure::{Measured, Measurement};

#[derive(Debug, Parser)]
struct Arguments {
    /// Readings in the topic
    #[arg(long, default_value_t = 5_000_000)]
    readings: u64,
    /// Runs of each program; the ratios are those of medians
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Run the same job in Spark, too: fetches about 500 MB once
    #[arg(long)]
    spark: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The role of this executable as a child of itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    ConsumeOnly {
        brokers: String,
        topic: String,
        readings: u64,
    },
}

/// The program under test.
const STREAMGAUGE: &str = env!("CARGO_BIN_EXE_streamgauge");

/// No program takes longer, or it hangs.
const LIMIT: Duration = Duration::from_secs(1_800);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::ConsumeOnly {
        brokers,
        topic,
        readings,
    }) = &arguments.role
    {
        return consume_only::run(brokers, topic, *readings);
    }
    let kafka = Kafka::shared()?;
    let topic = unique("meters");
    kafka.create_topic(&topic, feed::PARTITIONS)?;
    let loading = feed::load(kafka.brokers(), &topic, arguments.readings)?;
    eprintln!("loaded {} readings in {loading:.1?}", arguments.readings);
    let mut runs = Vec::new();
    for number in 1..=arguments.runs {
        runs.push(consume_only(kafka, &topic, arguments.readings)?);
        runs.push(aggregate(kafka, &topic, arguments.readings)?);
        eprintln!("run {number} of {} is done", arguments.runs);
    }
    if arguments.spark {
        runs.push(spark::run(kafka.brokers(), &topic, arguments.readings)?);
    }
    report::print(&runs, arguments.readings);
    let tutorial = tutorial::run_job(kafka)?;
    report::print_tutorial(&tutorial);
    kafka.delete_topic(&topic)
}

/// One run of one program.
pub struct Run {
    pub program: &'static str,
    pub measured: Measured,
    /// Without starting up and joining the group.
    pub working: Duration,
}

/// librdkafka and nothing else: the bound of any consumer built on it.
fn consume_only(kafka: &Kafka, topic: &str, readings: u64) -> Result<Run> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["consume-only", kafka.brokers(), topic, &readings.to_string()]);
    let measured = Measurement::start("consume-only", &mut command)?.finish(LIMIT)?;
    let seconds: f64 = measured
        .stdout
        .trim()
        .parse()
        .context("consume-only prints seconds")?;
    Ok(Run {
        program: report::CONSUME_ONLY,
        working: Duration::from_secs_f64(seconds),
        measured,
    })
}

/// The program under test, from an empty table to the committed end of the topic.
fn aggregate(kafka: &Kafka, topic: &str, readings: u64) -> Result<Run> {
    let folder = scratch_folder("table");
    let (group, table) = (unique("group"), folder.to_string_lossy());
    let mut command = program(
        STREAMGAUGE,
        [
            "aggregate",
            "--available-now",
            "--brokers",
            kafka.brokers(),
            "--topic",
            topic,
            "--group",
            &group,
            "--key",
            "message",
            "--table",
            &table,
        ],
    );
    log_events(&mut command);
    let measured = Measurement::start("aggregate", &mut command)?.finish(LIMIT)?;
    let aggregated = format!("{} aggregated", indicatif::HumanCount(readings));
    ensure!(
        measured.stderr.contains(&aggregated),
        "not all of it was aggregated:\n{}",
        measured.stderr
    );
    let working = between(&measured.stderr, PARTITION_ASSIGNED, COMMITTED)?;
    std::fs::remove_dir_all(folder)?;
    Ok(Run {
        program: report::AGGREGATE,
        working,
        measured,
    })
}

/// The time between the first event of one name and the last of another.
fn between(log: &str, first: &str, last: &str) -> Result<Duration> {
    let time = |event: Option<&Value>| {
        let event = event.with_context(|| format!("the log lacks {first} or {last}:\n{log}"))?;
        let text = event["timestamp"].as_str().unwrap_or_default();
        DateTime::parse_from_rfc3339(text).with_context(|| format!("an event has its time: {event}"))
    };
    let start = time(events(log, first).first())?;
    let end = time(events(log, last).last())?;
    (end - start).to_std().context("the log goes backwards")
}
