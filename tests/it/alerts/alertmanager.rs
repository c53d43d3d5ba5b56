//! Prometheus Alertmanager, Debian's 0.25 and a newer one: it fires, changes, forgets over a restart, and resolves once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamgauge::alerts::{Kind, Notification, Receiver};
use streamgauge_testkit::alerts::{Alertmanager, debians_alertmanager, newer_alertmanager};
use streamgauge_testkit::{eventually, require};

use super::fake::{Fake, Reply};
use super::{notification, receiver, send};
use crate::service::get;

#[test]
fn debians_alertmanager_fires_and_resolves_once_over_a_restart() -> Result<()> {
    fires_and_resolves("Debian's Alertmanager", debians_alertmanager())
}

#[test]
fn a_newer_alertmanager_fires_and_resolves_once_over_a_restart() -> Result<()> {
    fires_and_resolves("Alertmanager built by Go", newer_alertmanager())
}

/// Longer than the interval in which Alertmanager tells of changes.
const QUIET: Duration = Duration::from_millis(2_500);

fn fires_and_resolves(what: &str, program: Result<PathBuf>) -> Result<()> {
    let Some(program) = require(what, program) else {
        return Ok(());
    };
    let webhook = Fake::start(|_| Reply::new(200, ""))?;
    let mut alertmanager = Alertmanager::start(&program, &webhook.url("/"))?;
    let receiver = receiver(&[("kind", "alertmanager"), ("url", &alertmanager.url())]);

    send(&receiver, &notification("boiler-7", Kind::Opened), None)?;
    let told = webhook.wait_for(1)?[0].json();
    ensure!(
        told["status"] == "firing" && told["alerts"][0]["labels"]["series"] == "boiler-7",
        "{told}"
    );

    // Worse is the same alert, with other words.
    send(&receiver, &notification("boiler-7", Kind::Worsened), None)?;
    let alerts = alerts(&alertmanager)?;
    ensure!(
        alerts.len() == 1 && alerts[0]["annotations"]["severity"] == "critical",
        "{alerts:?}"
    );
    ensure!(alerts[0]["annotations"]["value"] == "97", "{alerts:?}");

    // What ended before it was told is not told.
    send(&receiver, &notification("pump-1", Kind::Ended), None)?;

    remembers_what_it_told(&alertmanager)?;
    alertmanager.restart()?;
    ensure!(self::alerts(&alertmanager)?.is_empty(), "it has forgotten");
    send(&receiver, &notification("boiler-7", Kind::Reminded), None)?;
    ensure!(self::alerts(&alertmanager)?.len() == 1);
    std::thread::sleep(QUIET);
    ensure!(
        webhook.asked().len() == 1,
        "it remembers what it has told: {:?}",
        webhook.asked()
    );

    // The end is sent again and again, and told once.
    for _ in 0..2 {
        send(&receiver, &notification("boiler-7", Kind::Ended), None)?;
    }
    let told = webhook.wait_for(2)?[1].json();
    ensure!(
        told["status"] == "resolved" && told["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1),
        "{told}"
    );
    send(&receiver, &notification("boiler-7", Kind::Ended), None)?;
    std::thread::sleep(QUIET);
    ensure!(webhook.asked().len() == 2, "{:?}", webhook.asked());

    odd_keys(&receiver, &alertmanager)?;
    forgotten_end(&program)
}

/// Whatever a key is, Alertmanager takes it.
fn odd_keys(receiver: &Receiver, alertmanager: &Alertmanager) -> Result<()> {
    let keys = ["ü", "a\nb\u{1b}", "{}\"\\", "<b>", " ", &"x".repeat(100_000)].map(str::to_owned);
    for key in &keys {
        let told = Notification {
            measure: Some(key.clone()),
            rule: Some(key.clone()),
            ..notification(key, Kind::Opened)
        };
        send(receiver, &told, None)?;
    }
    let none = Notification {
        series: None,
        ..notification("x", Kind::Opened)
    };
    send(receiver, &none, None)?;
    eventually("all alerts", Duration::from_secs(10), || {
        let found = alerts(alertmanager)?.len();
        ensure!(found == keys.len() + 1, "{found}");
        Ok(())
    })
}

/// An end that comes to one that has forgotten the alert, and never hears of it otherwise, is told nevertheless.
fn forgotten_end(program: &Path) -> Result<()> {
    let webhook = Fake::start(|_| Reply::new(200, ""))?;
    let mut alertmanager = Alertmanager::start(program, &webhook.url("/"))?;
    let receiver = receiver(&[("kind", "alertmanager"), ("url", &alertmanager.url())]);
    send(&receiver, &notification("boiler-7", Kind::Opened), None)?;
    webhook.wait_for(1)?;
    remembers_what_it_told(&alertmanager)?;
    alertmanager.restart()?;
    send(&receiver, &notification("boiler-7", Kind::Ended), None)?;
    let told = webhook.wait_for(2)?[1].json();
    ensure!(told["status"] == "resolved", "{told}");
    Ok(())
}

/// Until its log of notifications holds the first one. The webhook has heard of that a moment before: an Alertmanager that ends
/// in between has told nothing, as far as it knows. It asks its log once for each flush of a group, one flush after the other.
fn remembers_what_it_told(alertmanager: &Alertmanager) -> Result<()> {
    const QUERIES: &str = "alertmanager_nflog_queries_total ";
    eventually("a second flush", Duration::from_secs(20), || {
        let (_, body) = get(alertmanager.url().trim_start_matches("http://"), "/metrics")?;
        let queries = body.lines().find_map(|line| line.strip_prefix(QUERIES));
        ensure!(
            queries.context("no such metric")?.trim().parse::<u64>()? >= 2,
            "{queries:?}"
        );
        Ok(())
    })
}

fn alerts(alertmanager: &Alertmanager) -> Result<Vec<Value>> {
    let url = alertmanager.url();
    let (status, body) = get(url.trim_start_matches("http://"), "/api/v2/alerts?active=true")?;
    ensure!(status == 200, "{status}: {body}");
    let start = body.find('[').context("no list")?;
    let end = body.rfind(']').context("no list")?;
    Ok(serde_json::from_str(&body[start..=end])?)
}
