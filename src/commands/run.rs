//! `streamgauge run`: the table and the anomalies in one process, as it is deployed.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::watch;

use super::aggregate::{TableArgs, WindowArgs};
use super::alert;
use super::detect::{DetectorArgs, OutputArgs, finish_printing};
use super::run_summary::run_summary;
use super::service::{Endpoints, Service, listen};
use super::stop::{ended_or_told, told};
use super::{Action, KafkaArgs, SetArgs, aggregate, block_on, detect};
use crate::config::{Loaded, Overrides};
use crate::live::{LIVE_PAGE, LiveServer};
use crate::pipeline::alerts::AlertsSink;
use crate::pipeline::anomalies::AnomaliesSink;
use crate::pipeline::table::{Site, TableSink};
use crate::pipeline::{PipelineError, RunMode, Runner, Sink};
use crate::registry::Registry;
use crate::serve::{SinkHandle, Sinks};

/// Keep the table, judge the readings and tell of what is found, in one process
///
/// Does what `aggregate` and `detect` do and, where the settings have receivers, `alert run`, each in its own consumer group and
/// at its own pace, and serves the live page at live.listen. If one of them cannot go on, the others end in good order, and so does the process.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct RunArgs {
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
    #[command(flatten)]
    set: SetArgs,
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
            .and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        block_on(self.run_sinks(loaded, mode))
    }
}

impl RunArgs {
    async fn run_sinks(&self, loaded: &Loaded, mode: RunMode) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        let endpoints = Endpoints::reserve(loaded).await?;
        let live = match mode {
            RunMode::Continuous => listen(loaded, LIVE_PAGE, &config.live.listen, &config.live.hosts).await?,
            RunMode::AvailableNow => None,
        };
        let registry = Registry::open(&config.process.schema_registry)?.map(Arc::new);
        // The table last: it is bound to its topic for ever, so whatever may be wrong is to be found before it is made.
        let site = Site::look(&config.pipeline.table_spec()).await?;
        let anomalies = AnomaliesSink::start(
            &config.process.kafka,
            config.pipeline.clone(),
            config.feedback_topic(),
            mode,
        )
        .await?;
        let table = TableSink::start_at(site, &config.process.kafka, config.pipeline.clone(), mode).await?;
        let (anomalies, table) = (anomalies.asking(registry.clone()), table.asking(registry.clone()));
        let has_receivers = !config.alert.receivers.is_empty();
        let start_alerts = || AlertsSink::start(&config.process.kafka, &config.pipeline, &config.alert, mode);
        // What is available now ends with anomalies that are published by then.
        let alerts = match mode {
            RunMode::Continuous if has_receivers => Some(start_alerts().await?),
            RunMode::Continuous | RunMode::AvailableNow => None,
        };
        let mut handles = vec![
            SinkHandle::Table(table.progress()),
            SinkHandle::Anomalies(anomalies.progress()),
        ];
        handles.extend(
            alerts
                .as_ref()
                .map(|alerts| SinkHandle::Alerts(alerts.progress())),
        );
        let sinks = Sinks::new(handles);
        let service = Service::start(endpoints, sinks);
        let live = live
            .map(|listener| LiveServer::start(listener, config, registry, service.watched_sinks()))
            .transpose()?;
        let printing = self.output.print_from(&anomalies, &config.pipeline.detect.unit);
        let (stop, _) = watch::channel(false);
        let mut runs = vec![
            supervised(table, &stop, aggregate::summary).boxed(),
            supervised(anomalies, &stop, |anomalies| {
                detect::summary(anomalies, &config.pipeline.detect.anomaly_topic)
            })
            .boxed(),
        ];
        runs.extend(alerts.map(|alerts| supervised(alerts, &stop, alert::summary).boxed()));
        let runs = async {
            let mut ended = join_all(runs).await;
            let is_well = ended.iter().all(Result::is_ok) && !*stop.borrow();
            if mode == RunMode::AvailableNow && has_receivers && is_well {
                ended.push(match start_alerts().await {
                    Ok(alerts) => supervised(alerts, &stop, alert::summary).await,
                    Err(error) => Err(error),
                });
            }
            ended
        };
        let ended = ended_or_told(runs, &stop, config.process.log.format).await;
        drop(live);
        drop(service);
        finish_printing(printing).await?;
        let summaries: Vec<String> = ended.into_iter().collect::<Result<_, PipelineError>>()?;
        for summary in summaries {
            eprintln!("{summary}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs a sink until it ends or `stop` says so, and stops the others if it fails. The answer is its summary.
async fn supervised<S: Sink>(
    runner: Runner<S>,
    stop: &watch::Sender<bool>,
    summary: impl Fn(&S::Progress) -> String,
) -> Result<String, PipelineError> {
    let ended = runner.run(told(stop)).await;
    if ended.is_err() {
        stop.send_replace(true);
    }
    Ok(format!("{:<10} {}", S::NAME, run_summary(&ended?, summary)))
}
