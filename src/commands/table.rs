//! `streamgauge table`: what a careful owner of a Delta table needs.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use indicatif::{HumanBytes, HumanCount};

use super::{Action, KafkaArgs, block_on, stdout};
use crate::config::{Config, Loaded, Overrides};
use crate::kafka::Cluster;
use crate::lake::{Lake, Maintenance, MaintenanceReport};
use crate::table::Known;

/// Describe the Delta table, show its history, and tidy it up by hand
///
/// A running `streamgauge aggregate` keeps its table healthy by itself; compact and vacuum are for those who switched
/// that off, and safe beside it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TableArgs {
    #[command(subcommand)]
    command: TableCommand,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge table describe --table s3://lake/usage
  streamgauge table history --limit 5
  streamgauge table compact --dry-run";

#[derive(Debug, Subcommand)]
enum TableCommand {
    Describe(DescribeArgs),
    History(HistoryArgs),
    Compact(TidyArgs),
    Vacuum(VacuumArgs),
}

/// Show rows, files, bytes, version, and the position of every partition and how far it is behind the topic
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge table describe --table ./usage-table -t usage")]
struct DescribeArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    location: LocationArgs,
    /// Do not ask the cluster how far behind the positions are
    #[arg(long)]
    offline: bool,
}

/// Show what each version did, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge table history --limit 5")]
struct HistoryArgs {
    #[command(flatten)]
    location: LocationArgs,
    /// Show so many versions
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Merge small files of closed windows into larger ones
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge table compact --dry-run")]
struct TidyArgs {
    #[command(flatten)]
    location: LocationArgs,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Delete files that no version within the retention refers to, and expired log entries
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge table vacuum --retention 7d --dry-run")]
struct VacuumArgs {
    #[command(flatten)]
    tidy: TidyArgs,
    /// How long replaced files are kept
    #[arg(long, value_name = "DURATION")]
    retention: Option<String>,
}

#[derive(Debug, Args)]
struct LocationArgs {
    /// Where the table lies: a local folder or s3://bucket/prefix
    #[arg(long, value_name = "URI")]
    table: Option<String>,
}

impl LocationArgs {
    fn overrides(&self) -> Overrides {
        Overrides::default().with("table.uri", "--table", self.table.as_ref())
    }
}

impl Action for TableArgs {
    fn overrides(&self) -> Overrides {
        match &self.command {
            TableCommand::Describe(args) => args.kafka.overrides().and(args.location.overrides()),
            TableCommand::History(args) => args.location.overrides(),
            TableCommand::Compact(args) => args.location.overrides(),
            TableCommand::Vacuum(args) => args.tidy.location.overrides().with(
                "maintenance.vacuum_retention",
                "--retention",
                args.retention.as_ref(),
            ),
        }
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        block_on(async {
            match &self.command {
                TableCommand::Describe(args) => describe(config, args.offline).await,
                TableCommand::History(args) => history(config, args.limit).await,
                TableCommand::Compact(args) => compact(config, args.dry_run).await,
                TableCommand::Vacuum(args) => vacuum(config, args.tidy.dry_run).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn describe(config: &Config, offline: bool) -> anyhow::Result<()> {
    let (_, known, config) = Lake::open_as_made(config).await?;
    let config = &config;
    let image = &known.image;
    let mut out = stdout();
    let files = image.files.values();
    writeln!(out, "table      {}", config.table.uri)?;
    writeln!(out, "version    {}", image.version)?;
    writeln!(
        out,
        "rows       {}",
        HumanCount(files.clone().map(|file| file.rows).sum())
    )?;
    writeln!(out, "files      {}", HumanCount(files.len() as u64))?;
    writeln!(
        out,
        "bytes      {}",
        HumanBytes(files.clone().map(|file| file.size_bytes).sum())
    )?;
    let starts = (
        files.clone().map(|file| file.first_start_ms).min(),
        files.map(|file| file.last_start_ms).max(),
    );
    if let (Some(first), Some(last)) = starts {
        writeln!(out, "windows    {} to {}", time(first), time(last))?;
    }
    let ends = if offline {
        None
    } else {
        Some(ends(config, &known).await)
    };
    for (partition, position) in &image.positions {
        let newest = position.largest_event_time_ms.map_or("none yet".to_owned(), time);
        let behind = match &ends {
            None => String::new(),
            Some(Ok(ends)) => match ends.get(*partition as usize) {
                Some(end) => format!(
                    ", {} behind the topic",
                    HumanCount((end - position.next_offset).max(0) as u64)
                ),
                None => ", which the topic does not have".to_owned(),
            },
            Some(Err(_)) => ", behind the topic by an unknown number".to_owned(),
        };
        writeln!(
            out,
            "partition  {partition}: next offset {}, newest reading {newest}{behind}",
            position.next_offset
        )?;
    }
    if let Some(Err(error)) = ends {
        tracing::warn!("how far behind the positions are is not known: {error}");
    }
    Ok(())
}

/// The end of each partition of the topic.
async fn ends(config: &Config, known: &Known) -> anyhow::Result<Vec<i64>> {
    if known.image.positions.is_empty() {
        return Ok(Vec::new());
    }
    let kafka = config.kafka.clone();
    tokio::task::spawn_blocking(move || {
        let cluster = Cluster::connect(&kafka)?;
        let partitions = cluster.partition_count(&kafka.topic)?.unwrap_or(0);
        (0..partitions)
            .map(|partition| Ok(cluster.watermarks(&kafka.topic, partition)?.1))
            .collect()
    })
    .await?
}

async fn history(config: &Config, limit: usize) -> anyhow::Result<()> {
    let (lake, known, _) = Lake::open_as_made(config).await?;
    let mut out = stdout();
    for version in (0..=known.image.version).rev().take(limit) {
        let Some(info) = lake.commit_info(version).await? else {
            writeln!(out, "{version}  (and those before it: past the log's retention)")?;
            break;
        };
        let at = info.timestamp.map_or("-".to_owned(), time);
        let operation = info.operation.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{version}  {at}  {operation}{}",
            metrics(info.operation_metrics.as_ref())
        )?;
    }
    Ok(())
}

fn metrics(metrics: Option<&serde_json::Value>) -> String {
    let Some(metrics) = metrics.and_then(serde_json::Value::as_object) else {
        return String::new();
    };
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = metrics
        .iter()
        .map(|(name, value)| (name, text(value)))
        .filter(|(_, value)| value != "0");
    shown.map(|(name, value)| format!("  {name}={value}")).collect()
}

async fn compact(config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let report = maintenance(config).await?.compact(dry_run).await?;
    let line = match (report.files_merged, dry_run) {
        (0, _) => "nothing to merge".to_owned(),
        (merged, true) => format!("would merge {merged} files into {}", report.files_written),
        (merged, false) => format!("merged {merged} files into {}", report.files_written),
    };
    writeln!(stdout(), "{line}")?;
    Ok(())
}

async fn vacuum(config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let MaintenanceReport {
        files_deleted,
        log_entries_deleted,
        ..
    } = maintenance(config).await?.clean_up(dry_run).await?;
    let mut out = stdout();
    for file in &files_deleted {
        writeln!(out, "{file}")?;
    }
    let would = if dry_run { "would delete" } else { "deleted" };
    writeln!(out, "{would} {} files", files_deleted.len())?;
    if !dry_run {
        writeln!(out, "deleted {log_entries_deleted} log entries")?;
    }
    Ok(())
}

async fn maintenance(config: &Config) -> anyhow::Result<Maintenance> {
    let (lake, known, config) = Lake::open_as_made(config).await?;
    let allowed_delay_ms = config.window.watermark.as_millis() as i64;
    Ok(Maintenance::new(
        Arc::new(lake),
        config.maintenance.clone(),
        allowed_delay_ms,
        known,
    ))
}

fn time(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or("out of range".to_owned(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    })
}
