//! What is known of a series, and how a reading is judged by it.

use super::super::calendar::weekday_of;
use super::super::notice::Signs;
use super::super::{
    Cause, DAY_MS, Earlier, Notice, Observation, Slot, StateError, StateReader, StateWriter, Verdict,
};
use super::NAME;
use super::decision::{Decision, Evidence, Lead, STUCK_LIMIT};
use super::expectation::{Expectation, Expected};
use super::pace::Pace;
use super::present::Present;
use super::range::Range;
use super::resolution::Resolution;
use super::saved::time;
use super::scale::{Scale, Unit};
use super::season::Season;
use super::stuck::Stuck;
use super::trend::{Slope, Trend};
use super::views::{Hour, Point};

#[derive(Debug, Clone)]
pub(super) struct Learnt {
    count: u64,
    signs: Signs,
    first_ms: i64,
    /// Whether it has learnt enough to judge, which it never unlearns.
    judges: bool,
    present: Present,
    step: i64,
    pace: Pace,
    season: Season,
    expectation: Expectation,
    scale: Scale,
    resolution: Resolution,
    point: Point,
    hour: Hour,
    range: Range,
    stuck: Stuck,
    trend: Trend,
    decision: Decision,
}

/// Larger values count as this, so that differences and their multiples are finite.
pub(super) const LARGEST: f64 = 1e290;
/// Larger distances count as this, in units of the scale.
const LARGEST_SIZE: f64 = 1e12;
/// How steep an edge of the profile is, in units of the scale.
const EDGE: f64 = 3.0;
/// What a visit may differ from an old mean of the profile to count in full, in mean distances.
const PROFILE_LIMIT: f64 = 4.0;
/// As long as no more readings have been seen, nothing limits what is learnt from one.
const OPEN_READINGS: u64 = 20;
const HOUR_MS: i64 = 3_600_000;
/// Event time before the first verdict: a whole day, and a little.
pub(super) const WARM_UP_MS: i64 = 25 * HOUR_MS;
/// How long a series knows a single day at most, and how long a single weekend.
const FIRST_DAYS_MS: i64 = 2 * DAY_MS;
const FIRST_WEEK_MS: i64 = 8 * DAY_MS;
/// What evidence counts in the first days and at the first weekend, and the ratio of errors from which on a profile matters.
const FIRST_TIMES_PART: f64 = 0.5;
const SEASONAL: f64 = 0.8;

/// What has been reported and is not to be reported again for a while.
#[derive(Debug)]
pub(super) struct Reported {
    decision: Decision,
    stuck: f64,
}

/// A value and what was made of it.
#[derive(Debug)]
struct Seen {
    value: f64,
    local_time_ms: i64,
    expected: Expected,
    unit: Unit,
    /// What is usual but for noise.
    edges: (f64, f64),
    /// How far it is outside of what is usual, in units of the scale; below it is negative.
    size: f64,
}

impl Learnt {
    pub(super) fn new(first: f64, now_ms: i64, threshold: f64) -> Self {
        let pace = Pace::new();
        Learnt {
            count: 0,
            signs: Signs::default(),
            first_ms: now_ms,
            judges: false,
            present: Present::new(now_ms),
            step: now_ms.div_euclid(pace.width_ms),
            season: Season::new(pace.width_ms, first),
            pace,
            expectation: Expectation::new(first),
            scale: Scale::new(first),
            resolution: Resolution::new(),
            point: Point::new(),
            hour: Hour::new(),
            range: Range::new(first),
            stuck: Stuck::new(first, now_ms),
            trend: Trend::new(first),
            decision: Decision::new(threshold),
        }
    }

    fn now_ms(&self) -> i64 {
        self.present.now_ms()
    }

    /// What a person should know of the series.
    pub(super) fn notice(&self) -> Notice {
        self.signs.notice(self.learning_until_ms())
    }

    fn learning_until_ms(&self) -> Option<i64> {
        if self.judges {
            return None;
        }
        let missing = self.pace.warm_up.saturating_sub(self.count) as i64;
        let by_readings_ms = self.now_ms().saturating_add(missing * self.pace.interval_ms);
        Some(by_readings_ms.max(self.first_ms.saturating_add(WARM_UP_MS)))
    }

    /// Brings the clock to a reading; learns what the steps that are over held.
    fn advance(&mut self, observation: &Observation) {
        let gap_ms = observation.event_time_ms.saturating_sub(self.now_ms());
        self.signs.note(observation.value, gap_ms);
        if self.count > 0 && self.pace.note(gap_ms) {
            self.take_pace();
        }
        if self
            .present
            .come_to(observation.event_time_ms, self.pace.interval_ms)
        {
            self.turn_back();
        }
        let step = self.now_ms().div_euclid(self.pace.width_ms);
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
        let limit = if self.count <= OPEN_READINGS + 1 {
            f64::INFINITY
        } else {
            PROFILE_LIMIT * self.scale.overall()
        };
        self.season.begin(observation.local_time_ms, limit);
    }

    /// The interval turned out to be another one than was assumed or known. Means by slot of another width cannot be carried
    /// over.
    fn take_pace(&mut self) {
        self.point.set_pace(&self.pace);
        self.hour.set_pace(&self.pace);
        if self.pace.width_ms != self.season.width_ms() {
            self.season = Season::new(self.pace.width_ms, self.season.origin());
            self.step = self.now_ms().div_euclid(self.pace.width_ms);
        }
    }

    /// The time that was now turned out to be wrong: what was noted by it holds from now on.
    fn turn_back(&mut self) {
        let now_ms = self.now_ms();
        self.step = now_ms.div_euclid(self.pace.width_ms);
        self.first_ms = self.first_ms.min(now_ms);
        self.decision.turn_back(now_ms);
        self.stuck.turn_back(now_ms);
    }

    /// Whether too little has been seen to limit what is learnt from a reading.
    fn is_open(&self) -> bool {
        self.count <= OPEN_READINGS
    }

    pub(super) fn observe(&mut self, observation: &Observation, threshold: f64) -> Verdict {
        self.advance(observation);
        let seen = self.see(observation);
        let (views, mean) = self.views(&seen);
        // By event time, because a holiday is a Sunday on the detectors' calendar.
        let slope = self.trend.note(seen.value, self.now_ms());
        self.judges |=
            self.count >= self.pace.warm_up && self.now_ms().saturating_sub(self.first_ms) >= WARM_UP_MS;
        let mut decided = None;
        if self.judges {
            let slope_size = slope.map(|slope| slope.size);
            decided = Some(self.decision.decide(&views, slope_size, self.now_ms()));
        }
        let score = decided.map_or(0.0, |(score, _)| score);
        let is_anomaly = score > 0.0 && score >= threshold;
        let lead = decided.map(|(_, lead)| lead);
        let (lower, upper) = self.band(&seen, lead.filter(|_| is_anomaly));
        let is_within = (lower..=upper).contains(&seen.value);
        let is_stuck = views.stuck >= STUCK_LIMIT || self.stuck.is_reported();
        let cause = match lead {
            Some(lead) => self.cause(lead, &seen, &views, is_within, slope),
            None => Cause::Learning,
        };
        if is_anomaly && lead == Some(Lead::Stuck) {
            self.stuck.report(views.stuck);
        }
        self.point.keep(
            views.point,
            Earlier {
                local_time_ms: seen.local_time_ms,
                value: seen.value,
                lower,
                upper,
            },
        );
        let expected = self
            .range
            .on_its_side(self.resolution.nearest(seen.expected.value));
        let verdict = Verdict {
            detector: NAME,
            score,
            threshold,
            is_anomaly,
            expected: Some(expected.max(lower).min(upper)),
            lower: Some(lower),
            upper: Some(upper),
            slot: Some(Slot::of(seen.local_time_ms, self.season.width_ms())),
            comparables: Some(u32::try_from(self.count).unwrap_or(u32::MAX)),
            is_calm: self.judges.then_some(is_within && !is_stuck),
            cause,
            episode: None,
        };
        // Last, so that a value is judged by earlier ones only.
        self.learn(&seen, mean, is_stuck);
        verdict
    }

    /// Compares a value with what is expected of it.
    fn see(&mut self, observation: &Observation) -> Seen {
        let value = observation.value.clamp(-LARGEST, LARGEST);
        self.resolution.note(value);
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
        Seen {
            value,
            local_time_ms: observation.local_time_ms,
            expected,
            unit,
            edges: (lower, upper),
            size: (outside / unit.size).clamp(-LARGEST_SIZE, LARGEST_SIZE),
        }
    }

    /// What the views say of a value, and the mean of the hour.
    fn views(&mut self, seen: &Seen) -> (Evidence, f64) {
        let (weight, window) = (self.pace.weight, self.pace.window);
        let point = self.point.evidence(seen.size);
        // The mixed expectation follows a new level within a few readings, and the hour would see nothing of it; the
        // slow one needs hours.
        let distance = (seen.value - seen.expected.slow) / seen.unit.size;
        let (mean, hour) = self.hour.evidence(distance, window);
        let stuck = self.stuck.evidence(seen.value, self.now_ms(), &self.pace);
        // The value at which a series rests is never out of the ordinary, whatever was just before; for how long it
        // rests is another question.
        let all_count = weight * self.part_counted(seen);
        let counts = if self.stuck.is_rest(seen.value) {
            0.0
        } else {
            all_count
        };
        let views = Evidence {
            point: counts * point,
            recent_point: self.point.most_before(window).max(counts * point),
            hour: counts * hour,
            range: all_count * self.range.evidence(seen.value),
            stuck,
            weight,
            is_resting: self.stuck.is_resting(),
        };
        (views, mean)
    }

    /// What evidence counts: half as long as a single day is known, and at the first weekend, of which nobody knows yet what it
    /// is like; if the times of the day matter at all.
    fn part_counted(&self, seen: &Seen) -> f64 {
        let age_ms = self.now_ms().saturating_sub(self.first_ms);
        let is_first = age_ms < FIRST_DAYS_MS || age_ms < FIRST_WEEK_MS && is_weekend(seen.local_time_ms);
        if is_first && self.expectation.profile_error_ratio() < SEASONAL {
            FIRST_TIMES_PART
        } else {
            1.0
        }
    }

    /// The band that is published with a value: beyond it, a value alone is an anomaly. That of a new extreme ends where
    /// all values before did.
    fn band(&self, seen: &Seen, lead: Option<Lead>) -> (f64, f64) {
        let (size_below, size_above) = self.point.tail.sizes_at(self.pace.band_probability);
        let (lower, upper) = seen.edges;
        let mut band = (
            lower - seen.unit.size * size_below,
            upper + seen.unit.size * size_above,
        );
        if lead == Some(Lead::Range) {
            band = self.range.within(band);
        }
        let (lower, upper) = self.resolution.band(band);
        let (lower, upper) = (self.range.on_its_side(lower), self.range.on_its_side(upper));
        (lower.min(upper), upper.max(lower))
    }

    /// What is said of a value. A point or a new extreme lies outside of the band that is published with it (a test holds
    /// that); what an earlier value of the hour or the hour as a whole gives away is said of the hour.
    fn cause(
        &self,
        lead: Lead,
        seen: &Seen,
        views: &Evidence,
        is_within: bool,
        slope: Option<Slope>,
    ) -> Cause {
        match (lead, slope) {
            (Lead::Trend, Some(slope)) => Cause::Trend {
                per_day: slope.per_day,
                days: slope.days,
            },
            (Lead::Stuck, _) => Cause::Stuck {
                lasted_ms: self.now_ms().saturating_sub(self.stuck.since_ms()),
                longest_before_ms: self.stuck.longest_before_ms(),
            },
            (Lead::Range, _) if !is_within => Cause::Range {
                record_before: self.range.record_before(seen.value),
            },
            (Lead::Point, _) if !is_within => Cause::Point,
            _ => {
                let peak = self.point.peak(self.pace.window);
                let is_earlier = views.recent_point > views.point;
                Cause::Hour {
                    span_ms: self.pace.window_ms(),
                    earlier: peak.filter(|peak| is_earlier && peak.is_beyond()),
                }
            }
        }
    }

    /// Learns from a value. One that is stuck teaches neither profiles nor scale for its first day: a sensor that hangs
    /// must not become the usual, and one that rests for good must.
    fn learn(&mut self, seen: &Seen, mean: f64, is_stuck: bool) {
        let open = self.is_open();
        self.count += 1;
        let count = self.count as f64;
        let (value, unit) = (seen.value, &seen.unit);
        let held = is_stuck && self.now_ms().saturating_sub(self.stuck.since_ms()) < DAY_MS;
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

    pub(super) fn save(&self, state: &mut StateWriter) {
        state.u64(self.count);
        self.signs.save(state);
        state.i64(self.first_ms);
        state.u8(u8::from(self.judges));
        self.present.save(state);
        state.i64(self.step);
        self.pace.save(state);
        self.season.save(state);
        self.expectation.save(state);
        self.scale.save(state);
        self.resolution.save(state);
        self.point.save(state);
        self.hour.save(state);
        self.range.save(state);
        self.stuck.save(state);
        self.trend.save(state);
        self.decision.save(state);
    }

    pub(super) fn restore(threshold: f64, state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let (count, signs) = (state.u64()?, Signs::restore(state)?);
        let first_ms = time(state)?;
        let judges = state.u8()? != 0;
        let (present, step) = (Present::restore(state)?, state.i64()?);
        let pace = Pace::restore(state)?;
        let season = Season::restore(state)?;
        if season.width_ms() != pace.width_ms {
            return Err(StateError::Impossible("width of slots"));
        }
        Ok(Learnt {
            count,
            signs,
            first_ms,
            judges,
            present,
            step,
            season,
            expectation: Expectation::restore(state)?,
            scale: Scale::restore(state)?,
            resolution: Resolution::restore(state)?,
            point: Point::restore(&pace, state)?,
            hour: Hour::restore(&pace, state)?,
            range: Range::restore(state)?,
            stuck: Stuck::restore(state)?,
            trend: Trend::restore(state)?,
            decision: Decision::restore(threshold, state)?,
            pace,
        })
    }

    /// What has been reported.
    pub(super) fn reported(&self) -> Reported {
        Reported {
            decision: self.decision.clone(),
            stuck: self.stuck.reported(),
        }
    }

    /// Takes this for what has been reported; where the present run of equal values is concerned, that, too.
    pub(super) fn take_reported(&mut self, reported: Reported, of_run: bool) {
        self.decision = reported.decision;
        if of_run {
            self.stuck.report(reported.stuck);
        }
    }

    /// Whether it has learnt enough to judge.
    pub(super) fn judges(&self) -> bool {
        self.judges
    }
}

/// From Friday's evening to Monday's morning, which the days before say little of.
fn is_weekend(local_time_ms: i64) -> bool {
    let weekday = weekday_of(local_time_ms.div_euclid(DAY_MS));
    let hour = local_time_ms.rem_euclid(DAY_MS) / HOUR_MS;
    match weekday {
        4 => hour >= 18,
        0 => hour < 12,
        weekday => weekday >= 5,
    }
}
