//! Dashboards and alert rules name what there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamgauge_testkit::process::run;
use streamgauge_testkit::{packages::promtool, require};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Names that begin as our metrics do, without what histograms add.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let names = text.match_indices("streamgauge_").map(|(at, _)| {
        let name: String = text[at..]
            .chars()
            .take_while(|letter| is_of_name(*letter))
            .collect();
        name.strip_suffix("_bucket").map_or(name.clone(), str::to_owned)
    });
    names.collect()
}

/// The metrics that the manual lists, which a test of the code holds to what is served.
fn listed() -> Result<BTreeSet<String>> {
    let manual = std::fs::read_to_string(packaging("../docs/operations.md"))?;
    let rows = manual.lines().filter(|line| line.starts_with("| `streamgauge_"));
    Ok(named(&rows.collect::<Vec<_>>().join("\n")))
}

#[test]
fn every_metric_of_a_dashboard_or_a_rule_is_one() -> Result<()> {
    let listed = listed()?;
    ensure!(listed.len() > 30, "{listed:?}");
    for name in [
        "grafana/streamgauge.json",
        "prometheus/alerts.yml",
        "prometheus/alerts_test.yml",
    ] {
        let text = std::fs::read_to_string(packaging(name))?;
        let named = named(&text);
        let unknown: Vec<_> = named.difference(&listed).collect();
        ensure!(
            unknown.is_empty() && !named.is_empty(),
            "{name} names {unknown:?}"
        );
    }
    Ok(())
}

#[test]
fn the_rules_fire_when_they_should_and_only_then() -> Result<()> {
    let Some(promtool) = require("promtool", promtool()) else {
        return Ok(());
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let mut command = Command::new(&promtool);
        command.current_dir(packaging("prometheus")).args(arguments);
        run("promtool", &mut command, Duration::from_secs(60))?;
    }
    let rules = std::fs::read_to_string(packaging("prometheus/alerts.yml"))?;
    let tests = std::fs::read_to_string(packaging("prometheus/alerts_test.yml"))?;
    for name in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let tested = tests.matches(&format!("alertname: {name},")).count();
        ensure!(
            tested == 2,
            "{name} is tested {tested} times: it must fire, and not fire"
        );
    }
    Ok(())
}

/// The statements of the dashboard of readings, with a range and a series in the place of Grafana's variables.
pub fn statements() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(packaging("grafana/readings.json"))?;
    let mut found = Vec::new();
    collect(&serde_json::from_str(&text).context("no JSON")?, &mut found);
    ensure!(found.len() >= 5, "{found:?}");
    Ok(found)
}

fn collect(value: &Value, found: &mut Vec<String>) {
    if value["key"] == "sql" {
        found.extend(value["value"].as_str().map(str::to_owned));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}
