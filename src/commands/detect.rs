//! `streamgauge detect`: from the topic to the anomalies.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use indicatif::HumanCount;
use tokio::sync::broadcast::{self, error::RecvError};
use tracing::warn;

use super::alert::warn_of_silence;
use super::run_summary::{nothing_read, run_summary, skipped};
use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, SetArgs, block_on, interrupted, stdout};
use crate::config::{Loaded, Overrides};
use crate::detectors::{Anomaly, DetectorName};
use crate::pipeline::anomalies::{AnomaliesProgress, AnomaliesSink};
use crate::pipeline::{RunMode, Runner};
use crate::printable::printable;
use crate::registry::Registry;
use crate::serve::{SinkHandle, Sinks};

/// Judge every reading of the topic, and publish each anomaly once
///
/// Consumes the topic in a consumer group of its own, judges every reading by the earlier ones of its key, and writes
/// what is out of the ordinary to the topic `anomaly`, each exactly once for readers with isolation.level =
/// read_committed: kill it anywhere, start it again, run several. Readings of one key must lie in one partition, as
/// they do with Kafka's own partitioners. `streamgauge backtest` tries it on a file first.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct DetectArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    set: SetArgs,
    /// The consumer group; processes with the same one share the partitions [default: streamgauge-detect, whatever the table]
    #[arg(long)]
    group: Option<String>,
    /// The source of series' keys: none, message (the Kafka key), or a field's dotted path
    #[arg(long, value_name = "none|message|FIELD")]
    key: Option<String>,
    /// Stop, with everything published, at the ends that the topic has now
    #[arg(long)]
    available_now: bool,
    /// Go on although the topic no longer holds the next reading; what is missing stays missing
    #[arg(long)]
    accept_gap: bool,
}

/// Flags that say how readings are judged.
#[derive(Debug, Clone, Args)]
pub(super) struct DetectorArgs {
    /// A named set of settings: default, boston-tutorial, ec2-tutorial or air-quality-tutorial
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// What judges the readings
    #[arg(long, value_parser = detector_names())]
    detector: Option<String>,
    /// The score that makes an anomaly, or auto
    #[arg(long, value_name = "SCORE")]
    threshold: Option<String>,
}

impl DetectorArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides::default()
            .with("detect.preset", "--preset", self.preset.as_ref())
            .with("detect.detector", "--detector", self.detector.as_ref())
            .with("detect.threshold", "--threshold", self.threshold.as_ref())
    }
}

fn detector_names() -> PossibleValuesParser {
    let value = |&detector: &DetectorName| match detector {
        DetectorName::None => PossibleValue::new(detector.name()).help("Rules alone"),
        _ => PossibleValue::new(detector.name()),
    };
    PossibleValuesParser::new(DetectorName::ALL.iter().map(value))
}

/// Flags that say where anomalies and state go.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// The topic of the anomalies
    #[arg(long, value_name = "TOPIC")]
    anomaly_topic: Option<String>,
    /// Where the detectors' state is kept: a local folder or s3://bucket/prefix [default: beside the table]
    #[arg(long, value_name = "URI")]
    state: Option<String>,
    /// Print anomalies as they happen
    #[arg(long)]
    print: bool,
}

impl OutputArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides::default()
            .with(
                "detect.anomaly_topic",
                "--anomaly-topic",
                self.anomaly_topic.as_ref(),
            )
            .with("detect.state_uri", "--state", self.state.as_ref())
    }
}

const EXAMPLES: &str = "\
Examples:
  Judge the topic `usage`, and watch what is found:
    streamgauge detect -b localhost:9092 -t usage --print
  One detector a meter, by the Kafka key:
    streamgauge detect -t meters --key message
  As the Boston electricity tutorial does it:
    streamgauge detect -t usage --preset boston-tutorial
  Read the anomalies, each once:
    kcat -b localhost:9092 -t anomaly -X isolation.level=read_committed

More of the settings, and what each means: streamgauge config show";

impl Action for DetectArgs {
    fn overrides(&self) -> Overrides {
        self.kafka
            .overrides()
            .and(self.detector.overrides())
            .and(self.output.overrides())
            .with("detect.group", "--group", self.group.as_ref())
            .with("reading.key", "--key", self.key.as_ref())
            .with(
                "kafka.accept_gap",
                "--accept-gap",
                self.accept_gap.then_some(true),
            )
            .and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        let config = &loaded.config;
        block_on(async {
            warn_of_silence(&config.alert);
            let endpoints = Endpoints::reserve(loaded).await?;
            let registry = Registry::open(&config.process.schema_registry)?.map(Arc::new);
            let runner = AnomaliesSink::start(
                &config.process.kafka,
                config.pipeline.clone(),
                config.feedback_topic(),
                mode,
            )
            .await?
            .asking(registry);
            let sinks = Sinks::new([SinkHandle::Anomalies(runner.progress())]);
            let service = Service::start(endpoints, sinks);
            let printing = self.output.print_from(&runner, &config.pipeline.detect.unit);
            let ended = runner.run(interrupted(config.process.log.format)).await;
            drop(service);
            finish_printing(printing).await?;
            let topic = &config.pipeline.detect.anomaly_topic;
            eprintln!("{}", run_summary(&ended?, |sink| summary(sink, topic)));
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// A task that prints anomalies until there are no more.
pub(super) type Printing = Option<tokio::task::JoinHandle<std::io::Result<()>>>;

impl OutputArgs {
    /// Starts to print a run's anomalies, if the flag asks for it.
    pub(super) fn print_from(&self, runner: &Runner<AnomaliesSink>, unit: &str) -> Printing {
        let anomalies = self.print.then(|| runner.sink().anomalies())?;
        Some(tokio::spawn(print(anomalies, unit.to_owned())))
    }
}

/// Waits until the last anomaly is printed.
pub(super) async fn finish_printing(printing: Printing) -> anyhow::Result<()> {
    match printing {
        Some(printing) => Ok(printing.await??),
        None => Ok(()),
    }
}

async fn print(mut anomalies: broadcast::Receiver<Anomaly>, unit: String) -> std::io::Result<()> {
    loop {
        let anomaly = match anomalies.recv().await {
            Ok(anomaly) => anomaly,
            Err(RecvError::Lagged(missed)) => {
                warn!(
                    missed,
                    "anomalies came faster than they can be printed; the topic has all of them"
                );
                continue;
            }
            Err(RecvError::Closed) => return Ok(()),
        };
        let mut out = stdout();
        let severity = anomaly.severity().name();
        writeln!(
            out,
            "{}  {severity:<8}  {}",
            anomaly.local_time(),
            printable(&anomaly.explanation(&unit))
        )?;
        out.flush()?;
    }
}

/// The conservation counts of a run (I1). Where each record holds one reading, records and readings are one sum.
pub(super) fn summary(progress: &AnomaliesProgress, anomaly_topic: &str) -> String {
    let counts = &progress.counts;
    let rejected: u64 = counts.rejected.values().sum();
    let (consumed, judged, late) = (
        HumanCount(counts.consumed),
        HumanCount(counts.judged),
        HumanCount(counts.late),
    );
    let skipped = skipped(counts.skipped);
    let mut text = if counts.consumed == counts.judged + counts.late + rejected + counts.skipped {
        let rejected = HumanCount(rejected);
        format!("{consumed} consumed = {judged} judged + {late} late + {rejected} rejected{skipped}")
    } else {
        let accepted = HumanCount(counts.accepted);
        let dead = HumanCount(counts.consumed.saturating_sub(counts.accepted + counts.skipped));
        format!(
            "{consumed} consumed = {accepted} accepted + {dead} rejected{skipped}; {judged} readings judged, {late} late"
        )
    };
    let (anomalies, ends) = progress.published_count();
    text += &format!(
        "; anomalies published to {anomaly_topic}: {}",
        HumanCount(anomalies)
    );
    if ends > 0 {
        text += &format!(", and ends of episodes: {}", HumanCount(ends));
    }
    for (reason, count) in &counts.rejected {
        text += &format!("\n  rejected as {}: {}", reason.name(), HumanCount(*count));
    }
    if counts.out_of_order > 0 {
        let out_of_order = HumanCount(counts.out_of_order);
        text += &format!("\n  judged although older than the newest of their series: {out_of_order}");
    }
    if counts.forgotten > 0 {
        let forgotten = HumanCount(counts.forgotten);
        text += &format!("\n  series forgotten, which event time had left behind: {forgotten}");
    }
    if counts.passed_over > 0 {
        let passed_over = HumanCount(counts.passed_over);
        text +=
            &format!("\n  anomalies that detect.direction or detect.least_change pass over: {passed_over}");
    }
    if counts.replayed > 0 {
        let replayed = HumanCount(counts.replayed);
        text += &format!("\n  judged before, and read again to restore the state: {replayed}");
    }
    text += nothing_read(counts.consumed, rejected);
    text
}
