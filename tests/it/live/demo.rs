//! The first thing that a newcomer sees.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamgauge_testkit::eventually;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, scratch_folder};

use super::Site;
use crate::program::streamgauge;
use crate::stream::{END_LIMIT, stop};

#[test]
fn the_demo_ends_with_a_page_that_takes_a_word_back() -> Result<()> {
    let table = scratch_folder("demo-page").join("table");
    let mut command = streamgauge(["demo", "--keep", "--table"]);
    command
        .arg(&table)
        .env("STREAMGAUGE__LIVE__LISTEN", "127.0.0.1:0");
    let mut demo = Child::start("demo", &mut command)?;
    demo.wait_for("Still running until Ctrl-C", END_LIMIT)?;
    let printed = demo.stderr();
    let link = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("http://"));
    let site = Site {
        address: link.context("a link")?.trim_end_matches('/').to_owned(),
    };
    let episode = eventually("the library's anomaly", END_LIMIT, || {
        let shown = site.get("/api/episodes")?;
        let newest = &shown["episodes"][0];
        ensure!(newest["value"] == 748.8 && newest["anomalies"] == 1, "{shown}");
        ensure!(!newest["until_ms"].is_null(), "{shown}");
        Ok(shown["episodes"][0].clone())
    })?;
    eventually("the library's readings", END_LIMIT, || {
        let points = site.get("/api/points?width=4000")?;
        ensure!(points["cursor"] == 2_015, "{}", points["cursor"]);
        Ok(())
    })?;
    assert_eq!(
        site.get("/api/averages")?["count"].as_array().map(Vec::len),
        Some(168)
    );
    let id = episode["id"].as_str().context("an id")?;
    let said = json!({ "episode": id, "verdict": "real", "note": "a night shift" });
    eventually("the answer is taken", END_LIMIT, || {
        let (status, answer) = site.post("/api/feedback", &said)?;
        ensure!(status == 200, "{answer}");
        Ok(())
    })?;
    eventually("the answer is shown", END_LIMIT, || {
        let shown = site.get(&format!("/api/episode?id={id}"))?;
        ensure!(shown["said"]["note"] == "a night shift", "{shown}");
        Ok(())
    })?;
    let brokers = printed
        .split_whitespace()
        .find(|word| word.starts_with("127.0.0.1:"));
    let kafka = Kafka::at(brokers.context("the broker's address")?);
    let messages = kafka.read_topic("anomaly.feedback")?;
    let message: Value = serde_json::from_slice(messages[0].value.as_deref().context("a value")?)?;
    assert_eq!(
        (&message["about"]["episode"], &message["verdict"]),
        (&json!(id), &json!("real"))
    );
    stop(demo)
}
