//! How everything is, in one word and one sentence.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::replica::Shown;
use super::wire::{HealthRow, HealthState, SinkRow};
use crate::pipeline::lag_records;
use crate::serve::{Health, Sinks};

/// The sinks of the process that serves the page, if it has any.
#[derive(Clone)]
pub(crate) struct WatchedSinks {
    /// How far each is.
    pub sinks: Sinks,
    /// How each is.
    pub health: std::sync::Arc<Health>,
}

/// Behind by less than this is no news.
const BEHIND_MS: i64 = 60_000;
/// The page itself may need so long to take what comes, as where table and detectors want all cores.
const CATCHES_UP_MS: i64 = 15_000;

impl WatchedSinks {
    /// Each sink as it is now, and since when its oldest reading waits.
    fn rows(&self) -> Vec<(SinkRow, Option<i64>)> {
        let states = self.health.sinks();
        let progress = self.sinks.iter().map(|sink| sink.progress());
        let rows = states.zip(progress).map(|(state, progress)| {
            let waiting = progress
                .partitions
                .iter()
                .filter_map(|partition| partition.lag.oldest?.timestamp_ms);
            let row = SinkRow {
                name: state.name,
                state: state.why_not_ready().unwrap_or_else(|| "ok".to_owned()),
                lag_records: lag_records(&progress.partitions),
                committed_ms: progress.commits.last_ms,
            };
            (row, waiting.min())
        });
        rows.collect()
    }
}

/// How what is shown is now.
pub(super) fn health(shown: &Shown, sinks: Option<&WatchedSinks>, now_ms: i64, zone: Tz) -> HealthRow {
    let sinks = sinks.map(WatchedSinks::rows).unwrap_or_default();
    let (state, sentence) = judge(shown, &sinks, now_ms, zone);
    HealthRow {
        state,
        sentence,
        series: shown.view.series_count(),
        open_episodes: shown.view.episodes.open_ones().count(),
        readings_per_s: shown.arrivals.rate(now_ms),
        newest_ms: shown.view.newest_ms(),
        threshold: shown.view.threshold,
        replica: shown.progress,
        sinks: sinks.into_iter().map(|(row, _)| row).collect(),
        dead_letters: shown.view.dead_letters.counts(),
    }
}

fn judge(shown: &Shown, sinks: &[(SinkRow, Option<i64>)], now_ms: i64, zone: Tz) -> (HealthState, String) {
    if let Some((since_ms, trouble)) = &shown.trouble {
        let since = clock_time(*since_ms, now_ms, zone);
        return (
            HealthState::Broken,
            format!("Not up to date since {since}: {trouble}"),
        );
    }
    if !shown.has_caught_up {
        return (HealthState::Loading, loading(shown));
    }
    if let Some((row, _)) = sinks.iter().find(|(row, _)| row.state != "ok") {
        return (
            HealthState::Broken,
            format!("The sink {} is not ready: {}", row.name, row.state),
        );
    }
    // Records of a playback may carry old times; what counts is that they wait.
    let oldest = sinks
        .iter()
        .filter(|(row, _)| row.lag_records.is_some_and(|lag| lag > 0));
    let oldest = oldest.filter_map(|(row, since_ms)| Some((row, (*since_ms)?)));
    if let Some((row, since_ms)) = oldest.min_by_key(|(_, since_ms)| *since_ms)
        && now_ms.saturating_sub(since_ms) > BEHIND_MS
    {
        let behind = rough(now_ms.saturating_sub(since_ms));
        return (
            HealthState::Behind,
            format!("The sink {} is behind by {behind}", row.name),
        );
    }
    let reading_for_ms = now_ms.saturating_sub(shown.at_end_ms);
    if reading_for_ms > CATCHES_UP_MS {
        let behind = rough(reading_for_ms);
        let sentence = format!("This page has lagged behind for {behind}");
        return (HealthState::Behind, sentence);
    }
    match (shown.arrivals.silent_since_ms(now_ms), shown.arrivals.last_ms()) {
        (Some(since_ms), _) => {
            let since = clock_time(since_ms, now_ms, zone);
            (HealthState::Quiet, format!("No data since {since}"))
        }
        (None, Some(last_ms)) => {
            let since = rough(now_ms.saturating_sub(last_ms));
            (
                HealthState::Fine,
                format!("Fine: the newest record came {since} ago"),
            )
        }
        (None, None) => (HealthState::Quiet, "No data yet".to_owned()),
    }
}

fn loading(shown: &Shown) -> String {
    let progress = shown.progress;
    match progress.to_read {
        0 => "Looking at the topic".to_owned(),
        to_read => {
            let percent = (progress.read * 100 / to_read).min(100);
            format!("Reading the history: {percent} %")
        }
    }
}

/// A time of day, with its day if that is another one.
fn clock_time(time_ms: i64, now_ms: i64, zone: Tz) -> String {
    let local = |time_ms| {
        let time: DateTime<Utc> = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
        time.with_timezone(&zone)
    };
    let (time, now) = (local(time_ms), local(now_ms));
    let format = if time.date_naive() == now.date_naive() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    time.format(format).to_string()
}

/// A duration to be read, in the unit that fits.
fn rough(duration_ms: i64) -> String {
    let seconds = duration_ms.max(0) / 1_000;
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::replica::tests::shown;

    const NOON_MS: i64 = 1_709_640_000_000;

    fn sink(state: &str, lag: i64, waits_s: i64) -> (SinkRow, Option<i64>) {
        let row = SinkRow {
            name: "table",
            state: state.to_owned(),
            lag_records: Some(lag),
            committed_ms: None,
        };
        (row, Some(NOON_MS - waits_s * 1_000))
    }

    #[test]
    fn each_state_has_its_sentence() {
        let mut shown = shown();
        let judged = |shown: &Shown, sinks: &[_]| {
            let (state, sentence) = judge(shown, sinks, NOON_MS, chrono_tz::Europe::Berlin);
            (state, sentence)
        };
        shown.progress.to_read = 200;
        shown.progress.read = 90;
        assert_eq!(
            judged(&shown, &[]),
            (HealthState::Loading, "Reading the history: 45 %".into())
        );
        shown.has_caught_up = true;
        shown.at_end_ms = NOON_MS;
        assert_eq!(judged(&shown, &[]), (HealthState::Quiet, "No data yet".into()));
        shown.arrivals.note(NOON_MS - 4_000, 1);
        let fine = (
            HealthState::Fine,
            "Fine: the newest record came 4 s ago".to_owned(),
        );
        assert_eq!(judged(&shown, &[sink("ok", 3, 59), sink("ok", 0, 4_000)]), fine);
        assert_eq!(
            judged(&shown, &[sink("ok", 3, 180)]),
            (HealthState::Behind, "The sink table is behind by 3 min".into())
        );
        assert_eq!(
            judged(&shown, &[sink("it sleeps", 0, 0)]),
            (
                HealthState::Broken,
                "The sink table is not ready: it sleeps".into()
            )
        );
        shown.trouble = Some((NOON_MS - 86_400_000, "Kafka cannot be reached: refused".into()));
        assert_eq!(
            judged(&shown, &[]).1,
            "Not up to date since 2024-03-04 13:00: Kafka cannot be reached: refused"
        );
        shown.trouble = None;
        shown.at_end_ms = NOON_MS - 90_000;
        let behind = "This page has lagged behind for 90 s".to_owned();
        assert_eq!(judged(&shown, &[]), (HealthState::Behind, behind));
        shown.at_end_ms = NOON_MS + 600_000;
        let (state, sentence) = judge(&shown, &[], NOON_MS + 600_000, chrono_tz::Europe::Berlin);
        assert_eq!(
            (state, sentence.as_str()),
            (HealthState::Quiet, "No data since 12:59")
        );
        assert_eq!(
            [100_000, 7_200_000, 400_000_000].map(rough),
            ["1 min", "2 h", "4 days"]
        );
    }
}
