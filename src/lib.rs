//! streamgauge: from a Kafka topic of readings to an exactly-once Delta table of windowed averages.
//!
//! Read the rooms in this order; `docs/architecture.md` says what each is for and what is absent from it.

// Values and the pure core: state machines without I/O, clock or async.
pub mod config;
pub mod reading;

pub mod decode;

pub mod window;

pub mod table;

pub mod operator;

pub mod detect;

pub mod watch;

pub mod backtest;

// Edges: one room per outside system.
pub mod clock;
pub mod kafka;
pub mod lake;
pub mod playback;
pub mod query;

// Wiring: the one loop, and the commands.
pub mod pipeline;
pub mod serve;

pub mod commands;
pub mod telemetry;
