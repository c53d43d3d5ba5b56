//! `streamgauge collect`: readings that another system has measured, into the topic.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::HumanCount;

use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, SetArgs, block_on, interrupted, stdout, tell};
use crate::collect::{Collection, Progress};
use crate::config::{Loaded, Overrides};
use crate::serve::WatchedCollector;

/// Fetch readings from another system into the topic, each once
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CollectArgs {
    #[command(subcommand)]
    system: System,
}

#[derive(Debug, Subcommand)]
enum System {
    Cloudwatch(CloudwatchArgs),
}

const EXAMPLES: &str = "\
Examples:
  streamgauge collect cloudwatch -b localhost:9092 -t usage --region eu-west-1";

/// Fetch metrics of Amazon CloudWatch into the topic, each point once
///
/// Asks CloudWatch for the points of metrics, given or found, and writes each to the topic as a reading, in one Kafka
/// transaction with how far the metric is: kill it anywhere, start it again, and no point is lost or written twice for
/// readers with isolation.level = read_committed. Of two that are started for the same metrics the newer goes on. At
/// the start it says what the settings cost. docs/collect.md has the rest.
#[derive(Debug, Args)]
#[command(after_long_help = CLOUDWATCH_EXAMPLES)]
struct CloudwatchArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// The AWS region of the metrics [default: that of AWS_REGION, the profile or the instance]
    #[arg(long)]
    region: Option<String>,
    /// The namespace of the metrics
    #[arg(long)]
    namespace: Option<String>,
    /// Names of metrics, separated by commas
    #[arg(long, value_name = "NAME,…")]
    metrics: Option<String>,
    /// Dimensions that metrics must have, separated by commas; * is for any value
    #[arg(long, value_name = "NAME=VALUE,…")]
    dimensions: Option<String>,
    #[command(flatten)]
    set: SetArgs,
    /// Print the newest readings, or those of collect.cloudwatch.backfill, instead of sending them; needs no Kafka
    #[arg(long)]
    once: bool,
}

const CLOUDWATCH_EXAMPLES: &str = "\
Examples:
  The CPU of all EC2 instances of a region, with basic monitoring:
    streamgauge collect cloudwatch -b localhost:9092 -t usage --region eu-west-1
  What would that be? Without Kafka:
    streamgauge collect cloudwatch --region eu-west-1 --once
  Two metrics of one instance, every minute, with two weeks of history:
    streamgauge collect cloudwatch --metrics CPUUtilization,NetworkIn --dimensions InstanceId=i-0a1b2c3d4e5f60718 \\
      --set collect.cloudwatch.period=1m --set collect.cloudwatch.backfill=14d
  Averages and anomalies of what is collected, an instance and metric a series:
    streamgauge run -t usage --key message

More of the settings, and what each means: streamgauge config show";

impl Action for CollectArgs {
    fn overrides(&self) -> Overrides {
        let System::Cloudwatch(args) = &self.system;
        args.kafka
            .overrides()
            .with("collect.cloudwatch.region", "--region", args.region.as_ref())
            .with(
                "collect.cloudwatch.namespace",
                "--namespace",
                args.namespace.as_ref(),
            )
            .with("collect.cloudwatch.metrics", "--metrics", args.metrics.as_ref())
            .with(
                "collect.cloudwatch.dimensions",
                "--dimensions",
                args.dimensions.as_ref(),
            )
            .and(args.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let System::Cloudwatch(args) = &self.system;
        block_on(async {
            match args.once {
                true => print_once(loaded).await,
                false => collect(loaded).await,
            }
        })
    }
}

async fn collect(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let endpoints = Endpoints::reserve(loaded).await?;
    let collection = Collection::open(&config.collect).await?;
    tell(&format!("cost       {}", collection.cost()));
    let watched = WatchedCollector::new(collection.progress(), config.collect.interval);
    let service = Service::beside(watched, endpoints);
    let format = config.process.log.format;
    let ended = collection
        .run(
            &config.subscription(),
            config.pipeline.commit.give_up_after,
            interrupted(format),
        )
        .await;
    drop(service);
    eprintln!("{}", summary(&ended?));
    Ok(ExitCode::SUCCESS)
}

async fn print_once(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let collection = Collection::open(&loaded.config.collect).await?;
    tell(&format!("cost       {}", collection.cost()));
    let mut out = stdout();
    let printed = collection.once(|reading| writeln!(out, "{}", reading.value));
    let unanswered = printed.await??;
    out.flush()?;
    if unanswered > 0 {
        tell(&format!(
            "{} metrics have no whole answer: ask again later",
            HumanCount(unanswered as u64)
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a run has done.
fn summary(progress: &Progress) -> String {
    let mut text = format!(
        "{} points of {} metrics written, with {} requests for {} metrics",
        HumanCount(progress.points),
        HumanCount(progress.metrics as u64),
        HumanCount(progress.requests),
        HumanCount(progress.metrics_asked)
    );
    if progress.late_points > 0 {
        text += &format!(
            "\n  not written, as they came after collect.cloudwatch.delay: {}",
            HumanCount(progress.late_points)
        );
    }
    if progress.changed_points > 0 {
        text += &format!(
            "\n  changed after they were written: {}",
            HumanCount(progress.changed_points)
        );
    }
    for (code, count) in &progress.errors {
        text += &format!("\n  failed with {code}: {}", HumanCount(*count));
    }
    text
}
