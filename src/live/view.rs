//! Everything that viewers see, as one value: the newest readings of each series, episodes, and records that are no readings.
//!
//! Each change gets a number. So whoever comes back with the number that it has seen is given what changed since, and no
//! queue is kept for anybody: a viewer that does not read costs nothing.
//!
//! Absent from here: clocks, Kafka, HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::dead_letters::DeadLetterShelf;
use super::episodes::Episodes;
use super::ring::{Point, Ring, thinned};
use super::wire::{Columns, EpisodeRow, History, NewPoints, SeriesName, SeriesPage, SeriesRow, known};
use crate::feedback::Opinions;
use crate::reading::SeriesKey;

/// Values of a small line.
const SPARK_VALUES: usize = 24;
/// Rows that are told of at a time; who was away longer loads the list again.
const MOST_CHANGES: usize = 200;
/// Points that are told of at a time; who was away longer loads the history again.
const MOST_POINTS: usize = 2_000;

/// What viewers see.
#[derive(Debug)]
pub(super) struct View {
    series: HashMap<SeriesKey<Arc<str>>, SeriesView, foldhash::fast::RandomState>,
    pub(super) episodes: Episodes,
    pub(super) dead_letters: DeadLetterShelf,
    /// Of the newest change.
    number: u64,
    /// The name of the field that holds the judged value in an anomaly's message.
    value_name: String,
    most_points: usize,
    points: usize,
    most_series: usize,
    newest_ms: Option<i64>,
    /// The score that makes an anomaly, once a reading was judged.
    pub(super) threshold: Option<f64>,
}

#[derive(Debug, Default)]
struct SeriesView {
    ring: Ring,
    /// By event time: a series may come in several partitions.
    newest: Option<Point>,
    anomaly_ms: Option<i64>,
    changed: u64,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// Open episodes first, then the newest anomaly.
    #[default]
    Episodes,
    Name,
    Newest,
    Score,
}

impl View {
    /// An empty view whose points take at most so many bytes, of at most so many series.
    pub(super) fn new(most_bytes: usize, most_series: usize, value_name: &str) -> Self {
        View {
            series: HashMap::default(),
            episodes: Episodes::default(),
            dead_letters: DeadLetterShelf::default(),
            // 0 is the number of whoever has seen nothing yet.
            number: 1,
            value_name: value_name.to_owned(),
            most_points: most_bytes / size_of::<Point>(),
            points: 0,
            most_series,
            newest_ms: None,
            threshold: None,
        }
    }

    /// The number of the newest change.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Event time of the newest reading.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }

    pub(super) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Notes readings, as one change.
    pub(super) fn note_points(&mut self, points: impl IntoIterator<Item = (SeriesKey<Arc<str>>, Point)>) {
        self.number += 1;
        for (series, point) in points {
            if !self.series.contains_key(&series) && self.series.len() >= self.most_series {
                continue;
            }
            let view = self.series.entry(series).or_default();
            view.ring.push(point);
            if view.newest.is_none_or(|newest| newest.time_ms <= point.time_ms) {
                view.newest = Some(point);
            }
            view.changed = self.number;
            self.points += 1;
            self.newest_ms = self.newest_ms.max(Some(point.time_ms));
        }
        self.make_room();
    }

    /// Leaves the oldest points of the longest histories, if there are more than may be.
    fn make_room(&mut self) {
        // Not with each block: every series is visited.
        if self.points <= self.most_points + self.most_points / 10 {
            return;
        }
        let share = (self.most_points / self.series.len().max(1)).max(1);
        for view in self.series.values_mut() {
            self.points -= view.ring.truncate(share);
        }
    }

    /// Notes a message of the topic of anomalies.
    pub(super) fn note_anomaly(&mut self, value: &[u8]) {
        let number = self.number + 1;
        let Some(noted) = self.episodes.note(value, &self.value_name, number) else {
            return;
        };
        self.number = number;
        if let Some(view) = self.series.get_mut(&noted.series.to_key()) {
            view.anomaly_ms = view.anomaly_ms.max(noted.anomaly_ms);
            view.changed = number;
        }
    }

    /// Notes what people say now.
    pub(super) fn note_opinions(&mut self, opinions: &Opinions, now: DateTime<Utc>) {
        if self.episodes.note_opinions(opinions, now, self.number + 1) {
            self.number += 1;
        }
    }

    /// A page of the series whose key or measure holds a text, whatever its case.
    pub(super) fn page(&self, text: &str, sort: Sort, offset: usize, limit: usize) -> SeriesPage {
        let text = text.to_lowercase();
        let holds = |name: &str| text.is_empty() || name.to_lowercase().contains(&text);
        let is_meant = |series: &SeriesKey<Arc<str>>| {
            holds(&series.key) || series.measure.as_ref().is_some_and(|measure| holds(measure))
        };
        let open = self.open_episodes();
        let of = |series: &SeriesKey<Arc<str>>| open.get(series).copied().unwrap_or(0);
        let mut found: Vec<(&SeriesKey<Arc<str>>, &SeriesView)> = self
            .series
            .iter()
            .filter(|(series, _)| is_meant(series))
            .collect();
        found.sort_unstable_by(|left, right| {
            let by_name = left.0.cmp(right.0);
            match sort {
                Sort::Name => by_name,
                Sort::Newest => right.1.newest_ms().cmp(&left.1.newest_ms()).then(by_name),
                Sort::Score => right.1.score().total_cmp(&left.1.score()).then(by_name),
                Sort::Episodes => (of(right.0), right.1.anomaly_ms)
                    .cmp(&(of(left.0), left.1.anomaly_ms))
                    .then(by_name),
            }
        });
        let total = found.len();
        let shown = found.into_iter().skip(offset).take(limit);
        SeriesPage {
            total,
            offset,
            series: shown.map(|(series, view)| view.row(series, of(series))).collect(),
        }
    }

    /// Number of open episodes of each series that has one.
    fn open_episodes(&self) -> HashMap<SeriesKey<Arc<str>>, usize> {
        let mut open = HashMap::new();
        for row in self.episodes.open_ones() {
            *open.entry(row.series.to_key()).or_insert(0) += 1;
        }
        open
    }

    /// The readings of a series in a stretch of event time; `None` if it is not known.
    pub(super) fn history(
        &self,
        series: &SeriesKey<Arc<str>>,
        from_ms: i64,
        to_ms: i64,
        columns: usize,
    ) -> Option<History> {
        let ring = &self.series.get(series)?.ring;
        let held = ring.range_ms();
        let points = ring.between(from_ms, to_ms);
        let count = points.len();
        let shown = thinned(points, columns);
        Some(History {
            from_ms: held.map(|(from_ms, _)| from_ms),
            to_ms: held.map(|(_, to_ms)| to_ms),
            cursor: ring.cursor(),
            is_thinned: shown.len() < count,
            columns: Columns::of(&shown),
        })
    }

    /// The readings of a series from the one of this number on, in the order in which they came; `None` if there are none.
    /// Where some of them are not held any more, or are too many, the first one's number is larger.
    pub(super) fn new_points(&self, series: &SeriesKey<Arc<str>>, cursor: u64) -> Option<NewPoints> {
        let ring = &self.series.get(series)?.ring;
        let cursor = cursor.max(ring.cursor().saturating_sub(MOST_POINTS as u64));
        let (first, points) = ring.since(cursor);
        (points.len() > 0).then(|| NewPoints {
            series: SeriesName::of(series),
            first,
            cursor: ring.cursor(),
            columns: Columns::of(points),
        })
    }

    /// Whether there are readings of a series from the one of this number on.
    pub(super) fn has_new_points(&self, series: &SeriesKey<Arc<str>>, cursor: u64) -> bool {
        self.series
            .get(series)
            .is_some_and(|view| view.ring.cursor() > cursor)
    }

    /// The series that changed after a number, up to some hundred of the newest changes.
    pub(super) fn changed_series(&self, seen: u64) -> Vec<SeriesRow> {
        let changed = self.series.iter().filter(|(_, view)| view.changed > seen);
        let mut changed: Vec<_> = changed.collect();
        if changed.len() > MOST_CHANGES {
            changed.select_nth_unstable_by_key(MOST_CHANGES, |(_, view)| std::cmp::Reverse(view.changed));
            changed.truncate(MOST_CHANGES);
        }
        if changed.is_empty() {
            return Vec::new();
        }
        let open = self.open_episodes();
        let rows = changed.into_iter().map(|(series, view)| {
            let open = open.get(series).copied().unwrap_or(0);
            view.row(series, open)
        });
        rows.collect()
    }

    /// A series, if it changed after a number.
    pub(super) fn changed_row(&self, series: &SeriesKey<Arc<str>>, seen: u64) -> Option<SeriesRow> {
        let view = self.series.get(series).filter(|view| view.changed > seen)?;
        let open = self.open_episodes().get(series).copied().unwrap_or(0);
        Some(view.row(series, open))
    }

    /// The episodes that changed after a number, newest first, and whether there are more.
    pub(super) fn changed_episodes(&self, seen: u64) -> (Vec<EpisodeRow>, bool) {
        let changed = self.episodes.changed_since(seen);
        let is_more = changed.len() > MOST_CHANGES;
        (changed.into_iter().take(MOST_CHANGES).cloned().collect(), is_more)
    }
}

impl SeriesView {
    fn newest_ms(&self) -> Option<i64> {
        self.newest.map(|point| point.time_ms)
    }

    /// Of the newest reading; one that was not judged is the least.
    fn score(&self) -> f32 {
        let score = self.newest.map_or(f32::NAN, |point| point.score);
        if score.is_nan() { f32::NEG_INFINITY } else { score }
    }

    fn row(&self, series: &SeriesKey<Arc<str>>, open: usize) -> SeriesRow {
        let newest = self.newest;
        SeriesRow {
            series: SeriesName::of(series),
            newest_ms: self.newest_ms(),
            value: newest.map(|point| point.value),
            score: newest.and_then(|point| known(f64::from(point.score))),
            is_anomaly: newest.is_some_and(|point| point.is_anomaly),
            open,
            anomaly_ms: self.anomaly_ms,
            spark: self.ring.newest_values(SPARK_VALUES).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(key: &str) -> SeriesKey<Arc<str>> {
        SeriesKey::of_key(key.into())
    }

    fn view_of(readings: &[(&str, i64, f64)]) -> View {
        let mut view = View::new(1 << 20, 1_000, "usage");
        for &(key, time_ms, value) in readings {
            view.note_points([(series(key), Point::unjudged(time_ms, value))]);
        }
        view
    }

    fn opened(key: &str) -> Vec<u8> {
        serde_json::json!({
            "ts": "2024-03-05T08:10:00Z", "usage": 9.0, "key": key, "detector": "rules", "cause": "rule_began",
            "score": 1.0, "threshold": 1.0, "expected": null, "lower": null, "upper": null, "slot": null,
            "comparables": null, "severity": "warning", "explanation": "too high", "episode": format!("usage/0/{}/0", key.len()),
            "phase": "opened", "since": "2024-03-05T08:10:00Z", "until": null,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn whoever_comes_back_is_given_what_changed() {
        let mut view = view_of(&[("a", 1, 1.0), ("b", 2, 2.0)]);
        let seen = view.number();
        assert!(view.changed_series(seen).is_empty());
        view.note_points([(series("b"), Point::unjudged(3, 3.0))]);
        let changed = view.changed_series(seen);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].spark, [2.0, 3.0]);
        let points = view.new_points(&series("b"), 1).unwrap();
        assert_eq!(
            (points.first, points.cursor, points.columns.value),
            (1, 2, vec![3.0])
        );
        assert!(view.new_points(&series("b"), 2).is_none());
        assert!(view.new_points(&series("none"), 0).is_none());
    }

    #[test]
    fn the_list_is_searched_sorted_and_paged() {
        let mut view = view_of(&[("Boiler-1", 1, 1.0), ("boiler-22", 5, 2.0), ("pump", 9, 3.0)]);
        view.note_anomaly(&opened("boiler-22"));
        let keys = |page: SeriesPage| {
            let keys = page.series.into_iter().filter_map(|row| row.series.key);
            (page.total, keys.map(|key| key.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(
            keys(view.page("BOIL", Sort::Name, 0, 9)).1,
            ["Boiler-1", "boiler-22"]
        );
        assert_eq!(
            keys(view.page("", Sort::Episodes, 0, 2)),
            (3, vec!["boiler-22".into(), "Boiler-1".into()])
        );
        assert_eq!(
            keys(view.page("", Sort::Newest, 1, 2)),
            (3, vec!["boiler-22".into(), "Boiler-1".into()])
        );
        assert_eq!(view.page("boiler-22", Sort::Score, 0, 1).series[0].open, 1);
    }

    #[test]
    fn memory_is_bounded_and_short_histories_stay() {
        let mut view = View::new(1_000 * size_of::<Point>(), 2, "usage");
        view.note_points([(series("rare"), Point::unjudged(0, 1.0))]);
        for time_ms in 0..5_000 {
            view.note_points([(series("busy"), Point::unjudged(time_ms, 2.0))]);
        }
        view.note_points([(series("one too many"), Point::unjudged(0, 1.0))]);
        assert_eq!(view.series_count(), 2);
        assert!(view.points <= 1_100, "{}", view.points);
        let held = |key: &str| {
            view.history(&series(key), i64::MIN, i64::MAX, 10_000)
                .unwrap()
                .columns
                .time
                .len()
        };
        assert_eq!(held("rare"), 1);
        assert!((500..=1_100).contains(&held("busy")), "{}", held("busy"));
        let missing = view.new_points(&series("busy"), 3).unwrap();
        assert!(missing.first > 3, "some of them have left");
    }
}
