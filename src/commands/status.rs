//! The progress of a long-running command: a line that is kept up to date on a terminal, now and then a
//! log line for each sink elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tracing::info;

use crate::clock;
use crate::pipeline::alerts::AlertsProgress;
use crate::pipeline::anomalies::AnomaliesProgress;
use crate::pipeline::table::TableProgress;
use crate::pipeline::{Progress, lag_records};
use crate::serve::{SinkHandle, Sinks};
use crate::telemetry::{Notice, events, notify};

const INTERVAL: Duration = Duration::from_secs(1);

/// A sink's progress, as text.
trait Status {
    /// For the line on a terminal.
    fn line(&self) -> String;
    /// Logs it as a line of its own.
    fn log(&self);
}

fn status(sink: &SinkHandle, rate: &mut Rate) -> Box<dyn Status + Send> {
    match sink {
        SinkHandle::Table(progress) => Box::new(TableStatus::new(&progress.borrow(), rate)),
        SinkHandle::Anomalies(progress) => Box::new(AnomaliesStatus::new(&progress.borrow(), rate)),
        SinkHandle::Alerts(progress) => Box::new(AlertsStatus::new(&progress.borrow())),
    }
}

/// Shows the sinks until it is aborted; in the log, so often.
pub(super) async fn show(sinks: Sinks, logged_interval: Duration) {
    let is_terminal = io::stderr().is_terminal();
    let shown = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        shown.set_style(style);
    }
    let mut rates: Vec<Rate> = sinks.iter().map(|_| Rate::new()).collect();
    let mut ticks = tokio::time::interval(if is_terminal { INTERVAL } else { logged_interval });
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let each = sinks.iter().zip(&mut rates);
        let each: Vec<_> = each.map(|(sink, rate)| status(sink, rate)).collect();
        let lines: Vec<String> = each.iter().map(|status| status.line()).collect();
        let text = lines.join(" | ");
        if is_terminal {
            shown.set_message(text);
            shown.tick();
        } else {
            notify(Notice::Status(text)).await;
            each.iter().for_each(|status| status.log());
        }
    }
}

/// Records ingested a second, since the last look.
struct Rate {
    at: Instant,
    count: u64,
}

impl Rate {
    fn new() -> Self {
        Rate {
            at: clock::instant(),
            count: 0,
        }
    }

    fn update(&mut self, count: u64) -> u64 {
        let now = clock::instant();
        let elapsed_s = now.duration_since(self.at).as_secs_f64().max(f64::EPSILON);
        let rate = (count - self.count) as f64 / elapsed_s;
        (self.at, self.count) = (now, count);
        rate as u64
    }
}

struct TableStatus {
    readings_per_s: u64,
    behind: Option<i64>,
    watermark: Option<String>,
    partitions: usize,
    version: Option<u64>,
}

impl TableStatus {
    fn new(progress: &Progress<TableProgress>, rate: &mut Rate) -> Self {
        let watermark = progress.watermark_ms().and_then(DateTime::from_timestamp_millis);
        TableStatus {
            readings_per_s: rate.update(progress.ingested),
            behind: lag_records(&progress.partitions),
            watermark: watermark.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            partitions: progress.partitions.len(),
            version: progress.sink.version,
        }
    }
}

impl Status for TableStatus {
    fn line(&self) -> String {
        format!(
            "{} readings/s, {} behind, watermark {}, {} partitions, version {}",
            HumanCount(self.readings_per_s),
            counted(self.behind),
            self.watermark.as_deref().unwrap_or("none yet"),
            self.partitions,
            self.version
                .map_or("none yet".to_owned(), |version| version.to_string()),
        )
    }

    fn log(&self) {
        let TableStatus {
            readings_per_s,
            behind,
            partitions,
            version,
            ..
        } = *self;
        let watermark = self.watermark.as_deref();
        info!(
            event = events::STATUS,
            sink = "table",
            readings_per_s,
            behind,
            watermark,
            partitions,
            version,
            "status"
        );
    }
}

struct AnomaliesStatus {
    readings_per_s: u64,
    behind: Option<i64>,
    published: u64,
    series: usize,
    partitions: usize,
}

impl AnomaliesStatus {
    fn new(progress: &Progress<AnomaliesProgress>, rate: &mut Rate) -> Self {
        AnomaliesStatus {
            readings_per_s: rate.update(progress.ingested),
            behind: lag_records(&progress.partitions),
            published: progress.sink.published_count().0,
            series: progress.sink.series,
            partitions: progress.partitions.len(),
        }
    }
}

impl Status for AnomaliesStatus {
    fn line(&self) -> String {
        format!(
            "{} readings/s, {} behind, {} anomalies, {} series, {} partitions",
            HumanCount(self.readings_per_s),
            counted(self.behind),
            HumanCount(self.published),
            HumanCount(self.series as u64),
            self.partitions,
        )
    }

    fn log(&self) {
        let AnomaliesStatus {
            readings_per_s,
            behind,
            published,
            series,
            partitions,
        } = *self;
        info!(
            event = events::STATUS,
            sink = "anomalies",
            readings_per_s,
            behind,
            published,
            series,
            partitions,
            "status"
        );
    }
}

struct AlertsStatus {
    behind: Option<i64>,
    open: usize,
    sent: u64,
    waiting: usize,
    partitions: usize,
}

impl AlertsStatus {
    fn new(progress: &Progress<AlertsProgress>) -> Self {
        let receivers = progress.sink.receivers.values();
        AlertsStatus {
            behind: lag_records(&progress.partitions),
            open: progress.sink.open,
            sent: receivers.clone().map(|receiver| receiver.counts.sent).sum(),
            waiting: receivers.map(|receiver| receiver.waiting).sum(),
            partitions: progress.partitions.len(),
        }
    }
}

impl Status for AlertsStatus {
    fn line(&self) -> String {
        format!(
            "{} open episodes, {} messages sent, {} waiting, {} behind",
            HumanCount(self.open as u64),
            HumanCount(self.sent),
            HumanCount(self.waiting as u64),
            counted(self.behind),
        )
    }

    fn log(&self) {
        let AlertsStatus {
            behind,
            open,
            sent,
            waiting,
            partitions,
        } = *self;
        info!(
            event = events::STATUS,
            sink = "alerts",
            behind,
            open,
            sent,
            waiting,
            partitions,
            "status"
        );
    }
}

fn counted(records: Option<i64>) -> String {
    records.map_or("unknown".to_owned(), |records| {
        HumanCount(records.max(0) as u64).to_string()
    })
}
