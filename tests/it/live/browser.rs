//! The page in a real browser.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::browser::Browser;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};
use streamgauge_testkit::{eventually, free_port, heavy, require};

use super::{HOSTILE, Meters, START_MS, STEP_MS, reading};
use crate::stream::{END_LIMIT, stop};

/// A check that has opened its pages says so.
const READY: &str = "ready";
const STEPS: i64 = 1_500;

#[test]
fn the_scripts_of_the_page_are_clean() -> Result<()> {
    let Some(browser) = require("Chromium and Node.js", Browser::ready()) else {
        return Ok(());
    };
    browser.lint(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/live/page"))
}

/// When a reading was seen, in ms since 1970, as the check prints it.
fn seen_ms(check: &Child) -> Result<i64> {
    let output = check.stdout();
    let line = output.lines().find_map(|line| line.strip_prefix("seen "));
    Ok(line.context("it says when")?.parse()?)
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
    browser.check(&url, "opens", &[])?;
    browser.check(&url, "moves", &[])?;
    browser.check(&url, "hostile", &HOSTILE.map(shown))?;
    browser.check(&url, "axe", &[])?;

    let shown = site.get("/api/episodes?key=meter-0")?;
    let episode = &shown["episodes"][0];
    let (id, words) = (&episode["id"], &episode["explanation"]);
    let (id, words) = (id.as_str().context("an id")?, words.as_str().context("words")?);
    browser.check(&url, "episode", &[words, id])?;
    browser.check(&url, "answer", &[id, "cleaning day"])?;
    let topic = format!("{}.feedback", meters.anomaly_topic());
    let said = kafka.read_topic(&topic)?;
    let said = String::from_utf8_lossy(said[0].value.as_deref().context("a message")?).into_owned();
    ensure!(said.contains("cleaning day") && said.contains(id), "{said}");
    browser.check(&url, "withdraw", &[id])?;

    // The series that the page opens with is the one of the newest anomaly.
    let first = site.get("/api/series?limit=1")?["series"][0]["key"].clone();
    let first = first.as_str().context("a key")?;
    let partition = keys.iter().position(|key| *key == first).context("one of ours")? as u64 % 2;
    let mut step = STEPS;
    let mut write = |value: f64| -> Result<()> {
        let record = reading(partition, first, START_MS + step * STEP_MS, value);
        step += 1;
        kafka.produce(&meters.topic, [record])
    };

    let mut check = browser.start(&url, "reading", &["611.25", READY])?;
    check.wait_for(READY, END_LIMIT)?;
    write(611.25)?;
    let written_ms = chrono::Utc::now().timestamp_millis();
    check.wait_for("seen", END_LIMIT)?;
    let after_ms = seen_ms(&check)? - written_ms;
    ensure!(after_ms < 2_000, "it was seen after {after_ms} ms");
    ended_well(check)?;

    let mut check = browser.start(&url, "tabs", &["612.5", READY])?;
    check.wait_for(READY, END_LIMIT)?;
    write(612.5)?;
    ended_well(check)?;

    let mut check = browser.start(&url, "restart", &["613.75", READY])?;
    check.wait_for(READY, END_LIMIT)?;
    stop(running)?;
    check.wait_for("away", END_LIMIT)?;
    let (running, _) = meters.start("run", &[])?;
    write(613.75)?;
    ended_well(check)?;

    let folder = scratch_folder("live-pictures");
    browser.check(&url, "pictures", &[&folder.display().to_string()])?;
    eventually("pictures", Duration::from_secs(1), || {
        for name in ["live-light.png", "live-dark.png", "live-phone.png"] {
            let length = std::fs::metadata(folder.join(name))?.len();
            ensure!(length > 20_000, "{name} has {length} bytes");
        }
        Ok(())
    })?;
    stop(running)
}

/// A name as the page shows it.
fn shown(name: &'static str) -> &'static str {
    match name.strip_prefix('\u{202e}') {
        Some(_) => "\\u{202e}derevo",
        None => name,
    }
}
