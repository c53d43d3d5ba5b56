//! A real Prometheus with the series in its database, asked what its alert would have said at each evaluation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use streamgauge_testkit::free_port;
use streamgauge_testkit::packages::{prometheus, promtool};
use streamgauge_testkit::process::{Child, run, scratch_folder};

use crate::series::{START_MS, STEP_MS, Series, time_ms};

const LIMIT: Duration = Duration::from_secs(300);
/// Of rules, as mixins have it for those about days.
const EVALUATION_S: usize = 1_800;

/// A server with the series, by their numbers.
pub struct Prometheus {
    url: String,
    end_ms: i64,
    _server: Child,
}

impl Prometheus {
    pub fn start(series: &[Series]) -> Result<Self> {
        let folder = scratch_folder("prometheus");
        let mut text = String::from("# TYPE used gauge\n");
        for (number, one) in series.iter().enumerate() {
            for (step, value) in one.values.iter().enumerate() {
                writeln!(
                    text,
                    "used{{series=\"{number}\"}} {value} {}",
                    time_ms(step) / 1000
                )?;
            }
        }
        text.push_str("# EOF\n");
        let (source, data) = (folder.join("series.om"), folder.join("data"));
        std::fs::write(&source, text)?;
        let mut create = Command::new(promtool()?);
        create
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&source, &data]);
        run("promtool", &mut create, LIMIT)?;
        let settings = folder.join("prometheus.yml");
        std::fs::write(&settings, "global: {}\n")?;
        let port = free_port()?;
        let mut command = Command::new(prometheus()?);
        command
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut server = Child::start("prometheus", &mut command)?;
        server.wait_for("Server is ready", LIMIT)?;
        let longest = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
        Ok(Prometheus {
            url: format!("http://127.0.0.1:{port}"),
            end_ms: START_MS + longest as i64 * STEP_MS,
            _server: server,
        })
    }

    /// The times at which the expression held, for each series: an alert that must hold for an hour first.
    pub fn alerts(&self, expression: &str) -> Result<BTreeMap<usize, Vec<i64>>> {
        let mut query = Command::new(promtool()?);
        query
            .args(["query", "range", "--format=json"])
            .arg(format!("--start={}", START_MS / 1000))
            .arg(format!("--end={}", self.end_ms / 1000))
            .arg(format!("--step={EVALUATION_S}s"))
            .args([self.url.as_str(), expression]);
        let answer: Value = serde_json::from_str(&run("promtool", &mut query, LIMIT)?)?;
        let mut alerts = BTreeMap::new();
        for one in answer.as_array().context("a matrix")? {
            let number: usize = one["metric"]["series"].as_str().context("a series")?.parse()?;
            let samples = one["values"].as_array().context("samples")?;
            let times: Vec<i64> = samples
                .iter()
                .filter_map(|sample| Some((sample[0].as_f64()? * 1000.0) as i64))
                .collect();
            alerts.insert(number, lasting(&times));
        }
        Ok(alerts)
    }
}

/// The evaluations at which it had held for an hour: `for: 1h`.
fn lasting(times: &[i64]) -> Vec<i64> {
    let step_ms = EVALUATION_S as i64 * 1000;
    let steps = 3_600 / EVALUATION_S;
    (steps..times.len())
        .filter(|&at| times[at] - times[at - steps] == steps as i64 * step_ms)
        .map(|at| times[at])
        .collect()
}
