//! How a run of the anomalies starts: topics, the place of the state files, and a look at the group, which is joined last.

use std::collections::BTreeMap;

use tracing::warn;

use super::super::offsets::{GroupUse, OffsetOwner};
use super::super::sink::LOG_INTERVAL;
use super::super::state_files::StateKeeper;
use super::super::topic::Topic;
use super::super::{HeldBack, PipelineError, RunMode, Runner, Settings, Targets};
use super::answers::Listening;
use super::journal::JournalSpec;
use super::listeners::Listeners;
use super::notices::NoticeLog;
use super::publish::Publisher;
use super::{AnomaliesSink, assignment};
use crate::clock;
use crate::decode::KeySource;
use crate::detection::DetectionOperator;
use crate::kafka::{self, Source, TopicSpec, ensure_topics, warn_of_timestamps};
use crate::lake::{OpenMode, StateStore};
use crate::telemetry::LogLimiter;

impl AnomaliesSink {
    /// Makes missing topics, listens to what people say in `feedback_topic`, opens the state files' place and looks at the group.
    ///
    /// # Errors
    /// What the settings, the store or the cluster have against it, in one sentence.
    pub(crate) async fn start(
        cluster: &kafka::Settings,
        settings: Settings,
        feedback_topic: String,
        mode: RunMode,
    ) -> Result<Runner<Self>, PipelineError> {
        let spec = settings.detection_spec()?;
        let kafka = settings.subscription(cluster).in_group(settings.detect_group());
        let anomalies = TopicSpec::anomalies(&kafka.source, &settings.detect.anomaly_topic);
        ensure_topics(&kafka, &[TopicSpec::readings(&kafka.source), anomalies]).await?;
        let (max_ahead, watermark) = (settings.reading.max_ahead, settings.window.watermark);
        tokio::spawn(warn_of_timestamps(kafka.clone(), max_ahead, watermark));
        let states = StateStore::open(&settings.state_spec(), OpenMode::Create).await?;
        let topic = Topic::look(&kafka, None, settings.commit.give_up_after).await?;
        if *settings.reading.key.source() == KeySource::None && topic.ranges.len() > 1 {
            warn!(
                partitions = topic.ranges.len(),
                "reading.key is \"none\", so the readings of each partition are judged as a series of their own; \
                 for one series use a topic of one partition, or give the readings a key"
            );
        }
        // No header of a record goes anywhere from here.
        let max_header_bytes = match settings.reading.reads_headers() {
            true => settings.reading.max_header_bytes,
            false => 0,
        };
        let patience = mode.undecodable_patience(settings.commit.give_up_after);
        let source = Source::start(&kafka, patience, max_header_bytes)?;
        let offsets = source
            .committed_now(topic.ranges.keys().copied().collect())
            .await?;
        let owner = OffsetOwner::Detection(settings.detect.anomaly_topic.clone());
        let group_use = GroupUse::look(&kafka.source.group, owner.clone(), &offsets, source.group()).await?;
        let (unfit, targets) = match mode {
            RunMode::Continuous => (BTreeMap::new(), None),
            RunMode::AvailableNow => (
                assignment::unfit(&kafka, &offsets, &topic)?,
                Some(Targets::from_ranges(&topic.ranges).with_held_back(HeldBack::look(&kafka).await?)),
            ),
        };
        let journal = JournalSpec::new(&settings.detect.anomaly_topic, kafka.source.group.clone());
        let publisher = Publisher::new(&settings, &kafka, owner, spec.fingerprint(), journal.clone());
        publisher.connect().await;
        let listening = Listening::start(kafka.clone(), feedback_topic, &journal).await;
        let (now, interval) = (clock::instant(), settings.detect.state_interval);
        let sink = AnomaliesSink {
            kafka,
            commit_interval: settings.detect.commit_interval,
            give_up_after: settings.commit.give_up_after,
            operator: DetectionOperator::new(spec.shared_by(topic.ranges.len())),
            waiting: Vec::new(),
            placed: Vec::new(),
            listening,
            journal,
            heard_at: now,
            committed: BTreeMap::new(),
            unfit,
            group_use,
            states: StateKeeper::new(states, interval, now + interval),
            log_limiter: LogLimiter::new(LOG_INTERVAL),
            notices: NoticeLog::default(),
            clipped: 0,
            counted_clipped_at: now,
            published: BTreeMap::new(),
            listeners: Listeners::new(),
        };
        Ok(Runner::new(source, sink, publisher, targets))
    }
}
