//! Readings in, judgments out: a recording as one partition of a topic, with every judgment kept.

use std::borrow::Cow;
use std::sync::Arc;

use chrono_tz::Tz;

use super::{Alert, JudgedPoint, JudgedSeries};
use crate::decode;
use crate::detection::{self, Judgment, JudgmentSpec, Observer, Partition, RecordRef, Step};
use crate::detectors::{self, Calendar, Cause, MessageIds, RuleError, Verdict};
use crate::reading::{Reading, SeriesKey};
use crate::window;

/// A reading of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HistoricReading<'a> {
    /// Milliseconds since 1970.
    pub event_time_ms: i64,
    /// What clocks showed in the recording's zone, in milliseconds since 1970-01-01T00:00:00.
    pub wall_time_ms: i64,
    /// Finite.
    pub value: f64,
    /// Empty when the recording is read as one series.
    pub key: &'a str,
}

/// How a recording is judged, as the settings say.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    spec: JudgmentSpec,
    /// Of the recording's clock.
    zone: Tz,
}

impl Judge {
    /// A judge that has seen nothing yet.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub(crate) fn new(
        reading: &decode::Settings,
        window: &window::Settings,
        detect: &detection::Settings,
        detectors: &detectors::Settings,
    ) -> Result<Self, RuleError> {
        Ok(Judge {
            spec: JudgmentSpec::new(reading, window, detect, detectors)?.unbounded(),
            zone: reading.time_zone,
        })
    }

    /// Whether there is anything that judges.
    pub(crate) fn has_models(&self) -> bool {
        self.spec.has_models()
    }

    /// Judges the readings of a recording, in their order, as one partition of a topic. Series come in the order of
    /// their first reading. A window that is still open at the end is not judged.
    pub(crate) fn judge<'a>(
        &self,
        readings: impl IntoIterator<Item = HistoricReading<'a>>,
    ) -> Vec<JudgedSeries> {
        let mut recorder = Recorder {
            reading_wall_time_ms: 0,
            judges_windows: self.spec.windows.is_some(),
            recording_calendar: Calendar::new(self.zone),
            series: Vec::new(),
        };
        let partition = self.observe(readings, &mut recorder, |recorder, historic| {
            recorder.reading_wall_time_ms = historic.wall_time_ms;
        });
        recorder.into_series(&partition)
    }

    /// Shows every judgment to an observer, which `comes` announces each reading to.
    pub(super) fn observe<'a, O: Observer>(
        &self,
        readings: impl IntoIterator<Item = HistoricReading<'a>>,
        observer: &mut O,
        comes: impl Fn(&mut O, &HistoricReading<'a>),
    ) -> Partition {
        let mut partition = Partition::new(&self.spec, None);
        for (offset, historic) in (0..).zip(readings) {
            comes(observer, &historic);
            let reading = Reading {
                series: SeriesKey::of_key(Cow::Borrowed(historic.key)),
                event_time_ms: historic.event_time_ms,
                value: historic.value.into(),
            };
            let mut step = Step {
                spec: &self.spec,
                record: RecordRef {
                    partition: 0,
                    offset,
                    is_replayed: false,
                },
                ids: MessageIds::of_record(offset),
                observer,
            };
            // A recording does not say when its readings were sent, so that its own times are believed.
            partition.ingest(&reading, i64::MAX, &mut step);
        }
        partition
    }
}

/// Records every judgment of a recording.
struct Recorder {
    /// Of the reading at hand, as it is written.
    reading_wall_time_ms: i64,
    judges_windows: bool,
    recording_calendar: Calendar,
    /// By the number of the series.
    series: Vec<Recorded>,
}

/// What was recorded of one series.
#[derive(Default)]
struct Recorded {
    points: Vec<JudgedPoint>,
    alerts: Vec<Alert>,
    judged_from_ms: Option<i64>,
}

impl Observer for Recorder {
    fn judged(&mut self, judgment: &Judgment<'_>) {
        let wall_time_ms = self.wall_time_ms(judgment);
        let number = judgment.series as usize;
        if self.series.len() <= number {
            self.series.resize_with(number + 1, Default::default);
        }
        let recorded = &mut self.series[number];
        if judgment.verdicts.iter().any(is_judged) {
            recorded.judged_from_ms.get_or_insert(wall_time_ms);
        }
        recorded
            .points
            .extend(judgment.value.map(|value| point(judgment, wall_time_ms, value)));
        recorded.alerts.extend(judgment.anomalies().map(|anomaly| Alert {
            wall_time_ms,
            anomaly,
        }));
    }
}

impl Recorder {
    /// When something was judged, on the recording's clock.
    fn wall_time_ms(&mut self, judgment: &Judgment<'_>) -> i64 {
        if judgment.value.is_some() && !self.judges_windows {
            // As it is written, because the way back from UTC is ambiguous where clocks change.
            self.reading_wall_time_ms
        } else {
            self.recording_calendar.local_time_ms(judgment.event_time_ms)
        }
    }

    fn into_series(mut self, partition: &Partition) -> Vec<JudgedSeries> {
        // A series may be without any judgment: its windows may all still be open.
        self.series
            .resize_with(partition.series_count(), Default::default);
        let recorded = partition.series().zip(self.series);
        recorded
            .map(|(series, recorded)| JudgedSeries {
                key: Arc::clone(&series.key.key),
                points: recorded.points,
                alerts: recorded.alerts,
                judged_from_ms: recorded.judged_from_ms,
                notice: series.detectors.notice(),
                clipped: series.detectors.clipped(),
                passed_over: series.detectors.passed_over(),
            })
            .collect()
    }
}

/// Whether a detector that learns says anything of a value.
fn is_judged(verdict: &Verdict) -> bool {
    is_scored(verdict) && verdict.cause != Cause::Learning
}

/// Whether it is of a detector that scores, and of the value itself.
fn is_scored(verdict: &Verdict) -> bool {
    !matches!(
        verdict.cause,
        Cause::Rule { .. } | Cause::Glitch { .. } | Cause::Reset { .. }
    )
}

/// What the detector that scores says; where there is none, what the rules say.
fn point(judgment: &Judgment<'_>, wall_time_ms: i64, value: f64) -> JudgedPoint {
    let is_alarm = |verdict: &Verdict| verdict.is_anomaly && !verdict.cause.is_end();
    let is_anomaly = judgment.verdicts.iter().any(is_alarm);
    let scored = judgment.verdicts.iter().find(|verdict| is_scored(verdict));
    let rules_score = f64::from(u8::from(is_anomaly));
    JudgedPoint {
        event_time_ms: judgment.event_time_ms,
        wall_time_ms,
        value,
        score: scored.map_or(rules_score, |verdict| verdict.score),
        threshold: scored.map_or(1.0, |verdict| verdict.threshold),
        is_anomaly,
        lower: scored.and_then(|verdict| verdict.lower),
        upper: scored.and_then(|verdict| verdict.upper),
    }
}
