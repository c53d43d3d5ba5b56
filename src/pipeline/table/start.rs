//! How a run of the table starts: it looks whether it can, then it makes the table; the group is joined last.
//!
//! A table is bound to its topic for ever. So there is none before the topic has been found, and the right to read it.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::offsets::GroupUse;
use super::super::state_files::StateKeeper;
use super::super::topic::Topic;
use super::super::{HeldBack, PipelineError, RunMode, Runner, Settings, Targets};
use super::assignment::fit;
use super::commit::TableCommitter;
use super::registers::RegisterKeeper;
use super::side_outputs::SideOutputs;
use super::{TableProgress, TableSink};
use crate::aggregation::Aggregator;
use crate::clock;
use crate::decode::ValueKind;
use crate::kafka::{self, Error, Rights, Source, Subscription, TopicSpec, ensure_topics, warn_of_timestamps};
use crate::lake::{Lake, OpenMode, StateStore, TableSpec, table_is_there};
use crate::table::CachedSnapshot;

/// The place of a table, which is there already or can be made.
pub(crate) struct Site {
    table: Option<(Lake, CachedSnapshot)>,
}

impl Site {
    /// Looks at the place of the settings, and makes nothing.
    ///
    /// # Errors
    /// What the store has against it, and the table, if it is not one of this pipeline.
    pub(crate) async fn look(spec: &TableSpec) -> Result<Self, PipelineError> {
        let is_there = table_is_there(&spec.table).await?;
        Ok(Site {
            table: match is_there {
                true => Some(Lake::open(spec, OpenMode::Create).await?),
                false => None,
            },
        })
    }

    /// Makes missing topics, and then the table, if it is missing, too.
    async fn prepare(
        self,
        kafka: &Subscription,
        settings: &Settings,
    ) -> Result<(Lake, CachedSnapshot), PipelineError> {
        let mut topics = vec![TopicSpec::readings(&kafka.source)];
        topics.extend(TopicSpec::side_outputs(&kafka.source, settings.window.late));
        ensure_topics(kafka, &topics).await?;
        let (max_ahead, watermark) = (settings.reading.max_ahead, settings.window.watermark);
        tokio::spawn(warn_of_timestamps(kafka.clone(), max_ahead, watermark));
        if let Some(table) = self.table {
            return Ok(table);
        }
        may_read(kafka.clone().in_group(settings.table_group(NO_TABLE))).await?;
        Ok(Lake::open(&settings.table_spec(), OpenMode::Create).await?)
    }
}

/// Whether the topic may be read as the table's group. Only a refusal counts: the reader reports all else.
async fn may_read(kafka: Subscription) -> Result<(), PipelineError> {
    let ask = move || Rights::new(&kafka.cluster).may_read(&kafka.source.topic, &kafka.source.group);
    match tokio::task::spawn_blocking(ask).await? {
        Err(refused @ Error::NotAllowed(_)) => Err(refused.into()),
        _ => Ok(()),
    }
}

/// In the place of the id of a table that is not made yet, and that no table has.
pub(crate) const NO_TABLE: &str = "00000000-0000-0000-0000-000000000000";

impl TableSink {
    /// Makes missing topics, opens the table or makes it, and looks whether a run can go on where the table is.
    ///
    /// # Errors
    /// What the table, the store or the cluster has against it, in one sentence.
    pub(crate) async fn start(
        cluster: &kafka::Settings,
        settings: Settings,
        mode: RunMode,
    ) -> Result<Runner<Self>, PipelineError> {
        let site = Site::look(&settings.table_spec()).await?;
        Self::start_at(site, cluster, settings, mode).await
    }

    /// The same, where the place was looked at already.
    ///
    /// # Errors
    /// As [`TableSink::start`].
    pub(crate) async fn start_at(
        site: Site,
        cluster: &kafka::Settings,
        settings: Settings,
        mode: RunMode,
    ) -> Result<Runner<Self>, PipelineError> {
        let kafka = settings.subscription(cluster);
        let (lake, cached) = site.prepare(&kafka, &settings).await?;
        let is_given = !kafka.source.group.is_empty();
        let kafka = kafka.in_group(settings.table_group(lake.table_id()));
        let lake = Arc::new(lake);
        let (leaving, is_leaving) = watch::channel(false);
        let mut committer = TableCommitter::new(Arc::clone(&lake), &kafka, &settings, cached, is_leaving);
        let patience = mode.undecodable_patience(settings.commit.give_up_after);
        let source = Source::start(&kafka, patience, settings.reading.max_header_bytes)?;
        let topic = Topic::look(&kafka, None, settings.commit.give_up_after).await?;
        // A group with the table's id in its name is nobody else's.
        let group_use = match is_given {
            true => Some(Arc::new(
                look_at_group(&committer, &kafka, &source, &topic).await?,
            )),
            false => None,
        };
        if let Some(group_use) = &group_use {
            committer.watch_group(Arc::clone(group_use));
        }
        let targets = match mode {
            RunMode::Continuous => None,
            RunMode::AvailableNow => {
                committer.note_topic(topic.id.clone());
                fit(&mut committer, &kafka, &topic, || source.group()).await?;
                Some(Targets::from_ranges(&topic.ranges).with_held_back(HeldBack::look(&kafka).await?))
            }
        };
        let spec = settings.aggregation_spec();
        let registers = match spec.value_kind {
            ValueKind::Gauge => None,
            ValueKind::Counter => {
                let states =
                    StateStore::open(&settings.register_spec(lake.table_id()), OpenMode::Create).await?;
                // The first commit keeps them: until then only the topic has them.
                let (interval, first) = (settings.detect.state_interval, clock::instant());
                Some(RegisterKeeper::new(StateKeeper::new(states, interval, first)))
            }
        };
        let sink = TableSink {
            allowed_delay_ms: spec.windows.allowed_delay_ms,
            aggregator: Aggregator::new(spec),
            registers,
            side_outputs: SideOutputs::new(&kafka.source),
            claim: None,
            group_use,
            leaving,
            maintaining: None,
            progress: TableProgress::default(),
            lake,
            kafka,
            commit: settings.commit,
            maintenance: settings.maintenance,
        };
        Ok(Runner::new(source, sink, committer, targets))
    }
}

/// Looks whether another table is fed by the group.
async fn look_at_group(
    committer: &TableCommitter,
    kafka: &Subscription,
    source: &Source,
    topic: &Topic,
) -> Result<GroupUse, PipelineError> {
    let offsets = source
        .committed_now(topic.ranges.keys().copied().collect())
        .await?;
    GroupUse::look(
        &kafka.source.group,
        committer.owner().clone(),
        &offsets,
        source.group(),
    )
    .await
}
