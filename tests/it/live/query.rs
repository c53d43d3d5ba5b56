//! SQL over HTTP, as dashboards ask it.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::run;
use streamgauge_testkit::{eventually, require};

use super::{Meters, Site, encoded};
use crate::stream::{END_LIMIT, stop};

#[test]
fn who_goes_away_ends_the_statement() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-sql-gone")?;
    meters.produce(&["meter-0"], 0..300)?;
    run(
        "aggregate",
        meters
            .command("aggregate", &[("LIVE__LISTEN", "")])
            .arg("--available-now"),
        END_LIMIT,
    )?;
    let (running, site) = meters.start("live", &[("LIVE__QUERY_TIMEOUT", "10m")])?;
    let path = format!("/api/query?sql={}", encoded(ENDLESS));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(&site.address)?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            site.address
        )?;
        waiting.push(connection);
    }
    eventually("all places are taken", END_LIMIT, || {
        let (status, _, body) = asked(&site, "SELECT 1", "json")?;
        ensure!(status == 429, "{status}: {body}");
        Ok(())
    })?;
    drop(waiting);
    eventually("the places are free", END_LIMIT, || {
        let (status, _, body) = asked(&site, "SELECT count(*) FROM usage", "json")?;
        ensure!(status == 200, "{status}: {body}");
        Ok(())
    })?;
    stop(running)
}

/// It would run for days.
const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";

fn asked(site: &Site, sql: &str, format: &str) -> Result<(u16, String, String)> {
    site.ask(
        "GET",
        &format!("/api/query?format={format}&sql={}", encoded(sql)),
        &[],
        "",
    )
}

#[test]
fn a_statement_is_answered_within_its_limits() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let meters = Meters::new(kafka, "live-sql")?;
    let limits = [
        ("LIVE__QUERY_TIMEOUT", "8s"),
        ("LIVE__QUERY_MAX_ROWS", "1000"),
        ("DETECT__TIME_ZONE", "America/New_York"),
    ];
    let (running, site) = meters.start("live", &limits)?;
    let (status, _, body) = asked(&site, "SELECT 1", "json")?;
    assert!(
        status == 503 && body.contains("there is no table at"),
        "{status} {body}"
    );

    meters.produce(&["meter-0", "meter-1"], 0..1_200)?;
    let quiet = [("LIVE__LISTEN", "")];
    run(
        "aggregate",
        meters.command("aggregate", &quiet).arg("--available-now"),
        END_LIMIT,
    )?;
    run(
        "detect",
        meters.command("detect", &quiet).arg("--available-now"),
        END_LIMIT,
    )?;

    let sql = "SELECT key, start, avg_usage FROM usage WHERE key = 'meter-1' ORDER BY start LIMIT 1";
    let (status, head, csv) = eventually("the table is there", END_LIMIT, || {
        let answer = asked(&site, sql, "csv")?;
        ensure!(answer.0 == 200, "{}", answer.2);
        Ok(answer)
    })?;
    assert_eq!(status, 200);
    assert!(head.contains("x-table-version: "), "{head}");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("key,start,avg_usage"));
    assert!(
        lines
            .next()
            .context("a row")?
            .starts_with("meter-1,2024-03-05T00:00:00Z,"),
        "{csv}"
    );
    let local = "SELECT start FROM usage_local ORDER BY start LIMIT 1";
    assert_eq!(asked(&site, local, "csv")?.2, "start\n2024-03-04T19:00:00\n");
    let anomalies = asked(
        &site,
        "SELECT key, value, severity FROM anomalies WHERE phase = 'opened'",
        "json",
    )?;
    let rows: Vec<Value> = serde_json::from_str(&anomalies.2)?;
    let is_spike = |row: &Value| row["value"] == 2_000.0 && row["severity"] == "critical";
    assert!(rows.iter().any(is_spike), "{}", anomalies.2);
    let (status, answer) = site.post("/api/query", &json!({ "sql": "SELECT count(*) AS n FROM usage" }))?;
    assert!(
        status == 200 && answer[0]["n"].as_i64().unwrap_or(0) > 100,
        "{answer}"
    );

    for (sql, expected, words) in [
        (
            "INSERT INTO usage SELECT * FROM usage",
            400,
            "only queries run here",
        ),
        (
            "EXPLAIN ANALYZE INSERT INTO usage SELECT * FROM usage",
            400,
            "only queries run here",
        ),
        ("COPY usage TO '/tmp/stolen.csv'", 400, "only queries run here"),
        ("SELECT nothing FROM usage", 400, "No field named nothing"),
        ("SELECT 1; SELECT 2", 400, "more than one statement"),
        (
            "SELECT * FROM generate_series(1, 5000)",
            413,
            "more than 1000 rows",
        ),
        (
            "SELECT repeat('x', 2000000) FROM generate_series(1, 20)",
            413,
            "more than 16777216 bytes",
        ),
    ] {
        let (status, _, body) = asked(&site, sql, "json")?;
        assert!(
            status == expected && body.contains(words),
            "{sql}: {status} {body}"
        );
    }

    for sql in crate::dashboards::statements()? {
        let sql = sql
            .replace("${__from}", "1709596800000")
            .replace("${__to}", "1809596800000")
            .replace("${__interval_ms}", "60000")
            .replace("${series:sqlstring}", "'meter-1','o''brien'");
        ensure!(!sql.contains('$'), "a variable of Grafana's is left: {sql}");
        let (status, _, body) = asked(&site, &sql, "json")?;
        let rows: Vec<Value> = serde_json::from_str(&body).with_context(|| format!("{sql}: {body}"))?;
        assert!(status == 200 && !rows.is_empty(), "{sql}: {body}");
    }

    // What no limit within a process holds.
    let doubling = |times: usize| {
        let steps = (1..times).map(|step| {
            format!(
                ", c{step} AS (SELECT a.n FROM c{0} a JOIN c{0} b ON a.n = b.n)",
                step - 1
            )
        });
        format!(
            "WITH c0 AS (SELECT 1 AS n){} SELECT count(*) FROM c{}",
            steps.collect::<String>(),
            times - 1
        )
    };
    let sum = |terms: usize| format!("SELECT {} AS n", vec!["1"; terms].join("+"));
    for (sql, expected) in [
        (
            "SELECT length(repeat('x', 1000000000)) AS n".to_owned(),
            &[413, 504][..],
        ),
        (
            "SELECT length(repeat(key, 100000000)) FROM usage".to_owned(),
            &[413, 504],
        ),
        (doubling(24), &[413, 504]),
        (sum(400), &[200]),
        (sum(60_000), &[400, 413, 504]),
        (
            format!(
                "SELECT count(*) AS n FROM usage WHERE key IN ({})",
                vec!["'a'"; 5_000].join(",")
            ),
            &[200],
        ),
    ] {
        let (status, answer) = site.post("/api/query", &json!({ "sql": sql }))?;
        let sql: String = sql.chars().take(80).collect();
        assert!(expected.contains(&status), "{sql}: {status} {answer}");
    }

    let began = Instant::now();
    let (status, _, body) = asked(&site, ENDLESS, "json")?;
    assert!(
        status == 504 && body.contains("live.query_timeout"),
        "{status} {body}"
    );
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(
        asked(&site, "SELECT 1 AS one", "json")?.2.trim(),
        r#"[{"one":1}]"#,
        "it goes on"
    );
    stop(running)
}
