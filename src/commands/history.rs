//! What `backtest` and `tune` have in common: the files of the command line, and the settings that judge their readings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::HumanCount;

use super::detect::DetectorArgs;
use super::file_args::FileArgs;
use super::play::read_file;
use super::play::report::{findings, why_empty};
use super::{SetArgs, tell};
use crate::backtest::{HistoricReading, Judge};
use crate::config::Overrides;
use crate::decode;
use crate::pipeline;
use crate::recording::{ReadOptions, Recording};

/// Which readings are judged, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct HistoryArgs {
    /// Files of readings; of a folder every .csv below it; "-" reads standard input
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    file: FileArgs,
}

impl HistoryArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        let zone = self.file.time_zone().map(|zone| zone.name().to_owned());
        self.detector.overrides().and(self.set.overrides()).with(
            "reading.time_zone",
            "--time-zone",
            zone.as_deref(),
        )
    }

    /// The files that the paths stand for.
    pub(super) fn sources(&self) -> Result<Vec<Source>> {
        sources(&self.paths)
    }

    /// What reads them, under the settings of `[reading]`.
    pub(super) fn reader(&self, reading: &decode::Settings) -> Reader {
        Reader {
            options: self.file.options(reading),
            told: BTreeSet::new(),
        }
    }

    /// Whether all of a file is read.
    pub(super) fn is_whole(&self) -> bool {
        self.file.is_whole()
    }
}

/// What judges by these settings.
///
/// # Errors
/// If a rule cannot be read, or nothing judges.
pub(super) fn judge(settings: &pipeline::Settings) -> Result<Judge> {
    let judge = Judge::new(
        &settings.reading,
        &settings.window,
        &settings.detect,
        &settings.detectors,
    )?;
    if !judge.has_models() {
        bail!("nothing judges: detect.detector is \"none\", and [detect.rules] has no rule");
    }
    Ok(judge)
}

/// The readings of a recording, as they are judged.
pub(super) fn past(recording: &Recording) -> impl Iterator<Item = HistoricReading<'_>> {
    recording.readings.iter().map(|reading| HistoricReading {
        event_time_ms: reading.time_ms,
        wall_time_ms: recording.wall_time_ms(reading),
        value: reading.value,
        key: recording.key(reading).unwrap_or_default(),
    })
}

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    /// How it is called in what is printed, and by the files that are written: relative to the folder it was found in.
    pub name: String,
}

/// The CSVs that the paths stand for: a file is itself, a folder is every .csv below it in the order of their names.
fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            collect(path, &mut found)?;
            found.sort();
            if found.is_empty() {
                bail!("there is no .csv file in {} or below it", path.display());
            }
            sources.extend(found.into_iter().map(|file| {
                let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
                Source { path: file, name }
            }));
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str());
            sources.push(Source {
                path: path.clone(),
                name: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(sources)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let cannot_look = || format!("cannot look into {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot_look)? {
        let path = entry.with_context(cannot_look)?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads files, and tells on standard error what was found in them that needs a look.
pub(super) struct Reader {
    options: ReadOptions,
    /// What files decided and was told before.
    told: BTreeSet<Vec<String>>,
}

impl Reader {
    /// The readings of a file; `None` if it holds none, which was told then.
    pub(super) fn read(&mut self, source: &Source) -> Result<Option<Recording>> {
        let mut recording = read_file(&source.path, &self.options)?;
        if !self.told.insert(recording.report.assumed.clone()) {
            recording.report.assumed.clear();
        }
        let report = &recording.report;
        for line in findings(report) {
            tell(&format!("{}: {line}", source.name));
        }
        if report.repeated > 0 {
            let fate = if report.drops_repeated {
                "they are dropped"
            } else {
                "they are judged as well (--repeated drop leaves them out)"
            };
            let repeated = HumanCount(report.repeated);
            tell(&format!(
                "{}: {repeated} readings have the time, value and key of another; {fate}",
                source.name
            ));
        }
        if recording.readings.is_empty() {
            tell(&format!("{}: {}; left out", source.name, why_empty(report)));
            return Ok(None);
        }
        Ok(Some(recording))
    }
}
