//! How a long-running command shows what it is doing: a line that is kept up to date on a terminal, now and then a
//! log line for each side elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tracing::info;

use crate::clock;
use crate::pipeline::{DetectionProgress, Progress, lag_records};
use crate::serve::Sides;
use crate::telemetry::{Notice, notify};

const INTERVAL: Duration = Duration::from_secs(1);

/// Shows the sides until it is aborted; in the log, so often.
pub async fn show(sides: Sides, logged_interval: Duration) {
    let is_terminal = io::stderr().is_terminal();
    let shown = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        shown.set_style(style);
    }
    let mut table = sides.table.map(|progress| (progress, Rate::new()));
    let mut anomalies = sides.anomalies.map(|progress| (progress, Rate::new()));
    let mut ticks = tokio::time::interval(if is_terminal { INTERVAL } else { logged_interval });
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let table = table
            .as_mut()
            .map(|(progress, rate)| TableStatus::new(progress, rate));
        let anomalies = anomalies
            .as_mut()
            .map(|(progress, rate)| AnomaliesStatus::new(progress, rate));
        let lines = table.iter().map(TableStatus::line);
        let lines: Vec<String> = lines.chain(anomalies.iter().map(AnomaliesStatus::line)).collect();
        let text = lines.join(" | ");
        if is_terminal {
            shown.set_message(text);
            shown.tick();
        } else {
            notify(Notice::Status(text)).await;
            table.iter().for_each(TableStatus::log);
            anomalies.iter().for_each(AnomaliesStatus::log);
        }
    }
}

/// Records taken in a second, since the last look.
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
    fn new(progress: &watch::Receiver<Progress>, rate: &mut Rate) -> Self {
        let progress = progress.borrow();
        let watermark = progress.watermark_ms().and_then(DateTime::from_timestamp_millis);
        TableStatus {
            readings_per_s: rate.update(progress.taken_in),
            behind: lag_records(&progress.partitions),
            watermark: watermark.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            partitions: progress.partitions.len(),
            version: progress.version,
        }
    }

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
            side = "table",
            readings_per_s, behind, watermark, partitions, version, "status"
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
    fn new(progress: &watch::Receiver<DetectionProgress>, rate: &mut Rate) -> Self {
        let progress = progress.borrow();
        AnomaliesStatus {
            readings_per_s: rate.update(progress.tally.consumed),
            behind: lag_records(&progress.partitions),
            published: progress.published_count(),
            series: progress.series,
            partitions: progress.partitions.len(),
        }
    }

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
            side = "anomalies",
            readings_per_s, behind, published, series, partitions, "status"
        );
    }
}

fn counted(records: Option<i64>) -> String {
    records.map_or("unknown".to_owned(), |records| {
        HumanCount(records.max(0) as u64).to_string()
    })
}
