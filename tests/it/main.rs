//! The integration tests: the core simulated whole, and the program on real parts. One binary, so that one broker
//! and one S3 server serve the whole run.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for real things, and are told by variables what to use"
)]

mod anomaly_schema;
mod backtest;
mod detection_quality;
mod kafka_bad_input;
mod kafka_detection;
mod kafka_exactly_once;
mod lake_contract;
mod lake_maintenance;
mod lake_refusals;
mod oracle;
mod parts;
mod readers;
mod s3_faults;
mod season;
mod service;
mod simulation;
mod snapshots_contract;
mod stream;
mod support;
mod table;
mod watched;
