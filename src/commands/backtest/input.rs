//! From the paths of the command line to readings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::HumanCount;

use crate::commands::play::read_file;
use crate::commands::play::report::{findings, why_empty};
use crate::commands::tell;
use crate::recording::{ReadOptions, Recording};

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    /// How it is called in what is printed, and by the files that are written: relative to the folder it was found in.
    pub name: String,
}

/// The CSVs that the paths stand for: a file is itself, a folder is every .csv below it in the order of their names.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
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
    pub(super) fn new(options: ReadOptions) -> Self {
        Reader {
            options,
            told: BTreeSet::new(),
        }
    }

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
