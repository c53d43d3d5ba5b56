//! Every reading with its score, for a closer look.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Tested, output};
use crate::backtest::{JudgedPoint, JudgedSeries};
use crate::commands::history::Source;

/// Refuses to write the scores of two files into one.
pub(super) fn check_names(folder: &Path, sources: &[Source]) -> Result<()> {
    let mut names = BTreeSet::new();
    match sources.iter().find(|source| !names.insert(&source.name)) {
        None => Ok(()),
        Some(source) => bail!(
            "two of the files would have their scores in {}: name the folder above them instead of the files",
            folder.join(&source.name).display()
        ),
    }
}

/// Writes the scores of one recording to a file, those of several to files of their names in a folder.
pub(super) fn write(path: &Path, tested: &[Tested]) -> Result<()> {
    let [one] = tested else {
        for tested in tested {
            write_one(&path.join(&tested.source.name), &tested.series)?;
        }
        return Ok(());
    };
    write_one(path, &one.series)
}

/// Rows are in the order of time, as the stream would see them.
fn write_one(path: &Path, series: &[JudgedSeries]) -> Result<()> {
    let cannot_write = || format!("cannot write the scores {}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(cannot_write)?;
    }
    let mut writer = csv::Writer::from_writer(BufWriter::new(File::create(path).with_context(cannot_write)?));
    writer
        .write_record(["key", "ts", "value", "score", "threshold", "anomaly"])
        .with_context(cannot_write)?;
    let mut rows: Vec<(&str, &JudgedPoint)> = series
        .iter()
        .flat_map(|series| series.points.iter().map(|point| (&*series.key, point)))
        .collect();
    // Stable, so that readings of one time stay in the order of their series.
    rows.sort_by_key(|(_, point)| point.event_time_ms);
    for (key, point) in rows {
        let fields = [
            key.to_owned(),
            output::wall_time(point.wall_time_ms),
            point.value.to_string(),
            point.score.to_string(),
            point.threshold.to_string(),
            u8::from(point.is_anomaly).to_string(),
        ];
        writer.write_record(&fields).with_context(cannot_write)?;
    }
    writer.flush().with_context(cannot_write)
}
