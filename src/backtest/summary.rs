//! The results of one or more series in numbers.

use std::ops::Add;

use super::JudgedSeries;
use super::nab::Hits;

const WEEK_MS: f64 = 604_800_000.0;

/// The results of one or more series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Summary {
    pub series: u64,
    /// Judged values: readings, or closed windows.
    pub readings: u64,
    /// From the first to the last of them, gaps included, added up over the series.
    pub weeks: f64,
    /// Anomalies that would have been published, without the ends of episodes.
    pub alerts: u64,
    /// How many episodes these belong to.
    pub episodes: u64,
    /// With labels: windows caught and alarms outside of them.
    pub hits: Option<Hits>,
}

impl Summary {
    /// The summary of one series.
    pub(crate) fn of(series: &JudgedSeries, hits: Option<Hits>) -> Self {
        let span_ms = match (series.points.first(), series.points.last()) {
            (Some(first), Some(last)) => last.event_time_ms - first.event_time_ms,
            _ => 0,
        };
        Summary {
            series: 1,
            readings: series.points.len() as u64,
            weeks: span_ms.max(0) as f64 / WEEK_MS,
            alerts: series.alerts.iter().filter(|alert| alert.is_alarm()).count() as u64,
            episodes: series.alerts.iter().filter(|alert| alert.opens()).count() as u64,
            hits,
        }
    }

    /// Alerts a week and series on average; `None` if the readings span no time.
    pub(crate) fn alerts_per_week(&self) -> Option<f64> {
        (self.weeks > 0.0).then(|| self.alerts as f64 / self.weeks)
    }
}

impl Add for Summary {
    type Output = Summary;

    fn add(self, other: Summary) -> Summary {
        let hits = match (self.hits, other.hits) {
            (Some(one), Some(other)) => Some(Hits {
                windows: one.windows + other.windows,
                caught: one.caught + other.caught,
                false_alarms: one.false_alarms + other.false_alarms,
            }),
            (one, other) => one.or(other),
        };
        Summary {
            series: self.series + other.series,
            readings: self.readings + other.readings,
            weeks: self.weeks + other.weeks,
            alerts: self.alerts + other.alerts,
            episodes: self.episodes + other.episodes,
            hits,
        }
    }
}
