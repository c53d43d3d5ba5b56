//! What all answers come from: the replica, which runs while somebody looks, the table, and who may be how many.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::health::{WatchedSinks, health};
use super::refusal::Refusal;
use super::replica::{Replica, ReplicaSpec, Shown};
use super::sql::SqlEndpoint;
use super::wire::HealthRow;
use crate::clock;
use crate::config::Config;
use crate::decode::ValueKind;
use crate::kafka::Subscription;
use crate::registry::Registry;

/// Streams at a time.
const MOST_STREAMS: usize = 32;
/// So long after the last look the replica ends, and its memory is free again.
const IDLE_AFTER: Duration = Duration::from_secs(600);
const IDLE_LOOK: Duration = Duration::from_secs(10);

/// What all handlers share.
pub(super) type SharedSite = Arc<Site>;

/// What the page is of.
pub(super) struct Site {
    about: About,
    zone: Tz,
    spec: ReplicaSpec,
    sinks: Option<WatchedSinks>,
    replica: Mutex<Option<Arc<Replica>>>,
    looked_at_ms: AtomicI64,
    /// One for each stream that may be open.
    pub streams: Arc<Semaphore>,
    pub sql: SqlEndpoint,
}

/// What does not change while the program runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct About {
    version: &'static str,
    topic: String,
    table: String,
    unit: String,
    value_name: String,
    time_zone: String,
    window_ms: i64,
    detector: String,
}

impl Site {
    /// The site of these settings; `sinks` are those of this process.
    pub(super) fn new(config: &Config, registry: Option<Arc<Registry>>, sinks: Option<WatchedSinks>) -> Self {
        let pipeline = &config.pipeline;
        let zone = pipeline.detect.calendar_zone(pipeline.reading.time_zone);
        let spec = ReplicaSpec {
            kafka: config.subscription(),
            pipeline: pipeline.clone(),
            feedback_topic: config.feedback_topic(),
            registry,
            history_readings: config.live.history_readings,
            max_bytes: config.live.max_bytes,
        };
        Site {
            about: About {
                version: env!("CARGO_PKG_VERSION"),
                topic: pipeline.source.topic.clone(),
                table: pipeline.table.name.clone(),
                unit: pipeline.detect.unit.clone(),
                value_name: pipeline.detect.value_name.clone(),
                time_zone: zone.name().to_owned(),
                window_ms: i64::try_from(pipeline.window.length.as_millis()).unwrap_or(i64::MAX),
                detector: pipeline.detect.detector.name().to_owned(),
            },
            zone,
            sql: SqlEndpoint::new(config, zone),
            spec,
            sinks,
            replica: Mutex::default(),
            looked_at_ms: AtomicI64::new(clock::now_ms()),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    pub(super) fn window_ms(&self) -> i64 {
        self.about.window_ms
    }

    /// Whether the table has increases in the place of averages.
    pub(super) fn holds_counters(&self) -> bool {
        self.spec.pipeline.reading.value_kind == ValueKind::Counter
    }

    pub(super) fn kafka(&self) -> &Subscription {
        &self.spec.kafka
    }

    pub(super) fn feedback_topic(&self) -> &str {
        &self.spec.feedback_topic
    }

    pub(super) fn anomaly_topic(&self) -> &str {
        &self.spec.pipeline.detect.anomaly_topic
    }

    pub(super) fn dead_letter_topic(&self) -> String {
        self.spec.kafka.source.dead_letter_topic()
    }

    /// The replica; the first look starts it.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be started.
    pub(super) fn replica(&self) -> Result<Arc<Replica>, Refusal> {
        self.looked_at_ms.store(clock::now_ms(), Ordering::Relaxed);
        let mut running = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(replica) = &*running {
            return Ok(Arc::clone(replica));
        }
        let started = Replica::start(self.spec.clone());
        let replica = started.map_err(|error| Refusal::unavailable(error.to_string()))?;
        Ok(Arc::clone(running.insert(Arc::new(replica))))
    }

    /// How what is shown is now.
    pub(super) fn health(&self, shown: &Shown) -> HealthRow {
        health(shown, self.sinks.as_ref(), clock::now_ms(), self.zone)
    }

    /// Ends the replica whenever nobody has looked for a while.
    pub(super) async fn rest_when_idle(&self) {
        let mut ticks = tokio::time::interval(IDLE_LOOK);
        loop {
            ticks.tick().await;
            let idle_ms = clock::now_ms().saturating_sub(self.looked_at_ms.load(Ordering::Relaxed));
            if idle_ms > IDLE_AFTER.as_millis() as i64 {
                drop(self.replica.lock().unwrap_or_else(PoisonError::into_inner).take());
            }
        }
    }
}
