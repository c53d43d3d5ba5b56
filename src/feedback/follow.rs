//! Opinions that are kept up to date while the program runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::{FeedbackError, Opinions, topic};
use crate::clock::instant;
use crate::kafka::{self, CompactedReader, Heard, Subscription};
use crate::telemetry::LogLimiter;

/// How often a follower looks whether it is still wanted.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How long messages that are there are collected before they are published together.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// Between two warnings of the same kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// How much of a key is logged.
const LOGGED_KEY_CHARACTERS: usize = 100;
/// How long the broker may be silent before the topic has been read for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows the topic until it is dropped, on a thread of its own.
#[derive(Debug)]
pub struct Follower {
    opinions: watch::Receiver<Arc<Opinions>>,
    is_dropped: Arc<AtomicBool>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Warning {
    Malformed,
    Unreadable,
    Forgotten,
}

impl Follower {
    /// Makes the topic if it is missing, and reads it: the opinions have everything that was written before the call.
    ///
    /// # Errors
    /// [`FeedbackError::Kafka`]. Afterwards there are none: brokers that are away are waited for, with a warning a minute.
    pub async fn start(kafka: &Subscription, topic: &str) -> Result<Self, FeedbackError> {
        topic::ensure(kafka, topic).await?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        // Also if the future is dropped.
        let guard = StopWhenDropped(Arc::clone(&is_dropped));
        let (kafka, name) = (kafka.clone(), topic.to_owned());
        let is_stopped = Arc::clone(&is_dropped);
        let read = tokio::task::spawn_blocking(move || {
            let mut following = Following {
                reader: CompactedReader::open(&kafka, &name)?,
                topic: name,
                opinions: Opinions::default(),
                warnings: LogLimiter::new(WARNING_INTERVAL),
            };
            following.catch_up(&kafka, &is_stopped)?;
            Ok::<_, kafka::Error>(following)
        });
        let following = read.await??;
        let (sender, opinions) = watch::channel(Arc::new(following.opinions.clone()));
        let is_stopped = Arc::clone(&is_dropped);
        std::thread::Builder::new()
            .name("feedback".to_owned())
            .spawn(move || following.run(&sender, &is_stopped))
            .map_err(|source| kafka::Error::Thread { source })?;
        guard.release();
        Ok(Follower { opinions, is_dropped })
    }

    /// What people say now, and later.
    pub fn opinions(&self) -> watch::Receiver<Arc<Opinions>> {
        self.opinions.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

struct StopWhenDropped(Arc<AtomicBool>);

impl StopWhenDropped {
    /// From now on somebody else says when to stop.
    fn release(mut self) {
        self.0 = Arc::default();
    }
}

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The reading side.
struct Following {
    reader: CompactedReader,
    topic: String,
    opinions: Opinions,
    warnings: LogLimiter<Warning>,
}

impl Following {
    /// Reads what was there when the reader was opened.
    fn catch_up(&mut self, kafka: &Subscription, is_stopped: &AtomicBool) -> Result<(), kafka::Error> {
        let mut heard_at = instant();
        while !self.reader.is_caught_up() {
            if is_stopped.load(Ordering::Relaxed) {
                return Err(kafka::Error::Stopping);
            }
            match self.reader.next(POLL_WAIT) {
                Ok(Heard::Nothing) => {}
                Ok(heard) => {
                    self.take(heard);
                    heard_at = instant();
                    continue;
                }
                Err(error) => tracing::debug!(%error, topic = self.topic, "reading on"),
            }
            if instant().duration_since(heard_at) > PATIENCE {
                return Err(kafka::Error::Request {
                    brokers: kafka.cluster.brokers.clone(),
                    what: "the records of a topic",
                    cause: format!("nothing within {} s", PATIENCE.as_secs()),
                });
            }
        }
        Ok(())
    }

    /// Goes on until nobody wants to know any more.
    fn run(mut self, sender: &watch::Sender<Arc<Opinions>>, is_stopped: &AtomicBool) {
        let mut changed_at = None;
        while !is_stopped.load(Ordering::Relaxed) {
            // What comes in one go is published in one go.
            let wait = if changed_at.is_some() {
                Duration::ZERO
            } else {
                POLL_WAIT
            };
            let is_news = match self.reader.next(wait) {
                Ok(Heard::Nothing | Heard::End) => false,
                Ok(heard) => {
                    self.take(heard);
                    changed_at.get_or_insert_with(instant);
                    true
                }
                Err(error) => {
                    if let Some(suppressed) = self.warnings.admit(Warning::Unreadable, instant()) {
                        let topic = &self.topic;
                        warn!(%error, topic, suppressed, "cannot read what people say now; reading on as soon as possible");
                    }
                    false
                }
            };
            let is_due = |since| !is_news || instant().duration_since(since) > LONGEST_HOLD;
            if changed_at.is_some_and(is_due) {
                changed_at = None;
                sender.send_replace(Arc::new(self.opinions.clone()));
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        let Heard::Entry { key, value } = heard else {
            return;
        };
        let topic = &self.topic;
        let forgotten = self.opinions.forgotten();
        if let Err(malformed) = self.opinions.fold(&key, value.as_deref())
            && let Some(suppressed) = self.warnings.admit(Warning::Malformed, instant())
        {
            let key: String = String::from_utf8_lossy(&key)
                .chars()
                .take(LOGGED_KEY_CHARACTERS)
                .collect();
            warn!(topic, key, %malformed, suppressed, "a message of what people say is passed over");
        }
        if self.opinions.forgotten() > forgotten
            && let Some(suppressed) = self.warnings.admit(Warning::Forgotten, instant())
        {
            warn!(
                topic,
                suppressed,
                "the topic holds more than can be kept in memory: what was said longest ago does not count; delete keys by \
                 writing them without a value"
            );
        }
    }
}
