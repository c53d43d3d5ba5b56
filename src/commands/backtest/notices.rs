//! What a person should know of the series of a recording beside their anomalies.

use chrono::DateTime;

use crate::backtest::JudgedSeries;
use crate::commands::tell;

/// Series that are named for each thing that is to be said; the others are counted.
const MOST_NAMED: usize = 3;

/// Says until when series were learnt and not judged, and which of them are hardly what they are taken for.
pub(super) fn tell_notices(source: &str, series: &[JudgedSeries]) {
    for notice in [learning, equal_times, counter] {
        let sentences = series.iter().filter_map(|series| Some((series, notice(series)?)));
        let sentences: Vec<_> = sentences.collect();
        for (series, sentence) in sentences.iter().take(MOST_NAMED) {
            match &*series.key {
                "" => tell(&format!("{source}: {sentence}")),
                key => tell(&format!("{source}: {key}: {sentence}")),
            }
        }
        if sentences.len() > MOST_NAMED {
            tell(&format!(
                "{source}: and so of {} other series",
                sentences.len() - MOST_NAMED
            ));
        }
    }
}

fn learning(series: &JudgedSeries) -> Option<String> {
    let (first, last) = (series.points.first()?, series.points.last()?);
    match (series.judged_from_ms, series.notice.learning_until_ms) {
        (Some(from_ms), _) if from_ms > first.wall_time_ms => {
            Some(format!("learning until {}, judged from then on", minute(from_ms)))
        }
        (None, Some(until_ms)) => {
            let until_ms = until_ms.saturating_add(last.wall_time_ms - last.event_time_ms);
            Some(format!(
                "learning until about {}, so that nothing is judged yet: the readings end at {}",
                minute(until_ms),
                minute(last.wall_time_ms)
            ))
        }
        _ => None,
    }
}

fn equal_times(series: &JudgedSeries) -> Option<String> {
    let share = series.notice.share_at_equal_times?;
    Some(format!(
        "{:.0} % of the readings share their time with another: several meters in one series? set reading.key",
        100.0 * share
    ))
}

fn counter(series: &JudgedSeries) -> Option<String> {
    series.notice.is_like_counter.then(|| {
        "the values rise and never fall: the totals of a counter? set detect.input to \"increments\""
            .to_owned()
    })
}

/// A wall time to the minute.
fn minute(wall_time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(wall_time_ms).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M").to_string()
}
