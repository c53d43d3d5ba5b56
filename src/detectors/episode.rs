//! Episodes: which anomalies of a series belong together, and when it is over.
//!
//! An episode opens with an anomaly. Later anomalies of the same detector, or of the same rule, belong to it until it ends.
//! A rule's episode ends with its condition. A detector that judges value by value has no such end, so its episode ends
//!
//! - after a calm stretch ([`CalmStretch`]): enough readings in a row that the detector finds usual, over an hour of event time;
//!   or, where all of its anomalies were of an unchanged value, with the first reading that changed and is usual;
//! - once a week has gone by without another anomaly: whatever the level is now, it has become usual;
//! - with its series, if that is forgotten.
//!
//! It never ends because the series is silent: no reading is no sign that all is well. A reading that is older than the newest
//! one ends nothing. All of that is a function of the readings before it (invariant I6), so whoever judges a record again
//! finds the same episodes with the same ids.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Cause, DAY_MS, Observation, Severity, StateError, StateReader, StateWriter, Verdict};

/// A message of the topic of anomalies, among those of its partition: the record that gave rise to it, and its place among
/// the messages of that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Of the record.
    pub offset: i64,
    /// From 0.
    pub index: u32,
}

/// Gives out the ids of a record's messages, in the order of their verdicts.
#[derive(Debug, Clone)]
pub struct MessageIds {
    next: MessageId,
}

impl MessageIds {
    /// The ids of the record at this offset.
    pub fn of_record(offset: i64) -> Self {
        MessageIds {
            next: MessageId { offset, index: 0 },
        }
    }

    fn take(&mut self) -> MessageId {
        let id = self.next;
        self.next.index += 1;
        id
    }
}

/// A message's place in its episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeStep {
    /// The message itself.
    pub message: MessageId,
    /// The message that the episode opened with. Its id is the episode's.
    pub opened: MessageId,
    /// What the message says of the episode.
    pub phase: Phase,
    /// The event time that it counts from: that of its first anomaly; of a rule, that from which the condition holds.
    pub since_ms: i64,
    /// Of an end, the event time from which all was as usual again.
    pub until_ms: Option<i64>,
}

#[cfg(test)]
impl EpisodeStep {
    /// The first message of the record at this offset opens an episode.
    pub(crate) fn opening(offset: i64, since_ms: i64) -> Self {
        let message = MessageId { offset, index: 0 };
        EpisodeStep {
            message,
            opened: message,
            phase: Phase::Opened,
            since_ms,
            until_ms: None,
        }
    }
}

impl EpisodeStep {
    /// Of an end, how long the episode lasted, in event time.
    pub(crate) fn lasted_ms(&self) -> Option<i64> {
        let until_ms = self.until_ms?;
        Some(until_ms.saturating_sub(self.since_ms).max(0))
    }
}

/// What a message says of its episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It begins.
    Opened,
    /// It has become worse: more severe, or with twice the score of its worst anomaly.
    Worsened,
    /// Another anomaly that is no worse.
    Continued,
    /// It is over.
    Ended,
}

impl Phase {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Opened => "opened",
            Phase::Worsened => "worsened",
            Phase::Continued => "continued",
            Phase::Ended => "ended",
        }
    }
}

/// Why an episode is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The readings have been as usual for long enough.
    BackToUsual,
    /// There was no other anomaly for a week, so what is seen now is usual.
    BecameUsual,
    /// The series has had no reading for so long that it is forgotten.
    SeriesForgotten,
}

impl EndReason {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::BackToUsual => "back_to_usual",
            EndReason::BecameUsual => "became_usual",
            EndReason::SeriesForgotten => "series_forgotten",
        }
    }
}

/// What ends an episode of a detector that judges value by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalmStretch {
    /// Readings in a row that the detector finds usual.
    pub(crate) readings: u32,
    /// From the first of them to the last, in event time.
    pub(crate) ms: i64,
    /// How far from the expected value they may be, as a share of how far the worst anomaly beyond the band was. A band that
    /// has become wide by what it saw holds a value that is still out of the ordinary.
    pub(crate) distance: f64,
}

impl CalmStretch {
    /// So many readings over an hour.
    pub(crate) const fn of_readings(readings: u32) -> Self {
        CalmStretch {
            readings,
            ms: 3_600_000,
            distance: f64::INFINITY,
        }
    }

    /// The same of averages of windows, each of which stands for many readings.
    #[must_use]
    pub(crate) fn of_windows(self) -> Self {
        CalmStretch {
            readings: 2,
            ms: 0,
            ..self
        }
    }
}

/// How much the score must grow to be worse.
const GROWTH: f64 = 2.0;
/// How long after its last anomaly an episode ends, whatever the readings are: that long the adaptive band holds its reports
/// of a level that stays.
const LONGEST_MS: i64 = 7 * DAY_MS;

/// The open episodes of one series.
#[derive(Debug, Default)]
pub(super) struct Episodes {
    open: Vec<Episode>,
}

/// An open episode.
#[derive(Debug, Clone, PartialEq)]
struct Episode {
    /// The place of its detector in the series.
    detector: u8,
    /// Of a rule, its condition as it is written.
    rule: Option<Arc<str>>,
    opened: MessageId,
    since_ms: i64,
    threshold: f64,
    /// The largest event time of an anomaly.
    last_anomaly_ms: i64,
    /// The largest event time of a reading since it opened.
    newest_ms: i64,
    worst_severity: Severity,
    worst_score: f64,
    /// How far beyond a band an anomaly was from the expected value; 0 if none was.
    worst_distance: f64,
    /// Whether all its anomalies were of an unchanged value.
    is_stuck: bool,
    /// The event time of the first of the calm readings in a row, and how many they are.
    calm_since_ms: Option<i64>,
    calm_readings: u32,
}

impl Episodes {
    /// Whether none is open.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Gives each anomaly among a detector's verdicts on an observation its place in an episode, and appends the end of the
    /// detector's episode if it is over.
    pub(super) fn follow(
        &mut self,
        detector: u8,
        observation: &Observation,
        calm: CalmStretch,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
        first: usize,
    ) {
        for verdict in &mut verdicts[first..] {
            if verdict.is_anomaly {
                let value = Some(observation.value);
                self.place(detector, observation.event_time_ms, value, ids.take(), verdict);
            }
        }
        // Conditions say themselves when they end.
        let is_of = |episode: &Episode| episode.detector == detector && episode.rule.is_none();
        let (Some(at), Some(verdict)) = (self.open.iter().position(is_of), verdicts.get(first)) else {
            return;
        };
        if let Some((reason, until_ms)) = self.open[at].end(observation, verdict, calm) {
            let episode = self.open.remove(at);
            let end = episode.ended(verdict.clone(), reason, until_ms, ids.take());
            verdicts.push(end);
        }
    }

    /// The same for what a detector reports at a deadline, without an observation: conditions only.
    pub(super) fn follow_elapsed(
        &mut self,
        detector: u8,
        time_ms: i64,
        ids: &mut MessageIds,
        verdicts: &mut [Verdict],
    ) {
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_anomaly) {
            self.place(detector, time_ms, None, ids.take(), verdict);
        }
    }

    /// Ends all that are open, because the series is forgotten at `time_ms`. `names` are those of the detectors.
    pub(super) fn forget(
        &mut self,
        names: &[&'static str],
        time_ms: i64,
        ids: &mut MessageIds,
        verdicts: &mut Vec<Verdict>,
    ) {
        for episode in self.open.drain(..) {
            let name = names
                .get(usize::from(episode.detector))
                .copied()
                .unwrap_or_default();
            let verdict = Verdict::learning(name, episode.threshold);
            verdicts.push(episode.ended(verdict, EndReason::SeriesForgotten, time_ms, ids.take()));
        }
    }

    /// Finds the place of an anomaly: in the open episode of its detector or rule, or as the first of a new one.
    fn place(
        &mut self,
        detector: u8,
        time_ms: i64,
        value: Option<f64>,
        message: MessageId,
        verdict: &mut Verdict,
    ) {
        let rule = verdict.cause.rule();
        let is_of = |episode: &Episode| episode.detector == detector && episode.rule.as_ref() == rule;
        let at = self.open.iter().position(is_of);
        verdict.episode = Some(match (&verdict.cause, at) {
            (
                Cause::Rule {
                    holds: false,
                    since_ms,
                    ..
                },
                at,
            ) => EpisodeStep {
                message,
                opened: at.map_or(message, |at| self.open.remove(at).opened),
                phase: Phase::Ended,
                since_ms: *since_ms,
                until_ms: Some(time_ms),
            },
            (_, Some(at)) => {
                let episode = &mut self.open[at];
                let phase = episode.note_anomaly(time_ms, value, verdict);
                episode.step(message, phase)
            }
            (_, None) => {
                let episode = Episode::new(detector, rule.cloned(), time_ms, value, message, verdict);
                let step = episode.step(message, Phase::Opened);
                self.open.push(episode);
                step
            }
        });
    }

    /// Writes the open episodes.
    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u16(self.open.len() as u16);
        for episode in &self.open {
            episode.save(state);
        }
    }

    /// Restores what [`save`](Self::save) wrote of a series with so many detectors.
    pub(super) fn restore(detectors: usize, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let count = state.u16()?;
        let mut open = Vec::new();
        for _ in 0..count {
            let episode = Episode::restore(state)?;
            if usize::from(episode.detector) >= detectors {
                return Err(StateError::Impossible("detector of an episode"));
            }
            open.push(episode);
        }
        Ok(Episodes { open })
    }
}

impl Episode {
    fn new(
        detector: u8,
        rule: Option<Arc<str>>,
        time_ms: i64,
        value: Option<f64>,
        opened: MessageId,
        verdict: &Verdict,
    ) -> Self {
        let since_ms = match verdict.cause {
            Cause::Rule { since_ms, .. } => since_ms,
            _ => time_ms,
        };
        Episode {
            detector,
            rule,
            opened,
            since_ms,
            threshold: verdict.threshold,
            last_anomaly_ms: time_ms,
            newest_ms: time_ms,
            worst_severity: verdict.severity(value),
            worst_score: verdict.score,
            worst_distance: distance_beyond(value, verdict),
            is_stuck: verdict.cause == Cause::Stuck,
            calm_since_ms: None,
            calm_readings: 0,
        }
    }

    /// Notes another anomaly, and says whether it is worse.
    fn note_anomaly(&mut self, time_ms: i64, value: Option<f64>, verdict: &Verdict) -> Phase {
        let severity = verdict.severity(value);
        let is_worse = severity > self.worst_severity || verdict.score >= GROWTH * self.worst_score;
        self.last_anomaly_ms = self.last_anomaly_ms.max(time_ms);
        self.worst_severity = self.worst_severity.max(severity);
        self.worst_score = self.worst_score.max(verdict.score);
        self.worst_distance = self.worst_distance.max(distance_beyond(value, verdict));
        self.is_stuck &= verdict.cause == Cause::Stuck;
        if is_worse {
            Phase::Worsened
        } else {
            Phase::Continued
        }
    }

    /// Notes what a detector says of an observation. Returns why it is over, and since when all is usual, if it is.
    fn end(
        &mut self,
        observation: &Observation,
        verdict: &Verdict,
        calm: CalmStretch,
    ) -> Option<(EndReason, i64)> {
        let now_ms = observation.event_time_ms;
        if verdict.is_anomaly {
            self.unsettle();
            self.newest_ms = self.newest_ms.max(now_ms);
            return None;
        }
        // A late reading says nothing about now.
        if now_ms < self.newest_ms {
            return None;
        }
        self.newest_ms = now_ms;
        let is_near = self.worst_distance == 0.0
            || verdict.expected.is_none_or(|expected| {
                (observation.value - expected).abs() <= calm.distance * self.worst_distance
            });
        match verdict.is_calm.map(|is_calm| is_calm && is_near) {
            Some(true) => {
                let since_ms = *self.calm_since_ms.get_or_insert(now_ms);
                self.calm_readings = self.calm_readings.saturating_add(1);
                let is_long = now_ms.saturating_sub(since_ms) >= calm.ms;
                if self.is_stuck || is_long && self.calm_readings >= calm.readings {
                    return Some((EndReason::BackToUsual, since_ms));
                }
            }
            Some(false) => self.unsettle(),
            None => {}
        }
        let has_lasted = now_ms.saturating_sub(self.last_anomaly_ms) >= LONGEST_MS;
        has_lasted.then_some((EndReason::BecameUsual, now_ms))
    }

    fn unsettle(&mut self) {
        self.calm_since_ms = None;
        self.calm_readings = 0;
    }

    fn step(&self, message: MessageId, phase: Phase) -> EpisodeStep {
        EpisodeStep {
            message,
            opened: self.opened,
            phase,
            since_ms: self.since_ms,
            until_ms: None,
        }
    }

    /// The message of its end, with what the detector's last verdict says of the band.
    fn ended(self, verdict: Verdict, reason: EndReason, until_ms: i64, message: MessageId) -> Verdict {
        Verdict {
            score: 0.0,
            is_anomaly: true,
            cause: Cause::Ended {
                reason,
                rule: self.rule.clone(),
            },
            is_calm: None,
            episode: Some(EpisodeStep {
                until_ms: Some(until_ms),
                ..self.step(message, Phase::Ended)
            }),
            ..verdict
        }
    }
    fn save(&self, state: &mut StateWriter) {
        state.u8(self.detector);
        state.text(self.rule.as_deref().unwrap_or_default());
        state.i64(self.opened.offset);
        state.u32(self.opened.index);
        state.i64(self.since_ms);
        state.f64(self.threshold);
        state.i64(self.last_anomaly_ms);
        state.i64(self.newest_ms);
        state.u8(u8::from(self.worst_severity == Severity::Critical));
        state.f64(self.worst_score);
        state.f64(self.worst_distance);
        state.u8(u8::from(self.is_stuck));
        state.u32(self.calm_readings);
        state.i64(self.calm_since_ms.unwrap_or_default());
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let detector = state.u8()?;
        let rule = Some(state.text()?).filter(|text| !text.is_empty()).map(Arc::from);
        let opened = MessageId {
            offset: state.i64()?,
            index: state.u32()?,
        };
        let (since_ms, threshold) = (state.i64()?, finite(state)?);
        let (last_anomaly_ms, newest_ms) = (state.i64()?, state.i64()?);
        let worst_severity = match flag(state)? {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let (worst_score, worst_distance) = (finite(state)?, finite(state)?);
        let is_stuck = flag(state)?;
        let calm_readings = state.u32()?;
        let calm_since_ms = Some(state.i64()?).filter(|_| calm_readings > 0);
        Ok(Episode {
            detector,
            rule,
            opened,
            since_ms,
            threshold,
            last_anomaly_ms,
            newest_ms,
            worst_severity,
            worst_score,
            worst_distance,
            is_stuck,
            calm_since_ms,
            calm_readings,
        })
    }
}

/// How far a value beyond the band is from the expected one; 0 if it is within, or there is no band.
fn distance_beyond(value: Option<f64>, verdict: &Verdict) -> f64 {
    match (value, verdict.expected, verdict.lower, verdict.upper) {
        (Some(value), Some(expected), Some(lower), Some(upper)) if !(lower..=upper).contains(&value) => {
            (value - expected).abs().min(f64::MAX)
        }
        _ => 0.0,
    }
}

fn finite(state: &mut StateReader<'_>) -> Result<f64, StateError> {
    Some(state.f64()?)
        .filter(|number| number.is_finite())
        .ok_or(StateError::Impossible("score"))
}

fn flag(state: &mut StateReader<'_>) -> Result<bool, StateError> {
    match state.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(StateError::Impossible("flag")),
    }
}
