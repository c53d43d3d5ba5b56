//! Anomalies as a small table of episodes, for people.

use std::collections::HashMap;
use std::io::{self, Write};

use chrono::{DateTime, Timelike};

use super::text_table::{Align, TextTable};
use crate::backtest::{expectation, significant};
use crate::detectors::{Anomaly, MessageId, Severity, duration_text};

/// What a table shows of a number of anomalies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Episodes in all.
    pub episodes: usize,
    /// Of these, those that had no room.
    pub left_out: usize,
}

/// The messages of one episode.
struct Episode<'a> {
    /// The first that there is.
    opening: &'a Anomaly,
    worst: Severity,
    anomalies: usize,
    lasted_ms: Option<i64>,
}

/// Writes anomalies of one topic as a table of their episodes in the order in which they opened, at most `max_rows` of them.
pub(super) fn write<'a>(
    anomalies: impl IntoIterator<Item = &'a Anomaly>,
    unit: &str,
    max_rows: Option<usize>,
    output: &mut impl Write,
) -> io::Result<Shown> {
    let mut table = TextTable::new(&[
        ("since", Align::Left),
        ("lasted", Align::Right),
        ("anomalies", Align::Right),
        ("value", Align::Right),
        ("expected", Align::Right),
        ("severity", Align::Left),
        ("cause", Align::Left),
        ("explanation", Align::Left),
    ]);
    let episodes = episodes(anomalies);
    let rows = max_rows.unwrap_or(episodes.len()).min(episodes.len());
    for episode in &episodes[..rows] {
        let anomaly = episode.opening;
        table.row([
            time(anomaly.local_time_ms),
            episode.lasted_ms.map_or_else(|| "open".to_owned(), duration_text),
            episode.anomalies.to_string(),
            anomaly
                .value
                .map_or_else(String::new, |value| significant(value, DIGITS)),
            expectation(&anomaly.verdict),
            episode.worst.name().to_owned(),
            anomaly.verdict.cause.name().to_owned(),
            anomaly.explanation(unit),
        ]);
    }
    table.write(output)?;
    Ok(Shown {
        episodes: episodes.len(),
        left_out: episodes.len() - rows,
    })
}

fn episodes<'a>(anomalies: impl IntoIterator<Item = &'a Anomaly>) -> Vec<Episode<'a>> {
    let mut episodes: Vec<Episode<'a>> = Vec::new();
    let mut places: HashMap<(i32, MessageId), usize> = HashMap::new();
    for anomaly in anomalies {
        let step = &anomaly.episode;
        let place = *places
            .entry((anomaly.partition, step.opened))
            .or_insert(episodes.len());
        if place == episodes.len() {
            episodes.push(Episode {
                opening: anomaly,
                worst: anomaly.severity(),
                anomalies: 0,
                lasted_ms: None,
            });
        }
        let episode = &mut episodes[place];
        episode.worst = episode.worst.max(anomaly.severity());
        episode.anomalies += usize::from(!anomaly.verdict.cause.is_end());
        episode.lasted_ms = step.lasted_ms().or(episode.lasted_ms);
    }
    episodes
}

const DIGITS: usize = 5;

/// A wall time with its weekday: `Tue 2024-03-05 08:10`.
fn time(local_time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(local_time_ms).unwrap_or_default();
    let format = if time.second() == 0 {
        "%a %Y-%m-%d %H:%M"
    } else {
        "%a %Y-%m-%d %H:%M:%S"
    };
    time.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::{Cause, EndReason, EpisodeStep, Phase, Verdict};

    fn anomaly(value: f64, bounds: Option<(f64, f64)>) -> Anomaly {
        Anomaly {
            partition: 0,
            episode: EpisodeStep::opening(0, 1_709_626_200_000),
            key: "a\u{1b}b".into(),
            measure: None,
            event_time_ms: 1_709_626_200_000,
            local_time_ms: 1_709_626_200_000,
            value: Some(value),
            verdict: Verdict {
                score: 9.0,
                is_anomaly: true,
                lower: bounds.map(|(lower, _)| lower),
                upper: bounds.map(|(_, upper)| upper),
                cause: Cause::Point,
                ..Verdict::learning("adaptive-band", 7.0)
            },
        }
    }

    fn after(opening: &Anomaly, phase: Phase, minutes: i64, value: f64) -> Anomaly {
        let is_end = phase == Phase::Ended;
        let now_ms = opening.event_time_ms + minutes * 60_000;
        let mut later = anomaly(value, Some((612.0, 655.25)));
        later.event_time_ms = now_ms;
        later.episode = EpisodeStep {
            message: MessageId {
                offset: minutes,
                index: 0,
            },
            phase,
            until_ms: is_end.then_some(now_ms),
            ..opening.episode
        };
        if is_end {
            later.verdict.cause = Cause::Ended {
                reason: EndReason::BackToUsual,
                rule: None,
            };
        }
        later
    }

    #[test]
    fn episodes_are_printed_up_to_a_limit() {
        let mut first = anomaly(660.0, Some((612.0, 655.25)));
        let mut second = anomaly(1.0, None);
        second.episode = EpisodeStep::opening(9, 0);
        first.key = "a\u{1b}b".into();
        let anomalies = [
            first.clone(),
            second,
            after(&first, Phase::Worsened, 5, 820.8),
            after(&first, Phase::Ended, 65, 640.0),
        ];
        let mut output = Vec::new();
        let shown = write(&anomalies, "kW", Some(1), &mut output).unwrap();
        let expected = Shown {
            episodes: 2,
            left_out: 1,
        };
        assert_eq!(shown, expected);
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[1].starts_with(
                "Tue 2024-03-05 08:10   1h 5m          2    660  612 to 655.25  critical  point  a\\u{1b}b: 660 kW"
            ),
            "{text}"
        );
        let mut output = Vec::new();
        write(&anomalies, "kW", None, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(
            text.lines().nth(2).unwrap().contains("  open          1      1"),
            "{text}"
        );
    }
}
