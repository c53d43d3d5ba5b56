//! A read-only replica of the detecting side: it reads the topic without a group, judges every reading as the detecting side
//! does, from the same state files, and publishes nothing. So each viewer sees the very bands and scores that anomalies were
//! published by, of all partitions, whichever process detects.
//!
//! Episodes come from the topic of anomalies, which is what was published; what people say of them from the topic of feedback.
//!
//! It runs on a thread of its own and begins anew where it cannot go on: after a recreated topic, new partitions, or records
//! that are gone.

mod judging;
mod opening;
mod watched;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tracing::{info, warn};

use super::arrivals::Arrivals;
use super::give_way::give_way;
use super::view::View;
use super::wire::ReplicaProgress;
use crate::clock;
use crate::feedback::Follower;
use crate::kafka::{self, Subscription, TailBatch, TailError};
use crate::pipeline;
use crate::registry::Registry;
use crate::telemetry::LogLimiter;
use judging::Judging;
use opening::Opening;
use watched::Watched;

/// How long records are waited for before other things are looked at.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How often topics are looked at for whether they are the same.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How often, while nothing comes because the brokers are away.
const TROUBLED_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked at what people say: silences end by themselves.
const OPINION_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked for whether anybody has said anything at all.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);
/// Before it begins anew.
const PAUSE: Duration = Duration::from_secs(5);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What a replica is of.
#[derive(Clone)]
pub(super) struct ReplicaSpec {
    pub kafka: Subscription,
    pub pipeline: pipeline::Settings,
    pub feedback_topic: String,
    pub registry: Option<Arc<Registry>>,
    /// The newest readings that are read at first.
    pub history_readings: usize,
    pub max_bytes: usize,
}

/// What the replica shows, and how it is itself.
#[derive(Debug)]
pub(super) struct Shown {
    /// Distinguishes this picture from one before a restart, whose numbers mean other things.
    pub boot: Arc<str>,
    pub view: View,
    pub progress: ReplicaProgress,
    /// Whether it has read up to the end once.
    pub has_caught_up: bool,
    /// When it was at the end last, by this process' clock.
    pub at_end_ms: i64,
    pub arrivals: Arrivals,
    /// What keeps it from going on, and since when.
    pub trouble: Option<(i64, String)>,
    /// Why nobody can say anything of an episode.
    pub cannot_answer: Option<String>,
}

/// A replica that runs until it is dropped.
pub(super) struct Replica {
    shown: Arc<Mutex<Shown>>,
    is_dropped: Arc<AtomicBool>,
}

impl Replica {
    /// Starts one.
    ///
    /// # Errors
    /// [`kafka::Error::Thread`].
    pub(super) fn start(spec: ReplicaSpec) -> Result<Self, kafka::Error> {
        let thread = |source| kafka::Error::Thread { source };
        // Its questions to the object store and the registry.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(thread)?;
        let shown = Arc::new(Mutex::new(Shown::new(&spec)));
        let is_dropped = Arc::new(AtomicBool::new(false));
        let running = Running {
            spec,
            shown: Arc::clone(&shown),
            is_dropped: Arc::clone(&is_dropped),
            runtime,
            opinions: Following::NotSince(clock::instant()),
            warnings: LogLimiter::new(LOG_INTERVAL),
        };
        std::thread::Builder::new()
            .name("live-replica".to_owned())
            .spawn(move || {
                give_way();
                running.run();
            })
            .map_err(thread)?;
        Ok(Replica { shown, is_dropped })
    }

    /// What it shows now. Nobody may keep this for long.
    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shown {
    fn new(spec: &ReplicaSpec) -> Self {
        let detect = &spec.pipeline.detect;
        Shown {
            boot: uuid::Uuid::new_v4().simple().to_string().into(),
            view: View::new(spec.max_bytes, detect.max_series, &detect.value_name),
            progress: ReplicaProgress::default(),
            has_caught_up: false,
            at_end_ms: clock::now_ms(),
            arrivals: Arrivals::default(),
            trouble: None,
            cannot_answer: None,
        }
    }
}

/// Why a replica begins anew.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Tail(#[from] TailError),
    #[error(transparent)]
    Rule(#[from] crate::detectors::RuleError),
    #[error("the topics have changed")]
    TopicsChanged,
}

/// Whether what people say is followed.
enum Following {
    /// Not, and when it was looked for last.
    NotSince(Instant),
    Starting(mpsc::Receiver<Result<Follower, String>>),
    Started(Follower),
}

/// The thread's side.
struct Running {
    spec: ReplicaSpec,
    shown: Arc<Mutex<Shown>>,
    is_dropped: Arc<AtomicBool>,
    runtime: Runtime,
    opinions: Following,
    warnings: LogLimiter<&'static str>,
}

impl Running {
    fn run(mut self) {
        let mut with_history = true;
        while !self.is_dropped() {
            let Err(interruption) = self.replicate(with_history) else {
                return;
            };
            // What cannot be unpacked once will not be the next time.
            with_history = !matches!(&interruption, Interruption::Tail(TailError::Undecodable(_)));
            match &interruption {
                Interruption::TopicsChanged => info!("the live page begins anew: {interruption}"),
                interruption => {
                    if let Some(suppressed) = self.warnings.admit("interrupted", clock::instant()) {
                        warn!(suppressed, "the live page begins anew: {interruption}");
                    }
                    self.note_trouble(&interruption.to_string());
                }
            }
            self.pause();
        }
    }

    fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed)
    }

    fn note_trouble(&self, sentence: &str) {
        let mut shown = lock(&self.shown);
        let since_ms = shown
            .trouble
            .as_ref()
            .map_or_else(clock::now_ms, |(since, _)| *since);
        shown.trouble = Some((since_ms, sentence.to_owned()));
    }

    fn pause(&self) {
        let until = clock::instant() + PAUSE;
        while clock::instant() < until && !self.is_dropped() {
            std::thread::sleep(POLL_WAIT);
        }
    }

    /// Reads and judges until it is dropped.
    fn replicate(&mut self, with_history: bool) -> Result<(), Interruption> {
        let Opening {
            mut tail,
            mut judging,
            mut watched,
            to_read,
        } = opening::open(&self.spec, &self.runtime, with_history)?;
        {
            let mut shown = lock(&self.shown);
            *shown = Shown::new(&self.spec);
            shown.progress.to_read = to_read;
        }
        let mut looked_at = clock::instant();
        let mut opinions_at = None;
        while !self.is_dropped() {
            let heard = tail.next(POLL_WAIT)?;
            self.learn_schemas(&judging, heard.blocks.values());
            let records = judging.take(&heard);
            self.show(records, &mut judging, &heard);
            let now = clock::instant();
            if opinions_at.is_none_or(|at| now.duration_since(at) >= OPINION_INTERVAL) {
                opinions_at = Some(now);
                self.follow_opinions(&watched);
                self.show_opinions();
            }
            let interval = if lock(&self.shown).trouble.is_some() {
                TROUBLED_LOOK_INTERVAL
            } else {
                LOOK_INTERVAL
            };
            if now.duration_since(looked_at) >= interval {
                if watched.look(&self.spec)? {
                    lock(&self.shown).trouble = None;
                }
                looked_at = clock::instant();
            }
        }
        Ok(())
    }

    /// Puts what was judged into the view.
    fn show(&self, records: u64, judging: &mut Judging, heard: &TailBatch) {
        let now_ms = clock::now_ms();
        let mut shown = lock(&self.shown);
        shown.progress.read += records;
        judging.show(&mut shown.view);
        if records > 0 {
            let of_history = judging.newest_timestamp_ms().filter(|_| !shown.has_caught_up);
            let came_ms = of_history.map_or(now_ms, |timestamp_ms| timestamp_ms.min(now_ms));
            shown.arrivals.note(came_ms, records);
        }
        if !shown.has_caught_up && judging.has_reached_ends() {
            shown.has_caught_up = true;
            shown.progress.to_read = shown.progress.read;
        }
        // Where all that there is was taken, less comes than may come at a time.
        if heard.ends > 0 || heard.blocks.is_empty() {
            shown.at_end_ms = now_ms;
        }
        match &heard.away {
            Some(words) if shown.trouble.is_none() => {
                shown.trouble = Some((now_ms, format!("Kafka cannot be reached: {words}")));
            }
            None if records > 0 || heard.ends > 0 => shown.trouble = None,
            Some(_) | None => {}
        }
    }

    /// Begins to follow what people say, once there is a topic of it, on another thread: a page without it is better than none.
    /// Nothing is made because somebody looks.
    fn follow_opinions(&mut self, watched: &Watched) {
        let is_due = |at: Instant| clock::instant().duration_since(at) >= FOLLOW_INTERVAL;
        match self.opinions {
            Following::NotSince(at) if is_due(at) => {}
            Following::NotSince(_) | Following::Starting(_) | Following::Started(_) => return,
        }
        self.opinions = Following::NotSince(clock::instant());
        if !matches!(
            watched.cluster.partition_count(&self.spec.feedback_topic),
            Ok(Some(_))
        ) {
            return;
        }
        let (kafka, topic) = (self.spec.kafka.clone(), self.spec.feedback_topic.clone());
        let (sender, started) = mpsc::channel();
        let starting = std::thread::Builder::new()
            .name("live-feedback".to_owned())
            .spawn(move || {
                give_way();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let follower = match runtime {
                    Ok(runtime) => runtime
                        .block_on(Follower::start(&kafka, &topic))
                        .map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                // Nobody waits any more where the page has ended.
                let _ = sender.send(follower);
            });
        if starting.is_ok() {
            self.opinions = Following::Starting(started);
        }
    }

    /// The follower, once it has started.
    fn note_started(&mut self) {
        let Following::Starting(started) = &self.opinions else {
            return;
        };
        let Ok(outcome) = started.try_recv() else {
            return;
        };
        match outcome {
            Ok(follower) => {
                lock(&self.shown).cannot_answer = None;
                self.opinions = Following::Started(follower);
            }
            Err(error) => {
                if let Some(suppressed) = self.warnings.admit("feedback", clock::instant()) {
                    warn!(
                        suppressed,
                        error, "the live page cannot show or take what people say"
                    );
                }
                lock(&self.shown).cannot_answer = Some(error);
                self.opinions = Following::NotSince(clock::instant() + LOOK_INTERVAL);
            }
        }
    }

    fn show_opinions(&mut self) {
        self.note_started();
        let Following::Started(follower) = &self.opinions else {
            return;
        };
        let opinions = Arc::clone(&follower.opinions().borrow());
        lock(&self.shown).view.note_opinions(&opinions, clock::utc_now());
    }

    /// Asks for the schemas that records need, and waits for them as the detecting side does.
    fn learn_schemas<'a>(
        &self,
        judging: &Judging,
        blocks: impl Iterator<Item = &'a crate::reading::RecordBlock>,
    ) {
        let (Some(schemas), Some(registry)) = (judging.schemas(), &self.spec.registry) else {
            return;
        };
        if !registry.introduce(schemas) {
            return;
        }
        for block in blocks {
            let ids = schemas.open_ids(block).unknown;
            if !ids.is_empty() {
                let waits = |error: &crate::registry::RegistryError| self.note_trouble(&error.to_string());
                self.runtime.block_on(registry.learn(schemas, &ids, waits));
            }
        }
    }
}

#[cfg(test)]
pub(in crate::live) mod tests {
    use super::*;
    use crate::config::config_of;

    /// A picture in which there is nothing yet.
    pub(in crate::live) fn shown() -> Shown {
        let config = config_of(&[]);
        Shown::new(&ReplicaSpec {
            kafka: config.subscription(),
            feedback_topic: config.feedback_topic(),
            pipeline: config.pipeline,
            registry: None,
            history_readings: 1,
            max_bytes: 1_000_000,
        })
    }
}
