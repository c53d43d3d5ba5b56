//! The lake: the Delta table on a local disk or on S3, written exactly once.
//!
//! The protocol itself is in [`crate::table`]; this room performs its effects. A commit costs what it touches: the
//! new file of each open window it has readings for, and one atomically created log entry. The log is replayed at
//! start and then only followed; nothing here lists the table on the hot path, but for a role that S3 does not tell what is
//! absent (`s3::absent`).
//!
//! Absent from this room: windows, lateness, Kafka, and any decision about conflicts.

mod attempts;
mod definition;
mod error;
mod location;
mod log;
mod maintain;
mod recover;
mod rows;
mod s3;
mod snapshots;
mod store;

pub use definition::{Columns, Definition};
pub use error::LakeError;
pub(crate) use location::store_at;
pub use location::{LocationError, OpenMode, table_url};
pub use maintain::{Maintenance, MaintenanceReport};
pub use rows::RESIDUAL_COLUMN;
pub(crate) use s3::{Refusal, RefusalKind, silent_endpoint};
pub use snapshots::SnapshotStore;
pub use store::{Committed, Lake};
