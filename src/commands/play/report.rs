//! What `play` tells: what was found in the file, how far it is, what came of it.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::instant;
use crate::config::KafkaConfig;
use crate::playback::{Played, Progress, ReadReport};

/// Rows of one kind that are told one by one.
const SHOWN: usize = 10;
/// How often a log that is no terminal gets a line.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const BAR: &str = "{wide_bar} {human_pos}/{human_len} readings, {msg}";

/// Lines about rows that are not played, or need a look.
pub fn findings(report: &ReadReport) -> Vec<String> {
    let mut lines: Vec<String> = report
        .skipped
        .iter()
        .take(SHOWN)
        .map(|skipped| format!("line {}: {}; the row is skipped", skipped.line, skipped.reason))
        .collect();
    if let Some(more) = report.skipped.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("{} more rows are skipped", HumanCount(more as u64)));
    }
    if let Some(first) = report.same_time.first() {
        let count = HumanCount(report.same_time.len() as u64);
        lines.push(format!("line {first}: same time and key as another row, with other content; such rows: {count}, all of them are taken"));
    }
    if report.out_of_order > 0 {
        lines.push(format!(
            "{} rows were out of order; sorted by time",
            HumanCount(report.out_of_order)
        ));
    }
    lines
}

/// Why there is nothing to play.
pub fn nothing_to_play(report: &ReadReport) -> String {
    format!("nothing to play: {}", why_empty(report))
}

/// Why a file gave no reading.
pub fn why_empty(report: &ReadReport) -> String {
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
pub fn summary(report: &ReadReport, played: &Played, kafka: &KafkaConfig, took: Duration) -> String {
    let count = |number: usize| HumanCount(number as u64);
    let end = if played.stopped {
        ", stopped before the end"
    } else {
        ""
    };
    let mut text = format!(
        "read       {} rows; {} repeated and dropped, {} skipped, {} outside the range\n\
         delivered  {} of {} readings sent to topic {} at {}, {} ticks in {:.1} s{end}",
        HumanCount(report.rows),
        HumanCount(report.repeated),
        count(report.skipped.len()),
        HumanCount(report.outside),
        HumanCount(played.delivered),
        HumanCount(played.sent),
        kafka.topic,
        kafka.brokers,
        HumanCount(played.ticks),
        took.as_secs_f64(),
    );
    if let Some((first, last)) = played.span {
        text.push_str(&format!("\nevent time {first} to {last}"));
    }
    text
}

/// A bar on a terminal, a line now and then elsewhere.
pub struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    total: u64,
    last_line: Instant,
}

impl Display {
    /// A display of `total` readings on standard error.
    pub fn new(total: u64, is_terminal: bool) -> Self {
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
    pub fn show(&mut self, progress: Progress) {
        let Some(time) = progress.event_time else {
            return;
        };
        if self.is_terminal {
            self.bar.set_message(time.to_string());
            self.bar.set_position(progress.sent);
        } else if instant().duration_since(self.last_line) >= LINE_INTERVAL {
            self.last_line = instant();
            eprintln!(
                "sent {} of {} readings, up to {time}",
                HumanCount(progress.sent),
                HumanCount(self.total)
            );
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::{SkipReason, Skipped};

    #[test]
    fn skipped_rows_are_told_up_to_a_limit() {
        let skipped = |line| Skipped {
            line,
            reason: SkipReason::NoValue,
        };
        let report = ReadReport {
            rows: 12,
            skipped: (2..14).map(skipped).collect(),
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
