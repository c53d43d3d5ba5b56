//! From the paths of the command line to readings.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::HumanCount;

use super::columns::Named;
use crate::commands::play::report::{findings, why_empty};
use crate::playback::{Recording, TimeRange};

/// A CSV to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    /// How it is called in what is printed, and by the files that are written: relative to the folder it was found in.
    pub name: String,
}

/// The CSVs that the paths stand for: a file is itself, a folder is every .csv below it in the order of their names.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
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

/// Reads CSVs, and tells on standard error what was found in them that needs a look.
pub struct Reader {
    named: Named,
    range: TimeRange,
    /// What was guessed and told before.
    told: BTreeSet<String>,
}

impl Reader {
    pub fn new(named: Named, range: TimeRange) -> Self {
        Reader {
            named,
            range,
            told: BTreeSet::new(),
        }
    }

    /// The readings of a CSV; `None` if it holds none, which was told then.
    pub fn read(&mut self, source: &Source) -> Result<Option<Recording>> {
        let bytes = contents(&source.path)?;
        let cannot_read = || format!("cannot read {}", source.path.display());
        let heading = heading(&bytes).with_context(cannot_read)?;
        let columns = self.named.resolve(&heading).with_context(cannot_read)?;
        let recording =
            Recording::from_csv_whole(bytes.as_slice(), &columns, self.range).with_context(cannot_read)?;
        if let Some(words) = self
            .named
            .guessed(&columns)
            .filter(|words| self.told.insert(words.clone()))
        {
            eprintln!("{}: {words}", source.name);
        }
        for line in findings(&recording.report) {
            eprintln!("{}: {line}", source.name);
        }
        if recording.report.repeated > 0 {
            let repeated = HumanCount(recording.report.repeated);
            eprintln!(
                "{}: {repeated} rows are repeated in full; they are judged as well",
                source.name
            );
        }
        if recording.readings.is_empty() {
            eprintln!("{}: {}; left out", source.name, why_empty(&recording.report));
            return Ok(None);
        }
        Ok(Some(recording))
    }
}

fn heading(bytes: &[u8]) -> Result<Vec<String>, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let names = reader.byte_headers()?.iter();
    Ok(names
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect())
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
