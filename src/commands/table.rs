//! `streamgauge table`: what a careful owner of a Delta table needs.

mod counted;
mod watermark;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use indicatif::{HumanBytes, HumanCount};

use super::{Action, KafkaArgs, block_on, stdout};
use crate::config::{Loaded, Overrides};
use crate::decode::ValueKind;
use crate::kafka::{PartitionEnds, Subscription, partition_ends};
use crate::lake::{self, Lake, Maintenance, MaintenanceReport, TableSettings, TableSpec};
use crate::pipeline;
use crate::printable::printable;
use crate::table::CachedSnapshot;
use counted::Counted;
use watermark::{WatermarkArgs, set_watermark};

/// Describe the Delta table, show its history, and tidy it up by hand
///
/// A running `streamgauge aggregate` keeps its table healthy by itself; compact and vacuum are for those who switched
/// that off, and safe next to it. Repair is for a log that a power cut or another program has damaged.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct TableArgs {
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
    Repair(RepairArgs),
    SetWatermark(WatermarkArgs),
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

/// Hold the log's checkpoints against its entries, delete what is wrong with them, and make a new one
///
/// Checkpoints and `_last_checkpoint` only abbreviate the log: nothing is lost with a damaged one, as long as the log
/// leads to the last version without it. If it does not, that is said and nothing is changed. Safe next to a running `aggregate`.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  streamgauge table repair --table ./usage-table --dry-run")]
struct RepairArgs {
    #[command(flatten)]
    location: LocationArgs,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
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
            TableCommand::Repair(args) => args.location.overrides(),
            TableCommand::SetWatermark(args) => args.location.overrides(),
            TableCommand::Vacuum(args) => args.tidy.location.overrides().with(
                "maintenance.vacuum_retention",
                "--retention",
                args.retention.as_ref(),
            ),
        }
    }

    fn run(&self, loaded: &Loaded) -> anyhow::Result<ExitCode> {
        let config = &loaded.config;
        let settings = &config.pipeline;
        let spec = settings.table_spec();
        block_on(async {
            match &self.command {
                TableCommand::Describe(args) => {
                    let kafka = (!args.offline).then(|| config.subscription());
                    describe(&spec, kafka).await
                }
                TableCommand::History(args) => history(&spec, args.limit).await,
                TableCommand::Compact(args) => compact(settings, args.dry_run).await,
                TableCommand::Vacuum(args) => vacuum(settings, args.tidy.dry_run).await,
                TableCommand::Repair(args) => repair(&settings.table, args.dry_run).await,
                TableCommand::SetWatermark(args) => set_watermark(&spec, args).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Describes a table; with a topic of its own also how far behind that its positions are.
async fn describe(spec: &TableSpec, kafka: Option<Subscription>) -> anyhow::Result<()> {
    let (lake, cached, spec) = Lake::open_as_made(spec).await?;
    let snapshot = &cached.snapshot;
    let mut out = stdout();
    let files = snapshot.files.values();
    writeln!(out, "table      {}", printable(&spec.table.uri))?;
    if spec.value_kind == ValueKind::Counter {
        writeln!(out, "values     counters: rows have the increase of their window")?;
    }
    writeln!(out, "version    {}", snapshot.version)?;
    writeln!(
        out,
        "rows       {}",
        HumanCount(sum(files.clone().map(|file| file.rows)))
    )?;
    writeln!(out, "files      {}", HumanCount(files.len() as u64))?;
    writeln!(
        out,
        "bytes      {}",
        HumanBytes(sum(files.clone().map(|file| file.size_bytes)))
    )?;
    let starts = (
        files.clone().map(|file| file.first_start_ms).min(),
        files.map(|file| file.last_start_ms).max(),
    );
    if let (Some(first), Some(last)) = starts {
        writeln!(out, "windows    {} to {}", time(first), time(last))?;
    }
    let counted = Counted::newest(&lake, snapshot.version).await?;
    writeln!(out, "records    {counted}")?;
    let ends = match kafka {
        None => None,
        Some(mut kafka) => {
            kafka.source.topic = spec.topic;
            Some(ends(kafka, &cached).await)
        }
    };
    for (partition, position) in &snapshot.positions {
        let newest = position.largest_event_time_ms.map_or("none yet".to_owned(), time);
        let behind = match &ends {
            None => String::new(),
            Some(Ok(ends)) => match ends.get(partition) {
                Some(ends) => behind(position.next_offset, *ends),
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

/// The lag of a position behind its partition's end, as text.
fn behind(next_offset: i64, ends: PartitionEnds) -> String {
    let count = |offsets: i64| HumanCount(offsets.max(0).unsigned_abs());
    let behind = count(ends.high_watermark.saturating_sub(next_offset));
    match ends.unstable() {
        0 => format!(", {behind} behind the topic"),
        unstable => format!(
            ", {behind} behind the topic, {} of them held back by an open transaction of another producer",
            count(unstable)
        ),
    }
}

/// The end offset of each partition of the topic.
async fn ends(kafka: Subscription, cached: &CachedSnapshot) -> anyhow::Result<BTreeMap<i32, PartitionEnds>> {
    if cached.snapshot.positions.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(tokio::task::spawn_blocking(move || partition_ends(&kafka)).await??)
}

async fn history(spec: &TableSpec, limit: usize) -> anyhow::Result<()> {
    let (lake, cached, _) = Lake::open_as_made(spec).await?;
    let mut out = stdout();
    for version in (0..=cached.snapshot.version).rev().take(limit) {
        let Some(info) = lake.commit_info(version).await? else {
            writeln!(out, "{version}  (and those before it: past the log's retention)")?;
            break;
        };
        let at = info.timestamp.map_or("-".to_owned(), time);
        let operation = info.operation.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{version}  {at}  {}{}",
            printable(operation),
            printable(&metrics(info.operation_metrics.as_ref()))
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

async fn compact(settings: &pipeline::Settings, dry_run: bool) -> anyhow::Result<()> {
    let report = maintenance(settings, dry_run).await?.compact(dry_run).await?;
    let line = match (report.files_merged, dry_run) {
        (0, _) => "nothing to merge".to_owned(),
        (merged, true) => format!("would merge {merged} files into {}", report.files_written),
        (merged, false) => format!("merged {merged} files into {}", report.files_written),
    };
    writeln!(stdout(), "{line}")?;
    Ok(())
}

async fn vacuum(settings: &pipeline::Settings, dry_run: bool) -> anyhow::Result<()> {
    let MaintenanceReport {
        files_deleted,
        log_entries_deleted,
        ..
    } = maintenance(settings, dry_run).await?.clean_up(dry_run).await?;
    let mut out = stdout();
    for file in &files_deleted {
        writeln!(out, "{}", printable(file))?;
    }
    let would = if dry_run { "would delete" } else { "deleted" };
    writeln!(out, "{would} {} files", files_deleted.len())?;
    if !dry_run {
        writeln!(out, "deleted {log_entries_deleted} log entries")?;
    }
    Ok(())
}

async fn repair(table: &TableSettings, dry_run: bool) -> anyhow::Result<()> {
    let report = lake::repair(table, dry_run).await?;
    let mut out = stdout();
    let would = if dry_run { "would delete" } else { "deleted" };
    for (file, fault) in &report.deleted {
        writeln!(
            out,
            "{would} _delta_log/{}: {}",
            printable(file),
            printable(fault)
        )?;
    }
    if let Some(version) = report.checkpoint_version {
        let made = if dry_run { "would make" } else { "made" };
        writeln!(out, "{made} a checkpoint of version {version}")?;
    }
    let (version, checkpoints) = (report.version, report.sound_checkpoints);
    let found = match report.deleted.is_empty() {
        true => "nothing to repair: ",
        false => "",
    };
    writeln!(
        out,
        "{found}the log leads to version {version}; {checkpoints} checkpoints agree with it"
    )?;
    Ok(())
}

async fn maintenance(settings: &pipeline::Settings, dry_run: bool) -> anyhow::Result<Maintenance> {
    let (lake, cached, spec) = Lake::open_as_made(&settings.table_spec()).await?;
    if !dry_run {
        lake.try_store(&spec.table).await?;
    }
    let allowed_delay_ms = settings.window.watermark.as_millis() as i64;
    Ok(Maintenance::new(
        Arc::new(lake),
        spec.maintenance,
        allowed_delay_ms,
        cached,
    ))
}

/// A log may say anything: what cannot be added up is as much as can be.
fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn time(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or("out of range".to_owned(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    })
}
