//! The readings: 1,000 meters, one every five minutes each, keyed by the meter.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::DateTime;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, util::Timeout};
use streamgauge::clock;

pub const PARTITIONS: i32 = 4;
const METERS: u64 = 1_000;
const STEP_S: i64 = 300;
/// 2024-01-01T00:00:00Z
const FIRST_S: i64 = 1_704_067_200;
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// Produces so many readings, about 55 bytes each with their key, and says how long that took. Five million fall
/// into 417 hourly windows.
pub fn load(brokers: &str, topic: &str, readings: u64) -> Result<Duration> {
    let producer: BaseProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "50")
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(Deliveries)?;
    let started = clock::instant();
    let (mut key, mut value, mut time) = (String::new(), String::new(), String::new());
    for number in 0..readings {
        let (meter, step) = (number % METERS, (number / METERS) as i64);
        if meter == 0 {
            let at = DateTime::from_timestamp(FIRST_S + step * STEP_S, 0)
                .context("a time beyond all calendars")?;
            time = at.format("%Y-%m-%d %H:%M:%S").to_string();
        }
        key.clear();
        value.clear();
        write!(key, "meter-{meter:04}")?;
        // Scattered, and the same in every run.
        let tenths = 5_000 + number.wrapping_mul(2_654_435_761) % 9_973;
        write!(
            value,
            r#"{{"ts": "{time}", "value": {}.{}}}"#,
            tenths / 10,
            tenths % 10
        )?;
        send(&producer, topic, &key, &value)?;
    }
    producer.flush(FLUSH_LIMIT)?;
    Ok(clock::instant() - started)
}

fn send(producer: &BaseProducer<Deliveries>, topic: &str, key: &str, value: &str) -> Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    while let Err((error, refused)) = producer.send(record) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error).context("a reading cannot be produced");
        }
        producer.poll(Timeout::After(Duration::from_millis(10)));
        record = refused;
    }
    Ok(())
}

/// A reading that is not delivered makes the counts differ later, so that all there is to do is to say so.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("a reading was not delivered: {error}");
        }
    }
}
