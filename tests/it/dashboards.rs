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
        let of_histogram = ["_bucket", "_count", "_sum"];
        let family = of_histogram.iter().find_map(|end| name.strip_suffix(end));
        family.map_or(name.clone(), str::to_owned)
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
    let names: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    ensure!(names.len() > 10, "{names:?}");
    for name in names {
        let quiet = format!("alertname: {name}, exp_alerts: []");
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels:");
        ensure!(
            tests.contains(&quiet) && tests.contains(&fires),
            "{name} must be tested firing, and not firing"
        );
    }
    Ok(())
}

#[test]
fn each_rule_waits_and_leads_to_a_page_that_is_there() -> Result<()> {
    let rules = std::fs::read_to_string(packaging("prometheus/alerts.yml"))?;
    let root = packaging("..");
    let mut count = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default();
        for part in [
            "\n        for: ",
            "severity: ",
            "\n          summary: ",
            "\n          description: ",
        ] {
            ensure!(rule.contains(part), "{name} has no {}", part.trim());
        }
        let manual = rule
            .lines()
            .find_map(|line| line.trim().strip_prefix("manual: "))
            .with_context(|| format!("{name} has no manual"))?;
        // As if a page of the repository's root had a link there.
        if let Some(reason) = crate::docs::broken(&root.join("README.md"), "", manual) {
            anyhow::bail!("{name}: {manual}: {reason}");
        }
        count += 1;
    }
    ensure!(count > 10, "{count} rules");
    Ok(())
}

/// Grafana is silent about panels that overlap, and about a panel whose data source is none: it shows nothing.
#[test]
fn dashboards_are_whole() -> Result<()> {
    for name in ["grafana/streamgauge.json", "grafana/readings.json"] {
        let text = std::fs::read_to_string(packaging(name))?;
        ensure!(!text.contains("://"), "{name} names a host");
        let dashboard: Value = serde_json::from_str(&text)?;
        let source = dashboard["__inputs"][0]["name"].as_str().context("an input")?;
        let source = format!("${{{source}}}");
        let panels = dashboard["panels"].as_array().context("panels")?;
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().context("a title")?;
            ensure!(ids.insert(panel["id"].as_u64()), "{name}: {title}: two of an id");
            let place = |side: &str| panel["gridPos"][side].as_u64().context("a place");
            let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
            ensure!(x + w <= 24, "{name}: {title} is too wide");
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
                ensure!(taken.insert(cell), "{name}: {title} overlaps at {cell:?}");
            }
            if panel["type"] == "row" {
                continue;
            }
            let targets = panel["targets"].as_array().context("targets")?;
            ensure!(!targets.is_empty(), "{name}: {title} shows nothing");
            for of in targets.iter().chain([panel]) {
                ensure!(
                    of["datasource"]["uid"] == *source,
                    "{name}: {title}: another source"
                );
            }
        }
    }
    Ok(())
}

/// The statements that are sent over HTTP by the dashboard of readings, and by what docs/bi.md says. Variables of Grafana are in
/// them as they are written: `${__from}`, `${__to}`, `${__interval_ms}` and `${series:sqlstring}`.
pub fn statements() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(packaging("grafana/readings.json"))?;
    let mut found = Vec::new();
    collect(&serde_json::from_str(&text).context("no JSON")?, &mut found);
    ensure!(found.len() == 5, "{found:?}");
    let page = std::fs::read_to_string(packaging("../docs/bi.md"))?;
    let (page, _) = page
        .split_once("## Before anything else")
        .context("what follows is for Athena")?;
    let places = [
        ("```sql\n", "```"),
        ("--data-urlencode \"sql=", "\""),
        ("quote(\"", "\""),
    ];
    for (begin, end) in places {
        let of_page = page
            .split(begin)
            .skip(1)
            .filter_map(|rest| rest.split(end).next());
        found.extend(of_page.map(str::to_owned));
    }
    let addresses = page.split("/api/query?").skip(1);
    for query in addresses.filter_map(|rest| rest.split(['`', '\'', '"']).next()) {
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        let sql = parameters.filter(|(name, value)| name == "sql" && value.starts_with("SELECT"));
        found.extend(sql.map(|(_, value)| value.into_owned()));
    }
    ensure!(found.len() == 10, "{found:?}");
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
