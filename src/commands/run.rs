//! `streamgauge run`: the table and the anomalies in one process, as it is deployed.

use std::process::ExitCode;

use clap::Args;
use tokio::sync::watch;

use super::aggregate::{TableArgs, WindowArgs};
use super::detect::{DetectorArgs, OutputArgs, finish_printing};
use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, aggregate, block_on, detect, interrupted};
use crate::config::{Loaded, Overrides};
use crate::pipeline::{Detection, Pipeline, RunMode};
use crate::serve::Sides;

/// Keep the table and judge the readings, in one process
///
/// Does what `aggregate` and `detect` do, each in its own consumer group and at its own pace. If one of them cannot go
/// on, the other ends in good order, and so does the process.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RunArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Stop at the ends that the topic has now, everything committed and published
    #[arg(long)]
    available_now: bool,
    /// Go on although the topic no longer holds the next reading; what is missing stays missing
    #[arg(long)]
    accept_gap: bool,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge run -b localhost:9092 -t usage --table s3://lake/usage
  Meters by the Kafka key, ten-minute averages, anomalies on the terminal:
    streamgauge run -t meters --key message --window 10m --print

More of the settings, and what each means: streamgauge config show";

impl Action for RunArgs {
    fn overrides(&self) -> Overrides {
        self.kafka
            .overrides()
            .and(self.table.overrides())
            .and(self.windows.overrides())
            .and(self.detector.overrides())
            .and(self.output.overrides())
            .with(
                "kafka.accept_gap",
                "--accept-gap",
                self.accept_gap.then_some(true),
            )
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        block_on(self.run_both(loaded, mode))
    }
}

impl RunArgs {
    async fn run_both(&self, loaded: &Loaded, mode: RunMode) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        let endpoints = Endpoints::reserve(loaded).await?;
        let pipeline = Pipeline::start(config.clone(), mode).await?;
        let mut detection = Detection::start(config.clone(), mode).await?;
        let sides = Sides {
            table: Some(pipeline.progress()),
            anomalies: Some(detection.progress()),
        };
        let service = Service::start(endpoints, sides);
        let printing = self.output.print_from(&mut detection, config);
        let (stop, _) = watch::channel(false);
        let stopped = || {
            let mut stopping = stop.subscribe();
            async move {
                // Without a sender there is nobody left who could end it otherwise.
                let _ = stopping.wait_for(|stop| *stop).await;
            }
        };
        let aggregating = async {
            let ended = pipeline.run(stopped()).await;
            stop_other_if(ended.is_err(), &stop);
            ended
        };
        let detecting = async {
            let ended = detection.run(stopped()).await;
            stop_other_if(ended.is_err(), &stop);
            ended
        };
        let interrupting = async {
            interrupted().await;
            stop.send_replace(true);
        };
        let both = async { tokio::join!(aggregating, detecting) };
        tokio::pin!(both);
        let (aggregated, detected) = tokio::select! {
            ended = &mut both => ended,
            () = interrupting => both.await,
        };
        drop(service);
        finish_printing(printing).await?;
        let (aggregated, detected) = (aggregated?, detected?);
        eprintln!("table      {}", aggregate::summary(&aggregated));
        eprintln!("anomalies  {}", detect::summary(&detected, config));
        Ok(ExitCode::SUCCESS)
    }
}

fn stop_other_if(failed: bool, stop: &watch::Sender<bool>) {
    if failed {
        stop.send_replace(true);
    }
}
