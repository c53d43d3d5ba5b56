//! The query room: DataFusion SQL over the Delta table, read only.
//!
//! [`open`] opens one version of the table, and [`output::write`] turns a result into text as it streams by.
//! This room neither prints nor reads the environment; the commands do.

mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod open;
pub mod output;
mod session;

pub use error::QueryError;
pub use open::open;
pub use session::{Rows, Session, Statement};
