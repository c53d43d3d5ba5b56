//! Every metric: its name, what it means, and where its value comes from. `docs/operations.md` lists them for users.
//!
//! Values are read when somebody asks; nothing is counted twice. In the OpenMetrics text format, counters end in `_total`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Side, Sides};
use crate::clock;
use crate::pipeline::{DetectionProgress, PartitionProgress, Progress};

/// Of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The metrics of these sides, each under the prefix `streamgauge_`.
    pub fn new(sides: Sides) -> Self {
        let mut registry = Registry::with_prefix("streamgauge");
        registry.register_collector(Box::new(sides));
        Metrics { registry }
    }

    /// All of them as text.
    ///
    /// # Errors
    /// Of formatting; there is no other.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Sides {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families { encoder };
        let version = labels([("version", env!("CARGO_PKG_VERSION"))]);
        families.family(
            "build_info",
            "The program's version",
            [(version, ConstGauge::new(1_i64))],
        )?;
        families.both(&self.each().collect::<Vec<_>>(), clock::now_ms())?;
        if let Some(progress) = &self.table {
            families.table(&progress.borrow())?;
        }
        if let Some(progress) = &self.anomalies {
            families.anomalies(&progress.borrow())?;
        }
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Writes families of metrics.
struct Families<'e> {
    encoder: DescriptorEncoder<'e>,
}

impl Families<'_> {
    /// What both sides have, told apart by the label `side`.
    fn both(&mut self, sides: &[Side], now_ms: i64) -> fmt::Result {
        let of_side = |side: &Side| labels([("side", side.name)]);
        let of_partitions = |value: fn(&PartitionProgress, i64) -> Option<f64>| {
            sides.iter().flat_map(move |side| {
                side.partitions.iter().filter_map(move |partition| {
                    let number = partition.partition.to_string();
                    let labels = labels([("side", side.name), ("partition", &number)]);
                    Some((labels, ConstGauge::new(value(partition, now_ms)?)))
                })
            })
        };
        let partitions = |side: &Side| ConstGauge::new(side.partitions.len() as i64);
        self.family(
            "assigned_partitions",
            "Partitions of the topic that this process has",
            sides.iter().map(|side| (of_side(side), partitions(side))),
        )?;
        self.family(
            "taken_in_records",
            "Records taken in, committed or not",
            sides
                .iter()
                .map(|side| (of_side(side), ConstCounter::new(side.taken_in))),
        )?;
        self.family(
            "consumer_lag_records",
            "Records between what is committed and the partition's end",
            of_partitions(|partition, _| partition.lag.records.map(|records| records as f64)),
        )?;
        self.family(
            "consumer_lag_seconds",
            "Age, by Kafka's timestamp, of the oldest record taken in and not committed; 0 if there is none",
            of_partitions(|partition, now_ms| Some(lag_s(partition, now_ms))),
        )?;
        self.family(
            "watermark_timestamp_seconds",
            "Event time up to which windows are closed",
            of_partitions(|partition, _| partition.watermark_ms.map(seconds)),
        )?;
        self.family(
            "commit_duration_seconds",
            "Commits: of the table, with their letters, and of transactions with anomalies",
            sides
                .iter()
                .map(|side| (of_side(side), side.commits.durations.clone())),
        )?;
        self.family(
            "commits_overtaken",
            "Commits refused because another process has the partitions",
            sides
                .iter()
                .map(|side| (of_side(side), ConstCounter::new(side.commits.overtaken))),
        )?;
        self.family(
            "last_commit_timestamp_seconds",
            "When the last commit ended",
            sides.iter().filter_map(|side| {
                let last_s = seconds(side.commits.last_ms?);
                Some((of_side(side), ConstGauge::new(last_s)))
            }),
        )
    }

    fn table(&mut self, progress: &Progress) -> fmt::Result {
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

    fn anomalies(&mut self, progress: &DetectionProgress) -> fmt::Result {
        let tally = &progress.tally;
        self.family(
            "judged_readings",
            "Readings judged, those read again after a restart included",
            [(Labels::new(), ConstCounter::new(tally.judged))],
        )?;
        self.family(
            "rejected_readings",
            "Records that were not judged, by reason",
            tally
                .rejected
                .iter()
                .map(|(reason, &count)| (labels([("reason", reason.name())]), ConstCounter::new(count))),
        )?;
        self.family(
            "replayed_readings",
            "Readings judged before, and read again to restore the state",
            [(Labels::new(), ConstCounter::new(tally.replayed))],
        )?;
        self.family(
            "series",
            "Series with detectors",
            [(Labels::new(), ConstGauge::new(progress.series as i64))],
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
    fn family<M: EncodeMetric>(
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

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

fn lag_s(partition: &PartitionProgress, now_ms: i64) -> f64 {
    let oldest_ms = partition.lag.oldest.and_then(|oldest| oldest.timestamp_ms);
    oldest_ms.map_or(0.0, |oldest_ms| seconds((now_ms - oldest_ms).max(0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::watch;

    use super::*;
    use crate::decode::{Counts, Reason};
    use crate::detect::Severity;
    use crate::pipeline::{Lag, Oldest};

    const OPERATIONS: &str = include_str!("../../docs/operations.md");

    fn partition() -> PartitionProgress {
        PartitionProgress {
            partition: 2,
            lag: Lag {
                records: Some(7),
                oldest: Some(Oldest {
                    timestamp_ms: Some(0),
                    taken_in_at: clock::instant(),
                }),
            },
            watermark_ms: Some(1_500),
        }
    }

    /// The text of a process in which there is something of everything.
    fn text() -> String {
        let mut counts = Counts::default();
        counts.dead_letter(Reason::InvalidJson);
        let mut table = Progress {
            counts,
            version: Some(3),
            files: Some(4),
            partitions: vec![partition()],
            ..Progress::default()
        };
        table.commits.note(std::time::Duration::from_millis(20), 2_000);
        let mut anomalies = DetectionProgress {
            partitions: vec![partition()],
            ..DetectionProgress::default()
        };
        anomalies.tally.rejected.insert(Reason::InvalidJson, 1);
        anomalies.published.insert(("rule", Severity::Critical), 5);
        let sides = Sides {
            table: Some(watch::channel(table).1),
            anomalies: Some(watch::channel(anomalies).1),
        };
        Metrics::new(sides).text().unwrap()
    }

    #[test]
    fn values_carry_their_labels() {
        let text = text();
        for line in [
            "streamgauge_consumer_lag_records{side=\"table\",partition=\"2\"} 7.0",
            "streamgauge_watermark_timestamp_seconds{side=\"anomalies\",partition=\"2\"} 1.5",
            "streamgauge_dead_letters_total{reason=\"invalid_json\"} 1",
            "streamgauge_anomalies_total{detector=\"rule\",severity=\"critical\"} 5",
            "streamgauge_commit_duration_seconds_bucket{le=\"0.025\",side=\"table\"} 1",
            "streamgauge_table_version 3",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in:\n{text}");
        }
    }

    #[test]
    fn the_documents_name_every_metric_and_no_other() {
        let text = text();
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
