//! Whether those who look hold up those who work: `run` takes in a backlog with nobody looking, and with 32 viewers who open
//! streams, read next to nothing of them, and ask for lists and plots; by turns, in one go.
//!
//! `cargo bench --bench live`. What is compared is the time from the start of `run` until table and anomalies have taken in
//! everything, which needs all cores. The broker is the one the integration tests start, or the one in
//! `STREAMGAUGE_TEST_KAFKA`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use streamgauge::clock;
use streamgauge::telemetry::events::{HTTP_LISTENING, LIVE_LISTENING};
use streamgauge_testkit::kafka::{Kafka, NewRecord};
use streamgauge_testkit::process::{Child, Signal, program, scratch_folder};
use streamgauge_testkit::{eventually, unique};

#[derive(Debug, Parser)]
struct Arguments {
    /// Readings of the backlog
    #[arg(long, default_value_t = 1_000_000)]
    readings: u64,
    /// Series that they are of
    #[arg(long, default_value_t = 1_000)]
    series: u64,
    /// Viewers
    #[arg(long, default_value_t = 32)]
    viewers: usize,
    /// Runs with nobody, and as many with viewers
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const PARTITIONS: u64 = 4;
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(900);
/// A viewer's pause between two requests, and between two bytes that it reads of its stream.
const VIEWER_PAUSE: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kafka = Kafka::shared()?;
    let topic = unique("watched");
    kafka.create_topic(&topic, PARTITIONS as i32)?;
    for begin in (0..arguments.readings).step_by(100_000) {
        let end = arguments.readings.min(begin + 100_000);
        kafka.produce(
            &topic,
            (begin..end).map(|number| reading(number, arguments.series)),
        )?;
    }
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        let took = run(kafka, &topic, &arguments, 0)?;
        println!("round {round}: nobody {:.2} s", took.as_secs_f64());
        alone.push(took);
        let took = run(kafka, &topic, &arguments, arguments.viewers)?;
        println!(
            "round {round}: {} viewers {:.2} s",
            arguments.viewers,
            took.as_secs_f64()
        );
        watched.push(took);
    }
    let median = |took: &mut Vec<Duration>| {
        took.sort_unstable();
        took[took.len() / 2].as_secs_f64()
    };
    let (alone, watched) = (median(&mut alone), median(&mut watched));
    println!(
        "median: nobody {alone:.2} s, {} viewers {watched:.2} s: {:.2} times",
        arguments.viewers,
        watched / alone
    );
    Ok(())
}

fn reading(number: u64, series: u64) -> NewRecord {
    let key = number % series;
    let step = number / series;
    let time_ms = 1_700_000_000_000 + step * 60_000;
    let value = 500 + (step * 37 + key * 11) % 23;
    NewRecord::new(
        (key % PARTITIONS) as i32,
        format!(r#"{{"ts":{time_ms},"value":{value},"key":"meter-{key:04}"}}"#),
    )
}

/// How long `run` takes to take in all readings while so many look on.
fn run(kafka: &Kafka, topic: &str, arguments: &Arguments, viewers: usize) -> Result<Duration> {
    let folder = scratch_folder("watched");
    let group = unique("group");
    let mut command = program(
        env!("CARGO_BIN_EXE_streamgauge"),
        ["run", "-t", topic, "--key", "key"],
    );
    command.args(["-b", kafka.brokers()]);
    for (name, value) in [
        ("KAFKA__GROUP", &*group),
        ("DETECT__GROUP", &format!("{group}-detect")),
        ("TABLE__URI", &folder.join("table").display().to_string()),
        ("DETECT__ANOMALY_TOPIC", &format!("{group}.anomaly")),
        ("READING__TIME_FORMAT", "epoch_ms"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("LIVE__LISTEN", "127.0.0.1:0"),
    ] {
        command.env(format!("STREAMGAUGE__{name}"), value);
    }
    let began = clock::instant();
    let mut child = Child::start_with_events("run", &mut command)?;
    let mut address = |event| -> Result<String> {
        let listening = child.wait_for_event(event, &[], START_LIMIT)?;
        Ok(listening["address"].as_str().context("an address")?.to_owned())
    };
    let (metrics, live) = (address(HTTP_LISTENING)?, address(LIVE_LISTENING)?);
    let is_over = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicU64::new(0));
    let looking: Vec<_> = (0..viewers)
        .map(|viewer| {
            let (live, is_over, answers) = (live.clone(), Arc::clone(&is_over), Arc::clone(&answers));
            std::thread::spawn(move || look(&live, viewer, &is_over, &answers))
        })
        .collect();
    let taken_in = eventually("everything is taken in", END_LIMIT, || {
        let text = get(&metrics, "/metrics")?;
        for sink in ["table", "anomalies"] {
            let name = format!(
                "streamgauge_ingested_records_total{{sink=\"{sink}\"}} {}",
                arguments.readings
            );
            ensure!(text.contains(&name), "{sink} is not there yet");
        }
        Ok(clock::instant().duration_since(began))
    })?;
    is_over.store(true, Ordering::Relaxed);
    for viewer in looking {
        viewer
            .join()
            .map_err(|_| anyhow::anyhow!("a viewer panicked"))??;
    }
    if viewers > 0 {
        println!("  {} answers to viewers", answers.load(Ordering::Relaxed));
    }
    child.signal(Signal::Terminate)?;
    ensure!(child.wait(START_LIMIT)?.success(), "{}", child.output());
    Ok(taken_in)
}

/// One viewer: a stream that it hardly reads, and questions for the list and a plot.
fn look(live: &str, viewer: usize, is_over: &AtomicBool, answers: &AtomicU64) -> Result<()> {
    let key = format!("meter-{viewer:04}");
    let mut stream = TcpStream::connect(live)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET /events?selected=1&cursor=0&key={key} HTTP/1.1\r\nHost: {live}\r\n\r\n"
    )?;
    let mut byte = [0];
    while !is_over.load(Ordering::Relaxed) {
        let _ = stream.read(&mut byte);
        for path in [
            "/api/series?limit=100",
            &format!("/api/points?width=1600&key={key}"),
        ] {
            // There is no such series at first.
            let _ = get(live, path)?;
            answers.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(VIEWER_PAUSE);
    }
    Ok(())
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
