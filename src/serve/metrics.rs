//! Every metric: its name, what it means, and where its value comes from. `docs/operations.md` lists them for users.
//!
//! Values are read when somebody asks; nothing is counted twice. In the OpenMetrics text format, counters end in `_total`.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{SinkHandle, SinkProgress, Sinks};
use crate::clock;
use crate::pipeline::PartitionProgress;
use crate::pipeline::anomalies::AnomaliesProgress;
use crate::pipeline::table::TableProgress;

/// Of the answer.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The metrics of these sinks, each under the prefix `streamgauge_`.
    pub(crate) fn new(sinks: Sinks) -> Self {
        let mut registry = Registry::with_prefix("streamgauge");
        registry.register_collector(Box::new(sinks));
        Metrics::of(registry)
    }

    /// The metrics that are registered here.
    pub(super) fn of(registry: Registry) -> Self {
        Metrics { registry }
    }

    /// All of them as text.
    ///
    /// # Errors
    /// Of formatting; there is no other.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Sinks {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families { encoder };
        families.version()?;
        let all: Vec<SinkProgress> = self.iter().map(SinkHandle::progress).collect();
        families.common(&all, clock::now_ms())?;
        for sink in self.iter() {
            match sink {
                SinkHandle::Table(progress) => families.table(&progress.borrow().sink)?,
                SinkHandle::Anomalies(progress) => families.anomalies(&progress.borrow().sink)?,
                SinkHandle::Alerts(progress) => families.alerts(&progress.borrow().sink, clock::now_ms())?,
            }
        }
        Ok(())
    }
}

pub(super) type Labels = Vec<(&'static str, String)>;

pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Writes families of metrics.
pub(super) struct Families<'e> {
    pub(super) encoder: DescriptorEncoder<'e>,
}

impl Families<'_> {
    /// What each process has.
    pub(super) fn version(&mut self) -> fmt::Result {
        let version = labels([("version", env!("CARGO_PKG_VERSION"))]);
        self.family(
            "build_info",
            "The program's version",
            [(version, ConstGauge::new(1_i64))],
        )
    }

    /// What all sinks have, with a label `sink`.
    fn common(&mut self, sinks: &[SinkProgress], now_ms: i64) -> fmt::Result {
        let of_sink = |sink: &SinkProgress| labels([("sink", sink.name)]);
        let of_partitions = |value: fn(&PartitionProgress, i64) -> Option<f64>| {
            sinks.iter().flat_map(move |sink| {
                sink.partitions.iter().filter_map(move |partition| {
                    let number = partition.partition.to_string();
                    let labels = labels([("sink", sink.name), ("partition", &number)]);
                    Some((labels, ConstGauge::new(value(partition, now_ms)?)))
                })
            })
        };
        let partitions = |sink: &SinkProgress| ConstGauge::new(sink.partitions.len() as i64);
        self.family(
            "assigned_partitions",
            "Partitions of the topic that this process has",
            sinks.iter().map(|sink| (of_sink(sink), partitions(sink))),
        )?;
        self.family(
            "ingested_records",
            "Records ingested, committed or not",
            sinks
                .iter()
                .map(|sink| (of_sink(sink), ConstCounter::new(sink.ingested))),
        )?;
        self.family(
            "skipped_records",
            "Records that the settings pass over (reading.where, reading.skip)",
            sinks
                .iter()
                .map(|sink| (of_sink(sink), ConstCounter::new(sink.skipped))),
        )?;
        self.family(
            "consumer_lag_records",
            "Records between what is committed and the partition's end, those that open transactions hold back included",
            of_partitions(|partition, _| partition.lag.records.map(|records| records as f64)),
        )?;
        self.family(
            "consumer_lag_seconds",
            "Age, by Kafka's timestamp, of the oldest record ingested and not committed, or how long none could be ingested, be it for an open transaction; 0 if there is none",
            of_partitions(|partition, now_ms| Some(lag_s(partition, now_ms))),
        )?;
        self.family(
            "watermark_timestamp_seconds",
            "Event time up to which windows are closed",
            of_partitions(|partition, _| partition.watermark_ms.map(seconds)),
        )?;
        self.family(
            "commit_duration_seconds",
            "Commits: of the table, with their side outputs, and transactions with anomalies or with the state of alerts",
            sinks
                .iter()
                .map(|sink| (of_sink(sink), sink.commits.durations.clone())),
        )?;
        self.family(
            "commits_overtaken",
            "Commits refused because another process has the partitions",
            sinks
                .iter()
                .map(|sink| (of_sink(sink), ConstCounter::new(sink.commits.overtaken))),
        )?;
        self.family(
            "last_commit_timestamp_seconds",
            "When the last commit ended",
            sinks.iter().filter_map(|sink| {
                let last_s = seconds(sink.commits.last_ms?);
                Some((of_sink(sink), ConstGauge::new(last_s)))
            }),
        )
    }

    fn table(&mut self, progress: &TableProgress) -> fmt::Result {
        let counts = &progress.counts;
        self.family(
            "aggregated_readings",
            "Readings in the table's averages",
            [(Labels::new(), ConstCounter::new(counts.aggregated))],
        )?;
        let late = [
            ("diverted", counts.late_diverted),
            ("upserted", counts.late_upserted),
            ("dropped", counts.late_dropped),
        ];
        self.family(
            "late_readings",
            "Late readings, by what became of them",
            late.map(|(action, count)| (labels([("action", action)]), ConstCounter::new(count))),
        )?;
        self.family(
            "dead_letters",
            "Records that hold no reading, by reason",
            counts
                .dead_lettered
                .iter()
                .map(|(reason, &count)| (labels([("reason", reason.name())]), ConstCounter::new(count))),
        )?;
        self.family(
            "pending_rows",
            "Rows that wait for the next commit",
            [(Labels::new(), ConstGauge::new(progress.pending_rows as i64))],
        )?;
        let version = progress.version.map(|version| version as i64);
        self.family(
            "table_version",
            "The last version that this process committed",
            version.map(|version| (Labels::new(), ConstGauge::new(version))),
        )?;
        let files = progress.files.map(|files| files as i64);
        self.family(
            "table_files",
            "Data files of that version",
            files.map(|files| (Labels::new(), ConstGauge::new(files))),
        )
    }

    fn anomalies(&mut self, progress: &AnomaliesProgress) -> fmt::Result {
        let counts = &progress.counts;
        self.family(
            "judged_readings",
            "Readings judged, those read again after a restart included",
            [(Labels::new(), ConstCounter::new(counts.judged))],
        )?;
        self.family(
            "rejected_readings",
            "Records that were not judged, by reason",
            counts
                .rejected
                .iter()
                .map(|(reason, &count)| (labels([("reason", reason.name())]), ConstCounter::new(count))),
        )?;
        self.family(
            "replayed_readings",
            "Readings judged before, and read again to restore the state",
            [(Labels::new(), ConstCounter::new(counts.replayed))],
        )?;
        self.family(
            "series",
            "Series with detectors",
            [(Labels::new(), ConstGauge::new(progress.series as i64))],
        )?;
        self.family(
            "series_limit",
            "Series that there may be in the partitions that this process has",
            [(Labels::new(), ConstGauge::new(progress.series_limit as i64))],
        )?;
        self.family(
            "series_forgotten",
            "Series that event time left behind by their detectors' memory",
            [(Labels::new(), ConstCounter::new(counts.forgotten))],
        )?;
        self.family(
            "anomalies_passed_over",
            "Anomalies not published, by detect.direction or detect.least_change",
            [(Labels::new(), ConstCounter::new(counts.passed_over))],
        )?;
        self.family(
            "anomalies",
            "Anomalies published, by detector and severity",
            progress.published.iter().map(|(&(detector, severity), &count)| {
                let labels = labels([("detector", detector), ("severity", severity.name())]);
                (labels, ConstCounter::new(count))
            }),
        )
    }

    /// Writes a family, unless it has no samples yet.
    pub(super) fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let mut encoder = self
            .encoder
            .encode_descriptor(name, help, None, first.metric_type())?;
        for (labels, metric) in samples {
            if labels.is_empty() {
                return metric.encode(encoder);
            }
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// A position may stand for a moment: the end is known a second late, and a block takes its time.
const NOTICED_AFTER: Duration = Duration::from_secs(5);

fn lag_s(partition: &PartitionProgress, now_ms: i64) -> f64 {
    let oldest_ms = partition.lag.oldest.and_then(|oldest| oldest.timestamp_ms);
    let age_s = oldest_ms.map_or(0.0, |oldest_ms| seconds((now_ms - oldest_ms).max(0)));
    // What cannot be ingested has a timestamp that nobody knows; it has waited at least as long as the position stands.
    let stands = partition
        .lag
        .stuck
        .map(|stuck| clock::instant().saturating_duration_since(stuck.since));
    let stands = stands.filter(|stands| *stands >= NOTICED_AFTER);
    age_s.max(stands.map_or(0.0, |stands| stands.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::watch;

    use super::*;
    use crate::decode::Reason;
    use crate::detectors::Severity;
    use crate::pipeline::{Lag, Oldest, Progress, Stuck, StuckCause};
    use crate::serve::alerts;
    use crate::table::Counts;

    const OPERATIONS: &str = include_str!("../../docs/operations.md");

    fn partition() -> PartitionProgress {
        PartitionProgress {
            partition: 2,
            lag: Lag {
                records: Some(7),
                oldest: Some(Oldest {
                    timestamp_ms: Some(0),
                    ingested_at: clock::instant(),
                }),
                stuck: None,
            },
            watermark_ms: Some(1_500),
        }
    }

    /// The text of a process in which there is something of everything.
    fn text() -> String {
        let mut counts = Counts::default();
        counts.dead_letter(Reason::InvalidJson);
        let mut table = Progress {
            partitions: vec![partition()],
            sink: TableProgress {
                counts,
                version: Some(3),
                files: Some(4),
                ..TableProgress::default()
            },
            ..Progress::default()
        };
        table.commits.note(std::time::Duration::from_millis(20), 2_000);
        let mut anomalies = Progress {
            partitions: vec![partition()],
            ..Progress::<AnomaliesProgress>::default()
        };
        anomalies.sink.counts.rejected.insert(Reason::InvalidJson, 1);
        anomalies.sink.published.insert(("rule", Severity::Critical), 5);
        let alerts = Progress {
            sink: alerts::tests::progress(),
            ..Progress::default()
        };
        let sinks = Sinks::new([
            SinkHandle::Table(watch::channel(table).1),
            SinkHandle::Anomalies(watch::channel(anomalies).1),
            SinkHandle::Alerts(watch::channel(alerts).1),
        ]);
        Metrics::new(sinks).text().unwrap()
    }

    #[test]
    fn values_carry_their_labels() {
        let text = text();
        for line in [
            "streamgauge_consumer_lag_records{sink=\"table\",partition=\"2\"} 7.0",
            "streamgauge_watermark_timestamp_seconds{sink=\"anomalies\",partition=\"2\"} 1.5",
            "streamgauge_dead_letters_total{reason=\"invalid_json\"} 1",
            "streamgauge_anomalies_total{detector=\"rule\",severity=\"critical\"} 5",
            "streamgauge_commit_duration_seconds_bucket{le=\"0.025\",sink=\"table\"} 1",
            "streamgauge_table_version 3",
            "streamgauge_alerts_sent_total{receiver=\"ops\"} 6",
            "streamgauge_alerts_given_up_total{receiver=\"ops\",reason=\"refused\"} 1",
            "streamgauge_alerts_suppressed_total{receiver=\"ops\",reason=\"silenced\"} 2",
            "streamgauge_judged_episodes{detector=\"rules\",verdict=\"real\"} 3",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in:\n{text}");
        }
    }

    #[test]
    fn records_that_cannot_be_ingested_make_the_lag_grow() {
        let stands_s = |seconds| {
            let since = clock::instant()
                .checked_sub(Duration::from_secs(seconds))
                .unwrap();
            let stuck = Stuck {
                offset: 1,
                end_offset: 4,
                since,
                cause: StuckCause::Unread,
            };
            let lag = Lag {
                records: Some(3),
                oldest: None,
                stuck: Some(stuck),
            };
            lag_s(&PartitionProgress { lag, ..partition() }, 0)
        };
        assert_eq!(stands_s(1), 0.0);
        assert!((75.0..80.0).contains(&stands_s(75)));
    }

    #[test]
    fn the_documents_name_every_metric_and_no_other() {
        let text = text() + &super::super::collector::tests::text();
        let families = text.lines().filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some(format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
        });
        let documented = OPERATIONS.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("| `streamgauge_")?.split_once('`')?;
            Some(format!("streamgauge_{name}"))
        });
        assert_eq!(
            families.collect::<BTreeSet<_>>(),
            documented.collect::<BTreeSet<_>>()
        );
    }
}
