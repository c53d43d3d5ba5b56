//! The default detector: a band around what is expected, both learnt from the series itself.
//!
//! What is expected is mixed from the recent past and from the usual values of the time of the day and of the week.
//! How far values are from it is judged by four views ([`views`]), each of which learns how likely such a distance
//! is ([`tail`]); what they say together becomes the score ([`decision`]). Nothing but what was seen before a value
//! judges it, and every reading costs the same.

mod decision;
mod expectation;
mod pace;
mod saved;
mod scale;
mod season;
mod tail;
mod views;

use super::{Cause, Detector, Model, Observation, Slot, StateError, StateReader, StateWriter, Verdict};
use crate::config::Threshold;
use decision::{Decision, Evidence, STUCK_LIMIT};
use expectation::{Expectation, Expected};
use pace::{GAPS, Pace};
use scale::{Scale, Unit};
use season::Season;
use views::{Hour, Point, Range, Stuck};

/// The model: it has no settings but the threshold, and learns all else from each series.
/// docs/detectors/adaptive-band.md tells the method and what it measures.
#[derive(Debug)]
pub struct AdaptiveBand {
    threshold: f64,
}

impl AdaptiveBand {
    /// The name in settings and messages.
    pub const NAME: &'static str = "adaptive-band";

    /// A model that alarms from this evidence on, in decimal digits; 7 by itself.
    pub fn new(threshold: Threshold) -> Self {
        AdaptiveBand {
            threshold: threshold.or(decision::ALARM),
        }
    }
}

impl Model for AdaptiveBand {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Band {
            threshold: self.threshold,
            learnt: None,
        }))
    }
}

#[derive(Debug)]
struct Band {
    threshold: f64,
    learnt: Option<Box<Learnt>>,
}

#[derive(Debug)]
struct Learnt {
    count: u64,
    now_ms: i64,
    step: i64,
    pace: Pace,
    season: Season,
    expectation: Expectation,
    scale: Scale,
    point: Point,
    hour: Hour,
    range: Range,
    stuck: Stuck,
    decision: Decision,
}

/// Larger values count as this, so that differences and their multiples are finite.
const LARGEST: f64 = 1e290;
/// Larger distances count as this, in units of the scale.
const LARGEST_SIZE: f64 = 1e12;
/// How steep an edge of the profile is, in units of the scale.
const EDGE: f64 = 3.0;
/// What a visit may differ from an old mean of the profile to count in full, in mean distances.
const PROFILE_LIMIT: f64 = 4.0;
const DAY_MS: i64 = 86_400_000;

/// A value and what was made of it.
#[derive(Debug)]
struct Seen {
    value: f64,
    expected: Expected,
    unit: Unit,
    /// How far it is outside of what is usual, in units of the scale; below it is negative.
    size: f64,
}

impl Learnt {
    fn new(first: f64, now_ms: i64, threshold: f64) -> Self {
        let pace = Pace::new();
        Learnt {
            count: 0,
            now_ms,
            step: now_ms.div_euclid(pace.width_ms),
            season: Season::new(pace.width_ms, first),
            pace,
            expectation: Expectation::new(first),
            scale: Scale::new(first),
            point: Point::new(),
            hour: Hour::new(),
            range: Range::new(first),
            stuck: Stuck::new(first, now_ms),
            decision: Decision::new(threshold),
        }
    }

    /// Brings the clock to a reading; learns what the steps that are over held.
    fn advance(&mut self, observation: &Observation) {
        let gap_ms = observation.event_time_ms.saturating_sub(self.now_ms);
        if self.count > 0 && self.pace.note(gap_ms) {
            self.point.set_readings_per_step(self.pace.readings_per_step());
            if self.pace.width_ms != self.season.width_ms() {
                self.season = Season::new(self.pace.width_ms, self.season.origin());
                self.step = self.now_ms.div_euclid(self.pace.width_ms);
            }
        }
        self.now_ms = self.now_ms.max(observation.event_time_ms);
        let step = self.now_ms.div_euclid(self.pace.width_ms);
        if step > self.step {
            let steps = usize::try_from(step.saturating_sub(self.step)).unwrap_or(usize::MAX);
            self.step = step;
            let open = self.is_open();
            let slowness = self.pace.slowness;
            self.point.step(steps, open, slowness);
            self.hour.step(steps, open, slowness);
            self.range.step();
        }
        let limit = if self.count as usize <= GAPS + 1 {
            f64::INFINITY
        } else {
            PROFILE_LIMIT * self.scale.overall()
        };
        self.season.begin(observation.local_time_ms, limit);
    }

    /// Whether too little has been seen to limit what is learnt from a reading.
    fn is_open(&self) -> bool {
        self.count as usize <= GAPS
    }

    fn observe(&mut self, observation: &Observation, threshold: f64) -> Verdict {
        let value = observation.value.clamp(-LARGEST, LARGEST);
        self.advance(observation);
        let place = self.season.place(observation.local_time_ms);
        let usual = self.season.usual(place, self.expectation.recent());
        let expected = self.expectation.expect(usual);
        let unit = self.scale.unit(place.hour, value);
        let (below, above) = self.season.slope(place, usual);
        // Near a steep edge of the profile any value between the neighbours is usual.
        let upper = expected.value + if above > EDGE * unit.size { above } else { 0.0 };
        let lower = expected.value + if below < -EDGE * unit.size { below } else { 0.0 };
        let outside = (value - upper).max(0.0) + (value - lower).min(0.0);
        let seen = Seen {
            value,
            expected,
            unit,
            size: (outside / unit.size).clamp(-LARGEST_SIZE, LARGEST_SIZE),
        };
        let (views, mean) = self.views(&seen);
        let (score, cause) = if self.count < self.pace.warm_up {
            (0.0, Cause::Learning)
        } else {
            self.decision.decide(&views, self.now_ms)
        };
        let (size_below, size_above) = self.point.sides.sizes_at(self.pace.band_probability);
        let verdict = Verdict {
            detector: AdaptiveBand::NAME,
            score,
            threshold,
            is_anomaly: score > 0.0 && score >= threshold,
            expected: Some(expected.value),
            lower: Some(lower - unit.size * size_below),
            upper: Some(upper + unit.size * size_above),
            slot: Some(Slot::of(observation.local_time_ms, self.season.width_ms())),
            comparables: Some(u32::try_from(self.count).unwrap_or(u32::MAX)),
            cause,
        };
        self.learn(&seen, mean, views.stuck >= STUCK_LIMIT);
        verdict
    }

    /// What the views say of a value, and the mean of the hour.
    fn views(&mut self, seen: &Seen) -> (Evidence, f64) {
        let (weight, window) = (self.pace.weight, self.pace.window);
        let (point, recent_point) = self.point.evidence(seen.size, window);
        let distance = (seen.value - seen.expected.slow) / seen.unit.size;
        let (mean, hour) = self.hour.evidence(distance, window);
        let stuck = self.stuck.evidence(seen.value, self.now_ms) - self.pace.stuck_penalty;
        let views = Evidence {
            point: weight * point,
            recent_point: weight * recent_point,
            hour: weight * hour,
            range: weight * self.range.evidence(seen.value),
            stuck: weight * stuck.max(0.0),
            weight,
            is_resting: self.stuck.is_resting(),
        };
        (views, mean)
    }

    /// Learns from a value. One that is stuck teaches neither profiles nor scale for its first day.
    fn learn(&mut self, seen: &Seen, mean: f64, is_stuck: bool) {
        let open = self.is_open();
        self.count += 1;
        let count = self.count as f64;
        let (value, unit) = (seen.value, &seen.unit);
        let held = is_stuck && self.now_ms.saturating_sub(self.stuck.since_ms()) < DAY_MS;
        let limit = if open {
            f64::INFINITY
        } else {
            3.0 * self.scale.overall().max(unit.size)
        };
        self.range.learn(value, open);
        self.expectation
            .learn(value, &seen.expected, limit, held, count, &self.pace);
        if !held {
            self.season.add(value);
            let distance = (value - seen.expected.value).abs();
            self.scale.learn_distance(distance, unit, count, open, &self.pace);
        }
        self.scale.learn_value(value, unit, count, open, &self.pace);
        if !open {
            self.point.note(seen.size);
            self.hour.note(mean);
        }
    }

    fn save(&self, state: &mut StateWriter) {
        state.u64(self.count);
        state.i64(self.now_ms);
        state.i64(self.step);
        self.pace.save(state);
        self.season.save(state);
        self.expectation.save(state);
        self.scale.save(state);
        self.point.save(state);
        self.hour.save(state);
        self.range.save(state);
        self.stuck.save(state);
        self.decision.save(state);
    }

    fn restore(threshold: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (count, now_ms, step) = (state.u64()?, state.i64()?, state.i64()?);
        let pace = Pace::restore(state)?;
        let season = Season::restore(state)?;
        if season.width_ms() != pace.width_ms {
            return Err(StateError::Impossible("width of slots"));
        }
        Ok(Learnt {
            count,
            now_ms,
            step,
            season,
            expectation: Expectation::restore(state)?,
            scale: Scale::restore(state)?,
            point: Point::restore(pace.readings_per_step(), state)?,
            hour: Hour::restore(state)?,
            range: Range::restore(state)?,
            stuck: Stuck::restore(state)?,
            decision: Decision::restore(threshold, state)?,
            pace,
        })
    }
}

impl Detector for Band {
    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let learnt = self.learnt.get_or_insert_with(|| {
            let first = observation.value.clamp(-LARGEST, LARGEST);
            Box::new(Learnt::new(first, observation.event_time_ms, self.threshold))
        });
        verdicts.push(learnt.observe(&observation, self.threshold));
    }

    fn save(&self, state: &mut StateWriter) {
        state.u8(u8::from(self.learnt.is_some()));
        if let Some(learnt) = &self.learnt {
            learnt.save(state);
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.learnt = match state.u8()? {
            0 => None,
            1 => Some(Box::new(Learnt::restore(self.threshold, state)?)),
            _ => return Err(StateError::Impossible("mark of having learnt")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observe(detector: &mut dyn Detector, minute: i64, value: f64) -> Verdict {
        let mut verdicts = Vec::new();
        let event_time_ms = minute * 60_000;
        detector.observe(
            Observation {
                event_time_ms,
                local_time_ms: event_time_ms,
                value,
            },
            &mut verdicts,
        );
        verdicts.remove(0)
    }

    fn new() -> Box<dyn Detector> {
        AdaptiveBand::new(Threshold::Auto).detector("").unwrap()
    }

    proptest! {
        #[test]
        fn any_finite_values_at_any_times_give_finite_verdicts(
            readings in prop::collection::vec((-100_000_i64..100_000, prop::num::f64::NORMAL | prop::num::f64::ZERO), 1..400),
        ) {
            let mut detector = new();
            for (minute, value) in readings {
                let verdict = observe(detector.as_mut(), minute, value);
                for number in [Some(verdict.score), verdict.expected, verdict.lower, verdict.upper] {
                    prop_assert!(number.is_none_or(f64::is_finite), "{verdict:?}");
                }
            }
        }

        #[test]
        fn a_restored_detector_goes_on_as_the_saved_one(
            values in prop::collection::vec(prop_oneof![9 => 0.0..1.0, 1 => -1e9..1e9], 1..700),
            part in 0.0..1.0,
        ) {
            let saved_after = (part * values.len() as f64) as usize;
            let mut detector = new();
            for (index, &value) in values.iter().enumerate() {
                if index == saved_after {
                    let mut state = StateWriter::default();
                    detector.save(&mut state);
                    let bytes = state.finish();
                    let mut restored = new();
                    let mut reader = StateReader::new(&bytes);
                    prop_assert_eq!(restored.restore(&mut reader), Ok(()));
                    prop_assert!(reader.is_empty());
                    let mut original = std::mem::replace(&mut detector, restored);
                    for (index, &value) in values.iter().enumerate().skip(index) {
                        let minute = 5 * index as i64;
                        let expected = observe(original.as_mut(), minute, value);
                        prop_assert_eq!(observe(detector.as_mut(), minute, value), expected);
                    }
                    break;
                }
                observe(detector.as_mut(), 5 * index as i64, value);
            }
        }
    }
}
