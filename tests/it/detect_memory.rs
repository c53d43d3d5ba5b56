//! The memory of a detection is bounded, whatever keys a sender makes up.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamgauge_testkit::events::json_lines;
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{heavy, require, unique};

use crate::program::streamgauge;
use crate::service::{found_by, log_metric};

const KEYS: usize = 300_000;
const PARTITIONS: i32 = 4;
/// More than the measured peak in docs/operations.md, with room for other allocators.
const MOST_KB: u64 = 300_000;
const END_LIMIT: Duration = Duration::from_secs(300);

#[test]
fn one_off_keys_stay_within_the_memory_that_is_said() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let topic = unique("one-off-keys");
    kafka.create_topic(&topic, PARTITIONS)?;
    kafka.produce(&topic, (0..KEYS).map(one_off))?;
    let state = scratch_folder("one-off-keys").join("state");
    let detect = || detect(kafka, &topic, &state);

    let mut command = detect();
    command.env("STREAMGAUGE__LOG__FORMAT", "json");
    let (peak_kb, said) = run_to_end("detect-one-off", &mut command)?;
    println!("{KEYS} one-off keys: {peak_kb} kB");
    // Each partition has an equal share of detect.max_series, which is 100,000.
    ensure!(
        said.contains("rejected as too_many_series: 200,000"),
        "the summary counts the series that were not judged:\n{said}"
    );
    ensure!(
        said.contains("detect.max_series"),
        "the log names the setting:\n{said}"
    );
    ensure!(
        found_by(&log_metric("SeriesRefused")?, &json_lines(&said)),
        "the deployment's alarm finds nothing in:\n{said}"
    );
    ensure!(peak_kb < MOST_KB, "{KEYS} one-off keys took {peak_kb} kB");

    for (how, keeps) in [("from its state file", true), ("without one", false)] {
        if !keeps {
            fs::remove_dir_all(&state)?;
        }
        kafka.produce(&topic, [one_off(KEYS)])?;
        let (peak_kb, _) = run_to_end("detect-restarted", &mut detect())?;
        println!("started again {how}: {peak_kb} kB");
        ensure!(peak_kb < MOST_KB, "a start {how} took {peak_kb} kB");
    }
    Ok(())
}

/// The only reading of its series.
fn one_off(number: usize) -> NewRecord {
    // Spread over the bits, so that the names look like random ones.
    let name = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let time_ms = 1_700_000_000_000 + number as i64;
    NewRecord::new(
        (number % PARTITIONS as usize) as i32,
        format!(r#"{{"ts":{time_ms},"value":1.5,"key":"{name:032x}-uid"}}"#),
    )
}

fn detect(kafka: &Kafka, topic: &str, state: &Path) -> Command {
    let mut command = streamgauge(["detect", "--available-now", "--key", "key"]);
    command.args(["-b", kafka.brokers(), "-t", topic]);
    command.args(["--group", topic, "--anomaly-topic", &format!("{topic}-anomalies")]);
    command.arg("--state").arg(state);
    command.env("STREAMGAUGE__READING__TIME_FORMAT", "epoch_ms");
    command.env("STREAMGAUGE__HTTP__LISTEN", "");
    command
}

/// Runs a program to its end: the most memory that it held, in kB, and what it said.
fn run_to_end(name: &str, command: &mut Command) -> Result<(u64, String)> {
    let mut child = Child::start(name, command)?;
    let deadline = Instant::now() + END_LIMIT;
    let mut peak_kb = 0;
    while child.exit_status()?.is_none() {
        ensure!(
            Instant::now() < deadline,
            "{name} does not end:\n{}",
            child.stderr()
        );
        peak_kb = peak_kb.max(peak_of(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait(Duration::from_secs(1))?;
    ensure!(
        status.success(),
        "{name} failed with {status}:\n{}",
        child.output()
    );
    ensure!(peak_kb > 0, "nobody saw how much memory {name} held");
    Ok((peak_kb, child.output()))
}

/// The most that a process has held in memory so far, as the system counts it.
fn peak_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
