//! The lake: the Delta table on a local disk or on S3, written exactly once.
//!
//! The protocol itself is in [`crate::table`]; this room performs its effects. A commit costs what it touches: the
//! new file of each open window it has readings for, and one atomically created log entry. The log is replayed at
//! start and then only followed. Nothing here lists the table on the hot path, except for a role to which S3
//! does not report missing objects (`s3::absent`).
//!
//! Absent from this room: which window a reading is in, lateness, Kafka, and any decision about conflicts.

mod actions;
mod attempts;
mod cast;
mod columns;
mod creation;
mod data_files;
mod definition;
mod error;
mod file_names;
mod live;
mod location;
mod log;
mod log_expiry;
mod log_listing;
mod maintain;
mod notices;
mod probe;
mod recover;
mod repair;
mod rows;
mod s3;
mod settings;
mod state_store;
mod store;
mod synced;
mod table_properties;
#[cfg(test)]
mod tampered;
mod vacuum;

pub use columns::{Columns, ValueColumns};
pub use creation::check_place;
pub use definition::Definition;
pub use error::LakeError;
pub use file_names::OutsideTable;
pub(crate) use file_names::check_decoded;
pub(crate) use location::store_at;
pub use location::{LocationError, OpenMode, table_url};
pub use maintain::{Maintenance, MaintenanceReport};
pub(crate) use probe::try_place;
pub(crate) use recover::table_is_there;
pub(crate) use repair::apparent_damage;
pub use repair::{RepairReport, repair};
pub use rows::RESIDUAL_COLUMN;
pub(crate) use s3::CredentialsError;
pub(crate) use s3::{Refusal, RefusalKind, aws_credentials, aws_region, silent_endpoint};
pub use settings::{MaintenanceSettings, StateSpec, TableSettings, TableSpec};
pub use state_store::StateStore;
pub use store::{CommitEnd, Lake};
