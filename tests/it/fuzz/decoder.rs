//! Messages against the decoder alone, in this process: many of them in a few seconds.

use streamgauge::decode::{Decoder, Examined};
use streamgauge::reading::Record;

use super::judge::decode;
use super::messages::{Message, Producer};
use super::settings::{STREAMS, Settings};
use crate::simulation::seed;
use streamgauge::config::{Overrides, load};

/// The number of mutated messages of each stream.
const MESSAGES: u64 = 10_000;

fn decoder(settings: &Settings) -> Decoder {
    let environment = settings.environment();
    let loaded = load(&Overrides::default(), None, environment).expect("the settings are right");
    Decoder::new(&loaded.config.pipeline.reading)
}

fn found(decoder: &Decoder, message: &Message) -> Result<Vec<super::judge::Reading>, &'static str> {
    let record = Record {
        offset: 0,
        timestamp_ms: message.timestamp_ms,
        key: message.key.as_deref(),
        value: message.value.as_deref(),
        headers: &[],
    };
    let mut readings = Vec::new();
    let decoded = decoder.decode(record, None, &mut |reading| {
        readings.push(super::judge::Reading {
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

#[test]
fn each_mutated_message_is_read_as_the_manual_says() {
    let seed = seed();
    let mut differences = Vec::new();
    for settings in &STREAMS {
        let decoder = decoder(settings);
        let mut producer = Producer::new(settings, seed);
        let mut fates = std::collections::BTreeMap::<&str, u64>::new();
        for number in 0..super::times_as_many(MESSAGES) {
            let mut message = producer.mutated();
            if number % 500 == 0 {
                message.timestamp_ms = None;
            }
            let (found, expected) = (found(&decoder, &message), decode(settings, &message));
            *fates
                .entry(expected.as_ref().err().copied().unwrap_or("reading"))
                .or_default() += 1;
            let is_same = match (&found, &expected) {
                (Ok(found), Ok(expected)) => {
                    let bits = |readings: &[super::judge::Reading]| -> Vec<u64> {
                        readings.iter().map(|reading| reading.value.to_bits()).collect()
                    };
                    found == expected && bits(found) == bits(expected)
                }
                _ => found == expected,
            };
            if !is_same {
                let value =
                    String::from_utf8_lossy(message.value.as_deref().unwrap_or_default()).into_owned();
                let shown: String = value.chars().take(400).collect();
                differences.push(format!(
                    "{}: {shown:?} key {:?} at {:?}: found {found:?}, expected {expected:?}",
                    settings.name, message.key, message.timestamp_ms
                ));
            }
        }
        println!("{}: {fates:?}", settings.name);
    }
    let shown = &differences[..differences.len().min(40)];
    assert!(
        differences.is_empty(),
        "{} of them:\n{}",
        differences.len(),
        shown.join("\n")
    );
}
