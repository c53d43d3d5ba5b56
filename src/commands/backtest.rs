//! `streamgauge backtest`.

mod input;
mod output;
mod scores;
mod told;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::HumanCount;

use super::detect::DetectorArgs;
use super::file_args::FileArgs;
use super::query::{MaxRows, parse_max_rows};
use super::{Action, SetArgs, stdout, tell};
use crate::backtest::nab::{LabeledSeries, Score, Scorer};
use crate::backtest::{
    HistoricReading, Judge, JudgedSeries, Labels, ReportFile, ReportHead, Summary, report,
};
use crate::config::{Loaded, Overrides};
use crate::decode::ValueKind;
use crate::detection::REGISTERS_ARE_JUDGED;
use crate::pipeline;
use crate::recording::Recording;
use input::{Reader, Source};

/// Try a detector on your own history: what it would have alerted on, and how often
///
/// Runs the detector of the settings over CSVs of readings as the stream would, tells what it would have published, and
/// writes a report to look at in a browser: one file, which needs no network. No broker and no table are needed. Files
/// are read as `play` reads them; times without an offset are of reading.time_zone. With labels, the scores of the Numenta Anomaly Benchmark (NAB) are told too.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct BacktestArgs {
    /// Files of readings; of a folder every .csv below it; "-" reads standard input
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    set: SetArgs,
    /// Score against known anomalies: JSON as NAB's combined_windows.json, found by the last two parts of the path
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write key,ts,value,score,threshold,anomaly of every reading; with several CSVs, into a folder of this name
    #[arg(long, value_name = "FILE|FOLDER")]
    scores: Option<PathBuf>,
    /// Print what each [[alert.receiver]] of the settings would have been told, and when; nothing is sent
    #[arg(long)]
    alerts: bool,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "streamgauge-backtest.html")]
    report: PathBuf,
    /// Write no report
    #[arg(long, conflicts_with = "report")]
    no_report: bool,
    /// How to write the summary
    #[arg(long, value_enum, default_value = "table", conflicts_with = "alerts")]
    format: Format,
    /// Rows that a table shows at most: a number or `all`
    #[arg(long, value_name = "N", default_value = "40", value_parser = parse_max_rows)]
    maxrows: MaxRows,
    #[command(flatten)]
    file: FileArgs,
}

/// How the summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; of a single file, with what would have been alerted on
    Table,
    /// A row for each series, and one named total
    Csv,
    /// One object: series, total, nab
    Json,
}

const EXAMPLES: &str = "\
Examples:
  What would the default detector have alerted on?
    streamgauge backtest usage.csv
  One series a meter, in local time:
    streamgauge backtest meters.csv --key-column meter --set reading.time_zone=Europe/Berlin
  Compare settings:
    for threshold in 5 6 7 8; do
      streamgauge backtest history/ --threshold $threshold --no-report --format csv | tail -1
    done
  As the Boston electricity tutorial does it:
    streamgauge backtest boston.csv --preset boston-tutorial
  What would have reached people, by the receivers of the settings (docs/alerts.md)?
    streamgauge backtest usage.csv --config streamgauge.toml --alerts
  The scores of a labeled corpus, such as NAB's:
    streamgauge backtest NAB/data --labels NAB/labels/combined_windows.json";

/// A recording with everything that was said about it.
struct Tested {
    source: Source,
    series: Vec<JudgedSeries>,
    /// Of each series.
    summaries: Vec<Summary>,
    /// Labeled stretches on the recording's clock; `None` where there are no labels.
    windows: Option<Vec<(i64, i64)>>,
}

impl Action for BacktestArgs {
    fn overrides(&self) -> Overrides {
        let zone = self.file.time_zone().map(|zone| zone.name().to_owned());
        self.detector.overrides().and(self.set.overrides()).with(
            "reading.time_zone",
            "--time-zone",
            zone.as_deref(),
        )
    }

    fn run(&self, loaded: &Loaded) -> Result<ExitCode> {
        if loaded.config.pipeline.reading.value_kind == ValueKind::Counter {
            tracing::warn!("{REGISTERS_ARE_JUDGED}");
        }
        let sources = input::sources(&self.paths)?;
        let labels = self.labels.as_deref().map(read_labels).transpose()?;
        if let Some(folder) = self.scores.as_deref().filter(|_| sources.len() > 1) {
            scores::check_names(folder, &sources)?;
        }
        let (tested, nab) = self.test(&sources, labels.as_ref(), &loaded.config.pipeline)?;
        let mut out = BufWriter::new(stdout());
        self.print(
            &tested,
            nab.as_ref(),
            &loaded.config.pipeline.detect.unit,
            &mut out,
        )?;
        if self.alerts {
            let told = told::told(&tested, &loaded.config)?;
            told::print(&told, &loaded.config.alert, self.maxrows.0, &mut out)?;
        }
        out.flush().context("cannot write the result")?;
        if let Some(path) = &self.scores {
            scores::write(path, &tested)?;
            tell(&format!("scores     {}", path.display()));
        }
        if !self.no_report {
            self.write_report(&tested, nab.as_ref(), loaded)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl BacktestArgs {
    /// Reads, judges and scores every file.
    fn test(
        &self,
        sources: &[Source],
        labels: Option<&Labels>,
        settings: &pipeline::Settings,
    ) -> Result<(Vec<Tested>, Option<[Score; 3]>)> {
        let judge = Judge::new(
            &settings.reading,
            &settings.window,
            &settings.detect,
            &settings.detectors,
        )?;
        if !judge.has_models() {
            bail!("nothing judges: detect.detector is \"none\", and [detect.rules] has no rule");
        }
        let mut reader = Reader::new(self.file.options(&settings.reading));
        let mut scorer = Scorer::default();
        let mut tested = Vec::new();
        for source in sources {
            let Some(recording) = reader.read(source)? else {
                continue;
            };
            let series = judge.judge(past(&recording));
            let windows = labels.and_then(|labels| self.windows_of(source, labels, &series));
            let summaries = summarize(&series, windows.as_deref(), &mut scorer)
                .with_context(|| format!("cannot score {}", source.path.display()))?;
            tell_clipped(source, &series);
            tested.push(Tested {
                source: source.clone(),
                series,
                summaries,
                windows,
            });
        }
        if tested.is_empty() {
            bail!("there are no readings to judge");
        }
        tell_labels(&tested, labels, self.labels.as_deref())?;
        Ok((tested, scorer.scores()))
    }

    /// The labels of a file; where only a part of it is read, those that lie in that part.
    fn windows_of(
        &self,
        source: &Source,
        labels: &Labels,
        series: &[JudgedSeries],
    ) -> Option<Vec<(i64, i64)>> {
        let path = source.path.canonicalize().unwrap_or_else(|_| source.path.clone());
        let windows = labels.of(&path)?;
        let times = || {
            series
                .iter()
                .flat_map(|series| &series.points)
                .map(|point| point.wall_time_ms)
        };
        let (first, last) = (times().min()?, times().max()?);
        let is_read = |window: &&(i64, i64)| self.file.is_whole() || (window.0 <= last && window.1 >= first);
        Some(windows.iter().filter(is_read).copied().collect())
    }

    fn print(
        &self,
        tested: &[Tested],
        nab: Option<&[Score; 3]>,
        unit: &str,
        out: &mut impl Write,
    ) -> Result<()> {
        let rows = output::rows(tested);
        match self.format {
            Format::Csv => output::csv(&rows, nab, out),
            Format::Json => output::json(&rows, nab, out),
            Format::Table => {
                if let [tested] = tested {
                    output::alerts(tested, unit, self.maxrows.0, out)?;
                }
                output::table(&rows, nab, self.maxrows.0, out)
            }
        }
    }

    fn write_report(&self, tested: &[Tested], nab: Option<&[Score; 3]>, loaded: &Loaded) -> Result<()> {
        let files: Vec<ReportFile<'_>> = tested
            .iter()
            .map(|tested| ReportFile {
                name: &tested.source.name,
                series: &tested.series,
                summaries: &tested.summaries,
                windows: tested.windows.as_deref().unwrap_or_default(),
            })
            .collect();
        let settings: Vec<(String, String, String)> = loaded
            .settings()
            .iter()
            .map(|setting| {
                (
                    setting.key(),
                    setting.value.to_string(),
                    setting.origin.to_string(),
                )
            })
            .collect();
        let head = ReportHead {
            detector: loaded.config.pipeline.detect.detector.name(),
            unit: &loaded.config.pipeline.detect.unit,
            nab,
            settings: &settings,
        };
        let html = report(&head, &files);
        std::fs::write(&self.report, html)
            .with_context(|| format!("cannot write the report {}", self.report.display()))?;
        tell(&format!("report     {}", self.report.display()));
        Ok(())
    }
}

fn past(recording: &Recording) -> impl Iterator<Item = HistoricReading<'_>> {
    recording.readings.iter().map(|reading| HistoricReading {
        event_time_ms: reading.time_ms,
        wall_time_ms: recording.wall_time_ms(reading),
        value: reading.value,
        key: recording.key(reading).unwrap_or_default(),
    })
}

/// Sums up the series of a file, and adds them to the scores if the file is labeled.
fn summarize(
    series: &[JudgedSeries],
    windows: Option<&[(i64, i64)]>,
    scorer: &mut Scorer,
) -> Result<Vec<Summary>> {
    let Some(windows) = windows else {
        return Ok(series.iter().map(|series| Summary::of(series, None)).collect());
    };
    if series.len() > 1 {
        bail!(
            "labels are of a file as one series, and this one has {} (--key-column)",
            series.len()
        );
    }
    let score = |series: &JudgedSeries| {
        let times: Vec<i64> = series.points.iter().map(|point| point.wall_time_ms).collect();
        let scores: Vec<f64> = series.points.iter().map(|point| point.score).collect();
        let is_anomaly: Vec<bool> = series.points.iter().map(|point| point.is_anomaly).collect();
        let hits = scorer.add(LabeledSeries {
            times: &times,
            scores: &scores,
            is_anomaly: &is_anomaly,
            windows,
        });
        let wall = output::wall_time;
        let hits = hits.map_err(|empty| {
            anyhow::anyhow!(
                "no reading lies in the labeled window {} to {}",
                wall(empty.first),
                wall(empty.last)
            )
        })?;
        Ok(Summary::of(series, Some(hits)))
    };
    series.iter().map(score).collect()
}

fn read_labels(path: &Path) -> Result<Labels> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the labels {}", path.display()))?;
    Labels::from_json(&text).with_context(|| format!("{} holds no labels", path.display()))
}

/// Says what has no labels, and what labels had no file.
fn tell_labels(tested: &[Tested], labels: Option<&Labels>, path: Option<&Path>) -> Result<()> {
    let (Some(labels), Some(path)) = (labels, path) else {
        return Ok(());
    };
    let labeled = tested.iter().filter(|tested| tested.windows.is_some()).count();
    if labeled == 0 {
        bail!(
            "the labels in {} match none of the files: they are told by the last two parts of a path, such as {}",
            path.display(),
            labels.first().unwrap_or("folder/file.csv")
        );
    }
    for tested in tested.iter().filter(|tested| tested.windows.is_none()) {
        tell(&format!(
            "{}: no labels; it does not count for the scores",
            tested.source.name
        ));
    }
    if labeled < labels.len() {
        tell(&format!(
            "{}: has labels of {} files, of which {} were read",
            path.display(),
            labels.len(),
            labeled
        ));
    }
    Ok(())
}

fn tell_clipped(source: &Source, series: &[JudgedSeries]) {
    let clipped: u64 = series.iter().map(|series| series.clipped).sum();
    if clipped > 0 {
        tell(&format!(
            "{}: {} values are beyond the detector's limits, and counted as the nearest within",
            source.name,
            HumanCount(clipped)
        ));
    }
}
