//! The open episodes of a series: a state machine that finds the place of each anomaly.

use std::sync::Arc;

use super::{CalmStretch, EndReason, EpisodeStep, MessageId, MessageIds, Phase};
use crate::detectors::{Cause, DAY_MS, Observation, Severity, StateError, StateReader, StateWriter, Verdict};

/// How much the score must grow to be worse.
const GROWTH: f64 = 2.0;
/// How long after its last anomaly an episode ends, whatever the readings are: that long the adaptive band holds its reports
/// of a level that stays.
const LONGEST_MS: i64 = 7 * DAY_MS;

/// The open episodes of one series.
#[derive(Debug, Default)]
pub(in crate::detectors) struct Episodes {
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
    pub(in crate::detectors) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the episode of this id is open.
    pub(in crate::detectors) fn is_open(&self, opened: MessageId) -> bool {
        self.open.iter().any(|episode| episode.opened == opened)
    }

    /// Gives each anomaly among a detector's verdicts on an observation its place in an episode, and appends the end of the
    /// detector's episode if it is over.
    pub(in crate::detectors) fn follow(
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
    pub(in crate::detectors) fn follow_elapsed(
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
    pub(in crate::detectors) fn forget(
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
    pub(in crate::detectors) fn save(&self, state: &mut StateWriter) {
        state.u16(self.open.len() as u16);
        for episode in &self.open {
            episode.save(state);
        }
    }

    /// Restores what [`save`](Self::save) wrote of a series with so many detectors.
    pub(in crate::detectors) fn restore(
        detectors: usize,
        state: &mut StateReader<'_>,
    ) -> Result<Self, StateError> {
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
            is_stuck: verdict.cause.is_stuck(),
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
        self.is_stuck &= verdict.cause.is_stuck();
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
        self.opened.save(state);
        state.i64(self.since_ms);
        state.f64(self.threshold);
        state.i64(self.last_anomaly_ms);
        state.i64(self.newest_ms);
        state.u8(match self.worst_severity {
            Severity::Cleared | Severity::Warning => 0,
            Severity::Critical => 1,
            Severity::Expected => 2,
        });
        state.f64(self.worst_score);
        state.f64(self.worst_distance);
        state.u8(u8::from(self.is_stuck));
        state.u32(self.calm_readings);
        state.i64(self.calm_since_ms.unwrap_or_default());
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let detector = state.u8()?;
        let rule = Some(state.text()?).filter(|text| !text.is_empty()).map(Arc::from);
        let opened = MessageId::restore(state)?;
        let (since_ms, threshold) = (state.i64()?, state.finite("score")?);
        let (last_anomaly_ms, newest_ms) = (state.i64()?, state.i64()?);
        let worst_severity = match state.u8()? {
            0 => Severity::Warning,
            1 => Severity::Critical,
            2 => Severity::Expected,
            _ => return Err(StateError::Impossible("severity")),
        };
        let (worst_score, worst_distance) = (state.finite("score")?, state.finite("score")?);
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

fn flag(state: &mut StateReader<'_>) -> Result<bool, StateError> {
    match state.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(StateError::Impossible("flag")),
    }
}
