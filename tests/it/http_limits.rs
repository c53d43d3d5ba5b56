//! A client that can connect to `http.listen` cannot harm the run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::Child;
use streamgauge_testkit::{eventually, require};

use crate::stream::{END_LIMIT, Stream, stop};
use streamgauge::telemetry::events::{COMMITTED, HTTP_LISTENING};
use streamgauge::window::LatePolicy;

/// The usual limit of a shell or a container on a process' files, and more connections than that.
const FILES: &str = "1024";
const CONNECTIONS: usize = 1_100;

/// The command with a limit on its open files.
fn with_few_files(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FILES}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// The answer to these bytes, until the peer closes.
pub fn answer(address: &str, request: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn status(address: &str, path: &str, host: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = answer(address, &request)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// The address that a process serves metrics and health at, once it does.
pub fn address(child: &mut Child) -> Result<String> {
    let listening = child.wait_for_event(HTTP_LISTENING, &[], END_LIMIT)?;
    let address = listening["address"].as_str().context("no address in the log")?;
    Ok(address.to_owned())
}

fn started(stream: &Stream<'_>, settings: &[(&str, &str)]) -> Result<(Child, String)> {
    let mut command = stream.command("aggregate", &[]);
    command
        .env("STREAMGAUGE__HTTP__LISTEN", "127.0.0.1:0")
        .envs(settings.iter().copied())
        .env("STREAMGAUGE__COMMIT__INTERVAL", "300ms");
    let mut child = Child::start_with_events("aggregate", &mut with_few_files(&command))?;
    let address = address(&mut child)?;
    Ok((child, address))
}

#[test]
fn idle_connections_cannot_stop_commits() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let mut stream = Stream::new(kafka, "http-idle", LatePolicy::Upsert, 21)?;
    let (child, address) = started(&stream, &[])?;
    let began = Instant::now();
    // Half of a request each, and nothing after it.
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(&address)?;
        // One that was closed at once may say so already.
        let _ = connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: ");
        idle.push(connection);
    }
    stream.produce(3_000)?;
    eventually("all is committed", END_LIMIT, || {
        let commits = consumed_by_commits(&child);
        ensure!(commits == 3_000, "{commits} consumed:\n{}", child.stderr());
        Ok(())
    })?;
    ensure!(
        !child.stderr().contains("Too many open files"),
        "{}",
        child.stderr()
    );
    // Accepted connections are closed after ten seconds, and there is room for others.
    eventually("a scrape gets through", Duration::from_secs(30), || {
        let status = status(&address, "/metrics", &address)?;
        ensure!(status == "200", "status {status:?}");
        Ok(())
    })?;
    ensure!(
        began.elapsed() > Duration::from_secs(5),
        "the connections were no burden at all"
    );
    drop(idle);
    stop(child)
}

/// The records of all commits that a process reported.
fn consumed_by_commits(child: &Child) -> u64 {
    let commits = child.events(COMMITTED);
    commits
        .iter()
        .filter_map(|commit| commit["consumed"].as_u64())
        .sum()
}

#[test]
fn only_requests_for_this_program_are_answered() -> Result<()> {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else {
        return Ok(());
    };
    let stream = Stream::new(kafka, "http-host", LatePolicy::Upsert, 22)?;
    let hosts = ("STREAMGAUGE__HTTP__HOSTS", "metrics.example, other.example");
    let (child, address) = started(&stream, &[hosts])?;
    let port = address.rsplit(':').next().unwrap_or_default();
    for (host, expected) in [
        (address.as_str(), "200"),
        (&format!("localhost:{port}"), "200"),
        ("metrics.example", "200"),
        ("other.example:9464", "200"),
        ("evil.example", "403"),
        (&format!("127.0.0.1.evil.example:{port}"), "403"),
        ("192.0.2.1", "403"),
    ] {
        for path in ["/metrics", "/livez"] {
            ensure!(status(&address, path, host)? == expected, "{path} of {host}");
        }
    }
    ensure!(status(&address, "/nothing", "evil.example")? == "403");
    // HTTP/2 was never asked for.
    let h2 = answer(&address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    ensure!(!h2.contains("HTTP/2") && !h2.starts_with('\0'), "{h2:?}");
    let headers = "a: b\r\n".repeat(100);
    let many = answer(
        &address,
        &format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n"),
    )?;
    ensure!(many.starts_with("HTTP/1.1 431"), "{many}");
    let long = "x".repeat(40_000);
    let large = answer(
        &address,
        &format!("GET /livez HTTP/1.1\r\nHost: {address}\r\na: {long}\r\n\r\n"),
    )?;
    ensure!(large.starts_with("HTTP/1.1 431"), "{large}");
    // A connection that says nothing, and one that goes on asking nothing, are closed.
    let began = Instant::now();
    let silent = answer(&address, "")?;
    ensure!(
        silent.len() < 200 && began.elapsed() < Duration::from_secs(15),
        "after {:?}: {silent:?}",
        began.elapsed()
    );
    let began = Instant::now();
    let kept = answer(
        &address,
        &format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )?;
    ensure!(
        kept.starts_with("HTTP/1.1 200") && began.elapsed() < Duration::from_secs(15),
        "after {:?}: {kept:?}",
        began.elapsed()
    );
    stop(child)
}
