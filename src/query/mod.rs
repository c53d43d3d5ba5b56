//! The query room: read-only DataFusion SQL over the Delta table.
//!
//! [`open()`] opens one version of the table, and `output::write` writes a result as text while it streams.
//! This room neither prints nor reads the environment; the commands do.

mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod open;
pub mod output;
mod session;

pub use error::QueryError;
pub use open::open;
pub(crate) use open::open_within;
pub(crate) use session::Excess;
pub use session::{Rows, Session};
