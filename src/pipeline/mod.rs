//! Pipelines: one [`Runner`] feeds one [`Sink`] from a consumer group of the topic.
//!
//! The runner is the one loop: it takes blocks in, has the sink commit what is due, answers the group and stops in good
//! order. A sink decides what a record becomes and what its commit consists of; each has a folder of its own, whose head
//! gives the order of effects that exactly-once rests on:
//!
//! - [`table`]: windowed totals, side outputs, the Delta table; positions are in the table's log.
//! - [`anomalies`]: detectors, the topic of anomalies; positions are the group's offsets.
//! - [`alerts`]: who is told of anomalies; positions are the group's offsets, what was told is in a compacted topic.
//!
//! Sinks share the files beside this one and import nothing from each other.
//!
//! Absent from this room: decisions about records, the format of anything, printing.

pub mod alerts;
pub mod anomalies;
mod error;
mod lag;
mod membership;
mod offsets;
mod open_transactions;
mod progress;
mod run_mode;
mod runner;
mod schema_lookup;
mod settings;
mod sink;
mod state_files;
mod stop;
pub mod table;
mod targets;
mod topic;
mod transaction;

pub use error::PipelineError;
pub use lag::{Lag, Oldest, Stuck, StuckCause};
pub(crate) use open_transactions::HeldBack;
pub(crate) use progress::lag_records;
pub use progress::{Commits, PartitionProgress, Progress};
pub(crate) use run_mode::RunMode;
pub use runner::Runner;
pub use settings::{CommitSettings, Settings};
pub use sink::{Assigned, BeforeRebalance, CommitOutcome, Committer, FinishedCommit, Sink, SinkPosition};
pub use targets::Targets;
