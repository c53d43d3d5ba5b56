//! Collecting from CloudWatch into Apache Kafka: killed at any moment, started twice, answered in pieces and late, each
//! second of each instance is in the topic once.

mod fake;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::moto::Moto;
use streamgauge_testkit::process::{Child, Signal, run};
use streamgauge_testkit::{block_on, eventually, heavy, require, unique};

use self::fake::{Asked, Fake, Fault, value};
use crate::http_limits::address;
use crate::program::streamgauge;
use crate::service::get;
use crate::simulation::seed;
use crate::stream::{END_LIMIT, Random, stop};
use streamgauge::telemetry::events::COLLECTED;

const INSTANCES: usize = 3;
const ROUND_LIMIT: Duration = Duration::from_secs(60);

/// The command for metrics of a server, every second.
fn collect(url: &str, flags: &[&str]) -> Command {
    let mut command = streamgauge(["collect", "cloudwatch", "--region", "eu-west-1"]);
    command.args(flags);
    for (name, value) in [
        ("ENDPOINT", url),
        ("PERIOD", "1s"),
        ("DELAY", "2s"),
        ("INTERVAL", "1s"),
    ] {
        command.env(format!("STREAMGAUGE__COLLECT__CLOUDWATCH__{name}"), value);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing");
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE");
    command
}

fn into_topic(kafka: &Kafka, topic: &str, url: &str) -> Command {
    let mut command = collect(url, &["-b", kafka.brokers(), "-t", topic]);
    command.env("STREAMGAUGE__HTTP__LISTEN", "127.0.0.1:0");
    command
}

fn start(kafka: &Kafka, topic: &str, fake: &Fake) -> Result<Child> {
    Child::start_with_events("collect", &mut into_topic(kafka, topic, &fake.url()))
}

/// Waits for rounds that brought readings.
fn wait_for_readings(child: &mut Child, rounds: usize) -> Result<()> {
    let deadline = Instant::now() + ROUND_LIMIT;
    loop {
        let events = child.events(COLLECTED);
        let good = events
            .iter()
            .filter(|event| event["readings"].as_i64() > Some(0))
            .count();
        if good >= rounds {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{good} rounds:\n{}", child.output());
        ensure!(child.exit_status()?.is_none(), "it ended:\n{}", child.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Seconds and values by key, in the order of the topic.
fn readings(kafka: &Kafka, topic: &str) -> Result<BTreeMap<String, Vec<(i64, f64)>>> {
    let mut readings: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for record in kafka.read_topic(topic)? {
        let key = String::from_utf8(record.key.context("a key")?)?;
        let message: Value = serde_json::from_slice(&record.value.context("a value")?)?;
        let time = DateTime::parse_from_rfc3339(message["ts"].as_str().context("a time")?)?;
        let value = message["value"].as_f64().context("a value")?;
        ensure!(
            message["metric"] == "CPUUtilization" && message["stat"] == "Average",
            "{message}"
        );
        ensure!(
            key == format!("{}/CPUUtilization", message["instance"].as_str().unwrap_or("")),
            "{key}"
        );
        readings.entry(key).or_default().push((time.timestamp(), value));
    }
    Ok(readings)
}

/// Each second from the first to the last, once and in order, with its value; and the watermarks are where they end.
fn check(kafka: &Kafka, topic: &str) -> Result<i64> {
    let readings = readings(kafka, topic)?;
    ensure!(readings.len() == INSTANCES, "{:?}", readings.keys());
    let mut watermarks: BTreeMap<String, String> = BTreeMap::new();
    for record in kafka.read_topic(&format!("{topic}.collector"))? {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default());
        watermarks.insert(text(record.key)?, text(record.value)?);
    }
    let mut seconds = 0;
    for instance in 0..INSTANCES {
        let found = &readings[&format!("i-{instance}/CPUUtilization")];
        let (first, last) = (found[0].0, found[found.len() - 1].0);
        let expected: Vec<(i64, f64)> = (first..=last)
            .map(|second| (second, value(instance, second)))
            .collect();
        ensure!(*found == expected, "instance {instance}: {found:?}");
        let identity = format!(r#"["eu-west-1","AWS/EC2","CPUUtilization",{{"InstanceId":"i-{instance}"}}]"#);
        let done = DateTime::from_timestamp(last + 1, 0).context("a time")?;
        let watermark = format!(r#"{{"version":1,"done":"{}"}}"#, done.format("%FT%TZ"));
        ensure!(
            watermarks.get(&identity) == Some(&watermark),
            "{identity}: {watermarks:?}"
        );
        seconds = last - first + 1;
    }
    Ok(seconds)
}

#[test]
fn killed_and_stopped_at_random_moments_each_point_is_collected_once() -> Result<()> {
    const KILLS: usize = 12;
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let _alone = heavy();
    let mut random = Random(seed());
    let fake = Fake::start(INSTANCES, |_, _| 1)?;
    let topic = unique("collected");
    let started = Instant::now();
    for kill in 0..KILLS {
        let mut victim = start(kafka, &topic, &fake)?;
        if kill % 3 != 2 {
            wait_for_readings(&mut victim, 1)?;
        }
        std::thread::sleep(Duration::from_millis(random.below(1_500)));
        let signal = if kill % 4 == 3 {
            Signal::Terminate
        } else {
            Signal::Kill
        };
        victim.signal(signal)?;
        victim.wait(END_LIMIT)?;
    }
    let mut last = start(kafka, &topic, &fake)?;
    wait_for_readings(&mut last, 2)?;
    stop(last)?;
    let seconds = check(kafka, &topic)?;
    ensure!(
        seconds > 10 && seconds < started.elapsed().as_secs() as i64 + 5,
        "{seconds} seconds"
    );
    Ok(())
}

#[test]
fn of_two_collectors_the_newer_goes_on_and_the_older_says_why_it_does_not() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fake = Fake::start(INSTANCES, |_, _| 1)?;
    let topic = unique("collected-twice");
    let mut older = start(kafka, &topic, &fake)?;
    wait_for_readings(&mut older, 2)?;
    let mut newer = start(kafka, &topic, &fake)?;
    wait_for_readings(&mut newer, 2)?;
    let status = older.wait(END_LIMIT)?;
    ensure!(status.code() == Some(1), "{status}:\n{}", older.output());
    ensure!(
        older
            .stderr()
            .contains("another collector of these metrics has started"),
        "{}",
        older.output()
    );
    wait_for_readings(&mut newer, 4)?;
    stop(newer)?;
    check(kafka, &topic).map(drop)
}

#[test]
fn what_cloudwatch_cannot_answer_is_asked_again_until_it_can() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let fake = Fake::start(INSTANCES, |_, _| 1)?;
    let topic = unique("collected-in-pieces");
    let mut child = start(kafka, &topic, &fake)?;
    wait_for_readings(&mut child, 1)?;
    let all = [
        Fault::Throttled,
        Fault::Throttled,
        Fault::Unavailable,
        Fault::Pages,
        Fault::Partial,
        Fault::Internal,
        Fault::Pages,
        Fault::Internal,
    ];
    fake.fail_next(&all);
    eventually("all faults have had their turn", ROUND_LIMIT, || {
        ensure!(fake.has_failed());
        Ok(())
    })?;
    let rounds = child.events(COLLECTED).len();
    wait_for_readings(&mut child, rounds + 2)?;
    let (status, metrics) = get(&address(&mut child)?, "/metrics")?;
    ensure!(status == 200);
    for line in [
        "streamgauge_collect_metrics 3".to_owned(),
        "streamgauge_collect_errors_total{code=\"ThrottlingException\"} 2".to_owned(),
        "streamgauge_collect_errors_total{code=\"HTTP503\"} 1".to_owned(),
        "streamgauge_collect_errors_total{code=\"PartialData\"} 1".to_owned(),
        "streamgauge_collect_errors_total{code=\"InternalError\"} 2".to_owned(),
        "streamgauge_collect_late_points_total 0".to_owned(),
    ] {
        ensure!(metrics.contains(&format!("{line}\n")), "{line} in:\n{metrics}");
    }
    let (status, health) = get(&address(&mut child)?, "/readyz")?;
    ensure!((status, health.as_str()) == (200, "collector: ok\n"), "{health}");
    stop(child)?;
    check(kafka, &topic)?;
    let is_of_token = |token: &'static str| move |asked: &Asked| asked.token.as_deref() == Some(token);
    let asked = fake.asked();
    ensure!(
        asked.iter().filter(|asked| is_of_token("empty")(asked)).count() == 2,
        "{asked:?}"
    );
    let signed = "AWS4-HMAC-SHA256 Credential=testing/";
    ensure!(
        asked.iter().all(|asked| asked.authorization.starts_with(signed)),
        "{asked:?}"
    );
    ensure!(
        asked
            .iter()
            .all(|asked| asked.authorization.contains("/eu-west-1/monitoring/aws4_request"))
    );
    Ok(())
}

#[test]
fn a_point_that_comes_too_late_is_counted_and_not_written() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    // Every tenth second of the first instance comes three seconds after it was waited for.
    let fake = Fake::start(1, |_, second| if second % 10 == 0 { 5 } else { 0 })?;
    let topic = unique("collected-late");
    let mut child = start(kafka, &topic, &fake)?;
    wait_for_readings(&mut child, 1)?;
    let (status, metrics) = eventually("a late point is counted", ROUND_LIMIT, || {
        let (status, metrics) = get(&address(&mut child)?, "/metrics")?;
        ensure!(
            !metrics.contains("streamgauge_collect_late_points_total 0\n"),
            "{metrics}"
        );
        Ok((status, metrics))
    })?;
    ensure!(
        status == 200 && metrics.contains("streamgauge_collect_changed_points_total 0\n"),
        "{metrics}"
    );
    child.signal(Signal::Terminate)?;
    child.wait(END_LIMIT)?;
    ensure!(
        child.stderr().contains("not written, as they came after"),
        "{}",
        child.output()
    );
    let found = &readings(kafka, &topic)?["i-0/CPUUtilization"];
    ensure!(found.iter().all(|(second, _)| second % 10 != 0), "{found:?}");
    ensure!(
        found.is_sorted_by(|before, after| before.0 < after.0),
        "{found:?}"
    );
    Ok(())
}

#[test]
fn once_prints_what_there_is_without_kafka() -> Result<()> {
    let fake = Fake::start(2, |_, _| 0)?;
    let mut command = collect(
        &fake.url(),
        &["--once", "--set", "collect.cloudwatch.backfill=5s"],
    );
    command.args(["-b", "127.0.0.1:1"]);
    let printed = run("once", &mut command, END_LIMIT)?;
    let lines: Vec<Value> = printed
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(lines.len() == 10, "{printed}");
    let metrics: Vec<usize> = fake.asked().iter().map(|asked| asked.metrics).collect();
    ensure!(
        metrics == [0, 0, 2],
        "two pages of metrics, and one request for points: {metrics:?}"
    );
    Ok(())
}

/// What a command that cannot go on says.
fn refusal(fake: &Fake) -> Result<String> {
    let mut child = Child::start("refused", &mut collect(&fake.url(), &["--once"]))?;
    let status = child.wait(END_LIMIT)?;
    ensure!(status.code() == Some(1), "{status}:\n{}", child.output());
    Ok(child.stderr())
}

#[test]
fn a_refusal_says_what_to_do() -> Result<()> {
    let fake = Fake::start(1, |_, _| 0)?;
    for (fault, expected) in [
        (Fault::Denied, "allow cloudwatch:GetMetricData on \"*\""),
        (Fault::Garbage, "cannot read CloudWatch's answer to GetMetricData"),
        (Fault::Internal, "1 metrics have no whole answer"),
    ] {
        fake.fail_next(&[fault]);
        let said = refusal(&fake)?;
        ensure!(said.contains(expected), "{expected:?} in: {said}");
    }
    let mut command = collect("http://127.0.0.1:1/", &["--once"]);
    command.env_remove("AWS_ACCESS_KEY_ID");
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let mut child = Child::start("refused", &mut command)?;
    child.wait(END_LIMIT)?;
    ensure!(
        child
            .stderr()
            .contains("no credentials found: set AWS_ACCESS_KEY_ID"),
        "{}",
        child.output()
    );
    Ok(())
}

#[test]
fn the_clock_is_that_of_aws() -> Result<()> {
    let ahead = TimeDelta::hours(2);
    let fake = Fake::ahead(1, |_, _| 0, ahead)?;
    let printed = run("once", &mut collect(&fake.url(), &["--once"]), END_LIMIT)?;
    let line: Value = serde_json::from_str(printed.lines().next().context("a reading")?)?;
    let time = DateTime::parse_from_rfc3339(line["ts"].as_str().context("a time")?)?;
    let expected = Utc::now() + ahead;
    ensure!((time.to_utc() - expected).abs() < TimeDelta::minutes(1), "{line}");
    Ok(())
}

/// Gives moto points of an instance, a minute each, up to now.
fn put_points(url: &str, count: i64) -> Result<()> {
    let now_s = Utc::now().timestamp();
    let point = |minutes: i64| {
        json!({
            "MetricName": "CPUUtilization",
            "Dimensions": [{ "Name": "InstanceId", "Value": "i-moto" }],
            "Timestamp": now_s - 60 * minutes,
            "Value": minutes as f64,
            "Unit": "Percent",
        })
    };
    let points: Vec<Value> = (0..count).map(point).collect();
    let body = json!({ "Namespace": "AWS/EC2", "MetricData": points });
    let request = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "GraniteServiceVersion20100801.PutMetricData")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=testing/20261127/eu-west-1/monitoring/aws4_request, SignedHeaders=host, Signature=0")
        .body(body.to_string());
    block_on(async move { anyhow::Ok(request.send().await?.error_for_status()?) })?;
    Ok(())
}

#[test]
fn the_imitation_of_aws_that_others_test_with_is_collected_from() -> Result<()> {
    let (Some(kafka), Some(moto)) = (
        require("Apache Kafka", Kafka::shared()),
        require("moto", Moto::start()),
    ) else {
        return Ok(());
    };
    put_points(&moto.url(), 30)?;
    let topic = unique("collected-from-moto");
    let mut command = into_topic(kafka, &topic, &moto.url());
    for (name, value) in [("PERIOD", "1m"), ("DELAY", "2m"), ("BACKFILL", "20m")] {
        command.env(format!("STREAMGAUGE__COLLECT__CLOUDWATCH__{name}"), value);
    }
    for _ in 0..2 {
        let mut child = Child::start_with_events("collect", &mut command)?;
        child.wait_for_event(COLLECTED, &[], ROUND_LIMIT)?;
        stop(child)?;
    }
    let readings = readings(kafka, &topic)?;
    let found = &readings["i-moto/CPUUtilization"];
    ensure!((20..=22).contains(&found.len()), "{found:?}");
    ensure!(
        found.is_sorted_by(|before, after| before.0 + 60 == after.0),
        "{found:?}"
    );
    Ok(())
}

#[test]
fn the_demo_finds_in_ec2s_loads_what_river_finds() -> Result<()> {
    let _alone = heavy();
    let mut demo = Child::start("demo", &mut streamgauge(["demo", "--ec2", "--table", "table"]))?;
    let status = demo.wait(END_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", demo.output());
    for expected in [
        "played     12096 five-minute readings of three EC2 instances",
        "12,096 consumed = 12,096 aggregated + 0 late + 0 dead-lettered",
        "12,096 consumed = 12,096 judged + 0 late + 0 rejected; anomalies published to anomaly: 570",
    ] {
        ensure!(
            demo.stderr().contains(expected),
            "{expected:?} in:\n{}",
            demo.stderr()
        );
    }
    // As many as River's HalfSpaceTrees scores above 0.7: docs/detectors/half-space-trees.md.
    let expected = "the first 20 of 90 episodes; anomalies in all: 416 of i-77c1ca/CPUUtilization, 154 of i-fe7f93/CPUUtilization";
    ensure!(demo.stdout().contains(expected), "{}", demo.stdout());
    Ok(())
}
