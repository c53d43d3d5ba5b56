//! What changed since somebody looked last, as one message.

use std::sync::Arc;

use serde::Deserialize;

use super::replica::Shown;
use super::routes::SeriesParameters;
use super::site::Site;
use super::wire::Changes;
use crate::reading::SeriesKey;

/// What somebody has seen.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Position {
    /// The number of the view.
    #[serde(default)]
    pub seen: u64,
    /// The number of the next reading of the series that is looked at.
    #[serde(default)]
    pub cursor: u64,
    /// Present if a series is looked at.
    #[serde(default)]
    selected: Option<String>,
    #[serde(default)]
    key: String,
    #[serde(default)]
    measure: Option<String>,
}

impl Position {
    fn series(&self) -> Option<SeriesKey<Arc<str>>> {
        self.selected.as_ref()?;
        let series = SeriesParameters {
            key: self.key.clone(),
            measure: self.measure.clone(),
        };
        Some(series.to_key())
    }

    /// Whether there are readings that were not seen.
    pub(super) fn has_points(&self, shown: &Shown) -> bool {
        let series = self.series();
        series.is_some_and(|series| shown.view.has_new_points(&series, self.cursor))
    }
}

/// Everything that changed. The position moves on. Whoever has seen nothing yet is given no lists: it loads them, and counts
/// from here.
pub(super) fn all(site: &Site, shown: &Shown, position: &mut Position) -> Changes {
    let mut changes = of_series(site, shown, position);
    if position.seen == 0 {
        position.seen = shown.view.number();
        changes.seen = position.seen;
        return changes;
    }
    // Whoever shows more series than this looks at the list again now and then.
    let mut series = shown.view.changed_series(position.seen);
    if let Some(selected) = position.series()
        && let Some(row) = shown.view.changed_row(&selected, position.seen)
    {
        series.retain(|other| other.series != row.series);
        series.insert(0, row);
    }
    let (episodes, more_episodes) = shown.view.changed_episodes(position.seen);
    changes.resync = more_episodes;
    changes.series = series;
    changes.episodes = episodes;
    position.seen = shown.view.number();
    changes.seen = position.seen;
    changes
}

/// The new readings of the series that is looked at, and how everything is. Only the series' place moves on.
pub(super) fn of_series(site: &Site, shown: &Shown, position: &mut Position) -> Changes {
    let points = position
        .series()
        .and_then(|series| shown.view.new_points(&series, position.cursor));
    position.cursor = points.as_ref().map_or(position.cursor, |points| points.cursor);
    Changes {
        boot: Arc::clone(&shown.boot),
        seen: position.seen,
        points,
        resync: false,
        series: Vec::new(),
        series_total: shown.view.series_count(),
        episodes: Vec::new(),
        health: site.health(shown),
    }
}
