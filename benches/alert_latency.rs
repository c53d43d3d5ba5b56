//! How long it takes from producing a reading until a receiver is told that it breaks a rule, on loopback.
//!
//! `cargo bench --bench alert_latency`: `streamgauge run`, a webhook that answers at once, one reading after another of a
//! hundred boilers of which each begins or ends an episode. Nothing is grouped (`group_wait = "0s"`): by the default an opening
//! within half a minute of another waits for the rest of it. The broker is the one the integration tests start, or the one in
//! `STREAMGAUGE_TEST_KAFKA`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use serde_json::Value;
use streamgauge::clock;
use streamgauge::telemetry::events::PARTITION_ASSIGNED;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, Signal, program, scratch_folder};
use streamgauge_testkit::unique;

#[derive(Debug, Parser)]
struct Arguments {
    /// Transitions that are measured
    #[arg(long, default_value_t = 400)]
    transitions: u64,
    /// Milliseconds between two
    #[arg(long, default_value_t = 250)]
    pause_ms: u64,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const BOILERS: u64 = 100;
const PARTITIONS: u64 = 4;
const LIMIT: Duration = Duration::from_secs(60);
/// A broker that has just started compiles its own code on the same cores.
const WARM_UP: u64 = 100;

/// The boiler that a message is about, and whether it says that the episode is over.
type Transition = (String, bool);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kafka = Kafka::shared()?;
    let topic = unique("boilers");
    kafka.create_topic(&topic, i32::try_from(PARTITIONS)?)?;
    let (told, arrivals) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    std::thread::spawn(move || serve(&listener, &told));
    let folder = scratch_folder("alert-latency");
    let mut command = program(
        env!("CARGO_BIN_EXE_streamgauge"),
        [
            "run",
            "-b",
            kafka.brokers(),
            "-t",
            &topic,
            "--key",
            "key",
            "--detector",
            "none",
        ],
    );
    command.arg("--table").arg(folder.join("table"));
    for (name, value) in [
        ("KAFKA__GROUP", &*topic),
        ("DETECT__ANOMALY_TOPIC", &format!("{topic}.anomaly")),
        ("DETECT__RULES__*", "above 90"),
        ("READING__TIME_FORMAT", "epoch_ms"),
        ("ALERT__RECEIVER__OPS__KIND", "webhook"),
        ("ALERT__RECEIVER__OPS__URL", &url),
        (
            "ALERT__RECEIVER__OPS__SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        ("ALERT__RECEIVER__OPS__GROUP_WAIT", "0s"),
        ("ALERT__RECEIVER__OPS__STORM", "0"),
    ] {
        command.env(format!("STREAMGAUGE__{name}"), value);
    }
    let mut run = Child::start_with_events("run", &mut command)?;
    run.wait_for_event(PARTITION_ASSIGNED, &[], LIMIT)?;
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .create()?;
    let mut sent = HashMap::new();
    for number in 0..WARM_UP + arguments.transitions {
        let boiler = number % BOILERS;
        let is_end = (number / BOILERS) % 2 == 1;
        let value = if is_end { 70 } else { 95 };
        let text = format!(
            r#"{{"ts":{},"value":{value},"key":"boiler-{boiler}"}}"#,
            clock::now_ms()
        );
        let at = clock::instant();
        let partition = i32::try_from(boiler % PARTITIONS)?;
        let record = BaseRecord::<(), _>::to(&topic)
            .partition(partition)
            .payload(&text);
        producer.send(record).map_err(|(error, _)| error)?;
        if number >= WARM_UP {
            sent.insert((format!("boiler-{boiler}"), is_end, number / BOILERS), at);
        }
        std::thread::sleep(Duration::from_millis(arguments.pause_ms));
    }
    std::thread::sleep(Duration::from_secs(3));
    run.signal(Signal::Terminate)?;
    ensure!(run.wait(LIMIT)?.success(), "{}", run.output());
    report(&sent, arrivals.try_iter())
}

/// Answers each request at once, and says when it came.
fn serve(listener: &TcpListener, told: &mpsc::Sender<(Transition, Instant)>) {
    for stream in listener.incoming().flatten() {
        let told = told.clone();
        std::thread::spawn(move || answer(stream, &told));
    }
}

/// The requests of a connection, until it ends.
fn answer(stream: TcpStream, told: &mpsc::Sender<(Transition, Instant)>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.trim() != "" {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        ensure!(!line.is_empty(), "the connection has ended");
        let at = clock::instant();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        let message: Value = serde_json::from_slice(&body)?;
        let boiler = message["data"]["series"].as_str().context("a series")?;
        told.send(((boiler.to_owned(), message["type"] == "anomaly.ended"), at))?;
    }
}

fn report(
    sent: &HashMap<(String, bool, u64), Instant>,
    arrivals: impl Iterator<Item = (Transition, Instant)>,
) -> Result<()> {
    let mut rounds: HashMap<Transition, u64> = HashMap::new();
    let mut delays = Vec::new();
    for ((boiler, is_end), at) in arrivals {
        let round = rounds.entry((boiler.clone(), is_end)).or_default();
        let place = (boiler, is_end, *round * 2 + u64::from(is_end));
        *round += 1;
        delays.extend(sent.get(&place).map(|sent| at.duration_since(*sent)));
    }
    ensure!(
        delays.len() == sent.len(),
        "{} of {} were told",
        delays.len(),
        sent.len()
    );
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{} transitions told", delays.len());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("largest", 1.0)] {
        println!("{name:<8} {:>7.1} ms", at(share));
    }
    Ok(())
}
