//! `streamgauge detect`: from the topic to the anomalies.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanCount;
use tokio::sync::mpsc;

use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, block_on, interrupted, stdout};
use crate::config::{Config, DetectorName, Loaded, Overrides};
use crate::detect::Anomaly;
use crate::pipeline::{Detection, DetectionProgress, RunMode};
use crate::serve::Sides;

/// Judge every reading of the topic, and publish each anomaly once
///
/// Consumes the topic in a consumer group of its own, judges every reading by the earlier ones of its key, and writes
/// what is out of the ordinary to the topic `anomaly`, each exactly once for readers with isolation.level =
/// read_committed: kill it anywhere, start it again, run several. Readings of one key must lie in one partition, as
/// they do with Kafka's own partitioners. `streamgauge backtest` tries it on a file first.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DetectArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The consumer group; processes with the same one share the partitions [default: that of the table, and -detect]
    #[arg(long)]
    group: Option<String>,
    /// What tells series apart: none, message (the Kafka key), or a field's dotted path
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
    #[arg(long, value_enum)]
    detector: Option<DetectorName>,
    /// The score that makes an anomaly, or auto
    #[arg(long, value_name = "SCORE")]
    threshold: Option<String>,
}

impl DetectorArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        let detector = self.detector.and_then(|detector| {
            let value = clap::ValueEnum::to_possible_value(&detector)?;
            Some(value.get_name().to_owned())
        });
        Overrides::default()
            .with("detect.preset", "--preset", self.preset.as_ref())
            .with("detect.detector", "--detector", detector)
            .with("detect.threshold", "--threshold", self.threshold.as_ref())
    }
}

/// Flags that say where anomalies and state go.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// The topic of the anomalies
    #[arg(long, value_name = "TOPIC")]
    anomaly_topic: Option<String>,
    /// Where the detectors' state is kept: a local folder or s3://bucket/prefix [default: beside the table]
    #[arg(long, value_name = "URI")]
    snapshots: Option<String>,
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
            .with("detect.snapshot_uri", "--snapshots", self.snapshots.as_ref())
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
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        block_on(async {
            let endpoints = Endpoints::reserve(loaded).await?;
            let mut detection = Detection::start(loaded.config.clone(), mode).await?;
            let sides = Sides {
                table: None,
                anomalies: Some(detection.progress()),
            };
            let service = Service::start(endpoints, sides);
            let printing = self.output.print_from(&mut detection, &loaded.config);
            let ended = detection.run(interrupted()).await;
            drop(service);
            finish_printing(printing).await?;
            eprintln!("{}", summary(&ended?, &loaded.config));
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// A task that prints anomalies until there are no more.
pub(super) type Printing = Option<tokio::task::JoinHandle<std::io::Result<()>>>;

impl OutputArgs {
    /// Starts to print a detection's anomalies, if that was asked for.
    pub(super) fn print_from(&self, detection: &mut Detection, config: &Config) -> Printing {
        let anomalies = self.print.then(|| detection.anomalies())?;
        Some(tokio::spawn(print(anomalies, config.detect.unit.clone())))
    }
}

/// Waits until the last anomaly is printed.
pub(super) async fn finish_printing(printing: Printing) -> anyhow::Result<()> {
    match printing {
        Some(printing) => Ok(printing.await??),
        None => Ok(()),
    }
}

async fn print(mut anomalies: mpsc::UnboundedReceiver<Anomaly>, unit: String) -> std::io::Result<()> {
    while let Some(anomaly) = anomalies.recv().await {
        let mut out = stdout();
        let severity = anomaly.severity().name();
        writeln!(
            out,
            "{}  {severity:<8}  {}",
            anomaly.local_time(),
            anomaly.explanation(&unit)
        )?;
        out.flush()?;
    }
    Ok(())
}

/// The conservation counts of a run: every record consumed is one of the three.
pub(super) fn summary(progress: &DetectionProgress, config: &Config) -> String {
    let tally = &progress.tally;
    let rejected: u64 = tally.rejected.values().sum();
    let mut text = format!(
        "{} consumed = {} judged + {} late + {} rejected; anomalies published to {}: {}",
        HumanCount(tally.consumed),
        HumanCount(tally.judged),
        HumanCount(tally.late),
        HumanCount(rejected),
        config.detect.anomaly_topic,
        HumanCount(progress.published_count()),
    );
    for (reason, count) in &tally.rejected {
        text += &format!("\n  rejected as {}: {}", reason.name(), HumanCount(*count));
    }
    if tally.out_of_order > 0 {
        let out_of_order = HumanCount(tally.out_of_order);
        text += &format!("\n  judged although older than the newest of their series: {out_of_order}");
    }
    if tally.replayed > 0 {
        let replayed = HumanCount(tally.replayed);
        text += &format!("\n  judged before, and read again to restore the state: {replayed}");
    }
    text
}
