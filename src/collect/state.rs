//! What is asked for next, and what an answer changes: readings, and watermarks that move with them.
//!
//! A metric's watermark is the end of what its points are in the topic for. It moves over a span of time only if
//! CloudWatch has answered for all of it, and together with the readings of the span, in one transaction. So each point
//! is written once, whatever dies in between.
//!
//! Absent: clocks, Kafka, HTTP, and any memory of what was not committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::answer::SeriesAnswer;
use super::message::{Point, message};
use super::metric::Metric;
use super::watermark::Watermark;

/// When points are asked for. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub period_ms: i64,
    /// How long a point is waited for.
    pub delay_ms: i64,
    pub backfill_ms: i64,
    pub refresh_ms: i64,
    pub retention_ms: i64,
}

/// A metric with its names, made once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub identity: String,
    pub reading_key: String,
    pub metric: Metric,
}

/// One question to CloudWatch: the points of a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The first period's start.
    pub start_ms: i64,
    /// Exclusive.
    pub end_ms: i64,
    /// Where the readings begin: what lies before was written, and is only looked at again.
    pub from_ms: i64,
    /// How much lies before `from_ms` that CloudWatch no longer keeps, and that was never written.
    pub expired_ms: i64,
    pub series: Vec<Arc<Series>>,
}

/// A reading to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CollectedReading {
    pub key: String,
    pub value: String,
    pub time_ms: i64,
}

/// What becomes durable in one transaction, and what is known after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Harvest {
    pub readings: Vec<CollectedReading>,
    pub watermarks: Vec<Watermark>,
    /// Identities whose watermarks are of no use any more.
    pub forgotten: Vec<String>,
    /// Points that came after their time was written.
    pub late: u64,
    /// Points whose value is not the one that was written.
    pub changed: u64,
    /// Series that stay where they are, and why.
    pub left: Vec<(Arc<Series>, String)>,
    /// Points of a series, by its identity.
    seen: Vec<(String, Vec<Point>)>,
}

/// Two metrics whose readings could not be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SameKey {
    pub key: String,
    pub metrics: Box<[Metric; 2]>,
}

/// The metrics that are collected, and how far each is.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    timing: Timing,
    region: String,
    statistic: String,
    /// Of all metrics of this region and namespace, whether they are asked for or not.
    watermarks: BTreeMap<String, i64>,
    asked: BTreeMap<String, Asked>,
}

#[derive(Debug, Clone)]
struct Asked {
    series: Arc<Series>,
    /// From here on `seen` knows what was written.
    seen_from_ms: i64,
    /// The values of points, as bits.
    seen: BTreeMap<i64, u64>,
}

/// Metrics in a request.
const MOST_QUERIES: usize = 500;
/// Points in an answer.
const MOST_POINTS: usize = 100_800;
/// How far back is looked for points that came late, and at most how many periods of it.
const LOOKED_BACK_MS: i64 = 3_600_000;
const LOOKED_BACK_PERIODS: i64 = 60;
/// CloudWatch keeps no point of whatever period for longer, so a metric that is not listed any more cannot be read twice.
const LONGEST_RETENTION_MS: i64 = 455 * 86_400_000;
/// A metric may be listed so long after its first point.
const LISTING_LAG_MS: i64 = 900_000;

impl Timing {
    fn period_of(&self, time_ms: i64) -> i64 {
        time_ms - time_ms.rem_euclid(self.period_ms)
    }

    /// The end of the last period whose points have had the time to come.
    pub(crate) fn end_ms(&self, now_ms: i64) -> i64 {
        self.period_of(now_ms.saturating_sub(self.delay_ms))
    }

    /// The first period that CloudWatch still keeps whole.
    fn oldest_ms(&self, now_ms: i64) -> i64 {
        self.period_of(now_ms.saturating_sub(self.retention_ms)) + self.period_ms
    }

    fn looked_back_ms(&self) -> i64 {
        let most_ms = LOOKED_BACK_MS.min(LOOKED_BACK_PERIODS * self.period_ms);
        self.period_of(most_ms).max(self.period_ms)
    }
}

impl Collector {
    /// A collector that goes on from these watermarks, of which those of other regions and namespaces are none of its
    /// own.
    pub(crate) fn new(
        timing: Timing,
        (region, namespace): (&str, &str),
        statistic: &str,
        mut watermarks: BTreeMap<String, i64>,
    ) -> Self {
        let own = serde_json::json!([region, namespace]).to_string();
        let own = format!("{},", own.trim_end_matches(']'));
        watermarks.retain(|identity, _| identity.starts_with(&own));
        Collector {
            timing,
            region: region.to_owned(),
            statistic: statistic.to_owned(),
            watermarks,
            asked: BTreeMap::new(),
        }
    }

    /// Asks for these metrics from now on, and no others. The answer has the watermarks of those that had none: they
    /// must be committed before anything is asked, so that a restart starts from there, too.
    ///
    /// # Errors
    /// [`SameKey`].
    pub(crate) fn listed(&mut self, metrics: Vec<Metric>, now_ms: i64) -> Result<Harvest, SameKey> {
        let mut keys: BTreeMap<String, Arc<Series>> = BTreeMap::new();
        let mut before = std::mem::take(&mut self.asked);
        let start_ms = self.start_ms(now_ms);
        let mut starts = Harvest::default();
        for metric in metrics {
            let identity = metric.identity(&self.region);
            if self.asked.contains_key(&identity) {
                continue;
            }
            let asked = before.remove(&identity).unwrap_or_else(|| Asked {
                seen_from_ms: self.watermarks.get(&identity).copied().unwrap_or(start_ms),
                seen: BTreeMap::new(),
                series: Arc::new(Series {
                    identity: identity.clone(),
                    reading_key: metric.reading_key(),
                    metric,
                }),
            });
            let key = asked.series.reading_key.clone();
            if let Some(other) = keys.insert(key.clone(), Arc::clone(&asked.series)) {
                let metrics = Box::new([other.metric.clone(), asked.series.metric.clone()]);
                return Err(SameKey { key, metrics });
            }
            if !self.watermarks.contains_key(&identity) {
                starts.watermarks.push(Watermark {
                    identity: identity.clone(),
                    done_ms: start_ms,
                });
            }
            self.asked.insert(identity, asked);
        }
        let is_forgotten = |(identity, done_ms): &(&String, &i64)| {
            **done_ms < now_ms - LONGEST_RETENTION_MS && !self.asked.contains_key(*identity)
        };
        let forgotten = self.watermarks.iter().filter(is_forgotten);
        starts.forgotten = forgotten.map(|(identity, _)| identity.clone()).collect();
        Ok(starts)
    }

    /// Where a metric without a watermark starts: `backfill` ago; and where others were collected before, it may have
    /// appeared after the listing before this one, of which the newest watermark tells the time.
    fn start_ms(&self, now_ms: i64) -> i64 {
        let timing = &self.timing;
        let backfilled_ms = timing.end_ms(now_ms).saturating_sub(timing.backfill_ms);
        let unlisted_ms = timing.refresh_ms.saturating_add(LISTING_LAG_MS);
        let listed_ms = self
            .watermarks
            .values()
            .max()
            .map(|newest_ms| newest_ms - unlisted_ms);
        let start_ms = backfilled_ms.min(listed_ms.unwrap_or(i64::MAX));
        timing.period_of(start_ms).max(timing.oldest_ms(now_ms))
    }

    /// What is to be asked now: each series at most once, but for those `left` for later. Empty once all points that
    /// are due are here.
    pub(crate) fn plan(&self, now_ms: i64, left: &BTreeSet<String>) -> Vec<Request> {
        let end_ms = self.timing.end_ms(now_ms);
        let mut by_done: BTreeMap<i64, Vec<Arc<Series>>> = BTreeMap::new();
        for (identity, asked) in &self.asked {
            if let Some(&done_ms) = self.watermarks.get(identity)
                && done_ms < end_ms
                && !left.contains(identity)
            {
                by_done
                    .entry(done_ms)
                    .or_default()
                    .push(Arc::clone(&asked.series));
            }
        }
        let chunks = by_done.iter().flat_map(|(done_ms, series)| {
            series
                .chunks(MOST_QUERIES)
                .map(|series| self.request(*done_ms, end_ms, now_ms, series))
        });
        chunks.collect()
    }

    fn request(&self, done_ms: i64, end_ms: i64, now_ms: i64, series: &[Arc<Series>]) -> Request {
        let timing = &self.timing;
        let oldest_ms = timing.oldest_ms(now_ms);
        let from_ms = done_ms.max(oldest_ms.min(end_ms));
        let start_ms = (timing.period_of(from_ms) - timing.looked_back_ms()).max(oldest_ms.min(from_ms));
        let most_periods = i64::try_from(MOST_POINTS / series.len()).unwrap_or(1);
        let longest_ms = most_periods.saturating_mul(timing.period_ms);
        Request {
            start_ms,
            end_ms: end_ms.min(start_ms.saturating_add(longest_ms)),
            from_ms,
            expired_ms: from_ms - done_ms,
            series: series.to_vec(),
        }
    }

    /// What an answer brings: one for each series of the request, in its order. Nothing of it counts until it is
    /// [committed](Collector::committed).
    pub(crate) fn harvest(&self, request: &Request, answers: &[SeriesAnswer]) -> Harvest {
        let mut harvest = Harvest::default();
        for (series, answer) in request.series.iter().zip(answers) {
            match answer {
                SeriesAnswer::Complete(points) => self.take(request, series, points, &mut harvest),
                SeriesAnswer::Incomplete(code) => harvest.left.push((Arc::clone(series), code.clone())),
            }
        }
        // Whoever reads the topic tells late readings by the newest of all series in a partition.
        harvest.readings.sort_by_key(|reading| reading.time_ms);
        harvest
    }

    fn take(&self, request: &Request, series: &Arc<Series>, points: &[Point], harvest: &mut Harvest) {
        let mut seen = Vec::new();
        let asked = self.asked.get(&series.identity);
        let is_in_span = |point: &&Point| (request.start_ms..request.end_ms).contains(&point.time_ms);
        for &point in points.iter().filter(is_in_span) {
            if point.time_ms >= request.from_ms {
                harvest.readings.push(CollectedReading {
                    key: series.reading_key.clone(),
                    value: message(&series.metric, &self.statistic, None, point),
                    time_ms: point.time_ms,
                });
                seen.push(point);
            } else if let Some(asked) = asked.filter(|asked| asked.seen_from_ms <= point.time_ms) {
                match asked.seen.get(&point.time_ms) {
                    None => harvest.late += 1,
                    Some(&bits) if bits != point.value.to_bits() => harvest.changed += 1,
                    Some(_) => continue,
                }
                seen.push(point);
            }
        }
        harvest.seen.push((series.identity.clone(), seen));
        harvest.watermarks.push(Watermark {
            identity: series.identity.clone(),
            done_ms: request.end_ms,
        });
    }

    /// Takes in what has become durable.
    pub(crate) fn committed(&mut self, harvest: Harvest) {
        let looked_back_ms = self.timing.looked_back_ms();
        for Watermark { identity, done_ms } in harvest.watermarks {
            self.watermarks.insert(identity, done_ms);
        }
        for identity in &harvest.forgotten {
            self.watermarks.remove(identity);
        }
        for (identity, points) in harvest.seen {
            let (Some(asked), Some(&done_ms)) =
                (self.asked.get_mut(&identity), self.watermarks.get(&identity))
            else {
                continue;
            };
            for point in points {
                asked.seen.insert(point.time_ms, point.value.to_bits());
            }
            asked.seen = asked.seen.split_off(&(done_ms - looked_back_ms));
        }
    }

    /// How many metrics are asked for.
    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    /// How far the slowest metric is behind what is due, in milliseconds; `None` without metrics.
    pub(crate) fn behind_ms(&self, now_ms: i64) -> Option<i64> {
        let done = self
            .asked
            .keys()
            .filter_map(|identity| self.watermarks.get(identity));
        done.min()
            .map(|done_ms| (self.timing.end_ms(now_ms) - done_ms).max(0))
    }
}
