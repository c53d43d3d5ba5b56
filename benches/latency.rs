//! How long it takes from producing a reading until its anomaly can be read under `read_committed`, on loopback.
//!
//! `cargo bench --bench latency`; a thousand readings a second of a hundred meters in four partitions, of which some two
//! percent begin or end a rule's condition. The broker is the one the integration tests start, or the one in
//! `STREAMGAUGE_TEST_KAFKA`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use streamgauge::clock;
use streamgauge::telemetry::events::PARTITION_ASSIGNED;
use streamgauge_testkit::kafka::Kafka;
use streamgauge_testkit::process::{Child, Signal, program, scratch_folder};
use streamgauge_testkit::unique;

#[derive(Debug, Parser)]
struct Arguments {
    /// Readings a second
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Seconds of readings that are measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Seconds of readings before that: a broker that has just started compiles its own code on the same cores
    #[arg(long, default_value_t = 60)]
    warm_up_seconds: u64,
    /// A librdkafka property of `detect`, such as fetch.wait.max.ms=20; may be repeated
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const PARTITIONS: i32 = 4;
const METERS: u64 = 100;
const LIMIT: Duration = Duration::from_secs(60);

/// A reading by its place in the topic.
type Place = (i32, i64);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kafka = Kafka::shared()?;
    let (topic, anomalies) = (unique("meters"), unique("anomalies"));
    kafka.create_topic(&topic, PARTITIONS)?;
    kafka.create_topic(&anomalies, PARTITIONS)?;
    let state = scratch_folder("state-files").display().to_string();
    let mut command = program(
        env!("CARGO_BIN_EXE_streamgauge"),
        ["detect", "-b", kafka.brokers(), "-t", &topic, "--key", "message"],
    );
    command.args([
        "--anomaly-topic",
        &anomalies,
        "--group",
        &anomalies,
        "--state",
        &state,
    ]);
    for property in &arguments.properties {
        command.args(["-X", property]);
    }
    command.env("STREAMGAUGE__DETECT__RULES__*", "above 90");
    command.env("STREAMGAUGE__READING__TIME_FORMAT", "epoch_ms");
    let mut detect = Child::start_with_events("detect", &mut command)?;
    detect.wait_for_event(PARTITION_ASSIGNED, &[], LIMIT)?;

    let (stop, (arrivals, seen)) = (AtomicBool::new(false), mpsc::channel());
    let (sent, seen) = std::thread::scope(|scope| -> Result<_> {
        let reading = scope.spawn(|| read(kafka.brokers(), &anomalies, &stop, &arrivals));
        let sent = send(kafka.brokers(), &topic, &arguments)?;
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        reading
            .join()
            .map_err(|_| anyhow::anyhow!("the reader failed"))??;
        Ok((sent, seen.try_iter().collect::<Vec<(Place, Instant)>>()))
    })?;
    detect.signal(Signal::Terminate)?;
    ensure!(detect.wait(LIMIT)?.success(), "{}", detect.output());
    report(&sent, &seen)
}

/// Sends readings at a pace; the answer is when each that was sent after the warm-up went off.
fn send(brokers: &str, topic: &str, arguments: &Arguments) -> Result<HashMap<Place, Instant>> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let mut next_offsets = [0_i64; PARTITIONS as usize];
    let mut sent = HashMap::new();
    let started = clock::instant();
    let pause = Duration::from_secs(1) / u32::try_from(arguments.rate)?;
    let warm_up = Duration::from_secs(arguments.warm_up_seconds);
    for number in 0..arguments.rate * (arguments.warm_up_seconds + arguments.seconds) {
        let due = started + pause * u32::try_from(number)?;
        // Asleep and not polling: a core that spins is missing elsewhere.
        std::thread::sleep(due.saturating_duration_since(clock::instant()));
        let meter = (number * 37) % METERS;
        let partition = (meter % PARTITIONS as u64) as i32;
        // Every meter is above the bound for one of its readings in a hundred, each at another time.
        let is_high = (number / METERS + meter).is_multiple_of(100);
        let value = if is_high { 95.5 } else { 50.25 };
        let text = format!(r#"{{"ts":{},"value":{value}}}"#, clock::now_ms());
        let key = format!("meter-{meter}");
        let record = BaseRecord::to(topic)
            .partition(partition)
            .key(&key)
            .payload(&text);
        let at = clock::instant();
        producer.send(record).map_err(|(error, _)| error)?;
        if at.duration_since(started) >= warm_up {
            sent.insert((partition, next_offsets[partition as usize]), at);
        }
        next_offsets[partition as usize] += 1;
    }
    producer.flush(LIMIT)?;
    Ok(sent)
}

/// Reads anomalies until `stop`, and reports when each reading's became visible.
fn read(
    brokers: &str,
    topic: &str,
    stop: &AtomicBool,
    arrivals: &mpsc::Sender<(Place, Instant)>,
) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "latency")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    while !stop.load(Ordering::Relaxed) {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let now = clock::instant();
            let message = message?;
            arrivals.send((place(&message)?, now))?;
        }
    }
    Ok(())
}

/// The reading that an anomaly is about: its id is `topic/partition/offset/index`.
fn place(message: &impl Message) -> Result<Place> {
    let headers = message.headers().context("an anomaly without headers")?;
    let id = headers
        .iter()
        .find(|header| header.key == "ce_id")
        .and_then(|header| header.value);
    let id = std::str::from_utf8(id.context("an anomaly without ce_id")?)?;
    let mut parts = id.rsplit('/').skip(1);
    let (offset, partition) = (
        parts.next().context("no offset")?,
        parts.next().context("no partition")?,
    );
    Ok((partition.parse()?, offset.parse()?))
}

fn report(sent: &HashMap<Place, Instant>, seen: &[(Place, Instant)]) -> Result<()> {
    let mut delays: Vec<Duration> = seen
        .iter()
        .filter_map(|(place, at)| Some(at.duration_since(*sent.get(place)?)))
        .collect();
    delays.sort_unstable();
    ensure!(delays.len() >= 100, "only {} anomalies were seen", delays.len());
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{} readings, {} anomalies", sent.len(), delays.len());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("largest", 1.0)] {
        println!("{name:<8} {:>7.1} ms", at(share));
    }
    Ok(())
}
