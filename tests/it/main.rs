//! The integration tests: the core simulated whole, and the program on real parts. One binary, so that one broker
//! and one S3 server serve the whole run.

mod lake_contract;
mod lake_maintenance;
mod lake_refusals;
mod parts;
mod readers;
mod s3_faults;
mod simulation;
mod support;
mod table;
