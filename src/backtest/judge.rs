//! Readings in, judgements out: one partition of a topic, with nothing forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::{Alert, JudgedPoint, JudgedSeries};
use crate::config::{Config, DetectInput};
use crate::decode::time::local_to_utc_ms;
use crate::detect::{Anomaly, Calendar, Cause, Model, Observation, RuleError, Series, Verdict, models};
use crate::window::{Totals, Windows};

/// A reading of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Past<'a> {
    /// In the zone of `reading.time_zone`.
    pub wall_time: NaiveDateTime,
    /// Finite.
    pub value: f64,
    /// Empty when the recording is read as one series.
    pub key: &'a str,
}

/// What is judged and by what, as the settings say.
#[derive(Debug, Clone)]
pub struct Judge {
    models: Vec<Arc<dyn Model>>,
    /// Of the recording's clock.
    zone: Tz,
    /// Of the detectors' days and weeks.
    calendar: Calendar,
    windows: Option<Closing>,
}

/// Windows whose averages are judged once the watermark has passed them.
#[derive(Debug, Clone, Copy)]
struct Closing {
    windows: Windows,
    allowed_delay_ms: i64,
}

impl Judge {
    /// A judge that has seen nothing yet.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub fn new(config: &Config) -> Result<Self, RuleError> {
        let closing = Closing {
            windows: Windows::new(&config.window),
            allowed_delay_ms: config.window.watermark.as_millis() as i64,
        };
        Ok(Judge {
            models: models(config)?,
            zone: config.reading.time_zone,
            calendar: Calendar::new(config.detect_time_zone()),
            windows: (config.detect.input == DetectInput::Windows).then_some(closing),
        })
    }

    /// Whether there is anything that judges.
    pub fn has_models(&self) -> bool {
        !self.models.is_empty()
    }

    /// Judges the readings of a recording, in their order, as one partition of a topic. Series come in the order of
    /// their first reading. A window that is still open at the end is not judged.
    pub fn judge<'a>(&self, readings: impl IntoIterator<Item = Past<'a>>) -> Vec<JudgedSeries> {
        let mut partition = Partition::new(self.clone());
        for (offset, reading) in readings.into_iter().enumerate() {
            partition.offset = offset as i64;
            partition.anomalies = 0;
            partition.take_in(reading);
        }
        partition.series.into_iter().map(State::finish).collect()
    }
}

struct Partition {
    judge: Judge,
    /// The number of the reading that is taken in, and how many anomalies it has given rise to.
    offset: i64,
    anomalies: u32,
    series: Vec<State>,
    numbers: HashMap<String, usize>,
    /// Event times at which a series wants to be told the time, with its number.
    deadlines: BTreeSet<(i64, usize)>,
    open_windows: BTreeMap<(i64, usize), Totals>,
    largest_event_time_ms: Option<i64>,
    recording_calendar: Calendar,
}

struct State {
    detectors: Series,
    judged: JudgedSeries,
}

impl State {
    fn finish(mut self) -> JudgedSeries {
        self.judged.clipped = self.detectors.clipped();
        self.judged
    }
}

/// When something was judged, on both clocks.
#[derive(Clone, Copy)]
struct When {
    event_time_ms: i64,
    wall_time_ms: i64,
}

impl Partition {
    fn new(judge: Judge) -> Self {
        Partition {
            recording_calendar: Calendar::new(judge.zone),
            judge,
            offset: 0,
            anomalies: 0,
            series: Vec::new(),
            numbers: HashMap::new(),
            deadlines: BTreeSet::new(),
            open_windows: BTreeMap::new(),
            largest_event_time_ms: None,
        }
    }

    fn take_in(&mut self, reading: Past<'_>) {
        let when = When {
            event_time_ms: local_to_utc_ms(reading.wall_time, self.judge.zone),
            wall_time_ms: reading.wall_time.and_utc().timestamp_millis(),
        };
        self.advance(when.event_time_ms);
        let number = self.find_or_add(reading.key);
        let Some(closing) = self.judge.windows else {
            self.observe(number, when, reading.value);
            return;
        };
        let start_ms = closing.windows.start_of(when.event_time_ms);
        if !closing.is_closed(start_ms, self.largest_event_time_ms) {
            self.open_windows
                .entry((start_ms, number))
                .or_insert_with(Totals::empty)
                .add(reading.value);
        }
        self.largest_event_time_ms = self.largest_event_time_ms.max(Some(when.event_time_ms));
        self.judge_closed_windows(closing);
    }

    fn judge_closed_windows(&mut self, closing: Closing) {
        while let Some(window) = self.open_windows.first_entry() {
            let (start_ms, number) = *window.key();
            if !closing.is_closed(start_ms, self.largest_event_time_ms) {
                break;
            }
            let average = window.remove().average();
            let end = self.at(closing.windows.end_of(start_ms));
            self.observe(number, end, average);
        }
    }

    /// Tells the series whose time has come that event time has moved on.
    fn advance(&mut self, event_time_ms: i64) {
        while let Some(&(deadline_ms, number)) = self.deadlines.first()
            && deadline_ms <= event_time_ms
        {
            self.deadlines.pop_first();
            let state = &mut self.series[number];
            let mut verdicts = Vec::new();
            state.detectors.elapse(deadline_ms, &mut verdicts);
            let later = state.detectors.deadline_ms();
            self.deadlines.extend(
                later
                    .filter(|later| *later > deadline_ms)
                    .map(|later| (later, number)),
            );
            let when = self.at(deadline_ms);
            self.keep_alerts(number, when, None, verdicts);
        }
    }

    fn observe(&mut self, number: usize, when: When, value: f64) {
        let observation = Observation {
            event_time_ms: when.event_time_ms,
            local_time_ms: self.judge.calendar.local_time_ms(when.event_time_ms),
            value,
        };
        let state = &mut self.series[number];
        let deadline_before = state.detectors.deadline_ms();
        let mut verdicts = Vec::new();
        state.detectors.observe(observation, &mut verdicts);
        state.judged.points.push(point(when, value, &verdicts));
        let deadline = state.detectors.deadline_ms();
        if deadline != deadline_before {
            if let Some(before) = deadline_before {
                self.deadlines.remove(&(before, number));
            }
            self.deadlines.extend(deadline.map(|deadline| (deadline, number)));
        }
        self.keep_alerts(number, when, Some(value), verdicts);
    }

    fn keep_alerts(&mut self, number: usize, when: When, value: Option<f64>, verdicts: Vec<Verdict>) {
        let local_time_ms = self.judge.calendar.local_time_ms(when.event_time_ms);
        let judged = &mut self.series[number].judged;
        for verdict in verdicts.into_iter().filter(|verdict| verdict.is_anomaly) {
            self.anomalies += 1;
            judged.alerts.push(Alert {
                wall_time_ms: when.wall_time_ms,
                anomaly: Anomaly {
                    partition: 0,
                    offset: self.offset,
                    index: self.anomalies - 1,
                    key: Arc::clone(&judged.key),
                    event_time_ms: when.event_time_ms,
                    local_time_ms,
                    value,
                    verdict,
                },
            });
        }
    }

    fn at(&mut self, event_time_ms: i64) -> When {
        When {
            event_time_ms,
            wall_time_ms: self.recording_calendar.local_time_ms(event_time_ms),
        }
    }

    fn find_or_add(&mut self, key: &str) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.series.len();
        self.numbers.insert(key.to_owned(), number);
        self.series.push(State {
            detectors: Series::new(&self.judge.models, key),
            judged: JudgedSeries {
                key: key.into(),
                points: Vec::new(),
                alerts: Vec::new(),
                clipped: 0,
            },
        });
        number
    }
}

impl Closing {
    fn is_closed(self, start_ms: i64, largest_event_time_ms: Option<i64>) -> bool {
        self.windows
            .is_late(start_ms, largest_event_time_ms, self.allowed_delay_ms)
    }
}

/// What the detector that scores says; the rules, where there is no other.
fn point(when: When, value: f64, verdicts: &[Verdict]) -> JudgedPoint {
    let is_alarm =
        |verdict: &Verdict| verdict.is_anomaly && !matches!(verdict.cause, Cause::Rule { holds: false, .. });
    let is_anomaly = verdicts.iter().any(is_alarm);
    let scored = verdicts
        .iter()
        .find(|verdict| !matches!(verdict.cause, Cause::Rule { .. }));
    let rules_score = f64::from(u8::from(is_anomaly));
    JudgedPoint {
        event_time_ms: when.event_time_ms,
        wall_time_ms: when.wall_time_ms,
        value,
        score: scored.map_or(rules_score, |verdict| verdict.score),
        threshold: scored.map_or(1.0, |verdict| verdict.threshold),
        is_anomaly,
        lower: scored.and_then(|verdict| verdict.lower),
        upper: scored.and_then(|verdict| verdict.upper),
    }
}
