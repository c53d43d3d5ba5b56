//! The sinks of a process, as those see them who show how far they are.

use tokio::sync::watch;

use crate::pipeline::alerts::{AlertsProgress, AlertsSink};
use crate::pipeline::anomalies::{AnomaliesProgress, AnomaliesSink};
use crate::pipeline::table::{TableProgress, TableSink};
use crate::pipeline::{Commits, PartitionProgress, Progress, Sink};

/// One of the sinks that there are, and how far it is. A new sink is a variant here and a line in each `match` on it.
#[derive(Debug, Clone)]
pub(crate) enum SinkHandle {
    /// Windowed totals in the table.
    Table(watch::Receiver<Progress<TableProgress>>),
    /// What detectors find.
    Anomalies(watch::Receiver<Progress<AnomaliesProgress>>),
    /// Who is told of it.
    Alerts(watch::Receiver<Progress<AlertsProgress>>),
}

/// The sinks that a process runs; at least one.
#[derive(Debug, Clone)]
pub(crate) struct Sinks(Vec<SinkHandle>);

/// What all sinks have in common, each of its own.
#[derive(Debug, Clone)]
pub(crate) struct SinkProgress {
    /// `table`, `anomalies` or `alerts`.
    pub name: &'static str,
    /// Records ingested, committed or not.
    pub ingested: u64,
    /// Of the records, those that the settings pass over.
    pub skipped: u64,
    /// The assigned partitions.
    pub partitions: Vec<PartitionProgress>,
    /// Commits so far.
    pub commits: Commits,
    /// Why the schema registry does not answer, while records wait for it.
    pub waits_for_schemas: Option<String>,
}

impl Sinks {
    /// These sinks, in the order in which they are shown.
    pub(crate) fn new(sinks: impl IntoIterator<Item = SinkHandle>) -> Self {
        Sinks(sinks.into_iter().collect())
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SinkHandle> {
        self.0.iter()
    }
}

impl SinkHandle {
    /// The sink as it is now.
    pub(crate) fn progress(&self) -> SinkProgress {
        match self {
            SinkHandle::Table(progress) => {
                let progress = progress.borrow();
                common::<TableSink>(&progress, progress.sink.counts.skipped)
            }
            SinkHandle::Anomalies(progress) => {
                let progress = progress.borrow();
                common::<AnomaliesSink>(&progress, progress.sink.counts.skipped)
            }
            SinkHandle::Alerts(progress) => common::<AlertsSink>(&progress.borrow(), 0),
        }
    }

    /// Waits until its loop reports; false once it has ended.
    pub(crate) async fn has_reported(&mut self) -> bool {
        let changed = match self {
            SinkHandle::Table(progress) => progress.changed().await,
            SinkHandle::Anomalies(progress) => progress.changed().await,
            SinkHandle::Alerts(progress) => progress.changed().await,
        };
        changed.is_ok()
    }
}

fn common<S: Sink>(progress: &Progress<S::Progress>, skipped: u64) -> SinkProgress {
    SinkProgress {
        name: S::NAME,
        ingested: progress.ingested,
        skipped,
        partitions: progress.partitions.clone(),
        commits: progress.commits.clone(),
        waits_for_schemas: progress.waits_for_schemas.clone(),
    }
}
