//! Readings in, episodes out: what is kept of a recording where nobody looks at its points.

use std::sync::Arc;

use super::{HistoricReading, Judge};
use crate::detection::{Judgment, Observer};
use crate::detectors::{EpisodeStep, MessageId, Phase};

/// An episode that would have been published. Times are event times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Episode {
    /// When it began.
    pub since_ms: i64,
    /// From when on all was as usual again; of one that was not over, the newest time of its series.
    pub until_ms: i64,
    /// When it was published that it began.
    pub opened_at_ms: i64,
    /// When it was published that it was over; `None` if it was not.
    pub ended_at_ms: Option<i64>,
}

/// The episodes of a series of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesEpisodes {
    /// Empty when the recording is read as one series.
    pub key: Arc<str>,
    /// In the order in which they opened.
    pub episodes: Vec<Episode>,
}

impl Judge {
    /// The episodes of each series of a recording, judged as [`judge`](Self::judge) does. Series come in the order of their
    /// first reading.
    pub(crate) fn episodes<'a>(
        &self,
        readings: impl IntoIterator<Item = HistoricReading<'a>>,
    ) -> Vec<SeriesEpisodes> {
        let mut recorder = EpisodeRecorder::default();
        let partition = self.observe(readings, &mut recorder, |_, _| {});
        recorder
            .series
            .resize_with(partition.series_count(), Default::default);
        let recorded = partition.series().zip(recorder.series);
        recorded
            .map(|(series, recorded)| SeriesEpisodes {
                key: Arc::clone(&series.key.key),
                episodes: recorded.into_episodes(),
            })
            .collect()
    }
}

#[derive(Debug, Default)]
struct EpisodeRecorder {
    /// By the number of the series.
    series: Vec<RecordedSeries>,
}

#[derive(Debug, Default)]
struct RecordedSeries {
    episodes: Vec<Episode>,
    /// Those that are not over, with their places.
    open: Vec<(MessageId, usize)>,
    newest_ms: i64,
}

impl Observer for EpisodeRecorder {
    fn judged(&mut self, judgment: &Judgment<'_>) {
        let number = judgment.series as usize;
        if self.series.len() <= number {
            self.series.resize_with(number + 1, Default::default);
        }
        let series = &mut self.series[number];
        series.newest_ms = judgment.event_time_ms;
        let published = judgment.verdicts.iter().filter(|verdict| verdict.is_anomaly);
        for step in published.filter_map(|verdict| verdict.episode) {
            series.note(&step, judgment.event_time_ms);
        }
    }
}

impl RecordedSeries {
    fn note(&mut self, step: &EpisodeStep, at_ms: i64) {
        match step.phase {
            Phase::Opened => {
                self.open.push((step.opened, self.episodes.len()));
                self.episodes.push(Episode {
                    since_ms: step.since_ms,
                    until_ms: at_ms,
                    opened_at_ms: at_ms,
                    ended_at_ms: None,
                });
            }
            Phase::Ended => {
                let place = self.open.iter().position(|(opened, _)| *opened == step.opened);
                if let Some(place) = place {
                    let (_, number) = self.open.swap_remove(place);
                    let episode = &mut self.episodes[number];
                    episode.until_ms = step.until_ms.unwrap_or(at_ms);
                    episode.ended_at_ms = Some(at_ms);
                }
            }
            Phase::Worsened | Phase::Continued => {}
        }
    }

    fn into_episodes(mut self) -> Vec<Episode> {
        for (_, number) in self.open {
            self.episodes[number].until_ms = self.newest_ms;
        }
        self.episodes
    }
}
