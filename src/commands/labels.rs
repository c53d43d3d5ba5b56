//! `streamgauge labels`: what people say of anomalies, for `backtest` and `tune`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::HumanCount;

use super::{Action, KafkaArgs, SetArgs, block_on, stdout, tell};
use crate::config::{Config, Loaded, Overrides};
use crate::feedback::{self, CompleteFeedback, FoundEpisode, Judged, Labels, Opinions};

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
  streamgauge labels export --out labels.json
  streamgauge labels export --format messages --out answers.jsonl";

/// Write what is said of anomalies as labels for backtest and tune
///
/// For backtest, windows of files: one is an episode that was real, or what was missed, in wall times of reading.time_zone; a series of which all was
/// expected has labels without a window. Those of the series boiler-7 are for a file boiler-7.csv with its readings; a topic
/// that is read as one series is named as the topic. For tune, messages: a line for each thing that is said, as the topic of
/// feedback has it, with the series and the times that it is about. Says on standard error what share of the judged episodes was real.
#[derive(Debug, Args)]
#[command(after_long_help = EXPORT_EXAMPLES)]
struct ExportArgs {
    /// What is written
    #[arg(long, value_enum, default_value = "windows")]
    format: LabelFormat,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// What labels are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LabelFormat {
    /// For `backtest --labels`: faults, as NAB's combined_windows.json has them
    Windows,
    /// For `tune --labels`: all that is said, each a line of JSON (docs/feedback.schema.json)
    Messages,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  How would another threshold have done on what was said of boiler-7?
    streamgauge labels export --out labels.json
    streamgauge backtest history/boiler-7.csv --labels labels.json --threshold 7
  Which settings would have done best?
    streamgauge labels export --format messages --out answers.jsonl
    streamgauge tune history/ --labels answers.jsonl";

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
        let topic = config.feedback_topic();
        let (opinions, exported) = match self.format {
            LabelFormat::Windows => {
                let (opinions, found) = said(config, Labels::incomplete).await?;
                let zone = config.pipeline.reading.time_zone;
                let labels = Labels::new(&opinions, &found, zone, &config.pipeline.source.topic)?;
                (opinions, Exported::of_labels(labels))
            }
            LabelFormat::Messages => {
                let (opinions, found) = said(config, CompleteFeedback::incomplete).await?;
                let answers = CompleteFeedback::new(&opinions, &found);
                (opinions, Exported::of_answers(answers))
            }
        };
        match &self.out {
            Some(path) => std::fs::write(path, exported.text)
                .with_context(|| format!("cannot write the labels {}", path.display()))?,
            None => {
                let mut out = stdout();
                out.write_all(exported.text.as_bytes())?;
                out.flush()?;
            }
        }
        tell_unknown(&exported.unknown);
        tell(&format!("{}, from {topic}", exported.summary));
        tell_precision(&opinions);
        Ok(())
    }
}

/// Labels as they are written.
struct Exported {
    text: String,
    /// How many of what.
    summary: String,
    /// Episodes that are left out.
    unknown: Vec<String>,
}

impl Exported {
    fn of_labels(labels: Labels) -> Self {
        Exported {
            text: labels.json() + "\n",
            summary: format!(
                "{} windows of {} series",
                HumanCount(labels.windows() as u64),
                HumanCount(labels.len() as u64)
            ),
            unknown: labels.unknown,
        }
    }

    fn of_answers(answers: CompleteFeedback) -> Self {
        Exported {
            text: answers.lines(),
            summary: format!("{} answers", HumanCount(answers.len() as u64)),
            unknown: answers.unknown,
        }
    }
}

/// All that is said now, and what the topic of anomalies has of the episodes that are `incomplete` without it.
pub(super) async fn said(
    config: &Config,
    incomplete: impl Fn(&Opinions) -> BTreeSet<String>,
) -> anyhow::Result<(Opinions, BTreeMap<String, FoundEpisode>)> {
    let kafka = config.subscription();
    let opinions = feedback::newest(&kafka, &config.feedback_topic()).await?;
    let incomplete = incomplete(&opinions);
    if incomplete.is_empty() {
        return Ok((opinions, BTreeMap::new()));
    }
    let anomaly_topic = &config.pipeline.detect.anomaly_topic;
    let (found, _) = feedback::find_episodes(&kafka, anomaly_topic, &incomplete).await?;
    Ok((opinions, found))
}

/// Says which episodes are left out.
pub(super) fn tell_unknown(episodes: &[String]) {
    for episode in episodes {
        tell(&format!(
            "{episode}: left out; it does not say which series and when, and the topic of anomalies no longer has it"
        ));
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
