//! Mutated messages and files, through the program and by an oracle that was written from the manual alone: another reader
//! of JSON, of Avro, of Protobuf and of times, and arithmetic on whole numbers. Nothing of it is the program's.
//!
//! `STREAMGAUGE_TEST_SEED=random` tries other cases, its number repeats them, `STREAMGAUGE_TEST_FUZZ=20` makes it twenty times as long.

mod avro;
mod binary;
mod csv;
mod decoder;
mod double;
mod files;
mod json;
mod judge;
mod messages;
mod mutate;
mod natural;
mod odd_times;
mod otlp;
mod program;
mod protobuf;
mod settings;
mod times;

/// A count, multiplied for a campaign.
fn times_as_many(count: u64) -> u64 {
    let factor = std::env::var("STREAMGAUGE_TEST_FUZZ")
        .ok()
        .and_then(|factor| factor.parse().ok());
    count * factor.unwrap_or(1)
}
