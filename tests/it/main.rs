//! The integration tests: the core simulated whole, and the program on real parts. One binary, so that one broker
//! and one S3 server serve the whole run.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for real things, and read from variables what to use"
)]

mod alerts;
mod anomaly_schema;
mod backtest;
mod collect;
mod dashboards;
mod detect_memory;
mod detection_quality;
mod disk_sync;
mod docs;
mod feedback;
mod feedback_schema;
mod feedback_taught;
mod foreign_writers;
mod fuzz;
mod http_limits;
mod intake;
mod judged_topic;
mod kafka_bad_input;
mod kafka_counters;
mod kafka_detection;
mod kafka_exactly_once;
mod kafka_gaps;
mod kafka_generation;
mod kafka_groups;
mod kafka_hostile;
mod kafka_security;
mod kafka_stop;
mod kafka_strangers;
mod lake_contract;
mod lake_damage;
mod lake_long_keys;
mod lake_maintenance;
mod lake_refusals;
mod lake_sleepers;
mod lake_strangers;
mod live;
mod memory_sink;
mod oracle;
mod parts;
mod producers;
mod program;
mod readers;
mod record_cases;
mod s3_credentials;
mod s3_faults;
mod s3_refusals;
mod scene;
mod schema_registry;
mod service;
mod service_stuck;
mod simulation;
mod sql;
mod state_store_contract;
mod store_probe;
mod stream;
mod table;
mod times_and_numbers;
mod tour;
mod tune;
mod web_server;
