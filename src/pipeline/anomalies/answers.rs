//! What people say, followed while the detection runs: once there is a topic of it, on a task of its own. Judging never
//! waits for it, and goes on without it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::super::sink::LOG_INTERVAL;
use super::journal::JournalSpec;
use crate::clock;
use crate::feedback::{Answers, FeedbackError, Follower, Opinions};
use crate::kafka::{self, Cluster, Right, Rights, Subscription, TopicSpec, ensure_topics, require_compacted};
use crate::telemetry::LogLimiter;

/// How often it is looked for whether anybody has said anything at all.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often what is said is looked at: it is published in one go by who follows it.
const NEWS_INTERVAL: Duration = Duration::from_millis(500);

/// The answers that there are, until it is dropped; `None` before anything is known of them.
pub(super) struct Listening {
    answers: watch::Receiver<Option<Arc<Answers>>>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens, and has heard what was said before the call.
    pub(super) async fn start(kafka: Subscription, feedback_topic: String, journal: &JournalSpec) -> Self {
        let mut listener = Listener {
            kafka,
            feedback_topic,
            journal_topic: journal.topic().to_owned(),
            cluster: None,
            follower: None,
            heard: None,
            has_journal: false,
            warnings: LogLimiter::new(LOG_INTERVAL),
        };
        let (sender, answers) = watch::channel(None);
        let mut pause = listener.publish(&sender).await;
        let task = tokio::spawn(async move {
            while let Some(until_next) = pause {
                tokio::time::sleep(until_next).await;
                pause = listener.publish(&sender).await;
            }
        });
        Listening { answers, task }
    }

    /// What is said now, if it is known and `all` is asked for, or if it is news.
    pub(super) fn news(&mut self, all: bool) -> Option<Arc<Answers>> {
        let is_news = self.answers.has_changed().unwrap_or(false);
        if !is_news && !all {
            return None;
        }
        self.answers.borrow_and_update().clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's side.
struct Listener {
    kafka: Subscription,
    feedback_topic: String,
    journal_topic: String,
    /// To look for the topic by, until there is one.
    cluster: Option<Cluster>,
    follower: Option<Follower>,
    /// What was published last.
    heard: Option<Arc<Opinions>>,
    has_journal: bool,
    warnings: LogLimiter<&'static str>,
}

impl Listener {
    /// Publishes what is said, if that is news. Returns how long to wait until the next look; `None` if there is no use in
    /// it.
    async fn publish(&mut self, sender: &watch::Sender<Option<Arc<Answers>>>) -> Option<Duration> {
        match self.look().await {
            Ok(news) => {
                if let Some(answers) = news {
                    sender.send_replace(Some(Arc::new(answers)));
                }
                let is_following = self.follower.is_some();
                Some(if is_following {
                    NEWS_INTERVAL
                } else {
                    LOOK_INTERVAL
                })
            }
            Err(FeedbackError::Kafka(kafka::Error::NotAllowed(Right::DescribeTopic(topic))))
                if topic == self.feedback_topic =>
            {
                info!(
                    topic,
                    "what people say of anomalies is not learned from: not allowed to describe the topic"
                );
                None
            }
            Err(error) => {
                if let Some(suppressed) = self.warnings.admit("feedback", clock::instant()) {
                    warn!(%error, suppressed, "what people say of anomalies is not learned from now");
                }
                Some(LOOK_INTERVAL)
            }
        }
    }

    /// What is said, if that is news. There is a place to keep it in then.
    async fn look(&mut self) -> Result<Option<Answers>, FeedbackError> {
        let opinions = match &self.follower {
            Some(follower) => Arc::clone(&follower.opinions().borrow()),
            None => {
                if !self.is_there().await? {
                    return Ok(None);
                }
                let follower = Follower::start(&self.kafka, &self.feedback_topic).await?;
                let opinions = Arc::clone(&follower.opinions().borrow());
                self.follower = Some(follower);
                self.cluster = None;
                opinions
            }
        };
        let is_known = |heard: &Arc<Opinions>| Arc::ptr_eq(heard, &opinions);
        if self.heard.as_ref().is_some_and(is_known) {
            return Ok(None);
        }
        let answers = Answers::new(&opinions, &self.kafka.source.topic);
        if !answers.is_empty() && !self.has_journal {
            self.prepare_journal().await?;
            self.has_journal = true;
        }
        self.heard = Some(opinions);
        Ok(Some(answers))
    }

    /// Makes the journal if it is missing. A place that cannot be written down would end the run with its transaction, so
    /// nothing is heeded without the right to.
    async fn prepare_journal(&self) -> Result<(), FeedbackError> {
        let topic = &self.journal_topic;
        ensure_topics(&self.kafka, &[TopicSpec::compacted(topic.clone())]).await?;
        require_compacted(&self.kafka.cluster, topic).await?;
        let (cluster, topic) = (self.kafka.cluster.clone(), topic.clone());
        let ask = move || Rights::new(&cluster).may_write(&topic);
        Ok(tokio::task::spawn_blocking(ask).await??)
    }

    async fn is_there(&mut self) -> Result<bool, FeedbackError> {
        let (kafka, topic) = (self.kafka.clone(), self.feedback_topic.clone());
        let known = self.cluster.take();
        let ask = move || -> Result<_, kafka::Error> {
            let cluster = match known {
                Some(cluster) => cluster,
                None => Cluster::connect(&kafka)?,
            };
            let is_there = cluster.partition_count(&topic)?.is_some();
            Ok((cluster, is_there))
        };
        let (cluster, is_there) = tokio::task::spawn_blocking(ask).await??;
        self.cluster = Some(cluster);
        Ok(is_there)
    }
}
