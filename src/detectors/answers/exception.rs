//! A time of the week at which something unusual is expected.

use std::sync::Arc;

use super::{Causes, MessageId, Observation, StateError, StateReader, StateWriter, Told, Verdict};
use super::{restore_name, save_name};
use crate::detectors::DAY_MS;

const WEEK_MS: i64 = 7 * DAY_MS;
/// How far from the time of the week it may come: the hour's view needs up to an hour to see the same again.
const TOLERANCE_MS: i64 = 3_600_000;
/// How much further out than what was seen it may be.
const MARGIN: f64 = 1.2;
/// How long it is expected without coming again: what comes after five weeks, and an hour later at most, still counts.
const LASTS_MS: i64 = 5 * WEEK_MS + 2 * TOLERANCE_MS;

/// What is expected of a detector's anomalies at a time of the week.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exception {
    pub episode: MessageId,
    pub by: Option<Arc<str>>,
    detector: u8,
    /// What the episode rested on.
    causes: Causes,
    /// Of the episode's first anomaly, on the wall clock.
    local_time_ms: i64,
    /// How far from the expected value it may be on each side; 0 where nothing was seen.
    above: f64,
    below: f64,
    expires_ms: i64,
    /// It is not renewed beyond this.
    until_ms: i64,
}

impl Exception {
    /// What comes again as this episode did; `None` where it cannot be told again, as no value was expected.
    pub(super) fn new(told: &Told, until_ms: Option<i64>, now_ms: i64, by: Option<Arc<str>>) -> Option<Self> {
        if told.above == 0.0 && told.below == 0.0 && !told.causes.meets(Causes::STUCK) {
            return None;
        }
        let mut exception = Exception {
            episode: told.episode,
            by,
            detector: told.detector,
            causes: told.causes,
            local_time_ms: told.local_time_ms,
            above: MARGIN * told.above,
            below: MARGIN * told.below,
            expires_ms: i64::MIN,
            until_ms: until_ms.unwrap_or(i64::MAX),
        };
        exception.renew(now_ms);
        Some(exception)
    }

    /// Whether an anomaly is what is expected.
    pub(super) fn fits(&self, detector: u8, observation: &Observation, verdict: &Verdict) -> bool {
        let since_ms = observation
            .local_time_ms
            .saturating_sub(self.local_time_ms)
            .rem_euclid(WEEK_MS);
        let is_then = since_ms.min(WEEK_MS - since_ms) <= TOLERANCE_MS;
        if detector != self.detector || !is_then || !self.lasts(observation.event_time_ms) {
            return false;
        }
        let causes = Causes::of(&verdict.cause);
        // A value that hangs has no distance that says how unusual that is.
        if causes.meets(Causes::STUCK) {
            return self.causes.meets(causes);
        }
        let distance = verdict.expected.map(|expected| observation.value - expected);
        distance.is_some_and(|distance| -self.below <= distance && distance <= self.above)
    }

    /// It came again, or was said to.
    pub(super) fn renew(&mut self, now_ms: i64) {
        let expires_ms = now_ms.saturating_add(LASTS_MS).min(self.until_ms);
        self.expires_ms = self.expires_ms.max(expires_ms);
    }

    /// Whether it has not run out.
    pub(super) fn lasts(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms
    }

    pub(super) fn save(&self, state: &mut StateWriter) {
        self.episode.save(state);
        save_name(self.by.as_deref(), state);
        state.u8(self.detector);
        state.u16(self.causes.bits());
        state.i64(self.local_time_ms);
        state.f64(self.above);
        state.f64(self.below);
        state.i64(self.expires_ms);
        state.i64(self.until_ms);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Exception {
            episode: MessageId::restore(state)?,
            by: restore_name(state)?,
            detector: state.u8()?,
            causes: Causes::from_bits(state.u16()?),
            local_time_ms: state.i64()?,
            above: state.f64()?,
            below: state.f64()?,
            expires_ms: state.i64()?,
            until_ms: state.i64()?,
        })
    }
}
