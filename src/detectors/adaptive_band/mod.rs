//! The default detector: a band around what is expected, both learnt from the series itself.
//!
//! What is expected is mixed from the recent past and from the usual values of the time of the day and of the week.
//! How far values are from it is judged by four views ([`views`]), each of which learns how likely such a distance
//! is ([`tail`]); what they say together becomes the score ([`decision`]). Nothing but what was seen before a value
//! judges it, and every reading costs the same.

mod answers;
mod decision;
mod expectation;
mod pace;
mod saved;
mod scale;
mod season;
mod settings;
mod tail;
mod views;

#[cfg(test)]
mod tests;

use super::{
    CalmStretch, Cause, Detector, LEARNING_MEMORY_MS, Lesson, MEMORY_MS, Model, Observation, Slot,
    StateError, StateReader, StateWriter, Threshold, Verdict,
};
use answers::Patience;
use decision::{Decision, Evidence, STUCK_LIMIT};
use expectation::{Expectation, Expected};
use pace::{GAPS, Pace};
use saved::{finite, time};
use scale::{Scale, Unit};
use season::Season;
use views::{Hour, Point, Range, Stuck};

pub(super) use settings::Settings;

/// The name in settings and messages.
pub(super) const NAME: &str = "adaptive-band";

/// The model: it has no settings but the threshold, and learns all else from each series.
/// docs/detectors/adaptive-band.md describes the method and how well it does.
#[derive(Debug)]
pub struct AdaptiveBand {
    threshold: f64,
}

impl AdaptiveBand {
    /// A model that alarms from this evidence on, in decimal digits; 7 by itself.
    pub fn new(threshold: Threshold) -> Self {
        AdaptiveBand {
            threshold: threshold.or(decision::ALARM),
        }
    }
}

impl Model for AdaptiveBand {
    fn name(&self) -> &'static str {
        NAME
    }

    fn detector(&self, _key: &str) -> Option<Box<dyn Detector>> {
        Some(Box::new(Band {
            threshold: self.threshold,
            knowledge: Knowledge::First(Vec::new()),
            patience: Patience::default(),
        }))
    }
}

#[derive(Debug)]
struct Band {
    threshold: f64,
    knowledge: Knowledge,
    patience: Patience,
}

/// What is known of a series.
#[derive(Debug)]
enum Knowledge {
    /// Its first readings, from which the rest is computed again at each. They take a hundredth of the memory of what
    /// is learnt from them, so that series that come once, of which a careless sender makes many, cost next to nothing.
    First(Vec<Observation>),
    Learnt(Box<Learnt>),
}

/// Readings that are kept as they are.
const FIRST_READINGS: usize = 8;

#[derive(Debug, Clone)]
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
            // The interval turned out to be another one than was assumed. Means by slot of another width cannot be
            // carried over, and so few readings are no loss.
            self.point.set_readings_per_step(self.pace.readings_per_step());
            if self.pace.width_ms != self.season.width_ms() {
                self.season = Season::new(self.pace.width_ms, self.season.origin());
                self.step = self.now_ms.div_euclid(self.pace.width_ms);
            }
        }
        // A reading out of order is judged and learnt, but takes no step back.
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
        // Until there is a scale to measure by, any distance from a mean counts in full.
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
        // Near a steep edge of the profile any value between the neighboring slots' means is usual: a load that is
        // switched on daily is not switched on to the minute.
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
        let (size_below, size_above) = self.point.tail.sizes_at(self.pace.band_probability);
        let (lower, upper) = (lower - unit.size * size_below, upper + unit.size * size_above);
        let is_usual = (lower..=upper).contains(&value) && views.stuck < STUCK_LIMIT;
        let verdict = Verdict {
            detector: NAME,
            score,
            threshold,
            is_anomaly: score > 0.0 && score >= threshold,
            expected: Some(expected.value),
            lower: Some(lower),
            upper: Some(upper),
            slot: Some(Slot::of(observation.local_time_ms, self.season.width_ms())),
            comparables: Some(u32::try_from(self.count).unwrap_or(u32::MAX)),
            is_calm: (cause != Cause::Learning).then_some(is_usual),
            cause,
            episode: None,
        };
        // Last, so that a value is judged by earlier ones only.
        self.learn(&seen, mean, views.stuck >= STUCK_LIMIT);
        verdict
    }

    /// What the views say of a value, and the mean of the hour.
    fn views(&mut self, seen: &Seen) -> (Evidence, f64) {
        let (weight, window) = (self.pace.weight, self.pace.window);
        let (point, recent_point) = self.point.evidence(seen.size, window);
        // The mixed expectation follows a new level within a few readings, and the hour would see nothing of it; the
        // slow one needs hours.
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

    /// Learns from a value. One that is stuck teaches neither profiles nor scale for its first day: a sensor that hangs
    /// must not become the usual, and one that rests for good must.
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

/// Readings within the band that end an episode.
const CALM: CalmStretch = CalmStretch {
    distance: 0.5,
    ..CalmStretch::of_readings(12)
};

/// Stands in a state in the place of the count of first readings.
const LEARNT: u8 = 255;

impl Detector for Band {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        let readings = match &mut self.knowledge {
            Knowledge::Learnt(learnt) => {
                verdicts.push(self.patience.judge(learnt, &observation, self.threshold));
                return;
            }
            Knowledge::First(readings) => readings,
        };
        let first = readings.first().unwrap_or(&observation);
        let first_value = first.value.clamp(-LARGEST, LARGEST);
        let mut learnt = Learnt::new(first_value, first.event_time_ms, self.threshold);
        for reading in readings.iter() {
            learnt.observe(reading, self.threshold);
        }
        verdicts.push(learnt.observe(&observation, self.threshold));
        if readings.len() == FIRST_READINGS {
            self.knowledge = Knowledge::Learnt(Box::new(learnt));
        } else {
            if readings.len() == readings.capacity() {
                readings.reserve_exact(readings.len().max(1));
            }
            readings.push(observation);
        }
    }

    fn observe_only(&mut self, observation: Observation, verdicts: &mut Vec<Verdict>) {
        verdicts.push(match &mut self.knowledge {
            Knowledge::Learnt(learnt) => self.patience.judge_aside(learnt, &observation, self.threshold),
            Knowledge::First(_) => Verdict::learning(NAME, self.threshold),
        });
    }

    fn teach(&mut self, lesson: Lesson) -> bool {
        self.patience.heed(lesson)
    }

    fn calm(&self) -> CalmStretch {
        CALM
    }

    fn memory_ms(&self) -> i64 {
        match &self.knowledge {
            Knowledge::Learnt(learnt) if learnt.count >= learnt.pace.warm_up => MEMORY_MS,
            _ => LEARNING_MEMORY_MS,
        }
    }

    fn save(&self, state: &mut StateWriter) {
        self.patience.save(state);
        match &self.knowledge {
            Knowledge::First(readings) => {
                state.u8(readings.len() as u8);
                for reading in readings {
                    state.i64(reading.event_time_ms);
                    state.i64(reading.local_time_ms);
                    state.f64(reading.value);
                }
            }
            Knowledge::Learnt(learnt) => {
                state.u8(LEARNT);
                learnt.save(state);
            }
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.patience = Patience::restore(state)?;
        self.knowledge = match state.u8()? {
            LEARNT => Knowledge::Learnt(Box::new(Learnt::restore(self.threshold, state)?)),
            count if usize::from(count) <= FIRST_READINGS => {
                let mut readings = Vec::with_capacity(count.into());
                for _ in 0..count {
                    readings.push(Observation {
                        event_time_ms: time(state)?,
                        local_time_ms: time(state)?,
                        value: finite(state, "reading")?,
                    });
                }
                Knowledge::First(readings)
            }
            _ => return Err(StateError::Impossible("count of first readings")),
        };
        Ok(())
    }
}
