//! The loop: which metrics there are, what is due of them, and what that changes in Kafka.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt;
use futures::future::{Either, Shared, select};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::cloudwatch::CloudWatch;
use super::cost::Cost;
use super::dimensions::Dimensions;
use super::error::CollectError;
use super::metric::Metric;
use super::progress::Progress;
use super::settings::Settings;
use super::state::{CollectedReading, Collector, Harvest, Request};
use super::store::{Store, transactional_id};
use crate::clock;
use crate::kafka::Subscription;
use crate::telemetry::events;

/// CloudWatch's metrics on their way into a topic.
pub(crate) struct Collection {
    cloudwatch: CloudWatch,
    settings: Settings,
    /// The metrics as they were listed last.
    metrics: Vec<Metric>,
    progress: watch::Sender<Progress>,
}

/// Metrics that a process collects at most: a hundred requests a round.
const MOST_METRICS: usize = 50_000;
/// Between attempts to reach Kafka again.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Collection {
    /// Lists the metrics for the first time.
    ///
    /// # Errors
    /// [`CollectError`]: without an answer of CloudWatch there is nothing to start with.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, CollectError> {
        let progress = watch::Sender::new(Progress::default());
        // The settings were checked when they were read.
        let dimensions = Dimensions::parse(&settings.dimensions).unwrap_or_else(|_| Dimensions::none());
        let cloudwatch = CloudWatch::open(settings, dimensions, progress.clone()).await?;
        let mut collection = Collection {
            cloudwatch,
            settings: settings.clone(),
            metrics: Vec::new(),
            progress,
        };
        collection.metrics = collection.list().await?;
        Ok(collection)
    }

    /// What the settings cost with the metrics that there are.
    pub(crate) fn cost(&self) -> Cost {
        let Settings { interval, period, .. } = self.settings;
        Cost::new(self.metrics.len(), interval, period)
    }

    /// The name that its transactions have, which no other collector of these metrics can use at the same time.
    pub(crate) fn transactional_id(&self, topic: &str) -> String {
        transactional_id(topic, self.cloudwatch.region(), &self.settings.namespace)
    }

    /// How far it is, now and later.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    async fn list(&self) -> Result<Vec<Metric>, CollectError> {
        let metrics = self.cloudwatch.metrics(MOST_METRICS).await?;
        if metrics.len() > MOST_METRICS {
            return Err(CollectError::TooManyMetrics { most: MOST_METRICS });
        }
        if metrics.is_empty() {
            let Settings {
                namespace,
                metrics,
                dimensions,
                ..
            } = &self.settings;
            let region = self.cloudwatch.region();
            warn!(
                region,
                namespace,
                ?metrics,
                ?dimensions,
                "CloudWatch lists no such metric; a new one takes up to 15 minutes"
            );
        }
        Ok(metrics)
    }

    /// Collects until `stop`, or until it cannot go on. What is being written then is written to its end.
    ///
    /// Kafka may be away for up to `give_up_after`; CloudWatch for as long as it keeps points.
    ///
    /// # Errors
    /// [`CollectError`].
    pub(crate) async fn run(
        mut self,
        kafka: &Subscription,
        give_up_after: Duration,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Progress, CollectError> {
        let stop = stop.boxed().shared();
        let mut failing: Option<(Instant, backon::ExponentialBackoff)> = None;
        loop {
            let committed_before = self.progress.borrow().commits;
            self.progress.send_modify(Progress::note_life);
            let error = match self.session(kafka, &stop).await {
                Ok(()) => return Ok(self.progress.borrow().clone()),
                Err(error) => error,
            };
            if self.progress.borrow().commits > committed_before {
                failing = None;
            }
            let (since, pauses) = failing.get_or_insert_with(|| (clock::instant(), pauses()));
            if !error.is_session_lost() || clock::instant().duration_since(*since) >= give_up_after {
                return Err(error);
            }
            warn!(%error, "connecting to Kafka anew, and going on from what was committed");
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            if unless_stopped(&stop, tokio::time::sleep(pause)).await.is_none() {
                return Ok(self.progress.borrow().clone());
            }
        }
    }

    /// From the watermarks in Kafka until it is stopped, or Kafka cannot be written to.
    async fn session(&mut self, kafka: &Subscription, stop: &Stop) -> Result<(), CollectError> {
        let Settings {
            namespace, statistic, ..
        } = &self.settings;
        let region = self.cloudwatch.region();
        let id = self.transactional_id(&kafka.source.topic);
        let Some(opened) = unless_stopped(stop, Store::open(kafka, id)).await else {
            return Ok(());
        };
        let (store, watermarks) = opened?;
        let timing = self.settings.timing();
        let mut collector = Collector::new(timing, (region, namespace), statistic, watermarks);
        self.follow(&mut collector, &store).await?;
        let mut listed_at = clock::instant();
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while unless_stopped(stop, ticks.tick()).await.is_some() {
            if clock::instant().duration_since(listed_at) >= self.settings.refresh {
                let Some(listed) = unless_stopped(stop, self.list()).await else {
                    break;
                };
                if let Some(metrics) = forgiven(listed)? {
                    self.metrics = metrics;
                    listed_at = clock::instant();
                    self.follow(&mut collector, &store).await?;
                }
            }
            self.round(&mut collector, &store, stop).await?;
        }
        Ok(())
    }

    /// Collects the metrics as they are listed now.
    async fn follow(&self, collector: &mut Collector, store: &Store) -> Result<(), CollectError> {
        let starts = collector.listed(self.metrics.clone(), self.cloudwatch.now_ms())?;
        store.commit(&starts).await?;
        collector.committed(starts);
        self.progress
            .send_modify(|progress| progress.metrics = collector.len());
        Ok(())
    }

    /// All that is due now, as far as CloudWatch answers.
    async fn round(&self, collector: &mut Collector, store: &Store, stop: &Stop) -> Result<(), CollectError> {
        let mut left = BTreeSet::new();
        let mut is_good = true;
        let mut written = 0;
        'passes: loop {
            let plan = collector.plan(self.cloudwatch.now_ms(), &left);
            if plan.is_empty() {
                break;
            }
            for request in plan {
                let Some(answered) = unless_stopped(stop, self.ask(collector, &request)).await else {
                    return Ok(());
                };
                let Some(harvest) = forgiven(answered)? else {
                    is_good = false;
                    break 'passes;
                };
                is_good &= harvest.left.is_empty();
                left.extend(harvest.left.iter().map(|(series, _)| series.identity.clone()));
                store.commit(&harvest).await?;
                written += harvest.readings.len();
                self.progress
                    .send_modify(|progress| progress.note_commit(&harvest));
                collector.committed(harvest);
            }
        }
        let behind_ms = collector.behind_ms(self.cloudwatch.now_ms());
        self.progress
            .send_modify(|progress| progress.note_round(behind_ms, is_good));
        let metrics = collector.len();
        info!(
            event = events::COLLECTED,
            readings = written,
            metrics,
            behind_s = behind_ms.unwrap_or(0) / 1_000,
            "collected"
        );
        Ok(())
    }

    /// The answer to a request, and what it brings.
    async fn ask(&self, collector: &Collector, request: &Request) -> Result<Harvest, CollectError> {
        if request.expired_ms > 0 {
            warn!(
                metrics = request.series.len(),
                hours = request.expired_ms / 3_600_000,
                "CloudWatch no longer keeps points that were not collected yet: they are missing"
            );
        }
        let answers = self.cloudwatch.points(request).await?;
        let harvest = collector.harvest(request, &answers);
        for (series, code) in &harvest.left {
            debug!(metric = series.identity, code, "left for the next round");
        }
        if let Some((series, code)) = harvest.left.first() {
            warn!(
                metric = series.identity,
                code,
                metrics = harvest.left.len(),
                "CloudWatch has no whole answer for metrics: they are asked for again in the next round"
            );
        }
        self.progress
            .send_modify(|progress| progress.note_answer(request, &harvest));
        Ok(harvest)
    }

    /// What is due now without any memory of earlier rounds: the last points of each metric, or `backfill` of them.
    /// `each` gets them in the order of time for each metric. The answer is how many metrics had none for the asking.
    ///
    /// # Errors
    /// [`CollectError`].
    pub(crate) async fn once(
        &self,
        mut each: impl FnMut(&CollectedReading) -> std::io::Result<()>,
    ) -> Result<std::io::Result<usize>, CollectError> {
        let Settings {
            namespace, statistic, ..
        } = &self.settings;
        let mut timing = self.settings.timing();
        let newest_ms = i64::try_from(self.settings.interval.as_millis()).unwrap_or(i64::MAX);
        timing.backfill_ms = timing.backfill_ms.max(newest_ms).max(timing.period_ms);
        let region = self.cloudwatch.region();
        let mut collector = Collector::new(timing, (region, namespace), statistic, Default::default());
        let now_ms = self.cloudwatch.now_ms();
        let starts = collector.listed(self.metrics.clone(), now_ms)?;
        collector.committed(starts);
        let mut left = BTreeSet::new();
        loop {
            let plan = collector.plan(now_ms, &left);
            if plan.is_empty() {
                return Ok(Ok(left.len()));
            }
            for request in plan {
                let harvest = self.ask(&collector, &request).await?;
                left.extend(harvest.left.iter().map(|(series, _)| series.identity.clone()));
                for reading in &harvest.readings {
                    if let Err(error) = each(reading) {
                        return Ok(Err(error));
                    }
                }
                collector.committed(harvest);
            }
        }
    }
}

type Stop = Shared<futures::future::BoxFuture<'static, ()>>;

fn pauses() -> backon::ExponentialBackoff {
    ExponentialBuilder::default()
        .with_jitter()
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}

/// What a future gives, unless the process is told to stop before.
async fn unless_stopped<T>(stop: &Stop, future: impl Future<Output = T>) -> Option<T> {
    match select(stop.clone(), std::pin::pin!(future)).await {
        Either::Left(_) => None,
        Either::Right((value, _)) => Some(value),
    }
}

/// `None` for what CloudWatch cannot answer now: it is asked again in the next round.
fn forgiven<T>(answered: Result<T, CollectError>) -> Result<Option<T>, CollectError> {
    match answered {
        Ok(value) => Ok(Some(value)),
        Err(CollectError::CloudWatch(error)) if error.is_transient() => {
            warn!(%error, "asking again in the next round; nothing is lost meanwhile");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
