//! `streamgauge aggregate`: from the topic to the table.

use std::process::ExitCode;

use clap::Args;
use indicatif::HumanCount;

use super::service::{Endpoints, Service};
use super::{Action, KafkaArgs, block_on, interrupted};
use crate::config::{LatePolicy, Loaded, Overrides};
use crate::pipeline::{Pipeline, Progress, RunMode};
use crate::serve::Sides;

/// Keep windowed averages of the topic in the Delta table
///
/// Consumes the topic, keeps totals of tumbling windows and commits them to the table, each reading exactly once: kill
/// it anywhere, start it again, run several with the same group, and the table comes out the same. Rows appear with a
/// window's first reading and are corrected at each commit. Ctrl-C and SIGTERM commit what is complete and leave the
/// group.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct AggregateArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    table: TableArgs,
    /// Stop, committed, at the ends that the topic has now: the backfill mode
    #[arg(long)]
    available_now: bool,
    /// Go on although the topic no longer holds the next reading; what is missing stays missing
    #[arg(long)]
    accept_gap: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct TableArgs {
    /// The consumer group; processes with the same one share the partitions
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
    late: Option<LatePolicy>,
    /// What tells series apart: none, message (the Kafka key), or a field's dotted path
    #[arg(long, value_name = "none|message|FIELD")]
    key: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  Hourly averages of the topic `usage`, into ./usage-table:
    streamgauge aggregate -b localhost:9092 -t usage
  Ten-minute averages a meter, to S3; late readings correct their rows:
    streamgauge aggregate -t meters --key meter.id --window 10m --late upsert --table s3://lake/meters
  Backfill: everything the topic holds now, then stop:
    streamgauge aggregate -t usage --available-now
  A cluster with TLS and SCRAM:
    streamgauge aggregate -b kafka:9096 -X security.protocol=SASL_SSL -X sasl.mechanisms=SCRAM-SHA-512 \\
      -X sasl.username=me -X sasl.password=…

More of the settings, and what each means: streamgauge config show";

impl WindowArgs {
    /// The flags that were given, as settings.
    pub(super) fn overrides(&self) -> Overrides {
        let late = self.late.map(|late| format!("{late:?}").to_lowercase());
        Overrides::default()
            .with("window.length", "--window", self.window.as_ref())
            .with("window.watermark", "--watermark", self.watermark.as_ref())
            .with("window.late", "--late", late)
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
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let mode = RunMode::of(self.available_now);
        block_on(async {
            let endpoints = Endpoints::reserve(loaded).await?;
            let pipeline = Pipeline::start(loaded.config.clone(), mode).await?;
            let sides = Sides {
                table: Some(pipeline.progress()),
                anomalies: None,
            };
            let service = Service::start(endpoints, sides);
            let ended = pipeline.run(interrupted()).await;
            drop(service);
            eprintln!("{}", summary(&ended?));
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The conservation counts of a run: every record consumed is one of the three.
pub(super) fn summary(progress: &Progress) -> String {
    let counts = &progress.counts;
    let version = progress
        .version
        .map_or("nothing new for the table".to_owned(), |version| {
            format!("the table is at version {version}")
        });
    let mut text = format!(
        "{} consumed = {} aggregated + {} late + {} dead-lettered; {version}",
        HumanCount(counts.consumed),
        HumanCount(counts.aggregated),
        HumanCount(counts.late()),
        HumanCount(counts.dead()),
    );
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Counts;
    use crate::decode::Reason;

    #[test]
    fn the_summary_adds_up_and_names_reasons() {
        let mut counts = Counts {
            consumed: 1203,
            aggregated: 1200,
            late_diverted: 2,
            ..Counts::default()
        };
        counts.dead_letter(Reason::InvalidJson);
        let text = summary(&Progress {
            counts,
            ..Progress::default()
        });
        assert_eq!(
            text,
            "1,203 consumed = 1,200 aggregated + 2 late + 1 dead-lettered; nothing new for the table\n  dead-lettered as invalid_json: 1\n  \
             late and diverted: 2"
        );
    }
}
