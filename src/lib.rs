//! streamgauge: from a Kafka topic of readings to an exactly-once Delta table of windowed averages.
//!
//! Read the rooms in this order; `docs/architecture.md` says what each is for and what is absent from it.

#![warn(missing_docs, unreachable_pub)]

// Values and the pure core: state machines without I/O, clock or async.
pub mod notation;
mod output_record;
mod printable;
pub mod reading;
mod settings;
mod state_file;

pub mod decode;

pub mod window;

pub mod table;

pub mod aggregation;

pub mod detectors;

pub mod detection;

mod backtest;
mod sniff;

// Edges: one room per outside system.
pub mod alerts;
mod aws_signature;
pub mod clock;
pub mod collect;
pub mod feedback;
pub mod kafka;
pub mod lake;
pub mod playback;
pub mod query;
pub mod recording;
pub mod registry;
mod secret_file;
mod small_file;
mod web_client;

// Wiring: the one loop and its sinks, the settings, and the commands.
pub mod live;
pub mod pipeline;
mod serve;
pub mod telemetry;

pub mod config;

pub mod commands;
