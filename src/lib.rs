//! streamgauge: from a Kafka topic of readings to an exactly-once Delta table of windowed averages.
//!
//! Read the rooms in this order; `docs/architecture.md` says what each is for and what is absent from it.

// Values and the pure core: no I/O, no clock, no async.
pub mod config;

// Edges: one room per outside system.
pub mod clock;
pub mod playback;
pub mod query;

// Wiring.
pub mod commands;
pub mod telemetry;
