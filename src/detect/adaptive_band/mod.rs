//! The default detector.

mod decision;
mod expectation;
mod saved;
mod scale;
mod season;
mod tail;
mod views;

use super::{Detector, Model, Observation, Slot, StateError, StateReader, StateWriter, Verdict};
use crate::config::Threshold;
use decision::{Decision, Evidence, LIMIT, STUCK_LIMIT};
use expectation::Expectation;
use scale::Scale;
use season::Season;
use views::{Hour, Point, Range, Stuck};

#[derive(Debug)]
pub struct AdaptiveBand {
    threshold: f64,
}

impl AdaptiveBand {
    pub const NAME: &'static str = "adaptive-band";

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
            count: 0,
            gaps: Vec::new(),
            last_ms: 0,
            learnt: None,
        }))
    }
}

#[derive(Debug)]
struct Band {
    threshold: f64,
    count: u64,
    gaps: Vec<i64>,
    last_ms: i64,
    learnt: Option<Box<Learnt>>,
}

#[derive(Debug)]
struct Learnt {
    season: Season,
    expectation: Expectation,
    scale: Scale,
    point: Point,
    hour: Hour,
    range: Range,
    stuck: Stuck,
    decision: Decision,
}

/// Readings without limits on what is learnt from one.
const OPENING: u64 = 20;
/// Larger values count as this.
const LARGEST: f64 = 1e290;

impl Learnt {
    fn new(first: f64) -> Self {
        Learnt {
            season: Season::new(300_000, first),
            expectation: Expectation::new(first),
            scale: Scale::new(first),
            point: Point::new(),
            hour: Hour::new(),
            range: Range::new(first),
            stuck: Stuck::new(first),
            decision: Decision::new(),
        }
    }
}

impl Learnt {
    fn save(&self, state: &mut StateWriter) {
        self.season.save(state);
        self.expectation.save(state);
        self.scale.save(state);
        self.point.save(state);
        self.hour.save(state);
        self.range.save(state);
        self.stuck.save(state);
        self.decision.save(state);
    }

    fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        Ok(Learnt {
            season: Season::restore(state)?,
            expectation: Expectation::restore(state)?,
            scale: Scale::restore(state)?,
            point: Point::restore(state)?,
            hour: Hour::restore(state)?,
            range: Range::restore(state)?,
            stuck: Stuck::restore(state)?,
            decision: Decision::restore(state)?,
        })
    }
}

impl Detector for Band {
    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        // Differences of such values, and a few times those, are finite.
        let value = observation.value.clamp(-LARGEST, LARGEST);
        let count = self.count;
        self.count += 1;
        let learnt = self.learnt.get_or_insert_with(|| Box::new(Learnt::new(value)));
        if count > 0 && count <= OPENING {
            self.gaps.push(observation.event_time_ms - self.last_ms);
            if count == OPENING {
                let mut gaps = self.gaps.clone();
                gaps.sort_unstable();
                let width = Season::width_for(gaps[10]);
                if width != learnt.season.width_ms() {
                    learnt.season = Season::new(width, learnt.season.origin());
                }
            }
        }
        self.last_ms = observation.event_time_ms;
        let open = count <= OPENING;
        let place = learnt.season.place(observation.local_time_ms);
        let usual = learnt.season.usual(place, learnt.expectation.recent());
        let expected = learnt.expectation.expect(usual);
        let unit = learnt.scale.unit(place.hour, value);
        let (below, above) = learnt.season.slope(place, usual);
        let upper = expected.value + if above > 1.5 * unit.size { above } else { 0.0 };
        let lower = expected.value + if below < -1.5 * unit.size { below } else { 0.0 };
        let size = if value > upper {
            (value - upper) / unit.size
        } else if value < lower {
            (value - lower) / unit.size
        } else {
            0.0
        };
        let (point, recent_point) = learnt.point.evidence(size, count);
        let (mean, hour) = learnt.hour.evidence((value - expected.slow) / unit.size, count);
        let range = learnt.range.evidence(value, count);
        let stuck = learnt.stuck.evidence(value);
        let decided = learnt.decision.decide(
            &Evidence {
                point,
                recent_point,
                hour,
                range,
                stuck,
            },
            count,
        );
        let (size_below, size_above) = learnt.point.sides.sizes_at(libm::pow(10.0, -LIMIT) / 2.0);
        verdicts.push(Verdict {
            detector: AdaptiveBand::NAME,
            score: decided.score,
            threshold: self.threshold,
            is_anomaly: decided.is_anomaly,
            expected: Some(expected.value),
            lower: Some(lower - unit.size * size_below),
            upper: Some(upper + unit.size * size_above),
            slot: Some(Slot::of(observation.local_time_ms, learnt.season.width_ms())),
            comparables: Some(u32::try_from(count).unwrap_or(u32::MAX)),
            cause: decided.cause,
        });
        learnt.range.learn(value, open);
        let held = stuck >= STUCK_LIMIT && learnt.stuck.run < 288;
        let limit = if open {
            f64::INFINITY
        } else {
            3.0 * learnt.scale.overall().max(unit.size)
        };
        let seen = self.count as f64;
        learnt.expectation.learn(value, &expected, limit, held, seen);
        if !held {
            learnt.season.learn(place, value, 2.0 * limit);
            learnt
                .scale
                .learn_distance((value - expected.value).abs(), &unit, seen, open);
        }
        learnt.scale.learn_value(value, &unit, seen, open);
        if !open {
            learnt.point.learn(size);
            learnt.hour.learn(mean);
        }
    }

    fn save(&self, state: &mut StateWriter) {
        state.u64(self.count);
        state.i64(self.last_ms);
        state.u8(self.gaps.len() as u8);
        self.gaps.iter().for_each(|&gap| state.i64(gap));
        if let Some(learnt) = &self.learnt {
            learnt.save(state);
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.count = state.u64()?;
        self.last_ms = state.i64()?;
        let gaps = state.u8()?;
        if u64::from(gaps) != self.count.saturating_sub(1).min(OPENING) {
            return Err(StateError::Impossible("count of gaps"));
        }
        self.gaps = (0..gaps).map(|_| state.i64()).collect::<Result<_, _>>()?;
        self.learnt = if self.count > 0 {
            Some(Box::new(Learnt::restore(state)?))
        } else {
            None
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
