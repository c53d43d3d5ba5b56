//! The cost of a commit: on an empty table and on one of 10,000 live files, and against delta-rs' MERGE of the same
//! rows and its own way to write a log entry. The tables lie in memory where the system has such a place, but for those
//! that show what it costs to sync a commit to a disk: they lie in the folder for temporary files.
//!
//! `cargo bench --bench commit`; the ratios come last.

mod delta_rs;
mod fixture;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use criterion::{Criterion, SamplingMode};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use delta_rs::Peer;
use fixture::{Table, config, keys, scratch, start_ms};

/// The rows that a commit touches: its name, the open windows, and the keys in each.
const COMMITS: [(&str, i64, usize); 4] = [
    ("positions only", 0, 0),
    ("1 window x 1 row", 1, 1),
    ("1 window x 1,000 rows", 1, 1_000),
    ("10 windows x 1,000 rows", 10, 1_000),
];
/// Tables on the disk of temporary files, and `table.sync_to_disk`.
const ON_DISK: [(&str, &str); 2] = [("on disk, unsynced", "false"), ("on disk, synced", "true")];
const COMMIT_BUILDER: &str = "positions only by CommitBuilder";
const LIVE_FILES: i64 = 10_000;
const MERGED_FILES: [usize; 2] = [10, 100];
/// Short, because each commit leaves a file in the log.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASUREMENT: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let runtime = Runtime::new()?;
    let mut criterion = Criterion::default().configure_from_args();
    let timings = Timings::default();
    for (table, sync_to_disk) in ON_DISK {
        let folder = tempfile::tempdir()?;
        let settings = [("table.sync_to_disk", sync_to_disk)];
        bench_commits(&mut criterion, &runtime, &timings, table, 0, &folder, &settings)?;
    }
    for (table, files) in [("empty table", 0), ("10,000 live files", LIVE_FILES)] {
        bench_commits(&mut criterion, &runtime, &timings, table, files, &scratch()?, &[])?;
        bench_commit_builder(&mut criterion, &runtime, &timings, table, files)?;
    }
    for files in MERGED_FILES {
        bench_merge(&mut criterion, &runtime, &timings, files)?;
    }
    criterion.final_summary();
    timings.print_ratios();
    Ok(())
}

/// Commits of several sizes, each to a table of its own with so many files that they do not touch.
fn bench_commits(
    criterion: &mut Criterion,
    runtime: &Runtime,
    timings: &Timings,
    name: &str,
    files: i64,
    place: &TempDir,
    settings: &[(&str, &str)],
) -> Result<()> {
    let mut group = criterion.benchmark_group("commit");
    group.sampling_mode(SamplingMode::Flat).sample_size(30);
    group.warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    for (commit, windows, key_count) in COMMITS {
        let folder = tempfile::tempdir_in(place)?;
        let table = Mutex::new(runtime.block_on(table_of(folder.path(), files, settings))?);
        let keys = keys(key_count);
        let open = files..files + windows;
        let id = format!("{commit}, {name}");
        group.bench_function(&id, |bencher| {
            bencher.to_async(runtime).iter_custom(async |commits| {
                let mut table = table.lock().await;
                let mut total = Duration::ZERO;
                for _ in 0..commits {
                    let batch = table.batch(open.clone(), &keys, start_ms(files));
                    let took = table.commit(batch).await.expect("the commit succeeds");
                    timings.add(&id, took);
                    total += took;
                }
                total
            });
        });
    }
    group.finish();
    Ok(())
}

/// delta-rs' `CommitBuilder` on such a table: the log entry of a commit without rows.
fn bench_commit_builder(
    criterion: &mut Criterion,
    runtime: &Runtime,
    timings: &Timings,
    name: &str,
    files: i64,
) -> Result<()> {
    let folder = scratch()?;
    runtime.block_on(table_of(folder.path(), files, &[]))?;
    let peer = Mutex::new(runtime.block_on(Peer::open(folder.path()))?);
    let mut group = criterion.benchmark_group("delta-rs");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    let id = format!("{COMMIT_BUILDER}, {name}");
    group.bench_function(&id, |bencher| {
        bencher.to_async(runtime).iter_custom(async |commits| {
            let mut peer = peer.lock().await;
            let mut total = Duration::ZERO;
            for _ in 0..commits {
                let took = peer.commit_positions().await.expect("the commit succeeds");
                timings.add(&id, took);
                total += took;
            }
            total
        });
    });
    group.finish();
    Ok(())
}

/// A table with so many live files of ten rows, one a window, all closed.
async fn table_of(folder: &std::path::Path, files: i64, settings: &[(&str, &str)]) -> Result<Table> {
    let mut table = Table::create(&config(folder, settings)?).await?;
    let keys = keys(10);
    for window in 0..files {
        let batch = table.batch(window..window + 1, &keys, i64::MAX);
        table.commit(batch).await?;
    }
    assert_eq!(table.live_files()? as i64, files);
    Ok(table)
}

/// delta-rs' MERGE of 1,000 rows of the last window into a table of so many files of 24 windows x 1,000 keys.
fn bench_merge(criterion: &mut Criterion, runtime: &Runtime, timings: &Timings, files: usize) -> Result<()> {
    let folder = scratch()?;
    let keys = keys(1_000);
    let peer = Mutex::new(runtime.block_on(Peer::create(folder.path(), files, &keys))?);
    let mut group = criterion.benchmark_group("delta-rs");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    let id = merge_id(files);
    group.bench_function(&id, |bencher| {
        bencher.to_async(runtime).iter_custom(async |merges| {
            let mut peer = peer.lock().await;
            let mut total = Duration::ZERO;
            for _ in 0..merges {
                let took = peer.merge(files, &keys).await.expect("the MERGE succeeds");
                timings.add(&id, took);
                total += took;
            }
            total
        });
    });
    group.finish();
    Ok(())
}

fn merge_id(files: usize) -> String {
    format!("MERGE of 1,000 rows, {files} files of 24,000 rows")
}

/// Every commit's duration, warming up included, for the ratios in the end.
#[derive(Default)]
struct Timings(RefCell<BTreeMap<String, Vec<Duration>>>);

impl Timings {
    fn add(&self, id: &str, took: Duration) {
        let mut all = self.0.borrow_mut();
        match all.get_mut(id) {
            Some(timings) => timings.push(took),
            None => {
                all.insert(id.to_owned(), vec![took]);
            }
        }
    }

    /// In milliseconds; an error if this was filtered out of the run.
    fn median_ms(&self, id: &str) -> Result<f64> {
        let mut timings = self.0.borrow().get(id).context("not measured")?.clone();
        timings.sort_unstable();
        Ok(timings[timings.len() / 2].as_secs_f64() * 1000.0)
    }

    fn print_ratios(&self) {
        println!("\nMedians of this run:");
        for (commit, ..) in COMMITS {
            let [unsynced, synced] = ON_DISK.map(|(table, _)| self.median_ms(&format!("{commit}, {table}")));
            if let (Ok(unsynced), Ok(synced)) = (unsynced, synced) {
                println!(
                    "  {commit:<32} on disk, unsynced {unsynced:7.3} ms, synced {synced:7.3} ms: {:.2} x",
                    synced / unsynced
                );
            }
        }
        for (commit, ..) in COMMITS.into_iter().chain([(COMMIT_BUILDER, 0, 0)]) {
            let of = |table: &str| self.median_ms(&format!("{commit}, {table}"));
            if let (Ok(empty), Ok(full)) = (of("empty table"), of("10,000 live files")) {
                println!(
                    "  {commit:<32} empty table {empty:7.3} ms, 10,000 live files {full:7.3} ms: {:.2} x",
                    full / empty
                );
            }
        }
        for files in MERGED_FILES {
            let ours = self.median_ms("1 window x 1,000 rows, 10,000 live files");
            if let (Ok(ours), Ok(merge)) = (ours, self.median_ms(&merge_id(files))) {
                println!(
                    "  {:<32} {merge:7.1} ms: {:.0} x the commit of the same rows at 10,000 live files",
                    format!("delta-rs MERGE, {files} files"),
                    merge / ours
                );
            }
        }
    }
}
