//! How a run of the alerts starts: topics, receivers, and a look at the group, which is joined last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::offsets::{GroupUse, OffsetOwner};
use super::super::topic::Topic;
use super::super::{HeldBack, PipelineError, RunMode, Runner, Settings, Targets};
use super::publish::StatePublisher;
use super::sending::{Lease, Sending};
use super::{AlertsSink, FAILING_INTERVAL};
use crate::alerts::{self, AlertOperator, Receiver};
use crate::clock;
use crate::feedback::Follower;
use crate::kafka::{self, Source, Subscription, TopicSpec, ensure_topics, require_compacted};
use crate::telemetry::LogLimiter;

/// librdkafka's default of `session.timeout.ms`.
const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
/// Of a message's headers only one is read.
const MAX_HEADER_BYTES: usize = 16_384;

impl AlertsSink {
    /// Makes missing topics and looks at the group.
    ///
    /// # Errors
    /// What the settings or the cluster have against it, in one sentence.
    pub(crate) async fn start(
        cluster: &kafka::Settings,
        settings: &Settings,
        alert: &alerts::Settings,
        mode: RunMode,
    ) -> Result<Runner<Self>, PipelineError> {
        let receivers = alert.receivers.iter().map(Receiver::new);
        let receivers = receivers.collect::<Result<Vec<_>, _>>()?;
        let kafka = anomalies_of(cluster, settings, alert);
        let state_topic = alert.state_topic(&kafka.source.topic);
        let anomalies = TopicSpec::anomalies(&settings.source, &kafka.source.topic);
        let state = TopicSpec::compacted(state_topic.clone());
        ensure_topics(&kafka, &[anomalies, state]).await?;
        require_compacted(cluster, &state_topic).await?;
        let topic = Topic::look(&kafka, None, settings.commit.give_up_after).await?;
        let patience = mode.undecodable_patience(settings.commit.give_up_after);
        let source = Source::start(&kafka, patience, MAX_HEADER_BYTES)?;
        let offsets = source
            .committed_now(topic.ranges.keys().copied().collect())
            .await?;
        let owner = OffsetOwner::Alerts(state_topic.clone());
        let group_use = GroupUse::look(&kafka.source.group, owner.clone(), &offsets, source.group()).await?;
        let targets = match mode {
            RunMode::Continuous => None,
            RunMode::AvailableNow => {
                let held_back = HeldBack::look(&kafka).await?;
                Some(Targets::from_ranges(&topic.ranges).with_held_back(held_back))
            }
        };
        let publisher = StatePublisher::new(&kafka, &state_topic, owner, settings.commit.give_up_after);
        publisher.connect().await;
        let follower = Follower::start(&kafka, &alert.feedback_topic(&kafka.source.topic)).await?;
        let opinions = follower.opinions();
        let said = Arc::clone(&opinions.borrow());
        let zone = settings.detect.calendar_zone(settings.reading.time_zone);
        let mut operator = AlertOperator::new(alert, zone, &receivers)?;
        let judged = super::judged(&said);
        operator.heed(said, clock::utc_now());
        let sink = AlertsSink {
            operator,
            _follower: follower,
            opinions,
            judged,
            sending: Sending::new(receivers),
            lease: Lease::new(session_timeout(cluster)),
            context: settings.message_context(),
            settings: alert.clone(),
            state_topic,
            commit_interval: settings.detect.commit_interval,
            give_up_after: settings.commit.give_up_after,
            positions: BTreeMap::new(),
            group_use,
            is_resting: false,
            heard: 0,
            unreadable: 0,
            log_limiter: LogLimiter::new(FAILING_INTERVAL),
            kafka,
        };
        Ok(Runner::new(source, sink, publisher, targets))
    }
}

/// The topic of anomalies as this sink's group consumes it.
pub(crate) fn anomalies_of(
    cluster: &kafka::Settings,
    settings: &Settings,
    alert: &alerts::Settings,
) -> Subscription {
    let mut kafka = settings
        .subscription(cluster)
        .in_group(settings.alert_group(&alert.group));
    kafka.source.topic = settings.detect.anomaly_topic.clone();
    kafka
}

fn session_timeout(cluster: &kafka::Settings) -> Duration {
    let given = cluster.properties.get("session.timeout.ms");
    let given_ms = given.and_then(|text| text.trim().parse().ok());
    given_ms.map_or(SESSION_TIMEOUT, Duration::from_millis)
}
