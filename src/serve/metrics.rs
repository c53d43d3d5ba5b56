//! Every metric: its name, what it means, and where its value comes from. `docs/operations.md` lists them for users.
//!
//! Values are read when somebody asks; nothing is counted twice. In the OpenMetrics text format, counters end in `_total`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Sides;
use crate::clock;
use crate::pipeline::{Commits, DetectionProgress, PartitionProgress, Progress};

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
        families.gauge("build_info", "The program's version", [(version, 1_i64)])?;
        let table = self.table.as_ref().map(|progress| progress.borrow().clone());
        let anomalies = self.anomalies.as_ref().map(|progress| progress.borrow().clone());
        families.both(table.as_ref(), anomalies.as_ref(), clock::now_ms())?;
        if let Some(progress) = &table {
            families.table(progress)?;
        }
        if let Some(progress) = &anomalies {
            families.anomalies(progress)?;
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
    fn both(
        &mut self,
        table: Option<&Progress>,
        anomalies: Option<&DetectionProgress>,
        now_ms: i64,
    ) -> fmt::Result {
        let table = table.map(|progress| {
            (
                "table",
                progress.taken_in,
                &progress.partitions,
                &progress.commits,
            )
        });
        let anomalies = anomalies.map(|progress| {
            let taken_in = progress.tally.consumed;
            ("anomalies", taken_in, &progress.partitions, &progress.commits)
        });
        let sides: Vec<(&str, u64, &Vec<PartitionProgress>, &Commits)> =
            table.into_iter().chain(anomalies).collect();
        let of_side = |name| labels([("side", name)]);
        let of_partitions = |value: fn(&PartitionProgress, i64) -> Option<f64>| {
            sides.iter().flat_map(move |(name, _, partitions, _)| {
                partitions.iter().filter_map(move |partition| {
                    let number = partition.partition.to_string();
                    let labels = labels([("side", name), ("partition", &number)]);
                    Some((labels, value(partition, now_ms)?))
                })
            })
        };
        self.gauge(
            "assigned_partitions",
            "Partitions of the topic that this process has",
            sides
                .iter()
                .map(|(name, _, partitions, _)| (of_side(name), partitions.len() as i64)),
        )?;
        self.counter(
            "taken_in_records",
            "Records taken in, committed or not",
            sides
                .iter()
                .map(|(name, taken_in, ..)| (of_side(name), *taken_in)),
        )?;
        self.gauge(
            "consumer_lag_records",
            "Records between what is committed and the partition's end",
            of_partitions(|partition, _| partition.lag.records.map(|records| records as f64)),
        )?;
        self.gauge(
            "consumer_lag_seconds",
            "Age, by Kafka's timestamp, of the oldest record taken in and not committed; 0 if there is none",
            of_partitions(|partition, now_ms| Some(lag_s(partition, now_ms))),
        )?;
        self.gauge(
            "watermark_timestamp_seconds",
            "Event time up to which windows are closed",
            of_partitions(|partition, _| partition.watermark_ms.map(seconds)),
        )?;
        let commits = || sides.iter().map(|(name, _, _, commits)| (*name, *commits));
        self.histogram(
            "commit_duration_seconds",
            "Commits: of the table, with their letters, and of transactions with anomalies",
            commits().map(|(name, commits)| (of_side(name), &commits.durations)),
        )?;
        self.counter(
            "commits_overtaken",
            "Commits refused because another process has the partitions",
            commits().map(|(name, commits)| (of_side(name), commits.overtaken)),
        )?;
        self.gauge(
            "last_commit_timestamp_seconds",
            "When the last commit ended",
            commits().filter_map(|(name, commits)| Some((of_side(name), seconds(commits.last_ms?)))),
        )
    }

    fn table(&mut self, progress: &Progress) -> fmt::Result {
        let counts = &progress.counts;
        self.counter(
            "aggregated_readings",
            "Readings in the table's averages",
            [(Labels::new(), counts.aggregated)],
        )?;
        let late = [
            ("diverted", counts.late_diverted),
            ("upserted", counts.late_upserted),
            ("dropped", counts.late_dropped),
        ];
        self.counter(
            "late_readings",
            "Late readings, by what became of them",
            late.map(|(action, count)| (labels([("action", action)]), count)),
        )?;
        self.counter(
            "dead_letters",
            "Records that hold no reading, by reason",
            counts
                .dead_lettered
                .iter()
                .map(|(reason, &count)| (labels([("reason", reason.name())]), count)),
        )?;
        self.gauge(
            "pending_rows",
            "Rows that wait for the next commit",
            [(Labels::new(), progress.pending_rows as i64)],
        )?;
        let version = progress.version.map(|version| (Labels::new(), version as i64));
        self.gauge(
            "table_version",
            "The last version that this process committed",
            version,
        )?;
        let files = progress.files.map(|files| (Labels::new(), files as i64));
        self.gauge("table_files", "Data files of that version", files)
    }

    fn anomalies(&mut self, progress: &DetectionProgress) -> fmt::Result {
        let tally = &progress.tally;
        self.counter(
            "judged_readings",
            "Readings judged, those read again after a restart included",
            [(Labels::new(), tally.judged)],
        )?;
        self.counter(
            "rejected_readings",
            "Records that were not judged, by reason",
            tally
                .rejected
                .iter()
                .map(|(reason, &count)| (labels([("reason", reason.name())]), count)),
        )?;
        self.counter(
            "replayed_readings",
            "Readings judged before, and read again to restore the state",
            [(Labels::new(), tally.replayed)],
        )?;
        self.gauge(
            "series",
            "Series with detectors",
            [(Labels::new(), progress.series as i64)],
        )?;
        self.counter(
            "anomalies",
            "Anomalies published, by detector and severity",
            progress.published.iter().map(|(&(detector, severity), &count)| {
                (
                    labels([("detector", detector), ("severity", severity.name())]),
                    count,
                )
            }),
        )
    }

    fn counter<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, N)>,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        let samples = samples.into_iter();
        self.family(
            name,
            help,
            samples.map(|(labels, value)| (labels, ConstCounter::new(value))),
        )
    }

    fn gauge<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let samples = samples.into_iter();
        self.family(
            name,
            help,
            samples.map(|(labels, value)| (labels, ConstGauge::new(value))),
        )
    }

    fn histogram<'h>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, &'h prometheus_client::metrics::histogram::Histogram)>,
    ) -> fmt::Result {
        let samples = samples.into_iter();
        self.family(name, help, samples.map(|(labels, value)| (labels, value.clone())))
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
