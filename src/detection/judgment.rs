//! What the detectors say about a value, and who sees it.

use std::sync::Arc;

use crate::detectors::{Anomaly, Verdict};
use crate::reading::SeriesKey;

/// The record that a judgment came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordRef {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Whether the record had been judged before a restart, and is read again for the detectors to learn from.
    pub(crate) is_replayed: bool,
}

/// What the detectors of one series say about one value, or about event time that went by without one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgment<'a> {
    pub(crate) record: RecordRef,
    /// The number of the series in its partition, from 0. The number of a forgotten series is used again.
    pub(crate) series: u32,
    pub(crate) key: &'a SeriesKey<Arc<str>>,
    /// In milliseconds since 1970-01-01T00:00:00Z; of a window, its end.
    pub(crate) event_time_ms: i64,
    /// The same on the wall clock of the configured zone, in milliseconds since its own 1970-01-01T00:00:00.
    pub(crate) local_time_ms: i64,
    /// The value of a reading, its increase, or the average of a closed window; `None` where event time passed a deadline of the
    /// series without one, or a counter was reset.
    pub(crate) value: Option<f64>,
    /// In the order of the models, anomalies or not. There may be none, as of a rule that saw nothing new.
    pub(crate) verdicts: &'a [Verdict],
}

impl Judgment<'_> {
    /// Whether anything in it is to be published.
    #[inline]
    pub(crate) fn has_anomaly(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.is_anomaly)
    }

    /// The verdicts that are to be published.
    pub(crate) fn anomalies(&self) -> impl Iterator<Item = Anomaly> {
        let anomalies = self.verdicts.iter().filter(|verdict| verdict.is_anomaly);
        anomalies
            .filter_map(|verdict| Some((verdict, verdict.episode?)))
            .map(|(verdict, episode)| Anomaly {
                partition: self.record.partition,
                episode,
                key: Arc::clone(&self.key.key),
                measure: self.key.measure.clone(),
                event_time_ms: self.event_time_ms,
                local_time_ms: self.local_time_ms,
                value: self.value,
                verdict: verdict.clone(),
            })
    }
}

/// Sees every judgment in the order in which it is made.
///
/// The code that judges is compiled for each observer, so that one that does nothing costs nothing.
pub(crate) trait Observer {
    /// A value was judged, or a deadline passed and the detectors had something to say about it.
    fn judged(&mut self, judgment: &Judgment<'_>);
}

/// No observer.
impl Observer for () {
    #[inline]
    fn judged(&mut self, _: &Judgment<'_>) {}
}

/// Keeps the anomalies of a block's records, except of replayed ones: those were published before the restart.
pub(super) struct AnomalyCollector<'a, O> {
    pub anomalies: Vec<Anomaly>,
    /// Sees every judgment after this one.
    pub next: &'a mut O,
}

impl<O: Observer> Observer for AnomalyCollector<'_, O> {
    #[inline]
    fn judged(&mut self, judgment: &Judgment<'_>) {
        if judgment.has_anomaly() && !judgment.record.is_replayed {
            self.anomalies.extend(judgment.anomalies());
        }
        self.next.judged(judgment);
    }
}
