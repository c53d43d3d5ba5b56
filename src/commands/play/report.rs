//! What `play` tells: what was found in the file, how far it is, what came of it.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::instant;
use crate::commands::tell;
use crate::kafka::Subscription;
use crate::playback::{Played, Progress};
use crate::recording::ReadReport;

/// Rows of one kind that are told one by one.
const SHOWN: usize = 10;
/// How often a log that is no terminal gets a line.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const READING_BAR: &str = "{wide_bar} {bytes}/{total_bytes} read";
const BAR: &str = "{wide_bar} {human_pos}/{human_len} readings, {msg}";

/// Lines about what the file decided, and about rows that are not taken or need a look.
pub(crate) fn findings(report: &ReadReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.assumed.is_empty() {
        lines.push(format!("assumed: {}", report.assumed.join("; ")));
    }
    let shown = report.skipped.iter().take(SHOWN);
    lines.extend(
        shown.map(|skipped| format!("line {}: {}; the row is skipped", skipped.line, skipped.reason)),
    );
    if let Some(more) = report
        .skipped_count
        .checked_sub(SHOWN as u64)
        .filter(|more| *more > 0)
    {
        lines.push(format!("{} more rows are skipped", HumanCount(more)));
    }
    if let Some(first) = report.first_same_time {
        let count = HumanCount(report.same_time);
        lines.push(format!(
            "line {first}: same time and key as another row, with another value; such rows: {count}, all of them are taken \
             (--key-column names what tells series apart)"
        ));
    }
    if report.out_of_order > 0 {
        lines.push(format!(
            "rows were out of order: {} with a time before the row above; sorted by time",
            HumanCount(report.out_of_order)
        ));
    }
    lines
}

/// A bar of the bytes of a file that were read.
pub(crate) fn reading_bar(length: Option<u64>, is_terminal: bool) -> ProgressBar {
    let Some(length) = length.filter(|_| is_terminal) else {
        return ProgressBar::hidden();
    };
    let style = ProgressStyle::with_template(READING_BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
}

/// Why there is nothing to play.
pub(crate) fn nothing_to_play(report: &ReadReport) -> String {
    format!("nothing to play: {}", why_empty(report))
}

/// Why a file gave no reading.
pub(crate) fn why_empty(report: &ReadReport) -> String {
    let rows = HumanCount(report.rows);
    match report.skipped.first() {
        _ if report.rows == 0 => "the file has no rows".to_owned(),
        _ if report.outside > 0 => {
            format!("no row is from --from on and before --until ({rows} rows read)")
        }
        Some(first) => {
            format!(
                "none of {rows} rows holds a reading (line {}: {})",
                first.line, first.reason
            )
        }
        None => format!("none of {rows} rows holds a reading"),
    }
}

/// What was read, what arrived, and which time it spans.
pub(crate) fn summary(report: &ReadReport, played: &Played, kafka: &Subscription, took: Duration) -> String {
    let dropped = if report.drops_repeated { " and dropped" } else { "" };
    let end = if played.stopped {
        ", stopped before the end"
    } else {
        ""
    };
    let mut text = format!(
        "read       {} rows; {} repeated{dropped}, {} skipped, {} outside the range\n\
         delivered  {} of {} readings sent to topic {} at {}, {} ticks in {:.1} s{end}",
        HumanCount(report.rows),
        HumanCount(report.repeated),
        HumanCount(report.skipped_count),
        HumanCount(report.outside),
        HumanCount(played.delivered),
        HumanCount(played.sent),
        kafka.source.topic,
        kafka.cluster.brokers,
        HumanCount(played.ticks),
        took.as_secs_f64(),
    );
    if let Some((first, last)) = &played.span {
        text.push_str(&format!("\nevent time {first} to {last}"));
    }
    text
}

/// A bar on a terminal, a line now and then elsewhere.
pub(crate) struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    total: u64,
    last_line: Instant,
}

impl Display {
    /// A display of `total` readings on standard error.
    pub(crate) fn new(total: u64, is_terminal: bool) -> Self {
        let target = if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        Self {
            bar,
            is_terminal,
            total,
            last_line: instant(),
        }
    }

    /// Shows how far the player is.
    pub(crate) fn show(&mut self, progress: Progress) {
        let Some(time) = progress.event_time else {
            return;
        };
        if self.is_terminal {
            self.bar.set_message(time);
            self.bar.set_position(progress.sent);
        } else if instant().duration_since(self.last_line) >= LINE_INTERVAL {
            self.last_line = instant();
            tell(&format!(
                "sent {} of {} readings, up to {time}",
                HumanCount(progress.sent),
                HumanCount(self.total)
            ));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{SkipReason, Skipped};

    #[test]
    fn skipped_rows_are_told_up_to_a_limit() {
        let skipped = |line| Skipped {
            line,
            reason: SkipReason::NoValue,
        };
        let report = ReadReport {
            rows: 12,
            skipped: (2..14).map(skipped).collect(),
            skipped_count: 12,
            ..ReadReport::default()
        };
        let lines = findings(&report);
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines[0], "line 2: the value is empty; the row is skipped");
        assert_eq!(lines[SHOWN], "2 more rows are skipped");
        assert_eq!(
            nothing_to_play(&report),
            "nothing to play: none of 12 rows holds a reading (line 2: the value is empty)"
        );
        assert!(findings(&ReadReport::default()).is_empty());
    }
}
