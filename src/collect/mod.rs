//! Collects readings that another system has measured into the topic, each exactly once: CloudWatch's metrics.
//!
//! `state` is the pure core: what to ask next, and what an answer changes. `run` is the loop around it,
//! `cloudwatch` asks, and `store` writes readings and watermarks in one Kafka transaction (ADR 22).
//!
//! Absent from this room: the table, detectors, consumer groups; a memory of what was written beyond an hour.

mod answer;
mod cloudwatch;
mod cost;
mod dimensions;
mod error;
mod message;
mod metric;
mod progress;
mod run;
mod settings;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod watermark;

pub(crate) use error::CollectError;
pub(crate) use message::{Point, message};
pub(crate) use metric::Metric;
pub(crate) use progress::Progress;
pub(crate) use run::Collection;
pub use settings::Settings;
pub(crate) use store::watermarks_topic;
