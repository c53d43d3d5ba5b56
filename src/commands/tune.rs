//! `streamgauge tune`.

mod candidates;
mod judging;
mod output;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::HumanCount;

use super::history::HistoryArgs;
use super::labels::{said, tell_unknown};
use super::query::{MaxRows, parse_max_rows};
use super::{Action, KafkaArgs, block_on, stdout, tell};
use crate::backtest::tuning::{Answer, Assigned, Contender, FEWEST_ANSWERS, assign};
use crate::config::{Config, Loaded, Overrides};
use crate::feedback::CompleteFeedback;
use candidates::{Dimension, parse_dimension};
use judging::History;
use output::{CANNOT_WRITE, Comparison};

/// Compare settings by what people said of anomalies, and propose the best
///
/// Judges the files of readings anew, by the present settings and by candidates for their place, and counts for each how many
/// alarms a week there would have been, which of the confirmed faults are still told, which false alarms are spared, and
/// which missed faults are found. What people said comes from the topic of feedback, or from a file. Proposed is what keeps
/// every confirmed fault and spares most false alarms; nothing is changed by itself. With fewer than 20 answers nothing is
/// proposed.
///
/// Without --candidate it tries every detector with thresholds around its own, and where the settings have receivers, least
/// durations; rules stay as they are.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct TuneArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Take what was said from this file instead of the topic: what `labels export --format messages` writes
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Try these values of a detector's setting, or of a receiver's min_duration; of several, each with each
    #[arg(long = "candidate", value_name = "SECTION.KEY=A,B,C", value_parser = parse_dimension)]
    candidates: Vec<Dimension>,
    /// Write one JSON object instead
    #[arg(long)]
    json: bool,
    /// Candidates that the table shows at most: a number or `all`
    #[arg(long, value_name = "N", default_value = "10", value_parser = parse_max_rows)]
    maxrows: MaxRows,
    // The last: it ends with flags that have a heading of their own, which those behind would get, too.
    #[command(flatten)]
    history: HistoryArgs,
}

const EXAMPLES: &str = "\
Examples:
  By what was said in the topic of feedback, of readings in a file of all meters:
    streamgauge tune meters.csv --key-column meter -b localhost:9092
  Without a broker:
    streamgauge labels export --format messages --out answers.jsonl
    streamgauge tune history/ --labels answers.jsonl
  Other values of the present detector:
    streamgauge tune usage.csv --candidate detect.threshold=6.5,7,7.5,8
  Whether alarms had better wait:
    streamgauge tune usage.csv --candidate alert.receiver.ops.min_duration=0s,10m,1h";

impl Action for TuneArgs {
    fn overrides(&self) -> Overrides {
        self.kafka.overrides().and(self.history.overrides())
    }

    fn run(&self, loaded: &Loaded) -> Result<ExitCode> {
        let config = &loaded.config;
        let candidates = candidates::candidates(loaded, &self.overrides(), &self.candidates)?;
        let answers = self.answers(config)?;
        let history = History::read(&self.history, &config.pipeline.reading)?;
        let assigned = assign(answers, &history.series);
        tell_unassigned(&assigned, &history);
        let mut out = BufWriter::new(stdout());
        if assigned.count() < FEWEST_ANSWERS {
            output::too_few(assigned.count(), self.json, &mut out)?;
        } else {
            let scores = judging::scores(&candidates, &history, &assigned.by_series)?;
            let contenders = candidates.iter().zip(scores).map(|(candidate, score)| Contender {
                changes: candidate.changes.len(),
                score,
            });
            let comparison = Comparison::new(&candidates, contenders.collect(), &history);
            if self.json {
                comparison.json(&mut out)?;
            } else {
                comparison.table(self.maxrows.0, &mut out)?;
            }
        }
        out.flush().context(CANNOT_WRITE)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl TuneArgs {
    /// What was said, and of what.
    fn answers(&self, config: &Config) -> Result<Vec<Answer>> {
        let (opinions, found) = match &self.labels {
            Some(path) => {
                let refused = || format!("cannot read the answers {}", path.display());
                let text = std::fs::read_to_string(path).with_context(refused)?;
                (
                    CompleteFeedback::read(&text).with_context(refused)?,
                    BTreeMap::new(),
                )
            }
            None => block_on(said(config, CompleteFeedback::incomplete))?,
        };
        if opinions.forgotten() > 0 {
            let forgotten = HumanCount(opinions.forgotten());
            tell(&format!(
                "{forgotten} answers are left out: there are more than fit into memory, and these are the oldest"
            ));
        }
        let answers = CompleteFeedback::new(&opinions, &found);
        tell_unknown(&answers.unknown);
        Ok(answers.for_tuning(&config.pipeline.source.topic))
    }
}

/// Says which answers do not count.
fn tell_unassigned(assigned: &Assigned, history: &History) {
    const MOST_NAMES: usize = 5;
    let count = |answers: &[Answer]| HumanCount(answers.len() as u64);
    let listed = |names: BTreeSet<&str>| {
        let shown: Vec<&str> = names.iter().copied().take(MOST_NAMES).collect();
        let more = names.len().saturating_sub(MOST_NAMES);
        let more = (more > 0).then(|| format!(" and {more} more"));
        shown.join(", ") + &more.unwrap_or_default()
    };
    let late = &assigned.at_other_times;
    if !late.is_empty() {
        tell(&format!(
            "{} answers do not count: their times are before the first or after the last reading",
            count(late)
        ));
    }
    let others = &assigned.of_other_series;
    if !others.is_empty() {
        let theirs = others
            .iter()
            .map(|answer| answer.series.as_deref().unwrap_or("the whole topic"));
        let ours = history.series.iter().map(|series| match series.key.as_str() {
            "" => Path::new(&series.file)
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default(),
            key => key,
        });
        tell(&format!(
            "{} answers do not count: they are of {}, and the files have {} (--key-column, or a file named as the series)",
            count(others),
            listed(theirs.collect()),
            listed(ours.collect())
        ));
    }
}
