//! `streamgauge aggregate`: from the topic to the table.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::HumanCount;

use super::run_summary::{nothing_read, run_summary, skipped};
use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, SetArgs, block_on, interrupted};
use crate::config::{Loaded, Overrides};
use crate::pipeline::RunMode;
use crate::pipeline::table::{TableProgress, TableSink};
use crate::registry::Registry;
use crate::serve::{SinkHandle, Sinks};
use crate::window::LatePolicy;

/// Keep windowed averages of the topic in the Delta table
///
/// Consumes the topic, keeps totals of tumbling windows and commits them to the table, each reading exactly once: kill
/// it anywhere, start it again, run several with the same group, and the table comes out the same. Rows appear with a
/// window's first reading and are corrected at each commit. Ctrl-C and SIGTERM commit what is complete and leave the
/// group.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct AggregateArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    set: SetArgs,
    /// Stop, committed, at the ends that the topic has now: the backfill mode
    #[arg(long)]
    available_now: bool,
    /// Go on although the topic no longer holds the next reading; what is missing stays missing
    #[arg(long)]
    accept_gap: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct TableArgs {
    /// The consumer group; processes with the same one share the partitions [default: one of the table's own]
    #[arg(long)]
    group: Option<String>,
    /// Where the table lies: a local folder or s3://bucket/prefix
    #[arg(long, value_name = "URI")]
    table: Option<String>,
    /// Commit at most this often, while there is something to write
    #[arg(long, value_name = "DURATION")]
    commit_interval: Option<String>,
}

impl TableArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides::default()
            .with("kafka.group", "--group", self.group.as_ref())
            .with("table.uri", "--table", self.table.as_ref())
            .with(
                "commit.interval",
                "--commit-interval",
                self.commit_interval.as_ref(),
            )
    }
}

#[derive(Debug, Clone, Args)]
pub(super) struct WindowArgs {
    /// Length of the windows, from 1s to 1d
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// Allowed delay: how far a reading may lag behind the newest one of its partition once its window has ended
    #[arg(long, value_name = "DURATION")]
    watermark: Option<String>,
    /// What becomes of late readings
    #[arg(long, value_enum)]
    late: Option<Late>,
    /// The source of series' keys: none, message (the Kafka key), or a field's dotted path
    #[arg(long, value_name = "none|message|FIELD")]
    key: Option<String>,
}

/// The values of `--late`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Late {
    /// Kept out of the average and written to the late topic
    Divert,
    /// Corrects the row it belongs to, however old
    Upsert,
    /// Only counted
    Drop,
}

impl Late {
    fn policy(self) -> LatePolicy {
        match self {
            Late::Divert => LatePolicy::Divert,
            Late::Upsert => LatePolicy::Upsert,
            Late::Drop => LatePolicy::Drop,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Hourly averages of the topic `usage`, into ./usage-table:
    streamgauge aggregate -b localhost:9092 -t usage
  Ten-minute averages a meter, to S3; late readings correct their rows:
    streamgauge aggregate -t meters --key meter.id --window 10m --late upsert --table s3://lake/meters
  Backfill: everything the topic holds now, then stop:
    streamgauge aggregate -t usage --available-now
  A cluster with TLS and SCRAM; the password in STREAMGAUGE__KAFKA__PROPERTIES__SASL_PASSWORD:
    streamgauge aggregate -b kafka:9096 -X security.protocol=SASL_SSL -X sasl.mechanisms=SCRAM-SHA-512 -X sasl.username=me

More of the settings, and what each means: streamgauge config show";

impl WindowArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides::default()
            .with("window.length", "--window", self.window.as_ref())
            .with("window.watermark", "--watermark", self.watermark.as_ref())
            .with(
                "window.late",
                "--late",
                self.late.map(Late::policy).map(LatePolicy::name),
            )
            .with("reading.key", "--key", self.key.as_ref())
    }
}

impl Action for AggregateArgs {
    fn overrides(&self) -> Overrides {
        self.kafka
            .overrides()
            .and(self.table.overrides())
            .and(self.windows.overrides())
            .with(
                "kafka.accept_gap",
                "--accept-gap",
                self.accept_gap.then_some(true),
            )
            .and(self.set.overrides())
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        let config = &loaded.config;
        block_on(async {
            let endpoints = Endpoints::reserve(loaded).await?;
            let registry = Registry::open(&config.process.schema_registry)?.map(Arc::new);
            let runner = TableSink::start(&config.process.kafka, config.pipeline.clone(), mode)
                .await?
                .asking(registry);
            let service = Service::start(endpoints, Sinks::new([SinkHandle::Table(runner.progress())]));
            let ended = runner.run(interrupted(config.process.log.format)).await;
            drop(service);
            eprintln!("{}", run_summary(&ended?, summary));
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The conservation counts of a run (I1). Where each record holds one reading, records and readings are one sum.
pub(super) fn summary(progress: &TableProgress) -> String {
    let counts = &progress.counts;
    let version = progress
        .version
        .map_or("nothing new for the table".to_owned(), |version| {
            format!("the table is at version {version}")
        });
    let (consumed, dead) = (HumanCount(counts.consumed), HumanCount(counts.dead()));
    let (aggregated, late) = (HumanCount(counts.aggregated), HumanCount(counts.late()));
    let skipped = skipped(counts.skipped);
    let mut text = if counts.readings == counts.accepted {
        format!(
            "{consumed} consumed = {aggregated} aggregated + {late} late + {dead} dead-lettered{skipped}; {version}"
        )
    } else {
        let (accepted, readings) = (HumanCount(counts.accepted), HumanCount(counts.readings));
        format!(
            "{consumed} consumed = {accepted} accepted + {dead} dead-lettered{skipped}; \
             {readings} readings = {aggregated} aggregated + {late} late; {version}"
        )
    };
    for (reason, count) in &counts.dead_lettered {
        text += &format!("\n  dead-lettered as {}: {}", reason.name(), HumanCount(*count));
    }
    for (fate, count) in [
        ("diverted", counts.late_diverted),
        ("upserted", counts.late_upserted),
        ("dropped", counts.late_dropped),
    ] {
        if count > 0 {
            text += &format!("\n  late and {fate}: {}", HumanCount(count));
        }
    }
    text += nothing_read(counts.consumed, counts.dead());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Reason;
    use crate::table::Counts;

    #[test]
    fn skipped_records_are_a_part_of_the_sum_where_there_are_any() {
        let text = summary(&TableProgress {
            counts: Counts {
                consumed: 5,
                accepted: 2,
                skipped: 3,
                readings: 2,
                aggregated: 2,
                ..Counts::default()
            },
            ..TableProgress::default()
        });
        assert_eq!(
            text,
            "5 consumed = 2 aggregated + 0 late + 0 dead-lettered + 3 skipped; nothing new for the table"
        );
    }

    #[test]
    fn the_summary_adds_up_and_names_reasons() {
        let mut counts = Counts {
            consumed: 1203,
            aggregated: 1200,
            late_diverted: 2,
            ..Counts::default()
        };
        counts.dead_letter(Reason::InvalidJson);
        let text = summary(&TableProgress {
            counts,
            ..TableProgress::default()
        });
        assert_eq!(
            text,
            "1,203 consumed = 1,200 aggregated + 2 late + 1 dead-lettered; nothing new for the table\n  dead-lettered as invalid_json: 1\n  \
             late and diverted: 2"
        );
        // Records and readings are counted apart where a record holds several.
        let several = Counts {
            consumed: 3,
            accepted: 3,
            readings: 2000,
            aggregated: 1999,
            late_dropped: 1,
            ..Counts::default()
        };
        let text = summary(&TableProgress {
            counts: several,
            ..TableProgress::default()
        });
        assert_eq!(
            text.lines().next(),
            Some(
                "3 consumed = 3 accepted + 0 dead-lettered; 2,000 readings = 1,999 aggregated + 1 late; \
                 nothing new for the table"
            )
        );
    }
}
