//! `streamgauge labels`: what people say of anomalies, for `backtest`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::HumanCount;

use super::{Action, KafkaArgs, SetArgs, block_on, stdout, tell};
use crate::config::{Config, Loaded, Overrides};
use crate::feedback::{self, Judged, Labels, Opinions};

/// Use what people say of anomalies
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct LabelsArgs {
    #[command(subcommand)]
    command: LabelsCommand,
}

#[derive(Debug, Subcommand)]
enum LabelsCommand {
    Export(ExportArgs),
}

const EXAMPLES: &str = "\
Examples:
  streamgauge labels export --out labels.json";

/// Write what is said of anomalies as labels for backtest
///
/// A window is an episode that was real, or what was missed, in wall times of reading.time_zone; a series of which all was
/// expected has labels without a window. Those of the series boiler-7 are for a file boiler-7.csv with its readings; a topic
/// that is read as one series is named as the topic. Says on standard error what share of the judged episodes was real.
#[derive(Debug, Args)]
#[command(after_long_help = EXPORT_EXAMPLES)]
struct ExportArgs {
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    set: SetArgs,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  How would another threshold have done on what was said of boiler-7?
    streamgauge labels export --out labels.json
    streamgauge backtest history/boiler-7.csv --labels labels.json --threshold 7";

impl Action for LabelsArgs {
    fn overrides(&self) -> Overrides {
        let LabelsCommand::Export(args) = &self.command;
        args.kafka.overrides().and(args.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let LabelsCommand::Export(args) = &self.command;
        block_on(args.export(&loaded.config))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ExportArgs {
    async fn export(&self, config: &Config) -> anyhow::Result<()> {
        let kafka = config.subscription();
        let topic = config.feedback_topic();
        let opinions = feedback::newest(&kafka, &topic).await?;
        let incomplete = Labels::incomplete(&opinions);
        let found = if incomplete.is_empty() {
            BTreeMap::new()
        } else {
            let anomaly_topic = &config.pipeline.detect.anomaly_topic;
            feedback::find_episodes(&kafka, anomaly_topic, &incomplete)
                .await?
                .0
        };
        let zone = config.pipeline.reading.time_zone;
        let labels = Labels::new(&opinions, &found, zone, &kafka.source.topic)?;
        let json = labels.json();
        match &self.out {
            Some(path) => std::fs::write(path, json + "\n")
                .with_context(|| format!("cannot write the labels {}", path.display()))?,
            None => {
                let mut out = stdout();
                writeln!(out, "{json}")?;
                out.flush()?;
            }
        }
        for episode in &labels.unknown {
            tell(&format!(
                "{episode}: left out; it does not say which series and when, and the topic of anomalies no longer has it"
            ));
        }
        tell(&format!(
            "{} windows of {} series, from {topic}",
            HumanCount(labels.windows() as u64),
            HumanCount(labels.len() as u64)
        ));
        tell_precision(&opinions);
        Ok(())
    }
}

/// Says what share of the judged episodes was real.
fn tell_precision(opinions: &Opinions) {
    let judged = opinions.judged();
    for (detector, judged) in &judged {
        tell(&precision(detector.unwrap_or("unknown detector"), *judged));
    }
    if judged.len() > 1 {
        tell(&precision("all", opinions.judged_overall()));
    }
    if opinions.missed() > 0 {
        tell(&format!("missed     {}", HumanCount(opinions.missed())));
    }
}

fn precision(whose: &str, judged: Judged) -> String {
    let share = judged.precision();
    let share = share.map_or(String::new(), |share| format!(": precision {share:.2}"));
    format!(
        "{whose}: {} real, {} expected{share}",
        judged.real, judged.expected
    )
}
