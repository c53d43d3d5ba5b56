//! `streamgauge table set-watermark`: the way back for a table whose watermark a wrong clock has moved too far.

use std::io::Write;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{LocationArgs, stdout, time};
use crate::clock;
use crate::lake::{Lake, TableSpec};
use crate::notation;
use crate::reading::Position;
use crate::table::{Batch, Counts, Outcome, PositionChange, Snapshot};

/// Take the newest reading of a partition for an earlier one, so that readings since then are no longer late
///
/// Lateness is decided by the newest event time of each partition, which `table describe` shows. One record from a clock
/// that is far ahead moves it for good, and everything after it is late. This sets it back, in one log entry; offsets and
/// rows stay as they are. A running process takes it up with its next commit; what it has diverted until then stays in
/// the late topic.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct WatermarkArgs {
    #[command(flatten)]
    pub(super) location: LocationArgs,
    /// The partition; without it all whose newest reading is later than TIME
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// The time that the newest reading is taken to have: RFC 3339, or 2026-11-26 18:00:00 in UTC
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  streamgauge table describe --offline
  streamgauge table set-watermark --partition 2 --to 2026-11-26T18:00:00Z --dry-run
  streamgauge table set-watermark --to '2026-11-26 18:00:00' --table s3://lake/usage";

/// The number of attempts against processes that commit at the same time.
const ATTEMPTS: u32 = 10;

pub(super) async fn set_watermark(spec: &TableSpec, args: &WatermarkArgs) -> anyhow::Result<()> {
    let to_ms =
        notation::utc_ms(&args.to).with_context(|| format!("cannot parse --to {:?} as a time", args.to))?;
    ensure!(
        to_ms <= clock::now_ms(),
        "--to {} lies in the future; a watermark is set back to where readings are",
        time(to_ms)
    );
    let (lake, mut cached, _) = Lake::open_as_made(spec).await?;
    for _ in 0..ATTEMPTS {
        let positions = changes(&cached.snapshot, args.partition, to_ms)?;
        if args.dry_run {
            return print_changes("would set", &positions);
        }
        let batch = Batch {
            rows: Vec::new(),
            positions: positions.clone(),
            closed_before_ms: i64::MIN,
            counts: Counts::default(),
            topic: None,
        };
        let committed = lake.commit(batch, cached).await?;
        cached = committed.cached;
        match committed.outcome {
            Outcome::Committed { version } => {
                print_changes("set", &positions)?;
                writeln!(stdout(), "committed version {version}")?;
                return Ok(());
            }
            // A running process has committed in between: its newer positions are the ones to change.
            Outcome::PositionsMoved { .. } | Outcome::TopicReplaced { .. } | Outcome::Superseded => {}
            Outcome::Incompatible(mismatch) => bail!("the table has become another: {mismatch}"),
        }
    }
    bail!("running processes commit so often that there was no moment between; stop them and try again")
}

/// The changes, each from the partition's present position.
fn changes(snapshot: &Snapshot, partition: Option<i32>, to_ms: i64) -> anyhow::Result<Vec<PositionChange>> {
    if let Some(partition) = partition {
        ensure!(
            snapshot.positions.contains_key(&partition),
            "the table has no position of partition {partition}"
        );
    }
    let chosen = snapshot
        .positions
        .iter()
        .filter(|(other, _)| partition.is_none_or(|partition| partition == **other));
    let changes: Vec<PositionChange> = chosen
        .filter(|(_, position)| {
            position
                .largest_event_time_ms
                .is_some_and(|largest_ms| largest_ms > to_ms)
        })
        .map(|(&partition, &from)| PositionChange {
            partition,
            epoch: 0,
            from,
            to: Position {
                largest_event_time_ms: Some(to_ms),
                ..from
            },
        })
        .collect();
    let which = partition.map_or("no partition has one".to_owned(), |partition| {
        format!("partition {partition} has none")
    });
    ensure!(
        !changes.is_empty(),
        "there is nothing to set back: {which} whose newest reading is later than {}",
        time(to_ms)
    );
    Ok(changes)
}

fn print_changes(did: &str, changes: &[PositionChange]) -> anyhow::Result<()> {
    let mut out = stdout();
    let shown = |position: Position| position.largest_event_time_ms.map_or("none".to_owned(), time);
    for change in changes {
        writeln!(
            out,
            "{did} the newest reading of partition {} from {} to {}",
            change.partition,
            shown(change.from),
            shown(change.to)
        )?;
    }
    Ok(())
}
