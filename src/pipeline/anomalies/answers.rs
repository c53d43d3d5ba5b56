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
use crate::kafka::{self, Cluster, Right, Subscription, TopicSpec, ensure_topics, require_compacted};
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
        let has_right = listener.publish(&sender).await;
        let task = tokio::spawn(async move {
            let mut has_right = has_right;
            while has_right {
                let pause = match &listener.follower {
                    Some(_) => NEWS_INTERVAL,
                    None => LOOK_INTERVAL,
                };
                tokio::time::sleep(pause).await;
                has_right = listener.publish(&sender).await;
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
    /// Publishes what is said, if that is news. Returns whether there is any use in listening.
    async fn publish(&mut self, sender: &watch::Sender<Option<Arc<Answers>>>) -> bool {
        match self.look().await {
            Ok(Some(answers)) => {
                sender.send_replace(Some(Arc::new(answers)));
            }
            Ok(None) => {}
            Err(FeedbackError::Kafka(kafka::Error::NotAllowed(Right::DescribeTopic(topic))))
                if topic == self.feedback_topic =>
            {
                info!(
                    topic,
                    "what people say of anomalies is not learned from: not allowed to describe the topic"
                );
                return false;
            }
            Err(error) => {
                if let Some(suppressed) = self.warnings.admit("feedback", clock::instant()) {
                    warn!(%error, suppressed, "what people say of anomalies is not learned from now");
                }
            }
        }
        true
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
            ensure_topics(&self.kafka, &[TopicSpec::compacted(self.journal_topic.clone())]).await?;
            require_compacted(&self.kafka.cluster, &self.journal_topic).await?;
            self.has_journal = true;
        }
        self.heard = Some(opinions);
        Ok(Some(answers))
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
