//! Messages against the decoder alone, in this process: many of them in a few seconds.

use std::collections::BTreeMap;

use streamgauge::decode::{Decoder, Examined};
use streamgauge::reading::Record;

use super::avro::Avro;
use super::binary::{self, Stream};
use super::judge::{Reading, decode};
use super::messages::{Message, Producer};
use super::otlp::Otlp;
use super::settings::STREAMS;
use crate::simulation::seed;
use streamgauge::config::{Overrides, load};

/// The number of mutated messages of each stream.
const MESSAGES: u64 = 10_000;

fn decoder(environment: Vec<(String, String)>) -> Decoder {
    let loaded = load(&Overrides::default(), None, environment).expect("the settings are right");
    Decoder::new(&loaded.config.pipeline.reading)
}

fn found(decoder: &Decoder, message: &Message) -> Result<Vec<Reading>, &'static str> {
    let record = Record {
        offset: 0,
        timestamp_ms: message.timestamp_ms,
        key: message.key.as_deref(),
        value: message.value.as_deref(),
        headers: &[],
    };
    let mut readings = Vec::new();
    let decoded = decoder.decode(record, None, &mut |reading| {
        readings.push(Reading {
            key: reading.series.key.into_owned(),
            at_ms: reading.event_time_ms,
            value: reading.value.mean,
        });
    });
    let count = match decoder.examine(record, None) {
        Ok(Examined::One(_)) => Ok(1),
        Ok(Examined::Several(count)) => Ok(count),
        Ok(Examined::Skipped) => Ok(0),
        Err(rejection) => Err(rejection.reason),
    };
    assert_eq!(
        count,
        decoded
            .as_ref()
            .map(|()| readings.len())
            .map_err(|rejection| rejection.reason)
    );
    match decoded {
        Ok(()) => Ok(readings),
        Err(rejection) => Err(rejection.reason.name()),
    }
}

/// What is read otherwise than the oracle says.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    /// Compares what a decoder makes of a message with what it should, and counts the outcomes.
    fn compare(
        &mut self,
        name: &str,
        decoder: &Decoder,
        message: &Message,
        expected: &Result<Vec<Reading>, &'static str>,
        fates: &mut BTreeMap<&'static str, u64>,
    ) {
        let found = found(decoder, message);
        *fates
            .entry(expected.as_ref().err().copied().unwrap_or("reading"))
            .or_default() += 1;
        let is_same = match (&found, expected) {
            (Ok(found), Ok(expected)) => {
                let bits = |readings: &[Reading]| -> Vec<u64> {
                    readings.iter().map(|reading| reading.value.to_bits()).collect()
                };
                found == expected && bits(found) == bits(expected)
            }
            _ => found == *expected,
        };
        if !is_same {
            let value = message.value.as_deref().unwrap_or_default();
            let shown: String = value.escape_ascii().to_string().chars().take(800).collect();
            self.0.push(format!(
                "{name}: {shown} key {:?} at {:?}: found {found:?}, expected {expected:?}",
                message.key, message.timestamp_ms
            ));
        }
    }

    fn must_be_none(self) {
        let shown = &self.0[..self.0.len().min(40)];
        assert!(
            self.0.is_empty(),
            "{} of them:\n{}",
            self.0.len(),
            shown.join("\n")
        );
    }
}

#[test]
fn each_mutated_message_is_read_as_the_manual_says() {
    let seed = seed();
    let mut differences = Differences::default();
    for settings in &STREAMS {
        let decoder = decoder(settings.environment());
        let mut producer = Producer::new(settings, seed);
        let mut fates = BTreeMap::new();
        for number in 0..super::times_as_many(MESSAGES) {
            let mut message = producer.mutated();
            if number % 500 == 0 {
                message.timestamp_ms = None;
            }
            let expected = decode(settings, &message);
            differences.compare(settings.name, &decoder, &message, &expected, &mut fates);
        }
        println!("{}: {fates:?}", settings.name);
    }
    differences.must_be_none();
}

fn binary_messages_are_read_as_specified<S: Stream>(outcomes: &[&str]) {
    let mut producer = binary::Producer::new(seed());
    let decoder = decoder(binary::environment::<S>());
    let mut differences = Differences::default();
    let mut fates = BTreeMap::new();
    for _ in 0..super::times_as_many(MESSAGES) {
        let message = producer.message::<S>();
        differences.compare(S::NAME, &decoder, &message, &S::decode(&message), &mut fates);
    }
    println!("{}: {fates:?}", S::NAME);
    differences.must_be_none();
    // What never happens is not tried.
    let never = outcomes.iter().filter(|outcome| !fates.contains_key(*outcome));
    assert_eq!(never.count(), 0, "not all of {outcomes:?}");
}

#[test]
fn each_mutated_message_of_avro_is_read_as_its_specification_says() {
    binary_messages_are_read_as_specified::<Avro>(&[
        "reading",
        "empty",
        "too_large",
        "invalid_avro",
        "null_field",
        "wrong_type",
        "not_finite",
        "out_of_range",
        "invalid_time",
        "no_timestamp",
        "too_far_ahead",
        "too_far_behind",
        "invalid_key",
    ]);
}

#[test]
fn each_mutated_request_of_otlp_is_read_as_its_specification_says() {
    binary_messages_are_read_as_specified::<Otlp>(&[
        "reading",
        "empty",
        "too_large",
        "invalid_protobuf",
        "missing_field",
        "not_finite",
        "out_of_range",
        "no_timestamp",
        "too_far_ahead",
        "too_far_behind",
        "missing_key",
        "invalid_key",
    ]);
}
