//! The page in a real browser.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::browser::Browser;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{free_port, heavy, require};

use super::{HOSTILE, Meters, START_MS, STEP_MS, reading};
use crate::stream::{END_LIMIT, stop};

/// What a check says that has opened its pages.
const READY: &str = "ready";
const WAITING: &str = "waiting";
const STEPS: i64 = 1_500;

#[test]
fn the_scripts_of_the_page_are_clean_and_compute_what_they_should() -> Result<()> {
    let Some(browser) = require("Chromium and Node.js", Browser::ready()) else {
        return Ok(());
    };
    browser.test(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/parts.test.mjs"))?;
    browser.lint(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/live/page"))
}

fn ended_well(mut check: Child) -> Result<()> {
    let status = check.wait(Duration::from_secs(240))?;
    ensure!(status.success(), "{}", check.output());
    Ok(())
}

#[test]
fn the_page_in_a_browser() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let Some(browser) = require("Chromium and Node.js", Browser::ready()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut meters = Meters::new(kafka, "live-browser")?;
    // The same after a restart.
    meters.listen = format!("127.0.0.1:{}", free_port()?);
    let keys = [&["meter-0", "meter-1"], &HOSTILE[..]].concat();
    meters.produce(&keys, 0..STEPS)?;
    let (running, site) = meters.start("run", &[])?;
    site.shows(keys.len() as u64 * STEPS as u64, kafka, &meters.anomaly_topic())?;
    let url = site.url();
    let folder = scratch_folder("live-pictures");
    let check = |step: &str, arguments: &[&str]| browser.check(&url, &folder, step, arguments);
    let start = |step: &str, arguments: &[&str]| browser.start(&url, &folder, step, arguments);
    check("opens", &[])?;
    check("moves", &[])?;
    for key in HOSTILE {
        check("hostile", &[key])?;
    }
    check("axe", &[])?;

    let newest = site.get("/api/episodes?limit=1")?["episodes"][0].clone();
    let (id, words) = (&newest["id"], &newest["explanation"]);
    let (id, words) = (id.as_str().context("an id")?, words.as_str().context("words")?);
    check("anomaly", &["expected"])?;
    check("link", &[id, words.rsplit(", ").next().unwrap_or_default()])?;
    check("answer", &["cleaning day", "Ada"])?;
    let topic = format!("{}.feedback", meters.anomaly_topic());
    let said = kafka.read_topic(&topic)?;
    let said = String::from_utf8_lossy(said[0].value.as_deref().context("a message")?).into_owned();
    ensure!(
        said.contains("cleaning day") && said.contains("\"by\":\"Ada\""),
        "{said}"
    );
    check("withdraw", &[])?;

    let mut step = STEPS;
    let mut write = |value: f64| -> Result<()> {
        let record = reading(0, keys[0], START_MS + step * STEP_MS, value);
        step += 1;
        kafka.produce(&meters.topic, [record])
    };
    let mut shown = start("reading", &[keys[0], "611.25"])?;
    shown.wait_for(WAITING, END_LIMIT)?;
    write(611.25)?;
    let written = Instant::now();
    ended_well(shown)?;
    let after = written.elapsed();
    // The browser ends within this time, too.
    ensure!(after < Duration::from_secs(3), "it was shown after {after:?}");

    let mut tabs = start("tabs", &[])?;
    tabs.wait_for(WAITING, END_LIMIT)?;
    write(612.5)?;
    ended_well(tabs)?;

    let mut restarted = start("restart", &[])?;
    restarted.wait_for(READY, END_LIMIT)?;
    stop(running)?;
    restarted.wait_for(WAITING, END_LIMIT)?;
    let (running, _) = meters.start("run", &[])?;
    write(613.75)?;
    ended_well(restarted)?;

    check("screenshots", &[keys[0]])?;
    for name in ["desktop-light", "desktop-dark", "phone", "phone-small"] {
        let length = std::fs::metadata(folder.join(format!("live-{name}.png")))?.len();
        ensure!(length > 20_000, "{name} has {length} bytes");
    }
    stop(running)
}
