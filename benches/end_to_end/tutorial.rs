//! The tutorial's job: seven days of five-minute readings played into the topic while `aggregate` runs.

use std::time::Duration;

use anyhow::Result;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{program, run, scratch_folder};
use streamgauge_testkit::unique;

use super::measure::{Measured, Measurement};
use super::{LIMIT, STREAMGAUGE};

const READINGS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/commands/demo/boston_tuesdays.csv"
);
/// 2,016 readings in about twenty seconds.
const TICK: &str = "10ms";
const JOINING: Duration = Duration::from_secs(2);

/// Commits every second instead of every ten, with maintenance and checkpoints in between, so that twenty seconds hold
/// what minutes would.
pub fn run_job(kafka: &Kafka) -> Result<Measured> {
    let topic = unique("usage");
    kafka.create_topic(&topic, 4)?;
    let folder = scratch_folder("tutorial-table");
    let (group, table) = (unique("group"), folder.to_string_lossy());
    let mut aggregate = program(
        STREAMGAUGE,
        [
            "aggregate",
            "--brokers",
            kafka.brokers(),
            "--topic",
            &topic,
            "--group",
            &group,
            "--table",
            &table,
            "--commit-interval",
            "1s",
        ],
    );
    aggregate
        .env("STREAMGAUGE__MAINTENANCE__INTERVAL", "3s")
        .env("STREAMGAUGE__MAINTENANCE__CHECKPOINT_COMMITS", "5")
        .env("STREAMGAUGE__MAINTENANCE__CLEANUP_INTERVAL", "6s");
    let measurement = Measurement::start("tutorial", &mut aggregate)?;
    std::thread::sleep(JOINING);
    let brokers = kafka.brokers();
    let mut play = program(
        STREAMGAUGE,
        ["play", READINGS, "-b", brokers, "-t", &topic, "--tick", TICK],
    );
    run("play", &mut play, LIMIT)?;
    std::thread::sleep(JOINING);
    measurement.terminate()?;
    measurement.finish(LIMIT)
}
